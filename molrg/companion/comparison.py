"""What a run with other parameters found, condition by condition, beside what the book found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from molrg import claims
from molrg.companion import layout, scorecard


def book_record(id: str) -> tuple[dict[str, Any], str]:
    """What the book holds of a claim: its own run, or, where there is none, the recorded run.

    Args:
        id: of a claim.

    Returns:
        the record, empty where there is neither, and the name of the run.
    """
    own = claims.records(layout.Layout.of({}).records)
    if id in own:
        return own[id], f"the book's {own[id]['profile']} run"
    recorded = scorecard.kept().get(id, {})
    return recorded, "the recorded run" if recorded else "no run of the book's"


def table(record: Mapping[str, Any]) -> Table:
    """A row for each condition: its bound, this run's value and the book's.

    Args:
        record: of a run with other parameters.
    """
    book, name = book_record(record["id"])
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column(f"{record['id']}: condition", overflow="fold", min_width=26)
    for column in ("this run", "met", "control", name, "met"):
        shown.add_column(column, overflow="fold")
    for row in rows(record, book):
        shown.add_row(*row)
    return shown


def rows(record: Mapping[str, Any], book: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The cells of `table`: condition, value, met, control, the book's value, met.

    Args:
        record: of this run.
        book: of the book's run, empty where there is none.
    """
    before = {line["condition"]: line for line in book.get("conditions", ())}
    for line in record["conditions"]:
        old = before.get(line["condition"])
        ended = (old["estimate"], _met(old)) if old else ("-", "-")
        yield (line["condition"], line["estimate"], _met(line), line["control"] or "-", *ended)


def _met(line: Mapping[str, Any]) -> str:
    return "yes" if line["met"] else "NO"
