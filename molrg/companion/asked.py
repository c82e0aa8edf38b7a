"""What is asked of a command, checked before it does anything slow; most of it of a report."""

from __future__ import annotations

import difflib
import json
import math
import tempfile
from collections.abc import Sequence
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


def require_replaceable(name: str, folder: Path, own: Sequence[str], kind: str) -> None:
    """Check that a folder may be replaced as a whole.

    Args:
        name: of the argument.
        folder: that is to be replaced.
        own: files that an earlier run of the same command has left in it.
        kind: what they are, in a word.

    Raises:
        ValueError: where it is there, is not empty, and is not of an earlier run.
    """
    if folder.is_dir():
        free = not any(folder.iterdir()) or all((folder / file).is_file() for file in own)
    else:
        free = not folder.exists()
    if not free:
        allowed = f"a new or an empty folder, or one with earlier {kind}, which are replaced"
        raise ValueError(f"{name} = {folder}: allowed is {allowed}")


def require_out(out: Path) -> None:
    """Try the place of the page.

    Args:
        out: the page to write; the folder above it is made where it is missing.

    Raises:
        ValueError: where it is no page, or the JSON beside it would replace one of another kind.
        OSError: where nothing can be written there.
    """
    if out.suffix != ".html":
        raise ValueError(f"out = {out}: allowed is a file that ends in .html")
    numbers = out.with_suffix(".json")
    if numbers.exists() and not _is_of_report(numbers):
        allowed = f"a place where {numbers.name} is a report's, which is replaced, or is not there"
        raise ValueError(f"out = {out}: allowed is {allowed}")
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


def _is_of_report(path: Path) -> bool:
    """Whether a file is the JSON of a report, of whatever version."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and {"molrg", "model", "images"} <= set(record)


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
