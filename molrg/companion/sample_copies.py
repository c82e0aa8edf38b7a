"""What ``python -m molrg describe --samples`` says: which samples copy a training image."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from molrg import dimension, images, memorization
from molrg.companion import own_data
from molrg.companion.terminal import harmless

LEAST = 80  # training images, different ones, that an estimate of dimension needs
_BLOCK = 64  # samples that are compared at once
_NAMED = 10  # lines of the list of copies


@dataclass(frozen=True)
class Copies:
    """Samples beside the training images, and what their numbers let one expect.

    Attributes:
        ratio: distance to the nearest over distance to the second nearest, (B,).
        nearest: rows of the two nearest training images, (B, 2).
        N: different training images.
        d: the lowest reading of their intrinsic dimension, over the methods.
    """

    ratio: Tensor
    nearest: Tensor
    N: int
    d: float

    @property
    def copied(self) -> Tensor:
        """Which samples are copies, (B,), bool."""
        return self.ratio < memorization.THIRD

    @property
    def expected(self) -> float:
        """The share of fresh draws of a smooth density in d dimensions that would count."""
        return memorization.THIRD**self.d

    @property
    def identical(self) -> Tensor:
        """Which samples are equal to a training image, (B,), bool."""
        return self.ratio == 0

    def statements(self) -> list[str]:
        """Sentences on how many copy, and how many one should expect."""
        return [
            f"{self._counted()} (A copy is less than a third as far from its nearest image as from"
            f" the second nearest; about {self._by_chance()}, would be so by chance.)",
            f"There are {self.N:,} different training images of dimension {self.d:.1f} or more,"
            f" {self.N / self.d:.0f} per dimension (log2(N/d) = {math.log2(self.N / self.d):.1f}).",
            "Distances are between pixels: a copy that is moved, mirrored or recoloured is missed.",
        ]

    def _counted(self) -> str:
        count = int(self.copied.sum())
        same = int(self.identical.sum())
        verb = "copies" if count == 1 else "copy"
        identical = f", {same} of them identical to it" if same else ""
        return f"{count} of {len(self.ratio)} samples {verb} a training image{identical}."

    def _by_chance(self) -> str:
        number = round(self.expected * len(self.ratio))
        named = {0: "less than one sample", 1: "1 sample"}.get(number, f"{number} samples")
        return f"{100 * self.expected:.2g} %, {named}"


def compare(samples: Tensor, training: Tensor, *, d: float | None = None) -> Copies:
    """Compare samples with the images that a model was trained on.

    Exact duplicates among the training images are dropped first, for two equal images have the
    ratio 1 for any sample.

    Source: `molrg.memorization` and `molrg.dimension`.

    Args:
        samples: (B, C, H, W).
        training: (N, C, H, W), of the same size.
        d: intrinsic dimension of the training images; estimated where omitted.

    Raises:
        ValueError: where sizes differ or there are too few training images.
    """
    if samples.shape[1:] != training.shape[1:]:
        raise ValueError(
            f"samples.shape = {tuple(samples.shape)}: allowed is (B, C, H, W) like the training"
            f" images, {tuple(training.shape)}; --size cuts and resizes both"
        )
    kept = first_rows(training)
    if len(kept) < LEAST:
        raise ValueError(
            f"training images = {len(kept)} different ones: allowed is {LEAST} or more"
        )
    distinct = training[kept]
    low = dimension.describe(distinct).low if d is None else d
    ratio, nearest = _two_nearest(samples, distinct)
    return Copies(ratio.cpu(), kept[nearest.cpu()], len(distinct), low)


def first_rows(x: Tensor) -> Tensor:
    """Rows of the first of each set of equal images, in order, on the CPU."""
    seen: dict[bytes, int] = {}
    for row, image in enumerate(x.cpu()):
        seen.setdefault(hashlib.sha256(image.numpy().tobytes()).digest(), row)
    return torch.tensor(list(seen.values()), device="cpu")


def search(samples: Tensor, training: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of samples to their two nearest training images, and the rows of these.

    By differences, as in `molrg.memorization.nearest`: an exact copy has the distance 0.

    Args:
        samples: (B, C, H, W), in [-1, 1].
        training: (N, C, H, W), N >= 2, in [-1, 1].

    Returns:
        Distances ascending, and rows, (B, 2) each.
    """
    flat = training.flatten(1).to(samples)
    blocks = [
        torch.cdist(block, flat, compute_mode="donot_use_mm_for_euclid_dist").topk(2, largest=False)
        for block in samples.flatten(1).split(_BLOCK)
    ]
    values = torch.cat([block.values for block in blocks])
    return values, torch.cat([block.indices for block in blocks])


def _two_nearest(samples: Tensor, training: Tensor) -> tuple[Tensor, Tensor]:
    """`molrg.memorization.copy_ratio`, and the rows that it is of, from one search."""
    distances, rows = search(samples, training)
    first, second = distances.unbind(-1)
    return torch.where(second > 0, first / second, 1.0), rows


def describe(path: Path, samples: Path, *, size: int | None = None, grey: bool = False) -> str:
    """The copies among a folder of samples, as text.

    Args:
        path: the folder of training images.
        samples: the folder of samples.
        size: pixels along a side to which both are cut and resized.
        grey: read both in grey.

    Raises:
        ValueError: where a file is damaged, sizes differ, or there are too few images.
        FileNotFoundError: where there is nothing to read.
    """
    training = images.folder(path, size=size, grey=grey)[0]
    drawn = images.folder(samples, size=size, grey=grey)[0]
    if own_data.is_grey(training) and own_data.is_grey(drawn):
        training, drawn = training[:, :1], drawn[:, :1]
    copies = compare(drawn, training)
    lines = [f"- {sentence}" for sentence in copies.statements()]
    order = copies.ratio.argsort()[:_NAMED].tolist()
    return "\n".join([*lines, "", *_nearest_named(copies, path, samples, order)])


def _nearest_named(
    copies: Copies, training: Path, samples: Path, order: Sequence[int]
) -> Iterator[str]:
    """A table of samples with their two nearest training images, by the names of the files."""
    named = images.file_names(samples)
    known = images.file_names(training)
    rows = [("sample", "nearest", "second nearest", "ratio")]
    for row in order:
        first, second = copies.nearest[row].tolist()
        ratio = "identical" if copies.identical[row] else f"{copies.ratio[row].item():.3f}"
        rows.append((named[row], known[first], known[second], ratio))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        padded = (harmless(cell).ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield "  ".join(padded).rstrip()
