r"""Memorisation: does a sample copy a training point, do two networks agree, and where does that change?

A sample copies where its nearest training point is much nearer than the second one,
:math:`d_1 / d_2 < c`. All distances are Euclidean; images are compared pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from molrg import checks

THIRD = 1 / 3  # the usual c; `gl` and `copy_ratio` let one sweep it


def _flat(name: str, x: Tensor, low: int = 1) -> Tensor:
    checks.finite(name, x)
    checks.require(
        x.dim() >= 2 and len(x) >= low,
        f"{name}.shape",
        tuple(x.shape),
        f"(N, *event) with N >= {low}",
    )
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
    order = torch.randperm(len(data), generator=generator)[
        : 2 * checks.count("N", N, 1, len(data) // 2)
    ]
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
    checks.require(
        same,
        "x",
        f"{tuple(x.shape)} of {x.dtype}",
        f"events like those of data, {tuple(data.shape)} of {data.dtype}",
    )
    rows = max(1, 2**24 // len(training))  # of the distance matrix held at a time
    # differences, not |x|^2 + |y|^2 - 2 xy: an exact copy must have distance exactly 0
    blocks = [
        torch.cdist(block, training, compute_mode="donot_use_mm_for_euclid_dist")
        for block in points.split(rows)
    ]
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
        checks.require(
            len(basis) == points.shape[1],
            f"bases[{k}].shape",
            tuple(basis.shape),
            f"({points.shape[1]}, d)",
        )
        residuals.append((points - points @ basis @ basis.T).norm(dim=-1))
    return torch.stack(residuals).amin(0) / points.norm(dim=-1).clamp_min(
        torch.finfo(points.dtype).tiny
    )


def gl(
    x: Tensor,
    data: Tensor,
    *,
    c: float = THIRD,
    bases: Sequence[Tensor] | None = None,
    residual: float = 0.2,
) -> float:
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


def scores(
    x: Tensor, own: Tensor, other: Tensor, *, c: float = THIRD, cs: Sequence[float] = ()
) -> dict[str, float | list[float]]:
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
    share, ratio = (
        memorised(x, own, c=c).double().mean().item(),
        distance_ratio(x, own, other).mean().item(),
    )
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
    cosine = (
        torch.nn.functional.normalize(first - middle, dim=-1)
        @ torch.nn.functional.normalize(second - middle, dim=-1).T
    )
    square = torch.cdist(first, second).square()
    B = len(first)

    def off(matrix: Tensor) -> float:
        return ((matrix.sum() - matrix.trace()) / (B * (B - 1))).item()

    return Agreement(
        (cosine.trace() / B).item(), off(cosine), (square.trace() / B).item() / off(square)
    )
