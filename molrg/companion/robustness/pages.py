"""The robustness of verdicts as Markdown for the book, and as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from molrg import claims
from molrg.companion.notebooks import Notebook, sources
from molrg.companion.robustness import glance, summary
from molrg.companion.robustness.moves import DOUBLED, HALVED, OTHER_SEEDS, plan
from molrg.companion.robustness.records import code_of

_Records = Mapping[str, Mapping[str, Any]]


def terminal_table(records: _Records) -> Table:
    """A row for each claim: other seeds, parameters, and what goes first."""
    table = Table("id", "other seeds", "should hold", "beyond", "first to go", box=None)
    for id, record in records.items():
        table.add_row(id, *_shares(record), summary.first_to_go(record))
    return table


def _shares(record: Mapping[str, Any]) -> list[str]:
    """Other seeds; parameters with which the verdict should stay; other parameters."""
    should, beyond = (
        summary.share(record["id"], summary.parameters(record, should_hold=which))
        for which in (True, False)
    )
    return [str(summary.other_seeds(record)), str(should), str(beyond)]


def markdown(records: _Records) -> str:
    """What is fragile, a row for each claim that was run, and folded the other verdicts."""
    rows = [_row(n, records[n.claim]) for n in sources() if n.claim in records]
    moved = [id for id, record in records.items() if summary.other_seeds(record).of]
    waiting = [n.claim for n in sources() if n.claim not in moved]
    head = ["claim", "other seeds", "should hold", "beyond", "first to go"]
    table = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *rows, ""] if rows else []
    fragile = glance.lines(records, waiting)
    return "\n".join([*fragile, "", _how_much(records), "", *table, *_others(records)]) + "\n"


def _row(notebook: Notebook, record: Mapping[str, Any]) -> str:
    cells = [*_shares(record), summary.first_to_go(record)]
    link = f"{{doc}}`{notebook.claim} <../notebooks/{notebook.name}>`"
    said = f"{link} {claims.claim(notebook.claim)['expected']}"
    return "| " + " | ".join([said, *cells]) + " |"


def _how_much(records: _Records) -> str:
    """How many of the trials have been made, by kind, and of which code."""
    planned = [move for notebook in sources() for move in plan(notebook)]
    told = []
    kinds_by_name = {
        "with other seeds": [OTHER_SEEDS],
        "with other parameters": [HALVED, DOUBLED],
    }
    for name, kinds in kinds_by_name.items():
        made = sum(len(summary.of_kind(record, *kinds)) for record in records.values())
        told.append(f"{made} of {sum(move.kind in kinds for move in planned)} {name}")
    return f"Run so far: {' and '.join(told)}. {_of_which_code(records)}"


def _of_which_code(records: _Records) -> str:
    commits = sorted({record["commit"] for record in records.values()})
    if not commits:
        return "No claim has been moved yet."
    now = all(records[n.claim]["code"] == code_of(n) for n in sources() if n.claim in records)
    since = "of the code as it is" if now else "the code has changed since"
    return f"Made at commit {', '.join(commits)}; {since}."


def _others(records: _Records) -> list[str]:
    """Every trial that gave another verdict than the ledger expects, folded."""
    rows = [
        _trial(record, trial)
        for record in records.values()
        for trial in record["trials"]
        if not summary.stays(record["id"], trial)
    ]
    if not rows:
        return []
    head = ["claim", "with", "verdict", "missed, or why there is none"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *rows]
    return ["````{dropdown} Every trial with another verdict", *lines, "````"]


def _trial(record: Mapping[str, Any], trial: Mapping[str, Any]) -> str:
    missed = [record["conditions"][number] for number in trial["missed"]]
    why = trial["why"].replace("|", "/")
    said = "; ".join(missed) or (f"`{why}`" if why else "")
    cells = [record["id"], f"{trial['parameter']} = {trial['value']:g}", trial["verdict"], said]
    return "| " + " | ".join(cells) + " |"


def lines_of(claim: str, record: Mapping[str, Any] | None) -> list[str]:
    """What the scorecard says of one claim."""
    if record is None:
        return ["Other seeds and parameters: not yet run.", ""]
    should = summary.parameters(record, should_hold=True)
    told = f"The verdict stays {summary.in_words(record)}"
    if should:
        held = summary.share(claim, should)
        told += (
            f", and in {held.held} of {held.of} runs in which a parameter that should not matter"
            " is halved or doubled"
        )
    warning = "**Other seeds change the verdict.** " if summary.is_shaky(record) else ""
    return [f"{warning}{told}. First to go: {summary.first_to_go(record)}.", ""]


def cell(record: Mapping[str, Any] | None) -> str:
    """A cell of the overview: 9/10, a dash where nothing was run, bold where it is too few."""
    if record is None:
        return "–"
    shown = str(summary.other_seeds(record))
    return f"<strong>{shown}</strong>" if summary.is_shaky(record) else shown


def shaky(records: _Records) -> dict[str, str]:
    """What stands after a verdict that other seeds change, by claim."""
    return {
        id: f"but only {summary.in_words(record)}"
        for id, record in records.items()
        if summary.is_shaky(record)
    }
