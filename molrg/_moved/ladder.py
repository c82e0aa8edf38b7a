"""Moved: molrg.studies.ladder, molrg.studies.ladder_measures, molrg.stats."""

from typing import Any

from molrg._moved import forward

_find = forward(__name__, "molrg.studies.ladder", "molrg.studies.ladder_measures", "molrg.stats")
_RENAMED = {"read": "evaluate", "judge": "sample_scores", "READ": "ERROR_SIGMA"}


def __getattr__(name: str) -> Any:
    return _find(_RENAMED.get(name, name))
