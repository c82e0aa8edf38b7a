"""What is asked of ``python -m molrg report``, checked before anything slow is loaded."""

from __future__ import annotations

import difflib
import math
import tempfile
from pathlib import Path

from rich.console import Console

import molrg
from molrg import files
from molrg.companion import machine

SHIPPED = Path(molrg.__file__).parent / "zoo" / "models"  # `molrg.zoo.shipped` loads torch
LEAST_MINUTES = 0.01


def require_minutes(minutes: float) -> float:
    """The minutes, where they are a number that a report can keep.

    Args:
        minutes: for all of it.

    Raises:
        ValueError: where they are too few, or no number.
    """
    if not LEAST_MINUTES <= minutes < math.inf:
        raise ValueError(f"minutes = {minutes}: allowed is a number of at least {LEAST_MINUTES:g}")
    return minutes


def require_out(out: Path) -> None:
    """Try the place of the page.

    Args:
        out: the page to write; the folder above it is made where it is missing.

    Raises:
        ValueError: where it is no page.
        OSError: where nothing can be written there.
    """
    if out.suffix != ".html":
        raise ValueError(f"out = {out}: allowed is a file that ends in .html")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent) as file:
            file.write(b"tried")
    except OSError as error:
        if machine.is_full(error):
            raise
        raise OSError(
            f"{out.parent}: nothing can be written there ({error.strerror}); choose another place"
            " with --out"
        ) from error


def denoisers() -> list[str]:
    """The shipped models that a report can be on."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/unet"))


def require_model(name: str, console: Console) -> None:
    """Where a name can be no model, say so at once.

    Args:
        name: of a shipped model, a folder, or a hub id.
        console: where it is said that the hub is tried.

    Raises:
        FileNotFoundError: where there is no such model or folder.
    """
    if name in denoisers() or Path(name).exists():
        return
    if files.is_hub_id(name):
        console.print(f"{name} is no folder here; trying the hub", markup=False, highlight=False)
        return
    if "/" in name or "\\" in name or name.startswith((".", "~")):
        raise FileNotFoundError(f"{name}: no such folder")
    near = difflib.get_close_matches(name, denoisers(), 1)
    meant = f"did you mean {near[0]}? Shipped" if near else "shipped"
    raise FileNotFoundError(
        f"{name}: no such denoiser; {meant} are {', '.join(denoisers())}; others by folder or hub"
        " id, owner/name"
    )
