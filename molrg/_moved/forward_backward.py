"""Moved: molrg.studies.forward_backward, with standard names."""

from typing import Any

from molrg._moved import forward

_find = forward(__name__, "molrg.studies.forward_backward")
_RENAMED = {
    "route": "truncated_grid",
    "unrelated": "mean_pairwise_similarity",
    "same_class": "pairwise_agreement",
    "above": "chance_corrected",
    "between": "intraclass_correlation",
}


def __getattr__(name: str) -> Any:
    return _find(_RENAMED.get(name, name))
