"""The kind of face that a picture is nearest to, how far off it is, and with which colours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from molrg import checks
from molrg.images.faces.law import columns, means, mixture
from molrg.images.faces.maps import SIZES
from molrg.mixture import MoLRG

AT_ONCE = 100  # pictures whose colours are fitted together


@dataclass(frozen=True)
class Nearest:
    """For each of B pictures the nearest of the 768 affine subspaces.

    Attributes:
        kinds: its number, (B,).
        distances: Euclidean distance to it, (B,).
        colours: the colour factors of the nearest point, in standard deviations, (B, 7).
        margins: how clearly it is that kind and not the second nearest, (B,): 1 at the nearest
            point, whatever is added that is no part of a face; 0 half way to the second kind.
    """

    kinds: Tensor
    distances: Tensor
    colours: Tensor
    margins: Tensor


@torch.no_grad()
def nearest(pictures: Tensor) -> Nearest:
    """Find the kind whose pictures, of any colours, come nearest.

    Source: ours.

    Args:
        pictures: (B, 3, size, size), size 16, 32 or 64.

    Raises:
        ValueError: where the pictures have another shape, or are not finite.
    """
    checks.finite("pictures", pictures)
    size = pictures.shape[-1]
    if pictures.dim() != 4 or tuple(pictures.shape[1:]) != (3, size, size) or size not in SIZES:
        allowed = f"(B, 3, size, size), size {' or '.join(map(str, SIZES))}"
        raise ValueError(f"pictures.shape = {tuple(pictures.shape)}: allowed is {allowed}")
    points = pictures.double().flatten(1)
    squares, ranking = _squares(points, size).topk(2, largest=False)
    kinds = ranking[:, 0]
    rows = zip(points.split(AT_ONCE), kinds.split(AT_ONCE), strict=True)
    parts = [_colours(*part, size) for part in rows]
    colours = torch.cat(parts)
    at_nearest = _pictures(kinds, colours, size)
    between = _squares(at_nearest, size).gather(1, ranking[:, 1:])[:, 0]
    margins = (squares[:, 1] - squares[:, 0]) / between
    return Nearest(kinds, squares[:, 0].sqrt(), colours, margins)


@lru_cache(maxsize=1)
def _law(size: int) -> MoLRG:
    """All kinds in double precision, kept for the next call: 150 MB at size 32."""
    return mixture(size=size, noise=0.0, dtype=torch.float64)


def _squares(points: Tensor, size: int) -> Tensor:
    """Squared distances of points (B, n) to the affine subspaces of all kinds, (B, 768)."""
    law = _law(size).to(points.device)
    centres = torch.stack(law.means)
    middle = centres.mean(0)
    centred, offsets = points - middle, centres - middle
    latent = (
        centred @ law.columns
        - torch.einsum("kn,nkd->kd", offsets, law.columns.unflatten(1, (law.K, -1))).flatten()
    )
    inside = latent.square().unflatten(1, (law.K, -1)).sum(-1)
    whole = centred.square().sum(1, keepdim=True) - 2 * centred @ offsets.mT
    return (whole + offsets.square().sum(1) - inside).clamp_min(0)


def _pictures(kinds: Tensor, colours: Tensor, size: int) -> Tensor:
    """Pictures of given kinds and colours, flattened, (B, n)."""
    rows = zip(kinds.split(AT_ONCE), colours.split(AT_ONCE), strict=True)
    parts = [
        (means(kind, size) + torch.einsum("bf,bf...->b...", z, columns(kind, size))).flatten(1)
        for kind, z in rows
    ]
    return torch.cat(parts)


def _colours(points: Tensor, kinds: Tensor, size: int) -> Tensor:
    steps = columns(kinds, size).flatten(2).mT
    offset = points - means(kinds, size).flatten(1)
    return torch.linalg.lstsq(steps, offset.unsqueeze(-1)).solution.squeeze(-1)
