"""The shipped drawings: for each kind a black picture, and where each colour shows.

A picture of a kind is affine in its colours, ``base + sum of map times colour`` over skin, hair
and shirt, in [0, 1] for each of red, green and blue. The maps are whole numbers of 1/255, and are
the truth: the laws in this room are those of the maps as they are shipped.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from molrg import checks, files
from molrg.images.faces.attributes import KINDS, SHAPE

FILE = Path(__file__).parents[2] / "zoo" / "images" / "faces.npz"
SHA256 = "d375320b2fc4cf848677005553b44d556b6b1bedaec72d42595ca80df829704c"
SIZES = (16, 32, 64)
PARTS = ("skin", "hair", "shirt")
LAYERS = 3 + len(PARTS)  # red, green and blue of the base, then one map for each part


@lru_cache(maxsize=len(SIZES))
def load(size: int) -> NDArray[np.uint8]:
    """The maps of all kinds, (768, 6, size, size): three channels of the base; skin, hair, shirt.

    Args:
        size: one of `SIZES`.

    Raises:
        ValueError: where the size is none of these, or the file is not the shipped one.
        FileNotFoundError: where the file is missing.
    """
    checks.one_of("size", size, SIZES)
    maps = undo_differences(_read(FILE, size))
    maps.flags.writeable = False
    return maps


def _read(file: Path, size: int) -> NDArray[np.uint8]:
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing: reinstall molrg, or draw it again by python -m molrg draw faces"
        )
    digest = files.sha256(file)
    if digest != SHA256:
        raise ValueError(
            f"sha256 of {file} = {digest}: allowed is {SHA256}; reinstall molrg, or draw the file"
            " again by python -m molrg draw faces"
        )
    return read(file, size)


def read(file: Path, size: int) -> NDArray[np.uint8]:
    """The differences of one size in a file that `write` has written, whatever its checksum.

    Raises:
        ValueError: where the file holds no such array.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            differences = arrays[f"size_{size}"]
    except (BadZipFile, KeyError, EOFError, OSError, ValueError) as error:
        raise ValueError(
            f"{file} = unreadable ({' '.join(str(error).split())}): allowed is a file drawn by"
            " python -m molrg draw faces"
        ) from error
    shape = (KINDS, LAYERS, size, size)
    if differences.shape != shape or differences.dtype != np.uint8:
        found = f"{differences.dtype} {differences.shape}"
        raise ValueError(f"size_{size} of {file} = {found}: allowed is uint8 {shape}")
    return differences


def equal(file: Path, other: Path) -> bool:
    """Whether two files hold the same arrays, whatever their compression.

    Raises:
        ValueError: as `read`.
    """
    return all(np.array_equal(read(file, size), read(other, size)) for size in SIZES)


def write(file: Path, maps: dict[int, NDArray[np.uint8]]) -> str:
    """Write maps {size: (768, 6, size, size)}, aside and renamed; returns the file's sha256."""
    arrays = {f"size_{size}": take_differences(array) for size, array in maps.items()}
    with files.replacing(file) as aside:
        np.savez_compressed(aside, allow_pickle=False, **arrays)
    return files.sha256(file)


def take_differences(maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Along each attribute, its values less its first (modulo 256): nearly all zeros.

    Parts of a face that do not touch add up; what is left after all four attributes is where they
    do touch.

    Args:
        maps: (768, ...).

    Returns:
        An array of the same shape; `undo_differences` gives the maps again, exactly.
    """
    table = maps.reshape(*SHAPE, *maps.shape[1:]).copy()
    for axis in range(len(SHAPE)):
        along = np.moveaxis(table, axis, 0)
        along[1:] -= along[:1]
    return table.reshape(maps.shape)


def undo_differences(differences: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The maps of which `take_differences` made this."""
    table = differences.reshape(*SHAPE, *differences.shape[1:]).copy()
    for axis in range(len(SHAPE)):
        along = np.moveaxis(table, axis, 0)
        along[1:] += along[:1]
    return table.reshape(differences.shape)
