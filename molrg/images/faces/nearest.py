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
    """

    kinds: Tensor
    distances: Tensor
    colours: Tensor


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
    kinds, distances = _nearest_kinds(points, size)
    rows = zip(points.split(AT_ONCE), kinds.split(AT_ONCE), strict=True)
    colours = [_colours(*part, size) for part in rows]
    return Nearest(kinds, distances, torch.cat(colours))


@lru_cache(maxsize=1)
def _law(size: int) -> MoLRG:
    """All kinds in double precision, kept for the next call: 150 MB at size 32."""
    return mixture(size=size, noise=0.0, dtype=torch.float64)


def _nearest_kinds(points: Tensor, size: int) -> tuple[Tensor, Tensor]:
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
    squares = whole + offsets.square().sum(1) - inside
    smallest, kinds = squares.min(1)
    return kinds, smallest.clamp_min(0).sqrt()


def _colours(points: Tensor, kinds: Tensor, size: int) -> Tensor:
    steps = columns(kinds, size).flatten(2).mT
    offset = points - means(kinds, size).flatten(1)
    return torch.linalg.lstsq(steps, offset.unsqueeze(-1)).solution.squeeze(-1)
