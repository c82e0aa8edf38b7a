"""Tools for rerunning the claims of three papers on diffusion models and low-dimensional data.

A folder or module is one concept; every denoiser is a callable ``x0_hat = denoiser(x_t, t)`` with a
``schedule``. What ``__init__.pyi`` lists is imported on first use, so that ``import molrg`` stays
quick.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lazy_loader

__version__ = "0.2.0.dev0"

_listed, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__path__.append(str(Path(__file__).parent / "_moved"))  # addresses of version 0.1, with a warning


def __getattr__(name: str) -> Any:
    if name not in __all__ and not name.startswith("_") and find_spec(f"molrg.{name}"):
        return import_module(f"molrg.{name}")
    if name not in __all__:
        raise AttributeError(
            f"module 'molrg' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    return _listed(name)
