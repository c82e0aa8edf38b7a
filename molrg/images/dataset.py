"""What is known of a set of images, in one place: where it is, how it is read, whose it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SPLITS = ("train", "test")


class Split(NamedTuple):
    """The training or the test part of a set."""

    labels: Tensor  # (N,), int64
    images: Callable[[Tensor], Tensor]  # from rows (B,) to (B, C, H, W), float32 in [-1, 1]

    @classmethod
    def of_arrays(cls, images: NDArray[np.uint8], labels: NDArray, *, white: int = 255) -> Split:
        """Arrays (N, C, H, W) with values from 0 to white, and labels (N,)."""

        def take(rows: Tensor) -> Tensor:
            chosen = torch.from_numpy(images[rows.numpy()].astype(np.float32))
            return chosen * (2 / white) - 1

        return cls(torch.from_numpy(labels.astype(np.int64)), take)


@dataclass(frozen=True)
class Place:
    """Where a set that is not shipped is downloaded from, and what its files are called.

    Attributes:
        mirrors: addresses; the first that answers is taken.
        files: sha256 of each file.
        megabytes: of all files.
        in_words: what is expected in a folder of the reader's own.
        find: files of a split in such a folder; FileNotFoundError where one is missing.
    """

    mirrors: tuple[str, ...]
    files: Mapping[str, str]
    megabytes: int
    in_words: str
    find: Callable[[Path, str], list[Path]]


@dataclass(frozen=True)
class Record:
    """A set of images: everything that the package, its cards and its book say of it.

    Attributes:
        name: by which it is loaded.
        title: what it is, in a few words.
        shape: (C, H, W).
        counts: images of each split.
        classes: name of each label.
        credit: whose it is, for the cards of models that are trained on it.
        licence: in a few words.
        read: from the record and a split to its images; where the set is, is settled there.
        where: where a set that needs no file comes from.
        place: where a set that is not shipped is downloaded from.
        file: name of the shipped file that it is made from, in ``molrg/zoo/images``.
        sha256: of that file.
        full: name of the full set that a shipped slice is cut from.
        offline: name of a set that can stand in for it without a network.
        card: rows of the card's table.
        about: first paragraph of the card.
        terms: the licence in full, for the card.
        caveats: what to know before use, for the card.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    counts: Mapping[str, int]
    classes: tuple[str, ...]
    credit: str
    licence: str
    read: Callable[[Record, str], Split]
    where: str = ""
    place: Place | None = None
    file: str = ""
    sha256: str = ""
    full: str = ""
    offline: str = ""
    card: Mapping[str, str] = field(default_factory=dict)
    about: str = ""
    terms: str = ""
    caveats: str = ""
