"""What the trials of a claim gave: one file a claim in book/results/robustness."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from molrg import claims, files
from molrg.companion import keys
from molrg.companion.notebooks import Notebook, sources
from molrg.companion.robustness.moves import Move
from molrg.provenance import commit, versions

_FIELDS = {"id", "commit", "code", "versions", "conditions", "trials"}
_OF_A_TRIAL = {"kind", "parameter", "value", "verdict", "why", "estimates", "missed"}


def place(claim: str) -> Path:
    """The file of a claim."""
    return claims.root() / "book" / "results" / "robustness" / f"{claim}.json"


def code_of(notebook: Notebook) -> str:
    """A hash of all that a trial's verdict depends on: cells, criterion, package, versions."""
    entry = claims.claim(notebook.claim)
    judged = [entry["criterion"]["quick"], entry["control"]["fails"], entry.get("min_seeds")]
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    said = json.dumps([cells, judged, versions(), _package()])
    return hashlib.sha256(said.encode()).hexdigest()


@lru_cache
def _package() -> list[str]:
    """Every file of the package that a notebook can reach, with its hash; read once."""
    package = Path(__file__).resolve().parents[2]
    return [
        f"{path.relative_to(package).as_posix()} {files.sha256(path)}"
        for path in keys.package_files(package)
    ]


def begin(notebook: Notebook) -> dict[str, Any]:
    """A record without trials, of the code as it is now."""
    primary, secondary = claims.criterion(notebook.claim)
    return {
        "id": notebook.claim,
        "commit": commit(),
        "code": code_of(notebook),
        "versions": versions(),
        "conditions": [str(condition) for condition in primary + secondary],
        "trials": [],
    }


def resume(notebook: Notebook, *, anew: bool = False) -> dict[str, Any]:
    """The record to go on with: what is kept of this code, else one without trials.

    Args:
        notebook: of the claim.
        anew: whether to forget what is kept.

    Raises:
        ValueError: where the file is torn, or was made from other code.
    """
    path, new = place(notebook.claim), begin(notebook)
    if anew or not path.exists():
        return new
    record = _read(path)
    if record["code"] != new["code"]:
        raise ValueError(
            f"{path} = made from other code, at commit {record['commit']}: allowed is to go on at"
            " that commit, or --anew, which forgets it"
        )
    return record


def write(record: Mapping[str, Any]) -> None:
    """Put a record in place, whole."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    text = text.replace('{"kind"', '\n{"kind"')  # a line for each trial
    with files.replacing(place(record["id"])) as aside:
        aside.write_text(text + "\n", encoding="utf-8")


def add(record: dict[str, Any], move: Move, outcome: Mapping[str, Any]) -> None:
    """Put what a trial gave into a record."""
    moved = {name: value for name, value in asdict(move).items() if name != "claim"}
    record["trials"].append(moved | dict(outcome))


def of(record: Mapping[str, Any], move: Move) -> Mapping[str, Any] | None:
    """The trial of a move, where it has been made."""
    return next((t for t in record["trials"] if _is(t, move)), None)


def _is(trial: Mapping[str, Any], move: Move) -> bool:
    return all(trial[name] == getattr(move, name) for name in ("kind", "parameter", "value"))


def kept() -> dict[str, dict[str, Any]]:
    """The records of the landed claims that have one.

    Raises:
        ValueError: where a file is torn or no record.
    """
    return dict(_kept())


def _kept() -> Iterator[tuple[str, dict[str, Any]]]:
    for notebook in sources():
        if (path := place(notebook.claim)).exists():
            yield notebook.claim, _read(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} = torn ({error}): allowed is a whole record") from None
    whole = isinstance(record, dict) and set(record) >= _FIELDS and record["id"] == path.stem
    if not whole or not all(set(trial) >= _OF_A_TRIAL for trial in record["trials"]):
        raise ValueError(f"{path} = no record: allowed is what `robustness` writes")
    return record
