r"""Memorisation: does a sample copy a training point, do two networks agree, and where does that change?

A sample copies where its nearest training point is much nearer than the second one,
:math:`d_1 / d_2 < c`. All distances are Euclidean; images are compared pixel by pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.special import expit
from torch import Tensor

from molrg import checks

THIRD = 1 / 3  # the usual c; `gl` and `copy_ratio` let one sweep it


def _flat(name: str, x: Tensor, low: int = 1) -> Tensor:
    checks.finite(name, x)
    checks.require(x.dim() >= 2 and len(x) >= low, f"{name}.shape", tuple(x.shape), f"(N, *event) with N >= {low}")
    return x.flatten(1)


def halves(data: Tensor, N: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two disjoint random training sets of N points each, nested: the same seed extends them as N grows.

    Args:
        data: the whole set (M, \\*event).
        N: size of each, 1 <= N <= M / 2.
        generator: source of the order.

    Raises:
        ValueError: where there are fewer than 2 N points.
    """
    checks.finite("data", data)
    order = torch.randperm(len(data), generator=generator)[: 2 * checks.count("N", N, 1, len(data) // 2)]
    return data[order[0::2]], data[order[1::2]]


def nearest(x: Tensor, data: Tensor, k: int = 2) -> Tensor:
    """Distances from every point to its k nearest training points, ascending.

    Args:
        x: points (B, \\*event).
        data: training points (N, \\*event), of the dtype of x.
        k: how many, 1 <= k <= N.

    Returns:
        (B, k).

    Raises:
        ValueError: where shapes or dtypes disagree, entries are not finite, or N < k.
    """
    points, training = _flat("x", x), _flat("data", data, checks.count("k", k))
    same = points.shape[1] == training.shape[1] and x.dtype == data.dtype
    checks.require(same, "x", f"{tuple(x.shape)} of {x.dtype}", f"events like those of data, {tuple(data.shape)} of {data.dtype}")
    rows = max(1, 2**24 // len(training))  # of the distance matrix held at a time
    # differences, not |x|^2 + |y|^2 - 2 xy: an exact copy must have distance exactly 0
    blocks = [torch.cdist(block, training, compute_mode="donot_use_mm_for_euclid_dist") for block in points.split(rows)]
    return torch.cat([block.topk(k, largest=False).values for block in blocks])


def copy_ratio(x: Tensor, data: Tensor) -> Tensor:
    r"""Distance to the nearest over distance to the second-nearest training point, in [0, 1].

    Two equal training points have the ratio 1 for any x: remove duplicates first.

    Source: the ratio test for copies (Yoon et al. 2023). For points and data drawn from one smooth
    density in d dimensions the share below c is about :math:`c^d` (ours: the law of TwoNN).

    Args:
        x: points (B, \\*event).
        data: training points (N, \\*event), N >= 2.

    Returns:
        (B,).

    Raises:
        ValueError: as `nearest`; where N < 2 there is no second-nearest.
    """
    first, second = nearest(x, data, 2).unbind(-1)
    return torch.where(second > 0, first / second, 1.0)


def memorised(x: Tensor, data: Tensor, *, c: float = THIRD) -> Tensor:
    """Whether each point copies a training point: d1 / d2 < c.

    Args:
        x: points (B, \\*event).
        data: training points (N, \\*event), N >= 2.
        c: threshold in (0, 1].

    Returns:
        (B,), bool.

    Raises:
        ValueError: as `copy_ratio`, and where c is out of range.
    """
    checks.real("c", c, 1e-12, 1.0)
    return copy_ratio(x, data) < c


def distance_ratio(x: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Distance to the nearest point of the own training set over that of another set of the same law.

    0 for a copy; about 1 for a fresh sample where both sets have the same size.

    Args:
        x: points (B, \\*event).
        own: training points (N, \\*event).
        other: (N', \\*event); N' = N unless the sets are to be compared as they are.

    Returns:
        (B,); 1 where both distances are 0.

    Raises:
        ValueError: as `nearest`.
    """
    to_own, to_other = nearest(x, own, 1)[:, 0], nearest(x, other, 1)[:, 0]
    return torch.where((to_own == 0) & (to_other == 0), 1.0, to_own / to_other)


def off_subspace(x: Tensor, bases: Sequence[Tensor]) -> Tensor:
    r"""Relative residual to the nearest of K subspaces, :math:`\min_k \|x - U_k U_k^T x\| / \|x\|`, (B,).

    Args:
        x: points (B, n).
        bases: K orthonormal (n, d_k).

    Raises:
        ValueError: where a basis is not orthonormal or shapes disagree.
    """
    points = _flat("x", x)
    residuals = []
    for k, basis in enumerate(bases):
        checks.orthonormal(f"bases[{k}]", basis)
        checks.require(len(basis) == points.shape[1], f"bases[{k}].shape", tuple(basis.shape), f"({points.shape[1]}, d)")
        residuals.append((points - points @ basis @ basis.T).norm(dim=-1))
    return torch.stack(residuals).amin(0) / points.norm(dim=-1).clamp_min(torch.finfo(points.dtype).tiny)


def gl(x: Tensor, data: Tensor, *, c: float = THIRD, bases: Sequence[Tensor] | None = None, residual: float = 0.2) -> float:
    """Generalisation score: the share of samples that are no copies and, with bases, lie on a subspace.

    Without bases it is 1 - share memorised, and noise scores 1, too: report quality beside it.

    Source: the form of 2310.05264 (share below a threshold of similarity), with the ratio of
    distances in place of a learnt image similarity; the condition on the subspaces is ours.

    Args:
        x: samples (B, \\*event).
        data: training points (N, \\*event), N >= 2.
        c: a sample is a copy where d1 / d2 < c.
        bases: the true subspaces (n, d_k) of synthetic data.
        residual: largest relative distance from the nearest subspace that counts as on it.

    Raises:
        ValueError: as `memorised` and `off_subspace`.
    """
    good = ~memorised(x, data, c=c)
    if bases is not None:
        good &= off_subspace(x, bases) < checks.real("residual", residual, 0.0)
    return good.double().mean().item()


def scores(x: Tensor, own: Tensor, other: Tensor, *, c: float = THIRD, cs: Sequence[float] = ()) -> dict[str, float | list[float]]:
    """What a table of samples wants: share memorised, mean distance ratio, GL at swept thresholds.

    Args:
        x: samples (B, \\*event) of a model trained on `own`.
        own: training points (N, \\*event), N >= 2.
        other: a disjoint set of the same law, (N, \\*event).
        c: threshold of `memorised`.
        cs: thresholds of `gl`.

    Returns:
        "memorised", "ratio", and "gl", one number for each of `cs`.

    Raises:
        ValueError: as `memorised` and `distance_ratio`.
    """
    share, ratio = memorised(x, own, c=c).double().mean().item(), distance_ratio(x, own, other).mean().item()
    return {"memorised": share, "ratio": ratio, "gl": [gl(x, own, c=level) for level in cs]}


class Agreement(NamedTuple):
    """How much like each other two sets of samples from the same noise are, and shuffled pairs of them."""

    paired: float
    shuffled: float
    distance: float


def agreement(a: Tensor, b: Tensor, *, centre: Tensor | None = None) -> Agreement:
    """Compare samples of two models, row by row made from the same noise.

    Args:
        a: samples (B, \\*event), B >= 2.
        b: samples of the other model, of the same shape.
        centre: subtracted from both, (\\*event); the mean of all samples where omitted. Without it
            any two images would correlate, for they share their mean.

    Returns:
        The mean correlation (cosine of the centred samples) of the pairs; the same over all pairs
        that do not belong together; and the mean squared distance of the pairs over that of the others.

    Raises:
        ValueError: where shapes differ or B < 2.
    """
    first, second = _flat("a", a, 2), _flat("b", b, 2)
    checks.require(a.shape == b.shape, "b.shape", tuple(b.shape), f"that of a, {tuple(a.shape)}")
    middle = torch.cat([first, second]).mean(0) if centre is None else centre.flatten()
    cosine = torch.nn.functional.normalize(first - middle, dim=-1) @ torch.nn.functional.normalize(second - middle, dim=-1).T
    square = torch.cdist(first, second).square()
    B = len(first)

    def off(matrix: Tensor) -> float:
        return ((matrix.sum() - matrix.trace()) / (B * (B - 1))).item()

    return Agreement((cosine.trace() / B).item(), off(cosine), (square.trace() / B).item() / off(square))


@dataclass(frozen=True)
class Transition:
    r"""A sigmoid :math:`low + (high - low) / (1 + e^{-(u - centre)/width})` fitted to a score.

    `centre` and `width` are in units of u (log2 N, or the abscissa itself); from 12 to 88 % of the
    rise takes 4 widths, and a negative width is a fall. Where the score does not pass the middle of
    its levels within the range there is nothing to fit: `width` is NaN, and `centre` is +inf where
    the whole range is before the transition, -inf where it is after it, NaN where the score is flat
    and its levels were to be fitted. Ends of intervals can be infinite in the same sense.
    """

    centre: float
    width: float
    low: float
    high: float
    centre_interval: tuple[float, float]
    width_interval: tuple[float, float]
    log2: bool

    @property
    def found(self) -> bool:
        """Whether the transition lies within the range."""
        return math.isfinite(self.centre)

    def at(self, level: float) -> float:
        """Abscissa (N itself where ``log2``) at which the curve reaches `level`, as a share of its rise."""
        checks.require(0 < level < 1, "level", level, "a share of the rise, between 0 and 1")
        u = self.centre + (self.width * math.log(level / (1 - level)) if self.found else 0.0)
        return 2.0**u if self.log2 else u

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """The fitted curve at abscissae x; NaN where nothing was found."""
        u = np.log2(np.asarray(x, dtype=float)) if self.log2 else np.asarray(x, dtype=float)
        return _sigmoid((self.centre, self.width, self.low, self.high), u)


def _sigmoid(p: Sequence[float], u: NDArray) -> NDArray:
    centre, width, low, high = p
    return low + (high - low) * expit((u - centre) / width)


def _fit(u: NDArray, y: NDArray, levels: tuple[float, float] | None, falls: bool, contrast: float) -> tuple[float, ...]:
    """Least squares on one curve: (centre, width, low, high), without a width where there is no transition."""
    low, high = levels or (y.min(), y.max())
    if high - low < contrast:
        return (math.nan, math.nan, low, high)  # flat: before or after cannot be told
    sign, middle, span, room = (-1.0 if falls else 1.0), (low + high) / 2, u[-1] - u[0], high - low
    passed = sign * (y - middle) > 0
    if passed.all() or not passed.any():
        return (-math.inf if passed.all() else math.inf, math.nan, low, high)
    start, least, most = [u[passed.argmax()], span / 8], [u[0] - span, span / 200], [u[-1] + span, 2 * span]
    if not levels:
        start, least, most = start + [low, high], least + [low - room / 5, middle], most + [middle, high + room / 5]

    def gap(p: NDArray) -> NDArray:
        return _sigmoid((p[0], sign * p[1], *(levels or p[2:])), u) - y

    p = least_squares(gap, start, bounds=(least, most)).x
    if not u[0] <= p[0] <= u[-1]:
        return (math.inf if p[0] > u[-1] else -math.inf, math.nan, low, high)
    return (float(p[0]), sign * float(p[1]), *map(float, levels or p[2:]))


def fit_transition(
    x: ArrayLike,
    score: ArrayLike,
    *,
    levels: tuple[float, float] | None = (0.0, 1.0),
    falls: bool = False,
    log2: bool = True,
    draws: int = 200,
    contrast: float = 0.1,
    seed: int = 0,
) -> Transition:
    """Fit a sigmoid to the mean of a score over seeds; intervals by a bootstrap over seeds.

    Source: 2409.02426 version 5 fits its score by a sigmoid in log2(N / d) (as restated by a
    secondary source; its levels are not known). Least squares by scipy; the rest is ours.

    Args:
        x: abscissae (P,), P >= 3, ascending: training set sizes, or times.
        score: (S, P), one row a seed; (P,) for a single one, whose interval is then infinite.
        levels: low and high plateau; None to fit both, too.
        falls: the score goes from high to low.
        log2: fit in log2 of x, which must then be positive.
        draws: bootstrap samples of the seeds.
        contrast: with fitted levels, the smallest range of the score that counts as a transition.
        seed: of the bootstrap.

    Returns:
        The `Transition`, with 95 % intervals.

    Raises:
        ValueError: where shapes disagree, entries are not finite, or x is not ascending.
    """
    at, rows = np.asarray(x, dtype=float), np.atleast_2d(np.asarray(score, dtype=float))
    rising = at.ndim == 1 and len(at) >= 3 and bool((np.diff(at) > 0).all()) and np.isfinite(at).all()
    checks.require(bool(rising) and (not log2 or at[0] > 0), "x", at.tolist(), "at least 3 ascending numbers" + " > 0" * log2)
    ok = rows.ndim == 2 and rows.shape[1] == len(at) and np.isfinite(rows).all()
    checks.require(bool(ok), "score", f"array of shape {rows.shape}", f"finite (S, {len(at)})")
    checks.require(levels is None or levels[0] < levels[1], "levels", levels, "(low, high) with low < high, or None")
    u = np.log2(at) if log2 else at
    least = checks.real("contrast", contrast, 0.0) if levels is None else 0.0
    best = _fit(u, rows.mean(0), levels, falls, least)
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(rows), size=(checks.count("draws", draws), len(rows)))
    again = [_fit(u, rows[pick].mean(0), levels, falls, least)[:2] for pick in picks]
    return Transition(*best, *(_interval(column, len(rows)) for column in zip(*again, strict=True)), log2)


def _interval(values: Sequence[float], seeds: int) -> tuple[float, float]:
    """Central 95 %, with infinite ends where that many draws found nothing; undefined draws are left out."""
    known = np.sort([value for value in values if not math.isnan(value)])
    if seeds < 2 or len(known) == 0:
        return -math.inf, math.inf
    cut = int(0.025 * len(known))
    return float(known[cut]), float(known[-1 - cut])
