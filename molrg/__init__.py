"""Tools for rerunning the claims of three papers on diffusion models and low-dimensional data.

Every module is one concept; every denoiser is a callable ``x0_hat = denoiser(x_t, t)`` with a
``schedule``. Submodules are imported on first use, so that ``import molrg`` stays quick.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES = (
    "checks", "provenance", "schedules", "alternation", "subspaces", "mixture", "rendering", "images", "hierarchy", "networks", "checkpoints", "denoisers", "training",
    "sampling", "jacobian", "editing", "attributes", "memorization", "forward_backward", "ladder", "dimension", "tangents", "manifold_rates", "phase", "fingerprints", "stores", "sweeps", "quality", "zoo",
    "claims", "plots", "companion",
)  # fmt: skip
__all__ = ["MoLRG", "__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name == "MoLRG":
        return import_module("molrg.mixture").MoLRG
    if name in _MODULES:
        return import_module(f"molrg.{name}")
    raise AttributeError(f"module 'molrg' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
