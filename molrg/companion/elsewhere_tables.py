"""How far the numbers move elsewhere, as Markdown for the book and as a table for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from molrg.companion.elsewhere import TOLERANCE


def terminal_table(compared: Mapping[str, Any]) -> Table:
    """A row for each claim: verdicts, and how far its numbers move at most."""
    table = Table("id", "here", "there", "a seed's number", "of the distance", box=None)
    for id, claim in compared["claims"].items():
        moves = claim["conditions"]
        seeds = max(move["relative"] for move in moves)
        table.add_row(id, *claim["verdicts"], f"{seeds:.1e}", _shown(_furthest(moves)))
    return table


def _share(move: Mapping[str, Any]) -> float:
    """The move as a share of the distance from the bound; infinite where it lay on the bound."""
    return math.inf if move["of_distance"] is None else move["of_distance"]


def _furthest(moves: Sequence[Mapping[str, Any]]) -> float:
    return max(map(_share, moves))


def _shown(share: float) -> str:
    if math.isinf(share):
        return "off the bound"
    return f"{share:.1e}" if share else "0"


def markdown(comparisons: Sequence[Mapping[str, Any]]) -> str:
    """Whether any verdict differs, a row for each place, and folded each number that moves."""
    if not comparisons:
        return "No place has been compared yet.\n"
    head = ["place", "claims", "other verdicts", "numbers", "equal", "within", "furthest"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += [_row(compared) for compared in comparisons]
    moved = [line for compared in comparisons for line in _numbers(compared)]
    table = ["| place | claim | condition | there | here | of the distance |", "|---" * 6 + "|"]
    folded = ["````{dropdown} Every number that moves", *table, *moved, "````"]
    return "\n".join([_in_short(comparisons), "", *lines, "", *(folded if moved else [])]) + "\n"


def _in_short(comparisons: Sequence[Mapping[str, Any]]) -> str:
    """How many runs were compared, how many verdicts differ, and with what they were compared."""
    pairs = [c["verdicts"] for compared in comparisons for c in compared["claims"].values()]
    differ = sum(here != there for there, here in pairs)
    verdicts = f"{differ} other verdicts" if differ else "every verdict is the same"
    places = f"{len(comparisons)} place{'s' * (len(comparisons) > 1)}"
    said = f"**{len(pairs)} runs in {places}: {verdicts}.**"
    return f"{said} {_reference(comparisons[0])}"


def _reference(compared: Mapping[str, Any]) -> str:
    there = compared["reference"]
    return (
        f"Compared with Python {there['python']}, torch {there['torch']}, "
        f"{there['instructions']} instructions, threads: {there['threads']}."
    )


def _row(compared: Mapping[str, Any]) -> str:
    moves = [move for claim in compared["claims"].values() for move in claim["conditions"]]
    others = [id for id, claim in compared["claims"].items() if len(set(claim["verdicts"])) > 1]
    within = [move for move in moves if _share(move) <= TOLERANCE]
    cells = [
        _named(compared),
        str(len(compared["claims"])),
        ", ".join(others) or "none",
        str(len(moves)),
        str(sum(move["relative"] == 0 for move in moves)),
        str(len(within)),
        _furthest_named(compared),
    ]
    return "| " + " | ".join(cells) + " |"


def _named(compared: Mapping[str, Any]) -> str:
    here, there = compared["other"], compared["reference"]
    differs = [f"{name} {here[name]}" for name in here if here[name] != there.get(name)]
    return f"{compared['name']} ({', '.join(differs)})" if differs else compared["name"]


def _furthest_named(compared: Mapping[str, Any]) -> str:
    furthest = {id: _furthest(c["conditions"]) for id, c in compared["claims"].items()}
    id = max(furthest, key=furthest.__getitem__)
    return f"{_shown(furthest[id])} ({id})" if furthest[id] else "none moves"


def _numbers(compared: Mapping[str, Any]) -> Iterator[str]:
    for id, claim in compared["claims"].items():
        for move in claim["conditions"]:
            if move["relative"] > 0:
                before, after = (f"{estimate:.6g}" for estimate in move["estimates"])
                share = _shown(_share(move))
                cells = [compared["name"], id, move["condition"], before, after, share]
                yield "| " + " | ".join(cells) + " |"
