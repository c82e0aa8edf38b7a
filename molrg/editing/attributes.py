"""Attributes of images that pixels give away, and a test of which of them an edit moves.

An image is read as ink on a ground of -1: what is written in the docstrings of digits and
garments holds for any grey picture, but names like "sides" mean sleeves only where there are
some.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import stdtr
from torch import Tensor

from molrg import checks
from molrg.stats import holm

NAMES = (
    "mass",
    "width",
    "height",
    "slant",
    "symmetry",
    "balance",
    "contrast",
    "stroke",
    "sides",
    "legs",
)


def measure(images: Tensor) -> dict[str, Tensor]:
    r"""Ten attributes of every image, from its ink.

    Ink is :math:`w = (x + 1)/2`, colours averaged, cut to [0, 1].

    - *mass*: mean ink; *width*, *height*: twice its standard deviation to either side, as shares
      of the picture;
    - *slant*: by second moments, how far a line moves to the left per pixel downwards (positive
      for italics);
    - *symmetry*: one less the ink that has no mirror image left to right, as a share; *balance*:
      how high the centre of the ink is;
    - *contrast*: standard deviation of the ink where there is ink; *stroke*: ink over the length
      of its edges, half the thickness of a line, in pixels;
    - *sides*: ink in the outer quarters left and right, such as sleeves; *legs*: how much less
      ink the middle fifth of the lower half has than what is beside it, such as between trouser
      legs.

    Source: ours; moments as usual (Hu 1962).

    Args:
        images: (B, C, H, W) in [-1, 1], H and W >= 8.

    Returns:
        {name: (B,)} for each of `NAMES`, in double precision.

    Raises:
        ValueError: where the images are not as above in shape, or not finite.
    """
    checks.finite("images", images)
    shape = tuple(images.shape)
    if len(shape) != 4 or min(shape[2:]) < 8 or shape[1] == 0:
        raise ValueError(f"images.shape = {shape}: allowed is (B, C, H, W) with H, W >= 8")
    ink = ((images.double().mean(1) + 1) / 2).clamp(0, 1)
    H, W = shape[2:]
    total = ink.sum((1, 2)).clamp_min(1e-9)
    y = (torch.arange(H, dtype=torch.float64, device=ink.device)[:, None] + 0.5) / H - 0.5
    x = (torch.arange(W, dtype=torch.float64, device=ink.device) + 0.5) / W - 0.5

    def mean(values: Tensor) -> Tensor:
        return (ink * values).sum((1, 2)) / total

    along = mean(x)
    down = mean(y)
    dx = x - along[:, None, None]
    dy = y - down[:, None, None]
    var_x = mean(dx.square())
    var_y = mean(dy.square())
    covariance = mean(dx * dy)
    edges = torch.nn.functional.pad(ink, (1, 1, 1, 1))
    across = edges.diff(dim=2)[:, :-1]
    downwards = edges.diff(dim=1)[:, :, :-1]
    length = (across.square() + downwards.square()).sqrt().sum((1, 2)).clamp_min(1e-9)
    side = W // 4
    middle = (2 * W // 5, W - 2 * W // 5)
    lower = ink[:, H // 2 :]
    beside = torch.cat([lower[..., side : middle[0]], lower[..., middle[1] : W - side]], -1)
    values = (
        ink.mean((1, 2)),
        2 * var_x.sqrt(),
        2 * var_y.sqrt(),
        -covariance / var_y.clamp_min(1e-9) * (W / H),
        1 - (ink - ink.flip(2)).abs().sum((1, 2)) / (2 * total),
        -down,
        (mean(ink.square()) - mean(ink).square()).clamp_min(0).sqrt(),
        total / length,
        torch.cat([ink[..., :side], ink[..., W - side :]], -1).mean((1, 2)),
        beside.mean((1, 2)) - lower[..., middle[0] : middle[1]].mean((1, 2)),
    )
    return dict(zip(NAMES, values, strict=True))


def spread(images: Tensor, labels: Tensor | None = None) -> dict[str, float]:
    """Standard deviation of each attribute within classes, pooled.

    Args:
        images: (N, C, H, W), as in `measure`.
        labels: (N,), at least one class with two images; all images are one where omitted.

    Raises:
        ValueError: where the labels do not fit, or leave nothing to compare.
    """
    y = images.new_zeros(len(images)) if labels is None else labels.to(images.device)
    if y.shape != images.shape[:1]:
        raise ValueError(
            f"labels.shape = {tuple(y.shape)}: allowed is ({len(images)},), one per image"
        )
    classes = y.unique()
    freedom = len(y) - len(classes)
    if freedom < 1:
        raise ValueError(
            f"labels = {len(y)} images in {len(classes)} classes: allowed is a class with two"
            " images or more"
        )
    table = measure(images)
    squares = {
        name: sum((v[y == c] - v[y == c].mean()).square().sum().item() for c in classes)
        for name, v in table.items()
    }
    return {name: (total / freedom) ** 0.5 for name, total in squares.items()}


def log_odds(logits: Tensor) -> Tensor:
    """Log-odds log p_c / (1 - p_c) of every class, from the logits of a classifier.

    Args:
        logits: (..., classes), two classes or more.

    Raises:
        ValueError: where they are not as above, or not finite.
    """
    checks.finite("logits", logits)
    shape = tuple(logits.shape)
    if len(shape) < 1 or shape[-1] < 2:
        raise ValueError(f"logits.shape = {shape}: allowed is (..., classes), two classes or more")
    own = torch.eye(shape[-1], dtype=torch.bool, device=logits.device)
    others = logits.unsqueeze(-2).masked_fill(own, -math.inf).logsumexp(-1)
    return logits - others


@dataclass(frozen=True)
class Movement:
    """What steps along m directions do to J attributes; arrays (..., m, J)."""

    effect: np.ndarray  # at the largest alpha by the fitted line, in standard deviations, signed
    p: np.ndarray  # of the slope, corrected by Holm over the m J tests of one image
    moved: np.ndarray  # bool: effect of the size wanted, and significant

    @property
    def any(self) -> np.ndarray:
        """Whether a direction moves an attribute at all, (..., m)."""
        return np.asarray(self.moved.any(-1))


def movement(
    alphas: Tensor,
    values: Mapping[str, Tensor],
    spread: Mapping[str, float],
    *,
    size: float = 1.0,
    level: float = 0.05,
) -> Movement:
    r"""Which attributes move steadily along which directions.

    A line is fitted to each attribute over alpha. An attribute counts as moved where the line
    says at least `size` standard deviations at the largest alpha, and the slope differs from zero
    by the t-test, corrected by Holm's method over all attributes and directions of one image.
    What the test holds against a slope is scatter about the line: an attribute that jumps or
    turns back is not moved steadily, however far it goes.

    Source: ours; Holm (1979).

    Args:
        alphas: (A,) lengths of the steps, A >= 4 different ones; largest in size at both ends.
        values: {attribute: (..., m, A)}, of the finished images.
        spread: {attribute: standard deviation}, as `spread` returns; others are ignored.
        size: in standard deviations, > 0.
        level: of the test, in (0, 1).

    Raises:
        ValueError: where shapes do not fit, a spread is missing or not positive, or a number is
            not finite or out of range.
    """
    a = _array(alphas)
    if a.ndim != 1 or len(np.unique(a)) < 4 or not np.isfinite(a).all():
        raise ValueError(f"alphas = {a.tolist()}: allowed is four different numbers or more")
    size = checks.real("size", size, 1e-9)
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: allowed is a number in (0, 1)")
    table = _in_deviations(values, spread)  # (..., m, J, A)
    if table.ndim < 3 or table.shape[-1] != len(a):
        raise ValueError(f"values = {table.shape}: allowed is arrays (..., m, {len(a)})")
    centred = a - a.mean()
    slope = table @ centred / (centred @ centred)
    rest = table - table.mean(-1, keepdims=True) - slope[..., None] * centred
    error = np.sqrt((rest**2).sum(-1) / (len(a) - 2) / (centred @ centred))
    scale = np.abs(table).max(-1) * 1e-12  # what does not move at all has no t
    t = np.abs(slope) / np.maximum(error, np.maximum(scale, 1e-300))
    p = holm(2 * stdtr(len(a) - 2, -t))
    effect = slope * np.abs(a).max()
    return Movement(effect, p, (np.abs(effect) >= size) & (p < level))


def _array(values: Tensor) -> np.ndarray:
    """A tensor of any device as an array of doubles."""
    return values.detach().cpu().double().numpy()


def _in_deviations(values: Mapping[str, Tensor], spread: Mapping[str, float]) -> np.ndarray:
    """The attributes in their standard deviations, (..., m, J, A)."""
    if not values:
        raise ValueError("values = {}: allowed is one attribute or more")
    lacking = [name for name in values if not spread.get(name, 0) > 0]
    if lacking:
        raise ValueError(f"spread = {lacking}: allowed is a positive number for every attribute")
    table = np.stack([_array(v) / spread[name] for name, v in values.items()], -2)
    if not np.isfinite(table).all():
        raise ValueError("values = with NaN or infinity: allowed is finite numbers")
    return table
