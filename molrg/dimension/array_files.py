"""Arrays of a reader's own: .npy and .npz files, read without unpickling anything."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

SUFFIXES = (".npy", ".npz")
_POINTS = ("x", "images", "data", "points")
_LABELS = ("y", "labels")
_BYTES = 32  # that a number may need on its way: copies in double precision
_ALLOWED = "allowed is an array of real numbers, (N, ...)"


def is_array_file(path: Path) -> bool:
    """Whether a file is one of arrays, by its ending."""
    return path.suffix.lower() in SUFFIXES


def read_array(path: Path) -> tuple[NDArray, NDArray | None]:
    """Points (N, ...) and, where the file holds them, labels (N,).

    An .npz file holds one array; or points called x, images, data or points, and labels called y or
    labels.

    Args:
        path: a file whose ending is one of `SUFFIXES`, in small letters or capitals.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where it is damaged, holds no array of numbers, or more than fits into memory;
            the message names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        points, labels = _archived(path) if path.suffix.lower() == ".npz" else (_single(path), None)
        if points.dtype.kind not in "buif" or points.ndim < 2 or points.size == 0:
            raise ValueError(f"an array of {points.dtype} and shape {points.shape}")
        return points, labels
    except (ValueError, EOFError, OSError, OverflowError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        if reason[0].startswith(str(path)):
            raise
        raise ValueError(f"{path} = {reason[0]}: {_ALLOWED}") from error


def _single(path: Path) -> NDArray:
    if path.stat().st_size == 0:
        raise ValueError("an empty file")
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap):
        raise ValueError("no .npy file")
    _fits_into_memory(array.size)
    return np.asarray(array)


def _archived(path: Path) -> tuple[NDArray, NDArray | None]:
    with zipfile.ZipFile(path) as archive:
        _fits_into_memory(sum(member.file_size for member in archive.infolist()))
    with np.load(path, allow_pickle=False) as arrays:
        names = list(arrays)
        points = names if len(names) == 1 else [name for name in names if name in _POINTS]
        labels = [name for name in names if name in _LABELS and name not in points]
        if len(points) != 1 or len(labels) > 1:
            raise ValueError(f"arrays called {', '.join(names) or 'nothing'}")
        return arrays[points[0]], arrays[labels[0]] if labels else None


def _fits_into_memory(numbers: int) -> None:
    free = psutil.virtual_memory().available
    if numbers > free / _BYTES:
        size = f"10^{math.log10(numbers):.0f} numbers"
        raise ValueError(f"{size}, more than fit into the {free / 1e9:.1f} GB of free memory")
