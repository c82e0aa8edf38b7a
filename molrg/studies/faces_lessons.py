"""Which faces N faces of each kind teach a model to draw, and which they do not, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from molrg import draws
from molrg.images import faces
from molrg.studies.faces_counting import GROUPS, D, draw, truth
from molrg.subspaces import pca

_SPLIT = 2  # purpose of random numbers; those of `faces_counting` are 0 and 1


class Lesson(NamedTuple):
    """What N faces of each kind teach, and what they do not; pictures (4, 3, size, size).

    Attributes:
        asked: a face of each kind whose colours N = D - 1 faces leave out.
        drawn: {N: the nearest picture that a model of N faces can draw}.
        missed: {N: its distance to the face asked for, (4,)}.
        sorted_wrongly: the nearest picture for D faces of each kind in four random groups, which
            has zero loss on all of them.
    """

    asked: Tensor
    drawn: dict[int, Tensor]
    missed: dict[int, Tensor]
    sorted_wrongly: Tensor


def lesson(seed: int, counts: Sequence[int], *, size: int = 32, length: float = 3.0) -> Lesson:
    """The face of each kind that D - 1 faces teach worst, as models of N faces can draw it.

    Among the faces whose colours are `length` standard deviations from the mean, it is the one
    farthest from the span of the first D - 1 faces. Labels are known: all is a matter of counting.

    Args:
        seed: of the trial.
        counts: the N, faces of each kind, 1 ... `MOST`.
        size: pixels along a side.
        length: of the vector of seven colour factors.
    """
    seen = draw(seed, max(*counts, D), size=size)
    taught = zip(seen, truth(size=size), GROUPS["apart"], strict=True)
    asked = torch.stack([_left_out(x[: D - 1], U, kind, length, size) for x, U, kind in taught])
    drawn = {N: torch.stack(_projections(asked, seen[:, :N])) for N in counts}
    shape = (-1, 3, size, size)
    return Lesson(
        asked.view(shape),
        {N: pictures.view(shape) for N, pictures in drawn.items()},
        {N: (pictures - asked).norm(dim=1) for N, pictures in drawn.items()},
        _sorted_at_random(asked, seen[:, :D].flatten(0, 1), seed).view(shape),
    )


def _left_out(x: Tensor, U: Tensor, kind: int, length: float, size: int) -> Tensor:
    """The face of a kind, flattened, with the largest part outside the span of x (D - 1, n)."""
    number = torch.tensor([kind], device="cpu")
    mean = faces.means(number, size).flatten()
    columns = faces.columns(number, size)[0].flatten(1)
    missing = U @ torch.linalg.svd(x @ U).Vh[-1]  # the direction of U that the faces leave out
    along = columns @ missing
    colours = length * along / along.norm() * (missing @ mean).sign()
    return mean + colours @ columns


def _projections(asked: Tensor, seen: Tensor) -> list[Tensor]:
    """Each face on the span of the seen faces (N, n) of its kind."""
    spans = [pca(x, min(len(x), D)) for x in seen]
    return [U @ (U.mT @ face) for face, U in zip(asked, spans, strict=True)]


def _sorted_at_random(asked: Tensor, seen: Tensor, seed: int) -> Tensor:
    """Each face on the nearest of the four spans of a random, balanced split of the seen faces."""
    chances = draws.uniform((len(seen),), generator=draws.source(_SPLIT, seed))
    spans = [pca(seen[group], D) for group in chances.argsort().to(seen.device).chunk(4)]
    pictures = torch.stack([asked @ U @ U.mT for U in spans])
    nearest = (pictures - asked).norm(dim=-1).argmin(0)
    return pictures[nearest, torch.arange(len(asked), device=asked.device)]
