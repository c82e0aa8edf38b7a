r"""Geometry of linear subspaces: angles and distances between them, matched up to their order.

A subspace is given by an orthonormal basis U of shape (n, d), n ambient and d intrinsic. Leading
axes are an ensemble: (..., n, d). Angles are the principal (canonical) angles, in radians unless a
name says degrees.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrg import checks
from molrg.subspaces.bases import orthonormalise

Bases = Sequence[Tensor]
_ALL_ORDERS = 5  # subspaces of which every permutation is tried


def principal_angles(first: Tensor, second: Tensor) -> Tensor:
    """Principal angles between the spans of (..., n, d_1) and (..., n, d_2), ascending, in radians.

    Source: Bjorck and Golub (1973), as in ``scipy.linalg.subspace_angles``.

    Args:
        first: independent columns, which need not be orthonormal.
        second: likewise; leading axes broadcast.

    Returns:
        (..., min(d_1, d_2)) in [0, pi/2].

    Accuracy: small angles come from sines and large ones from cosines, in double precision, so all
    are good to rounding, where arccos alone loses half the digits.

    Raises:
        ValueError: where a basis is not finite or its columns are dependent, or n differs.
    """
    checks.finite("first", first)
    checks.finite("second", second)
    if first.shape[-2] != second.shape[-2]:
        allowed = f"n = {first.shape[-2]} rows"
        raise ValueError(f"second.shape = {tuple(second.shape)}: allowed is {allowed}")
    wider = torch.promote_types(first.dtype, second.dtype)
    first, second = _orthonormal("first", first), _orthonormal("second", second)
    if first.shape[-1] < second.shape[-1]:
        first, second = second, first
    products = first.mT @ second
    cosines = torch.linalg.svdvals(products).clamp(max=1)
    sines = torch.linalg.svdvals(second - first @ products).flip(-1).clamp(max=1)
    angles = torch.where(cosines.square() > 0.5, sines.asin(), cosines.acos())
    return angles.sort(-1).values.to(wider)


def _orthonormal(name: str, columns: Tensor) -> Tensor:
    """An orthonormal basis of the span of columns, in double precision."""
    if columns.shape[-1] > columns.shape[-2] or not columns.any(-2).all():
        allowed = "(n, d) with d <= n and no zero column"
        raise ValueError(f"{name}.shape = {tuple(columns.shape)}: allowed is {allowed}")
    try:
        return orthonormalise(columns.double())
    except ValueError:
        allowed = "independent columns"
        raise ValueError(f"{name} = columns that are dependent: allowed is {allowed}") from None


def projector_distance(first: Tensor, second: Tensor) -> Tensor:
    r"""Relative distance :math:`\|P - P^*\|_F / \sqrt{d + d^*}` in [0, 1] between two subspaces.

    Written with residuals, so that equal subspaces give about 1e-16 and not its square root.

    Args:
        first: (..., n, d).
        second: (..., n, d*); leading axes broadcast.
    """
    residual = second - first @ (first.mT @ second)
    converse = first - second @ (second.mT @ first)
    total = residual.square().sum((-2, -1)) + converse.square().sum((-2, -1))
    return torch.sqrt(total / (first.shape[-1] + second.shape[-1]))


def energies(x: Tensor, bases: Bases) -> Tensor:
    r"""Squared projections :math:`\|U_k^T x_i\|^2` of every point on every basis.

    Args:
        x: points (N, n).
        bases: K bases (n, d_k), or (E, n, d_k) for an ensemble.

    Returns:
        (N, K), or (E, N, K).
    """
    return torch.stack([(x @ basis).square().sum(-1) for basis in bases], dim=-1)


def _pairwise(estimate: Bases, truth: Bases) -> NDArray[np.float64]:
    """Distances of every pair, (K, K)."""
    checks.orthonormal_each("estimate", estimate)
    checks.orthonormal_each("truth", truth)
    if len(estimate) != len(truth):
        allowed = f"as many as truth, {len(truth)}"
        raise ValueError(f"len(estimate) = {len(estimate)}: allowed is {allowed}")
    sizes = sorted({estimate[0].shape[0], truth[0].shape[0]})
    if len(sizes) > 1:
        raise ValueError(f"ambient dimensions = {sizes}: allowed is all equal")
    # in double precision, so that bases trained in single can be held against exact ones
    pairs = [[projector_distance(u.double(), v.double()) for v in truth] for u in estimate]
    return torch.stack([torch.stack(row) for row in pairs]).cpu().numpy()


def bottleneck_assignment(distances: NDArray) -> NDArray:
    """The permutation of smallest largest entry (a bottleneck assignment), ties by the sum.

    Args:
        distances: (K, K), none of them NaN.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import

    for limit in np.unique(distances):
        rows, columns = linear_sum_assignment(np.where(distances <= limit, distances, 1e3))
        if distances[rows, columns].max() <= limit:
            return columns
    raise AssertionError("the largest distance admits every permutation")


def match(estimate: Bases, truth: Bases) -> list[int]:
    """The permutation Pi for which `estimate[k]` belongs to `truth[Pi[k]]` in `subspace_error`."""
    return bottleneck_assignment(_pairwise(estimate, truth)).tolist()


def subspace_error(estimate: Tensor | Bases, truth: Tensor | Bases) -> float:
    r"""Recovery error :math:`\max_k \|P_k - P^*_k\|_F / \sqrt{d_k + d^*_k}`, over permutations.

    Source: Theorems 2 and 4 of 2409.02426 bound the numerator; the scale puts it in [0, 1].

    Args:
        estimate: K orthonormal bases (n, d_k), or one.
        truth: K orthonormal bases (n, d*_k), or one.

    Raises:
        ValueError: where a basis is not orthonormal, or the numbers or ambient dimensions differ.
    """
    estimate = (
        [estimate] if isinstance(estimate, Tensor) and estimate.dim() == 2 else list(estimate)
    )
    truth = [truth] if isinstance(truth, Tensor) and truth.dim() == 2 else list(truth)
    return _smallest_largest(_pairwise(estimate, truth))


def _smallest_largest(distances: NDArray[np.float64]) -> float:
    """The largest distance of the permutation where it is smallest; NaN where a distance is."""
    if np.isnan(distances).any():
        return math.nan
    return float(distances[np.arange(len(distances)), bottleneck_assignment(distances)].max())


def subspace_errors(estimate: Bases, truth: Bases) -> Tensor:
    r"""`subspace_error` of an ensemble: (..., n, d_k) and (..., n, d*_k), leading axes broadcast.

    Args:
        estimate: K orthonormal bases.
        truth: K orthonormal bases.

    Returns:
        (...) errors in [0, 1]; NaN for a model with NaN in a basis, as after a diverged training.

    Raises:
        ValueError: where the numbers of bases differ.
    """
    K = len(truth)
    if len(estimate) != K:
        raise ValueError(f"len(estimate) = {len(estimate)}: allowed is as many as truth, {K}")
    pairs = [[projector_distance(u, v) for v in truth] for u in estimate]
    distances = torch.stack([torch.stack(row, -1) for row in pairs], -2)  # (..., K, K)
    if K > _ALL_ORDERS:
        tables = distances.reshape(-1, K, K).double().cpu().numpy()
        smallest = [_smallest_largest(table) for table in tables]
        return distances.new_tensor(smallest).reshape(distances.shape[:-2])
    orders = torch.tensor(list(itertools.permutations(range(K))), device=distances.device)
    rows = torch.arange(K, device=distances.device)
    return distances[..., rows, orders].amax(-1).amin(-1)
