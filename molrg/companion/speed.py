"""The tables of the page "How fast", made from the one run that ``make bench`` has kept."""

from __future__ import annotations

import html
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FILE = Path("book") / "results" / "benchmarks.json"
Row = Mapping[str, Any]


def write(generated: Path, root: Path) -> None:
    """Write ``speed.md`` into a folder, from the run that a project has kept.

    Raises:
        ValueError: where there is no such run, or its file is torn.
    """
    (generated / "speed.md").write_text(markdown(read(root / FILE)), encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """The kept run.

    Raises:
        ValueError: where there is none, or the file is torn.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} = missing: allowed is what `make bench` writes") from None
    except ValueError as error:
        raise ValueError(f"{path} = torn ({error}): allowed is what `make bench` writes") from None


def markdown(run: Mapping[str, Any]) -> str:
    """Where it was measured, the comparisons, and how the work grows."""
    groups = _groups(run["comparisons"])
    parts = [
        _circumstances(run),
        _table(("", "ours", "other", "ratio"), itertools.starmap(_group, groups.items())),
        _notes(run["comparisons"], run.get("left_out", ())),
        "## How the work grows",
        _table(("", "fitted", "theory"), ["<tbody>", *map(_growth, run["growth"]), "</tbody>"]),
    ]
    return "\n\n".join(parts) + "\n"


def _circumstances(run: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    cores, memory = f"{run['cores']} cores", f"{run['memory_gb']} GB of memory"
    return (
        f"Measured on {run['recorded'][:10]} in {run['minutes']:g} minutes, at commit "
        f"{run['commit']}, on a machine ({run['machine']}) with {cores} and {memory}. On average "
        f"{run['busy']:g} processes were waiting for a core or had one. Versions: {versions}."
    )


def _groups(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows of one name together, in the order in which the names come first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["name"], []).append(row)
    return groups


def _group(name: str, rows: Sequence[Row]) -> str:
    against = next((row["against"] for row in rows if row["against"]), "")
    beside = f" <small>against {html.escape(against)}</small>" if against else ""
    head = f'<tr><th scope="rowgroup" colspan="4">{_title(name)}{beside}</th></tr>'
    return "\n".join(["<tbody>", head, *map(_comparison, rows), "</tbody>"])


def _comparison(row: Row) -> str:
    ours, other, size = row["ours"], row["other"], html.escape(row["size"])
    if other is None:
        return _row(size, _cost(ours), "—", "—")
    apart = f"{row['apart']:.0e}" if row["apart"] else "0"
    apart = apart.replace("-", "\N{NON-BREAKING HYPHEN}")
    ratio = f"<strong>{other['seconds'] / ours['seconds']:.2g}</strong>"
    return _row(f"{size}; apart {apart}", _cost(ours), _cost(other), ratio)


def _cost(cost: Mapping[str, float | None]) -> str:
    """Time, and below it memory, where it was measured."""
    seconds = cost["seconds"] or 0.0
    time = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"
    if cost["memory"] is None:
        return _whole(time)
    memory = f"{cost['memory']:,.0f} MB"
    return f"{_whole(time)}<br><small>{_whole(memory)}</small>"


def _whole(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _notes(rows: Iterable[Row], left_out: Iterable[Mapping[str, str]]) -> str:
    """What is to be said about the rows, and which are missing."""
    said = {f"{row['name']}: {row['note']}." for row in rows if row["note"]}
    said |= {f"{row['name']}: left out, {row['why']}." for row in left_out}
    return "\n".join(f"- {_title(note)}" for note in sorted(said))


def _growth(one: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{size:,}" for size in one["sizes"])
    what = f"{_title(one['name'])}, in {one['variable']}<br><small>{sizes}</small>"
    return _row(what, f"{one['exponent']:.2f}", f"{one['theory']:g}")


def _title(text: str) -> str:
    return text[:1].upper() + text[1:]


def _row(first: str, *cells: str) -> str:
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{first}</th>{numbers}</tr>'


def _table(names: Sequence[str], bodies: Iterable[str]) -> str:
    """A table in HTML, so that it fits a narrow screen: Markdown has no second lines."""
    head = "".join(f'<th scope="col">{name}</th>' if name else "<td></td>" for name in names)
    opened = f'<div class="molrg-speed"><table class="table"><thead><tr>{head}</tr></thead>'
    return "\n".join([opened, *bodies, "</table></div>"])
