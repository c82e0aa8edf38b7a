"""Which verdicts are fragile, and by what: the first thing that the page says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from molrg.companion.robustness import summary
from molrg.companion.robustness.moves import OFFSETS

_Record = Mapping[str, Any]


def lines(records: Mapping[str, _Record], waiting: Sequence[str]) -> list[str]:
    """Fragile claims with the condition that goes first; then, in a line each, all others.

    Args:
        records: of the claims that were moved, by claim.
        waiting: claims that have not been moved with other seeds.
    """
    shaky = {id: record for id, record in records.items() if summary.is_shaky(record)}
    others = [record for id, record in records.items() if id not in shaky]
    steady = [record["id"] for record in others if summary.other_seeds(record).of == len(OFFSETS)]
    begun = [record for record in others if 0 < summary.other_seeds(record).of < len(OFFSETS)]
    return [
        f"- **Fragile**, fewer than nine of ten other seeds:{'' if shaky else ' none so far.'}",
        *(f"  - {_seeds(record)}: {summary.first_to_go(record)}" for record in shaky.values()),
        *_matter(records),
        f"- **Steady**, nine or ten of ten: {', '.join(steady) or 'none so far'}.",
        *([f"- **Begun**: {'; '.join(map(_seeds, begun))}."] if begun else []),
        *([f"- **Not run yet**: {', '.join(waiting)}."] if waiting else []),
    ]


def _seeds(record: _Record) -> str:
    seeds = summary.other_seeds(record)
    return f"{record['id']}, {seeds.held} of {seeds.of}"


def _matter(records: Mapping[str, _Record]) -> Iterator[str]:
    """Parameters that should not matter, and do."""
    lost = [
        f"{id} with {trial['parameter']} {trial['kind']}"
        for id, record in records.items()
        for trial in summary.parameters(record, should_hold=True)
        if not summary.stays(id, trial)
    ]
    if lost:
        yield f"- **Lost with a parameter that should not matter**: {'; '.join(lost)}."
