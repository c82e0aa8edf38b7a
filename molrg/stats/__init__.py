"""Statistics over seeds: summaries, intervals, transitions, success maps, corrected tests."""

from molrg.stats.intervals import bootstrap, positive, wilson
from molrg.stats.success_maps import (
    BoundaryLine,
    SuccessMap,
    boundary_line,
    first_success,
    succeeded,
    tolerance,
)
from molrg.stats.summaries import Summary, holm
from molrg.stats.transitions import Transition, crossing, fit_transition

__all__ = [
    "BoundaryLine",
    "SuccessMap",
    "Summary",
    "Transition",
    "bootstrap",
    "boundary_line",
    "crossing",
    "first_success",
    "fit_transition",
    "holm",
    "positive",
    "succeeded",
    "tolerance",
    "wilson",
]
