"""Moved: the modules on curves, score rates and sampling rates of molrg.studies."""

from typing import Any

from molrg._moved import forward

_find = forward(
    __name__,
    "molrg.studies.curves",
    "molrg.studies.score_rates",
    "molrg.studies.reverse_schemes",
    "molrg.studies.manifold_rates",
)
_RENAMED = {"Tube": "KernelDensity"}


def __getattr__(name: str) -> Any:
    return _find(_RENAMED.get(name, name))
