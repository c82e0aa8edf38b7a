"""Place and size of a face: a smooth warp of the picture, differentiable in both."""

from __future__ import annotations

import torch
from torch import Tensor

SHIFT = 1 / 16  # of the side, at pose 1: two pixels of 32
ENLARGEMENT = 0.1  # at pose 1
MARGIN = 1 / 2  # of the side, by which the border is repeated
REACH = 2.0  # largest pose, for which the margin suffices


def warp(pictures: Tensor, pose: Tensor) -> Tensor:
    """Move pictures right and down, and enlarge them about the middle.

    Cubic interpolation (Catmull and Rom), which has a continuous derivative and leaves a picture as
    it is at pose 0; the border is repeated outwards.

    Args:
        pictures: (B, C, size, size).
        pose: right, down, enlarged, (B, 3): 1 is two pixels of 32, or 10 per cent. In [-2, 2].

    Returns:
        (B, C, size, size).
    """
    size = pictures.shape[-1]
    margin = round(MARGIN * size)
    padded = torch.nn.functional.pad(pictures, (margin,) * 4, mode="replicate")
    across = _interpolation(pose[:, 0], pose[:, 2], size, margin)
    downwards = _interpolation(pose[:, 1], pose[:, 2], size, margin)
    return torch.einsum("bij,bcjk,blk->bcil", downwards, padded, across)


def _interpolation(shift: Tensor, enlarged: Tensor, size: int, margin: int) -> Tensor:
    """Weights of padded pixels along one axis in each pixel, (B, size, size + 2 margin)."""
    pixels = torch.arange(size, dtype=shift.dtype, device=shift.device)
    sources = torch.arange(-margin, size + margin, dtype=shift.dtype, device=shift.device)
    centre = (size - 1) / 2
    moved = pixels - centre - SHIFT * size * shift[:, None]
    wanted = centre + moved / (1 + ENLARGEMENT * enlarged[:, None])
    return _cubic((wanted[..., None] - sources).abs())


def _cubic(distance: Tensor) -> Tensor:
    """The kernel of Catmull and Rom at distances in pixels: 1 at 0, 0 at other whole numbers."""
    near = (1.5 * distance - 2.5) * distance.square() + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    outside = torch.zeros_like(distance)
    return torch.where(distance <= 1, near, torch.where(distance <= 2, far, outside))
