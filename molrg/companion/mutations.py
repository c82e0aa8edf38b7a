"""The table of mutations: changes of the claims' formulas, and the test that failed for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

FILE = Path("tests") / "mutations.json"  # as `make mutate` keeps it
SURVIVED = "none: it survived"


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A sentence on all of them, then a table for each claim, folded.

    Args:
        rows: as `make mutate` keeps them, sorted by claim.
    """
    told_apart = [row for row in rows if not row["equivalent"]]
    caught = [row for row in told_apart if row["caught"]]
    same = len(rows) - len(told_apart)
    claims = len({row["claim"] for row in rows})
    text = f"{claims} claims have been gone through."
    text += f" Of {len(told_apart)} changes a test caught {len(caught)}."
    if same:
        text += f" {same} more compute the same in another way."
    parts = [text]
    for claim, group in groupby(rows, key=lambda row: row["claim"]):
        parts.append(_of_claim(claim, list(group)))
    return "\n\n".join(parts) + "\n"


def _of_claim(claim: str, rows: Sequence[dict[str, Any]]) -> str:
    lines = [f":::{{dropdown}} {claim}: {len(rows)} changes"]
    lines += ["| in | line of the function | changed to | test that fails |", "|---|---|---|---|"]
    for row in rows:
        cells = (row["function"], row["before"], row["after"])
        lines.append(f"| {' | '.join(map(_code, cells))} | {_outcome(row)} |")
    return "\n".join([*lines, ":::"])


def _outcome(row: dict[str, Any]) -> str:
    if row["equivalent"]:
        return f"none can: {row['equivalent']}"
    return _code(row["caught"].removeprefix("tests/")) if row["caught"] else SURVIVED


def _code(text: str) -> str:
    """Code in a cell of a Markdown table."""
    return f"`{text.replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def write(generated: Path, root: Path) -> None:
    """Write ``mutations.md`` into a folder, from what a project keeps; none may be kept yet."""
    kept = root / FILE
    rows = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else []
    (generated / "mutations.md").write_text(markdown(rows), encoding="utf-8")
