"""The formats in which full sets come: idx files, CIFAR-10's batches, folders of pictures."""

from __future__ import annotations

import gzip
import math
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from molrg.images import downloads, folders
from molrg.images.dataset import Record, Split

_STEMS = {"train": "train", "test": "t10k"}
_BATCHES = {"train": "data_batch_?.bin", "test": "test_batch.bin"}
_ARCHIVE = "cifar-10-binary.tar.gz"
_FOLDER = "cifar-10-batches-bin"
_ROW = 1 + 3 * 32 * 32  # bytes of a picture of CIFAR-10, its label first
_MOST = 2**30  # bytes that an idx file may hold; MNIST's has 47 million


def idx_files(folder: Path, split: str) -> list[Path]:
    """The images and the labels of a split, each an idx file, plain or gzipped.

    Raises:
        FileNotFoundError: where one is missing.
    """
    return [_one_of(folder, stem) for stem in _idx_names(split)]


def _idx_names(split: str) -> list[str]:
    stem = _STEMS[split]
    return [f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"]


def _one_of(folder: Path, stem: str) -> Path:
    for path in (folder / stem, folder / f"{stem}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder} has no {stem} or {stem}.gz")


def read_idx_set(record: Record, split: str) -> Split:
    """A set of grey pictures in idx files.

    Raises:
        ValueError: where a file is not whole, or there is not one label per image.
        FileNotFoundError: where a file can neither be found nor downloaded.
    """
    folder = downloads.own_folder(record.name)
    if folder is None:
        paths = [downloads.download(record, f"{name}.gz") for name in _idx_names(split)]
    else:
        paths = idx_files(folder, split)
    images, labels = (read_idx(path) for path in paths)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        given = f"{labels.shape} labels of {images.shape} images"
        raise ValueError(f"{record.name} {split} = {given}: allowed is one label per image")
    return Split.of_arrays(images[:, None], labels)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes: two zeros, type 8, number of axes, sizes, data.

    No more is read, or unpacked, than its sizes say.

    Raises:
        ValueError: where it is not whole, or says that it holds more than 1 GB; the message names
            the file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read_idx(path, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} = {error}: allowed is a complete gzip file") from error


def _read_idx(path: Path, file: gzip.GzipFile | BufferedReader) -> NDArray[np.uint8]:
    start = file.read(4)
    axes = file.read(4 * start[3]) if len(start) == 4 else b""
    whole = start[:3] == b"\x00\x00\x08" and len(axes) == 4 * start[3]
    sizes = np.frombuffer(axes, ">u4").tolist() if whole else []
    count = math.prod(sizes)
    if count > _MOST:
        raise ValueError(f"{path} = {count:,} bytes: allowed is at most {_MOST:,}")
    raw = file.read(count + 1) if whole else b""
    if not whole or len(raw) != count:
        given = f"{start + axes[:12]!r}, then {len(raw):,} bytes"
        raise ValueError(f"{path} = {given}: allowed is a complete idx file of unsigned bytes")
    return np.frombuffer(raw, np.uint8).reshape(sizes)


def cifar_files(folder: Path, split: str) -> list[Path]:
    """The binary batches of a split; or the folder with its pictures, in class folders.

    Raises:
        FileNotFoundError: where there is neither.
    """
    batches = _BATCHES[split]
    found = sorted(folder.glob(batches)) or sorted(folder.glob(f"{_FOLDER}/{batches}"))
    if found:
        return found
    if (folder / split).is_dir():
        return [folder / split]
    raise FileNotFoundError(f"{folder} has no {batches}, and no {split}/<class>/ with pictures")


def read_cifar(record: Record, split: str) -> Split:
    """CIFAR-10, from batches with records of 1 + 3,072 bytes or from pictures in class folders.

    Raises:
        ValueError: where a file is not whole.
        FileNotFoundError: where the set can neither be found nor downloaded.
    """
    folder = downloads.own_folder(record.name)
    if folder is None:
        folder = downloads.unpack(downloads.download(record, _ARCHIVE), _FOLDER)
    paths = cifar_files(folder, split)
    if paths[0].is_dir():
        return Split.of_arrays(*folders.read_arrays(paths[0]))
    raw = np.concatenate([_batch(path) for path in paths])
    return Split.of_arrays(raw[:, 1:].reshape(-1, 3, 32, 32), raw[:, 0])


def _batch(path: Path) -> NDArray[np.uint8]:
    raw = np.fromfile(path, np.uint8)
    if raw.size == 0 or raw.size % _ROW:
        raise ValueError(f"{path} = {raw.size} bytes: allowed is whole records of {_ROW}")
    return raw.reshape(-1, _ROW)
