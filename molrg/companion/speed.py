"""The tables of the page "How fast", made from the one run that ``make bench`` has kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FILE = Path("book") / "results" / "benchmarks.json"


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
    parts = [
        _circumstances(run),
        _table(
            ("what", "against", "ours", "other", "ratio", "MB", "apart"),
            map(_comparison, run["comparisons"]),
        ),
        _notes(run["comparisons"]),
        "## How the work grows",
        _table(("what", "in", "sizes", "fitted", "theory"), map(_growth, run["growth"])),
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


def _comparison(row: Mapping[str, Any]) -> tuple[str, ...]:
    ours, other = row["ours"], row["other"]
    what = f"{row['name']}: {row['size']}"
    if other is None:
        return what, "—", _seconds(ours["seconds"]), "—", "—", _megabytes(ours), "—"
    return (
        what,
        row["against"],
        _seconds(ours["seconds"]),
        _seconds(other["seconds"]),
        f"**{other['seconds'] / ours['seconds']:.2g}**",
        f"{_megabytes(ours)}, {_megabytes(other)}",
        f"{row['apart']:.0e}".replace("-", "\N{NON-BREAKING HYPHEN}"),
    )


def _seconds(seconds: float) -> str:
    shown = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"
    return shown.replace(" ", "\N{NO-BREAK SPACE}")


def _megabytes(cost: Mapping[str, float]) -> str:
    return f"{cost['memory']:,.0f}"


def _notes(rows: Iterable[Mapping[str, Any]]) -> str:
    said = {f"{row['name']}: {row['note']}." for row in rows if row["note"]}
    return "\n".join(f"- {note[0].upper()}{note[1:]}" for note in sorted(said))


def _growth(one: Mapping[str, Any]) -> tuple[str, ...]:
    sizes = ", ".join(f"{size:,}" for size in one["sizes"])
    return one["name"], one["variable"], sizes, f"{one['exponent']:.2f}", f"{one['theory']:g}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
