r"""Memorisation: does a sample copy a training point, and do two networks agree?

A sample copies where its nearest training point is much nearer than the second one,
:math:`\rho_1 / \rho_2 < c`. All distances are Euclidean; images are compared pixel by pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from molrg import checks
from molrg._moved import from_room

THIRD = 1 / 3  # the usual c; `generalisation_score` and `copy_ratio` let one sweep it
_CELLS = 2**24  # distances held at once
__getattr__ = from_room(__name__, {"Transition": "molrg.stats", "fit_transition": "molrg.stats"})


def _flat(name: str, x: Tensor, low: int = 1) -> Tensor:
    """Points (N, n), of single precision at least."""
    checks.finite(name, x)
    if x.dim() < 2 or len(x) < low:
        raise ValueError(f"{name}.shape = {tuple(x.shape)}: allowed is (N, *event) with N >= {low}")
    return checks.at_least_single(x.flatten(1))


def _distances(x: Tensor, data: Tensor) -> Tensor:
    """Distances (B, N) by differences, so that an exact copy has distance exactly 0.

    |x|^2 + |y|^2 - 2 xy would be faster, and wrong by the rounding of |x|^2.
    """
    return torch.cdist(x, data, compute_mode="donot_use_mm_for_euclid_dist")


def _scale(*clouds: Tensor) -> float:
    """A power of two near the largest entry: dividing by it is exact, and no square overflows."""
    largest = max(float(cloud.abs().max()) for cloud in clouds)
    most = torch.finfo(clouds[0].dtype).max / (4 * clouds[0].shape[1])
    if largest > most:
        raise ValueError(f"x, data = entries up to {largest:.0e}: allowed is at most {most:.0e}")
    return 2.0 ** (math.frexp(largest)[1] - 1)


def halves(data: Tensor, N: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two disjoint random training sets of N points each; the same seed extends them as N grows.

    Args:
        data: the whole set (M, \\*event).
        N: size of each, 1 <= N <= M / 2.
        generator: source of the order.

    Raises:
        ValueError: where there are fewer than 2 N points, or one is not finite.
    """
    checks.finite("data", data)
    size = checks.count("N", N, 1, len(data) // 2)
    order = torch.randperm(len(data), generator=generator, device="cpu")[: 2 * size]
    return data[order[0::2]], data[order[1::2]]


def nearest(x: Tensor, data: Tensor, k: int = 2) -> Tensor:
    """Distances from every point to its k nearest training points, ascending.

    Args:
        x: points (B, \\*event).
        data: training points (N, \\*event), of the dtype of x.
        k: how many, 1 <= k <= N.

    Returns:
        (B, k), in the dtype of x; in single precision for points of half precision.

    Raises:
        ValueError: where shapes or dtypes disagree, N < k, or entries are not finite, or so large
            that distances are not.
    """
    return _nearest(x, "data", data, k)


def _nearest(x: Tensor, name: str, data: Tensor, k: int) -> Tensor:
    """As `nearest`, of a training set of another name."""
    points = _flat("x", x)
    training = _flat(name, data, k := checks.count("k", k))
    if points.shape[1] != training.shape[1] or x.dtype != data.dtype:
        raise ValueError(
            f"x = {tuple(x.shape)} of {x.dtype}: allowed is events like those of {name}, "
            f"{tuple(data.shape)} of {data.dtype}"
        )
    scale = _scale(points, training)
    scaled = training / scale
    rows = max(1, _CELLS // len(training))
    blocks = [_distances(block / scale, scaled) for block in points.split(rows)]
    return scale * torch.cat([block.topk(k, largest=False).values for block in blocks])


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
    return _first_over_second(nearest(x, data, 2))


def _first_over_second(near: Tensor) -> Tensor:
    """Of distances (B, 2); 1 where both are 0."""
    first, second = near.unbind(-1)
    return torch.where(second > 0, first / second, 1.0)


def memorised(x: Tensor, data: Tensor, *, c: float = THIRD) -> Tensor:
    """Whether each point copies a training point: rho_1 / rho_2 < c.

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
    """Distance to the nearest point of the own training set over that of another of the same law.

    0 for a copy; about 1 for a fresh sample where both sets have the same size.

    Args:
        x: points (B, \\*event).
        own: training points (N, \\*event).
        other: (N', \\*event); N' = N unless the sets are to be compared as they are.

    Returns:
        (B,); 1 where both distances are 0, and infinite where x copies a point of `other` alone.

    Raises:
        ValueError: as `nearest`.
    """
    return _own_over_other(_nearest(x, "own", own, 1), _nearest(x, "other", other, 1))


def _own_over_other(own: Tensor, other: Tensor) -> Tensor:
    """Of distances to the nearest, the first of each row; 1 where both are 0."""
    to_own, to_other = own[:, 0], other[:, 0]
    return torch.where((to_own == 0) & (to_other == 0), 1.0, to_own / to_other)


def off_subspace(x: Tensor, bases: Sequence[Tensor]) -> Tensor:
    r"""Relative residual to the nearest of K subspaces, :math:`\min_k \|x - U_k U_k^T x\| / \|x\|`.

    Args:
        x: points (B, n), of any scale; zero has no residual.
        bases: K orthonormal (n, d_k), one or more, of one dtype.

    Returns:
        (B,), in the dtype of x; in single precision for points of half precision.

    Raises:
        ValueError: where there is no basis, one is not orthonormal, or shapes disagree.
    """
    points = checks.scaled(_flat("x", x), (-1,))
    checks.orthonormal_each("bases", bases)
    residuals = []
    for k, given in enumerate(bases):
        if len(given) != points.shape[1]:
            allowed = f"({points.shape[1]}, d)"
            raise ValueError(f"bases[{k}].shape = {tuple(given.shape)}: allowed is {allowed}")
        basis = given.to(points.dtype)
        residuals.append((points - points @ basis @ basis.T).norm(dim=-1))
    lengths = points.norm(dim=-1).clamp_min(torch.finfo(points.dtype).tiny)
    return torch.stack(residuals).amin(0) / lengths


def generalisation_score(
    x: Tensor,
    data: Tensor,
    *,
    c: float = THIRD,
    bases: Sequence[Tensor] | None = None,
    residual: float = 0.2,
) -> float:
    """The share of samples that are no copies and, with bases, lie on a subspace.

    Without bases it is 1 - share memorised, and noise scores 1, too: report quality beside it.

    Source: the form of 2310.05264 (share below a threshold of similarity), with the ratio of
    distances in place of a learnt image similarity; the condition on the subspaces is ours.

    Args:
        x: samples (B, \\*event).
        data: training points (N, \\*event), N >= 2.
        c: a sample is a copy where rho_1 / rho_2 < c.
        bases: the true subspaces (n, d_k) of synthetic data.
        residual: largest relative distance from the nearest subspace that counts as on it.

    Raises:
        ValueError: as `memorised` and `off_subspace`.
    """
    good = ~memorised(x, data, c=c)
    if bases is not None:
        good &= off_subspace(x, bases) < checks.real("residual", residual, 0.0)
    return good.double().mean().item()


def scores(
    x: Tensor, own: Tensor, other: Tensor, *, c: float = THIRD, cs: Sequence[float] = ()
) -> dict[str, float | list[float]]:
    """What a table of samples wants: share memorised, distance ratio, generalisation scores.

    Args:
        x: samples (B, \\*event) of a model trained on `own`.
        own: training points (N, \\*event), N >= 2.
        other: a disjoint set of the same law, (N, \\*event).
        c: threshold of `memorised`.
        cs: thresholds of `generalisation_score`.

    Returns:
        "memorised", "ratio", and "gl", one number for each of `cs`.

    Raises:
        ValueError: as `memorised` and `distance_ratio`.
    """
    for level in (c, *cs):
        checks.real("c", level, 1e-12, 1.0)
    near = _nearest(x, "own", own, 2)  # the slow part, once
    ratio = _own_over_other(near, _nearest(x, "other", other, 1))
    copying = _first_over_second(near)
    return {
        "memorised": (copying < c).double().mean().item(),
        "ratio": ratio.mean().item(),
        "gl": [(~(copying < level)).double().mean().item() for level in cs],
    }


class Agreement(NamedTuple):
    """How alike two sets of samples from the same noise are, in pairs and shuffled."""

    paired: float
    shuffled: float
    distance: float


def agreement(a: Tensor, b: Tensor, *, centre: Tensor | None = None) -> Agreement:
    """Compare samples of two models, row by row made from the same noise.

    Args:
        a: samples (B, \\*event), B >= 2, of any scale.
        b: samples of the other model, of the same shape.
        centre: subtracted from both, (\\*event); the mean of all samples where omitted. Without it
            any two images would correlate, for they share their mean.

    Returns:
        The mean correlation (cosine of the centred samples) of the pairs; the same over all pairs
        that do not belong together; and the mean squared distance of the pairs over that of the
        others.

    Raises:
        ValueError: where shapes differ, B < 2, entries are not finite, or all samples of both are
            one and the same.
    """
    first = _flat("a", a, 2)
    second = _flat("b", b, 2)
    if a.shape != b.shape:
        raise ValueError(f"b.shape = {tuple(b.shape)}: allowed is that of a, {tuple(a.shape)}")
    both = torch.stack([first, second])
    scale = checks.magnitude(both)
    both = both / scale
    middle = both.flatten(0, 1).mean(0)
    square = _distances(*(both - middle)).square()
    if centre is not None:
        middle = _centre(centre, a).to(both).flatten() / scale
    directions = checks.scaled(both - middle, (-1,))
    first, second = torch.nn.functional.normalize(directions, dim=-1)
    cosine = first @ second.T
    others = _off_diagonal(square)
    if others == 0:
        raise ValueError("b = samples that all equal those of a: allowed is samples that differ")
    return Agreement(
        paired=cosine.diagonal().mean().item(),
        shuffled=_off_diagonal(cosine),
        distance=square.diagonal().mean().item() / others,
    )


def _centre(centre: Tensor, samples: Tensor) -> Tensor:
    checks.finite("centre", centre)
    if centre.shape != samples.shape[1:]:
        allowed = f"that of a sample, {tuple(samples.shape[1:])}"
        raise ValueError(f"centre.shape = {tuple(centre.shape)}: allowed is {allowed}")
    return centre


def _off_diagonal(matrix: Tensor) -> float:
    """Mean of the entries off the diagonal of a (B, B) matrix."""
    B = len(matrix)
    return ((matrix.sum() - matrix.trace()) / (B * (B - 1))).item()
