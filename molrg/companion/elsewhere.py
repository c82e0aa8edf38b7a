"""How far the numbers move elsewhere: threads, processors, Pythons and builds of torch compared.

Claims are run into folders of records, one for each place, and the folders are compared. What was
declared before any comparison: verdicts are the same everywhere, and no estimate moves by more than
`TOLERANCE` of its distance from the bound.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from molrg import checks, claims, files
from molrg.claims import Condition
from molrg.companion import overview
from molrg.companion.notebooks import select
from molrg.companion.robustness import trials
from molrg.companion.stopped import Stopped
from molrg.provenance import versions

TOLERANCE = 0.1  # of the distance from the bound, declared before anything was compared
_PLACE = "place.json"  # what a folder says of the place that its records come from


def record(
    wanted: Sequence[str], folder: Path, *, threads: int = 1, limit: float, console: Console
) -> None:
    """Run claims into a folder of records, each in a process of its own; those there are kept.

    Args:
        wanted: numbers, claims or names of notebooks; all where empty.
        folder: for the records of one place.
        threads: of torch.
        limit: seconds after which a claim is ended.
        console: where progress is shown.

    Raises:
        ValueError: where an argument is not allowed, or the folder is of another place.
        Stopped: where a claim gives no record.
    """
    threads = checks.count("threads", threads)
    _mark(folder, threads)
    for notebook in select(wanted):
        file = folder / f"{notebook.claim}.json"
        if file.exists():
            continue
        with files.replacing(file) as aside:  # the record is written there, under its name
            if trials.measure(notebook, {}, aside.parent, limit, threads) != 0:
                raise Stopped(f"{notebook.name}: {trials.complaint(aside.parent)}")
        told = claims.records(folder)[notebook.claim]
        line = f"{notebook.claim} {told['verdict']}, {told['cpu_seconds']:.0f} CPU-s"
        console.print(line, highlight=False, soft_wrap=True)


def _mark(folder: Path, threads: int) -> None:
    """Say in a folder where its records come from; refuse one that comes from elsewhere."""
    here = _here(threads)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _PLACE).exists():
        with files.replacing(folder / _PLACE) as aside:
            aside.write_text(json.dumps(here, indent=2), encoding="utf-8")
    elif (there := place(folder)) != here:
        raise ValueError(f"{folder} = records of {there}: allowed is a folder of {here}")


def _here(threads: int) -> dict[str, Any]:
    """What numbers may depend on: versions, threads, and the instructions that torch uses."""
    import torch  # noqa: PLC0415 - only here

    instructions = torch.backends.cpu.get_cpu_capability()
    build = {"torch": torch.__version__, "instructions": instructions, "threads": threads}
    return versions() | build


def place(folder: Path) -> dict[str, Any]:
    """What a folder says of the place that its records come from.

    Raises:
        ValueError: where it says nothing.
    """
    try:
        return json.loads((folder / _PLACE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"{folder} = no records ({error}): allowed is what this makes") from None


def compare(reference: Path, other: Path) -> dict[str, Any]:
    """Two folders of records, condition by condition.

    Returns:
        "reference" and "other", the two places; "claims", by claim the two verdicts, and for each
        condition both estimates, the largest difference of a seed as a share of the largest number,
        and the move of the estimate as a share of its distance from the bound.

    Raises:
        ValueError: where a folder holds no records, or they have no claim in common.
    """
    places = {"reference": place(reference), "other": place(other)}
    ours, theirs = claims.records(reference), claims.records(other)
    common = [id for id in ours if id in theirs]
    if not common:
        raise ValueError(f"{other} = no claim of {reference}: allowed are folders that share one")
    return places | {"claims": {id: _compared(ours[id], theirs[id]) for id in common}}


def _compared(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    primary, secondary = claims.criterion(ours["id"], ours["profile"])
    return {
        "verdicts": [ours["verdict"], theirs["verdict"]],
        "conditions": [_moved(condition, ours, theirs) for condition in primary + secondary],
    }


def _moved(
    condition: Condition, ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, Any]:
    summaries = [record["values"][condition.quantity] for record in (ours, theirs)]
    before, after = (overview.judged(condition, summary) for summary in summaries)
    pairs = list(zip(*(summary["per_seed"] for summary in summaries), strict=True))
    largest = max(abs(number) for pair in pairs for number in pair)
    apart = max(abs(a - b) for a, b in pairs)
    return {
        "condition": str(condition),
        "estimates": [before, after],
        "relative": apart / largest if apart else 0.0,
        "of_distance": _share(abs(after - before), _from_bound(condition, before)),
    }


def _from_bound(condition: Condition, value: float) -> float:
    return min(abs(value - condition.low), abs(value - condition.high))


def _share(move: float, distance: float) -> float | None:
    """The move over the distance; None where an estimate leaves the bound that it lies on."""
    if move == 0:
        return 0.0
    return move / distance if distance > 0 and math.isfinite(distance) else None


def keep(name: str, compared: Mapping[str, Any]) -> Path:
    """Put a comparison into book/results/elsewhere, under a name that the book shows.

    Raises:
        ValueError: where the name could be no file's.
    """
    plain = name.replace(" ", "").replace("-", "").replace(".", "")
    if not plain.isalnum():
        raise ValueError(f"keep = {name!r}: allowed are letters, digits, spaces, dots and hyphens")
    path = kept_in() / f"{name.replace(' ', '-')}.json"
    with files.replacing(path) as aside:
        text = json.dumps({"name": name} | dict(compared), indent=1, ensure_ascii=False)
        aside.write_text(text + "\n", encoding="utf-8")
    return path


def kept_in() -> Path:
    """The folder of the comparisons that the book shows."""
    return claims.root() / "book" / "results" / "elsewhere"


def kept() -> list[dict[str, Any]]:
    """The comparisons that the book shows, by name."""
    paths = sorted(kept_in().glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]
