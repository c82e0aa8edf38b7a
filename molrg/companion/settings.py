"""The settings of a run: those of the project, and none of the user's own.

A start-up file with another default dtype, a matplotlibrc or a kernel of the same name would change
what a notebook shows, and nothing on its page would say so.
"""

from __future__ import annotations

import json
import os
import site
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from molrg import claims

# What a shell may say about Python, IPython, Jupyter and matplotlib.
_PERSONAL = (
    "PYTHONSTARTUP",
    "PYTHONOPTIMIZE",
    "PYTHONINSPECT",
    "PYTHONUSERBASE",
    "MATPLOTLIBRC",
    "MPLBACKEND",  # any value would turn off the one that puts figures into notebooks
    "JUPYTER_CONFIG_PATH",
    "JUPYTER_PREFER_ENV_PATH",
)

# Threads that wait for one another sleep. Those that spin hold a processor that other work, or the
# thread they wait for, needs: with two on a machine that has one to spare, a run took twenty times
# as long.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}


def neutral(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process without a user's settings.

    ``MOLRG_DATA`` and all that concerns the machine stay: paths, proxies, threads.

    Args:
        folder: an empty one, for what IPython and Jupyter keep; removed by the caller.
        more: variables to add.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _PERSONAL}
    jupyter = folder / "jupyter"
    _kernel(jupyter)
    ours = {
        "IPYTHONDIR": folder / "ipython",
        "JUPYTER_PATH": jupyter,
        "JUPYTER_DATA_DIR": jupyter,
        "JUPYTER_RUNTIME_DIR": jupyter / "runtime",
        "JUPYTER_CONFIG_DIR": jupyter / "config",
        # shared by all runs: it holds the list of fonts, which takes seconds to make
        "MPLCONFIGDIR": claims.root() / "_build" / "settings" / "matplotlib",
    }
    environment = WAITING | kept | {name: str(place) for name, place in ours.items()}
    if not _installed_for_the_user():
        environment["PYTHONNOUSERSITE"] = "1"
    return environment | {"PYTHONWARNINGS": "ignore"} | dict(more or {})


def threads(number: int) -> dict[str, str]:
    """Variables that say how many threads a process may compute with."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {name: str(number) for name in names}


def refuse_settings_of_figures() -> None:
    """Check that no matplotlibrc lies beside the notebooks, where matplotlib would read it first.

    Raises:
        ValueError: where one does.
    """
    file = claims.root() / "notebooks" / "matplotlibrc"
    if file.exists():
        shown = file.relative_to(claims.root())
        raise ValueError(f"{shown} = settings of figures: allowed is no such file")


def _kernel(jupyter: Path) -> None:
    """Put a kernel of the running interpreter where Jupyter looks first."""
    place = jupyter / "kernels" / "python3"
    place.mkdir(parents=True)
    words = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": words, "display_name": "Python 3", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def _installed_for_the_user() -> bool:
    """Whether what runs notebooks was itself installed by ``pip install --user``."""
    spec = find_spec("ipykernel")
    return bool(spec and spec.origin and spec.origin.startswith(site.getusersitepackages()))
