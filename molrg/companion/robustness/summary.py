"""What the trials of a claim say: how often its verdict stays, and which condition goes first."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from molrg import claims
from molrg.claims import Condition
from molrg.companion.robustness.moves import (
    AS_REGISTERED,
    DOUBLED,
    HALVED,
    OFFSETS,
    OTHER_SEEDS,
    Move,
)

ALLOWED = 1  # other seeds of the ten that may give another verdict
_Trial = Mapping[str, Any]


@dataclass(frozen=True)
class Share:
    """How many of some trials gave the verdict that the ledger expects."""

    held: int
    of: int

    def __str__(self) -> str:
        return f"{self.held}/{self.of}" if self.of else "-"


def stays(claim: str, trial: _Trial) -> bool:
    """Whether a trial gave the verdict that the ledger expects."""
    return trial["verdict"] == claims.claim(claim)["expected"]


def of_kind(record: Mapping[str, Any], *kinds: str) -> list[_Trial]:
    """The trials of some kinds, as they were made."""
    return [trial for trial in record["trials"] if trial["kind"] in kinds]


def share(claim: str, trials: Sequence[_Trial]) -> Share:
    """How often the verdict stays."""
    return Share(sum(stays(claim, trial) for trial in trials), len(trials))


def other_seeds(record: Mapping[str, Any]) -> Share:
    """How often the verdict stays with other seeds."""
    return share(record["id"], of_kind(record, OTHER_SEEDS))


def is_shaky(record: Mapping[str, Any]) -> bool:
    """Whether the verdict is lost with more than one of ten other seeds."""
    seeds = other_seeds(record)
    return seeds.of - seeds.held > ALLOWED


def in_words(record: Mapping[str, Any]) -> str:
    """How often the verdict stays with other seeds, as a phrase."""
    seeds = other_seeds(record)
    so_far = "" if seeds.of == len(OFFSETS) else " run so far"
    return f"with {seeds.held} of {seeds.of} other seeds{so_far}"


def parameters(record: Mapping[str, Any], *, should_hold: bool) -> list[_Trial]:
    """The trials with a parameter halved or doubled, of those with which it should stay or others.

    Args:
        record: of a claim.
        should_hold: which of the two.
    """
    return [
        trial
        for trial in of_kind(record, HALVED, DOUBLED)
        if Move(record["id"], trial["kind"], trial["parameter"], trial["value"]).should_hold
        == should_hold
    ]


def first_to_go(record: Mapping[str, Any]) -> str:
    """What costs the verdict: its control, or the condition that changes sides most or is nearest.

    Nearest is the least distance of the mean from the bound, in standard deviations over seeds.
    """
    seeds = of_kind(record, OTHER_SEEDS)
    if without := [trial for trial in seeds if trial["verdict"] not in claims.VERDICTS]:
        kinds = ", ".join(sorted({_how(record, trial) for trial in without}))
        return f"no verdict with {len(without)} of {len(seeds)} other seeds: {kinds}"
    if changed := _changed(record, seeds):
        number, times = changed.most_common(1)[0]
        return f"{record['conditions'][number]}: otherwise with {times} of {len(seeds)} other seeds"
    distances = dict(_distances(record, [*of_kind(record, AS_REGISTERED), *seeds]))
    if not distances:
        return "no condition moves" if seeds else "not yet run"
    number = min(distances, key=distances.__getitem__)
    return f"{record['conditions'][number]}: {_shown(distances[number])} away from the bound"


def _how(record: Mapping[str, Any], trial: _Trial) -> str:
    """How a trial ended without a verdict, with the condition that its error names, if any."""
    named = [condition for condition in record["conditions"] if trial["why"].endswith(condition)]
    return f"{trial['verdict']}, {named[0]}" if named else trial["verdict"]


def _shown(distance: float) -> str:
    return "over 100 standard deviations" if distance > 100 else f"{distance:.1f} s.d."


def _changed(record: Mapping[str, Any], seeds: Sequence[_Trial]) -> Counter[int]:
    """By condition, the trials in which it is met where it usually is not, or the other way."""
    usual = {number for trial in of_kind(record, AS_REGISTERED) for number in trial["missed"]}
    judged = [set(trial["missed"]) for trial in seeds if trial["estimates"]]
    return Counter(number for missed in judged for number in missed ^ usual)


def _distances(record: Mapping[str, Any], trials: Sequence[_Trial]) -> Iterator[tuple[int, float]]:
    """Of each condition that moves: mean distance from the bound over the standard deviation."""
    primary, secondary = claims.criterion(record["id"])
    judged = [trial["estimates"] for trial in trials if trial["estimates"]]
    for number, condition in enumerate(primary + secondary):
        values = [estimates[number] for estimates in judged]
        if len(values) > 1 and (spread := statistics.stdev(values)) > 0:
            yield number, _from_bound(condition, statistics.fmean(values)) / spread


def _from_bound(condition: Condition, value: float) -> float:
    return min(abs(value - condition.low), abs(value - condition.high))
