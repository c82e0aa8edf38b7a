"""How far a verdict can be moved: other seeds, and parameters halved and doubled one at a time."""

from molrg.companion.robustness import glance, pages, summary
from molrg.companion.robustness.moves import OFFSETS, Move, plan
from molrg.companion.robustness.records import kept
from molrg.companion.robustness.runs import LIMIT, run

__all__ = ["LIMIT", "OFFSETS", "Move", "glance", "kept", "pages", "plan", "run", "summary"]
