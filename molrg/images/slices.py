"""Shipped slices of full sets: a few images of each class, so that the book needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrg import checks, files
from molrg.images.dataset import Record, Split

SHIPPED = Path(__file__).parents[1] / "zoo" / "images"
SLICE = {"train": 300, "test": 100}  # images of each class


def shipped_file(record: Record) -> Path:
    """The file of a shipped set, its sha256 checked.

    Raises:
        FileNotFoundError: where it is missing.
        ValueError: where its bytes were altered.
    """
    path = SHIPPED / record.file
    remedy = "reinstall molrg, or make it again as its card says"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {remedy}")
    digest = files.sha256(path)
    if digest != record.sha256:
        raise ValueError(f"sha256 of {path} = {digest}: allowed is {record.sha256}; {remedy}")
    return path


def read_slice(record: Record, split: str) -> Split:
    """A shipped set: ``<split>_images`` (N, C, H, W) and ``<split>_labels`` in an npz file.

    Raises:
        ValueError: as :func:`shipped_file`.
        FileNotFoundError: as :func:`shipped_file`.
    """
    with np.load(shipped_file(record), allow_pickle=False) as arrays:
        return Split.of_arrays(arrays[f"{split}_images"], arrays[f"{split}_labels"])


def cut(full: Record, path: Path, counts: Mapping[str, int]) -> str:
    """Write the first images of each class of a full set, in its order; returns the sha256."""
    arrays: dict[str, NDArray] = {}
    for split, count in counts.items():
        part = full.read(full, split)
        rows = _first_of_each(part.labels, count, split)
        arrays[f"{split}_images"] = ((part.images(rows) + 1) * 127.5).round().byte().numpy()
        arrays[f"{split}_labels"] = part.labels[rows].byte().numpy()
        arrays[f"{split}_index"] = rows.int().numpy()
    with files.replacing(path) as aside:
        np.savez_compressed(aside, allow_pickle=False, **arrays)
    return files.sha256(path)


def _first_of_each(labels: Tensor, count: int, split: str) -> Tensor:
    rows = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    fewest = min(len(members) for members in rows)
    count = checks.count(f"counts[{split!r}]", count, 1, fewest)
    return torch.cat([members[:count] for members in rows]).sort().values
