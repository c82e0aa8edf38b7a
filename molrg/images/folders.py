"""Folders of pictures: which files count, what class they are of, and what is left out."""

from __future__ import annotations

import mimetypes
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrg import checks
from molrg.images import pictures
from molrg.images.pictures import SUFFIXES, WHITE

_BYTES = 12  # that a value needs at most on its way to a tensor


class PictureWarning(UserWarning):
    """Something in a folder was left out, or read in part."""


class _Listing(NamedTuple):
    """Pictures with the number of their class, the names of the classes, and what is left out."""

    files: list[tuple[int, Path]]
    classes: list[str]
    left_out: list[str]


def folder(
    path: str | Path, *, size: int | None = None, grey: bool = False
) -> tuple[Tensor, Tensor]:
    """Read a folder of pictures: the files in it, or in the folders in it, one folder a class.

    PNG, JPEG, BMP, WebP, GIF, TIFF, PGM and PPM are read. Transparent pixels are laid on white;
    pictures of 16 bits are scaled by 65,535; of animations the first picture is read. Names that
    begin with a dot, and ``__MACOSX``, are skipped. Where there are class folders, pictures beside
    them do not count. A :class:`PictureWarning` says what was left out.

    Args:
        path: the folder.
        size: each picture is cut to its central square and resized to size x size; where omitted,
            all must have one size.
        grey: one channel in place of three.

    Returns:
        images (B, C, H, W), float32 in [-1, 1], in alphabetical order, and labels (B,), int64: the
        number of the class in :func:`class_names`, and 0 where there are none.

    Raises:
        ValueError: where sizes differ and none is asked for, a file is damaged or too large, or all
            together do not fit into memory; the message names the file.
        FileNotFoundError: where there is no such folder, or no picture in it.
    """
    values, labels = read_arrays(Path(path), size=size, grey=grey)
    images = torch.from_numpy(values.astype(np.float32)) * (2 / WHITE) - 1
    return images, torch.from_numpy(labels)


def class_names(path: str | Path) -> list[str]:
    """Names of the class folders that :func:`folder` numbers; none where it has no class folders.

    Raises:
        FileNotFoundError: where there is no such folder, or no picture in it.
    """
    return _listing(Path(path)).classes


def file_names(path: str | Path) -> list[str]:
    """Names of the pictures that :func:`folder` reads, inside the folder, in the same order.

    Args:
        path: the folder.

    Raises:
        FileNotFoundError: where there is no such folder, or no picture in it.
    """
    root = Path(path)
    return [str(file.relative_to(root)) for _, file in _listing(root).files]


def read_arrays(
    root: Path, *, size: int | None = None, grey: bool = False
) -> tuple[NDArray, NDArray[np.int64]]:
    """Values (B, C, H, W) in [0, 255], uint8 where no file has more, and labels (B,)."""
    side = None if size is None else checks.count("size", size, 2)
    listing = _listing(root)
    _say(root, "left out", listing.left_out)
    arrays: list[NDArray] = []
    several = []
    for _, file in listing.files:
        picture = pictures.read(file, size=side, grey=grey)
        arrays.append(picture.values)
        if picture.frames > 1:
            several.append(str(file.relative_to(root)))
        if len(arrays) == 1:
            _fits_into_memory(root, len(listing.files), picture.values)
        if picture.values.shape != arrays[0].shape:
            first = arrays[0].shape[1:]
            own = picture.values.shape[1:]
            least = min(*first, *own)
            raise ValueError(
                f"{file} = {own}: allowed is the size of the first, {first}; or use --size {least},"
                f" in Python size={least}"
            )
    _say(root, "only the first picture was read of", several)
    labels = [label for label, _ in listing.files]
    return np.stack(arrays), np.array(labels, dtype=np.int64)


def _fits_into_memory(root: Path, files: int, first: NDArray) -> None:
    needed = files * first.size * _BYTES
    free = psutil.virtual_memory().available
    if needed > free:
        raise ValueError(
            f"{root} = {files:,} pictures of {first.shape[1:]} that need {needed / 1e9:.1f} GB: "
            f"allowed is what fits into memory, {free / 1e9:.1f} GB; give a smaller size"
        )


def _listing(root: Path) -> _Listing:
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    loose = _pictures(root)
    inside = [(place, _pictures(place)) for place in _visible(root) if place.is_dir()]
    classes = [(place.name, files) for place, files in inside if files]
    if not classes and not loose:
        kinds = ", ".join(sorted(SUFFIXES))
        raise FileNotFoundError(f"{root}: no {kinds} in it or in the folders in it")
    unread = _unread(root) + [name for place, _ in inside for name in _unread(place)]
    deeper = [p for place, _ in inside for p in _visible(place) if p.is_dir() and _pictures(p)]
    left_out = unread + [str(p.relative_to(root)) for p in deeper]
    if not classes:
        return _Listing([(0, file) for file in loose], [], left_out)
    left_out += [file.name for file in loose]
    left_out += [place.name for place, files in inside if not files]
    files = [(k, file) for k, (_, members) in enumerate(classes) for file in members]
    return _Listing(files, [name for name, _ in classes], left_out)


def _visible(place: Path) -> list[Path]:
    """What is in a folder, in alphabetical order, without what systems and editors put there."""
    entries = sorted(place.iterdir())
    return [p for p in entries if not p.name.startswith(".") and p.name != "__MACOSX"]


def _pictures(place: Path) -> list[Path]:
    return [p for p in _visible(place) if p.suffix.lower() in SUFFIXES and p.is_file()]


def _unread(place: Path) -> list[str]:
    """Files that say they are pictures and are not read: other formats, links that lead nowhere."""
    read = set(_pictures(place))
    return [
        p.name for p in _visible(place) if p not in read and not p.is_dir() and _says_picture(p)
    ]


def _says_picture(path: Path) -> bool:
    kind, _ = mimetypes.guess_type(path.name)
    return path.suffix.lower() in SUFFIXES or (kind or "").startswith("image/")


def _say(root: Path, what: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        shown = ", ".join(names[:5])
        warnings.warn(f"{root}: {what}: {shown}{more}", PictureWarning, stacklevel=4)
