"""What is changed in a notebook: the seeds, or one numeric parameter."""

from __future__ import annotations

from dataclasses import dataclass

from molrg import claims
from molrg.companion.notebooks import Notebook

# Multiples of a prime, so that seeds which pick an image by their remainder pick other images.
OFFSETS = tuple(1009 * k for k in range(1, 11))
AS_REGISTERED, OTHER_SEEDS, HALVED, DOUBLED = "as registered", "other seeds", "halved", "doubled"


@dataclass(frozen=True)
class Move:
    """One parameter of one claim's notebook with another value."""

    claim: str
    kind: str
    parameter: str
    value: int | float

    @property
    def should_hold(self) -> bool:
        """Whether the claim, as it is worded, should keep its verdict: the ledger's robust_to."""
        if self.kind in (AS_REGISTERED, OTHER_SEEDS):
            return True
        named = claims.claim(self.claim).get("robust_to", {})
        return self.parameter in named.get(self.kind, [])


def plan(notebook: Notebook) -> list[Move]:
    """The registered run, ten other seed offsets, and each numeric parameter halved and doubled.

    Whole numbers stay whole, and at least one. Fewer seeds than the claim asks for are left out:
    with them there is no verdict.
    """
    offsets = [Move(notebook.claim, OTHER_SEEDS, "seed_offset", offset) for offset in OFFSETS]
    numbers = {name: value for name, value in notebook.parameters.items() if _is_number(value)}
    numbers.pop("seed_offset", None)
    changed = [
        Move(notebook.claim, kind, name, value)
        for name, usual in numbers.items()
        for kind, value in ((HALVED, _half(usual)), (DOUBLED, 2 * usual))
        if value != usual and not _too_few(notebook.claim, name, value)
    ]
    return [Move(notebook.claim, AS_REGISTERED, "seed_offset", 0), *offsets, *changed]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _half(value: int | float) -> int | float:
    return max(1, value // 2) if isinstance(value, int) else value / 2


def _too_few(claim: str, name: str, value: int | float) -> bool:
    return name == "seed_count" and value < claims.claim(claim).get("min_seeds", 5)
