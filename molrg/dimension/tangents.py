r"""Do tangent spaces differ between classes? Affinities of local subspaces, compared fairly.

Near points have similar tangent spaces whatever the shape of the set, and points of one class are
near: so classes are compared at equal distance and without common neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molrg import checks
from molrg.dimension.neighbours import as_cloud, nearest_neighbours


@dataclass(frozen=True)
class Gap:
    """Affinity of tangent spaces within a class minus that across classes, in three ways."""

    naive: float  # all pairs
    disjoint: float  # pairs whose neighbourhoods share no point
    matched: float  # such pairs, each compared at equal distance from the same anchor
    kept: float  # share of within-class pairs for which an equal distance was found


@dataclass(frozen=True)
class TangentPairs:
    """Affinities of the tangent spaces at m anchors, and which pairs may be compared."""

    rows: Tensor  # (m,) which points are the anchors
    affinity: Tensor  # (m, m) mean squared cosine of the principal angles
    distance: Tensor  # (m, m)
    disjoint: Tensor  # (m, m) bool: the neighbourhoods share no point
    tolerance: float = 0.02  # relative difference up to which two distances count as equal

    def gap(self, labels: Tensor) -> Gap:
        """Compare pairs of one class with pairs of two, for labels (N,) of all points.

        Raises:
            ValueError: where the labels leave no pair to compare.
        """
        y = torch.as_tensor(labels, device=self.rows.device)[self.rows]
        same = y[:, None] == y
        other = ~torch.eye(len(y), dtype=torch.bool, device=y.device)
        compared = [self._matched(i, same[i], self.disjoint[i]) for i in range(len(y))]
        matched = [pair for pair in compared if pair is not None]
        if not matched:
            allowed = "two classes or more, pairs apart in each"
            raise ValueError(f"labels = no comparable pairs: allowed is {allowed}")
        differences, shares = zip(*matched, strict=True)
        return Gap(
            naive=self._difference(same & other, ~same),
            disjoint=self._difference(same & self.disjoint, ~same & self.disjoint),
            matched=float(np.mean(differences)),
            kept=float(np.mean(shares)),
        )

    def _difference(self, within: Tensor, across: Tensor) -> float:
        return float(self.affinity[within].mean() - self.affinity[across].mean())

    def _matched(self, i: int, same: Tensor, allowed: Tensor) -> tuple[float, float] | None:
        """Mean difference at anchor i, and the share of its pairs that have a match."""
        within = (same & allowed).nonzero()[:, 0]
        across = (~same & allowed).nonzero()[:, 0]
        if not len(within) or not len(across):
            return None
        apart = (self.distance[i, within, None] - self.distance[i, across]).abs()
        gaps, nearest = apart.min(1)
        good = gaps <= self.tolerance * self.distance[i, within]
        if not good.any():
            return None
        difference = self.affinity[i, within] - self.affinity[i, across[nearest]]
        return float(difference[good].mean()), float(good.double().mean())


def tangent_pairs(
    x: Tensor, *, anchors: int = 400, neighbours: int = 20, d: int = 8, generator: torch.Generator
) -> TangentPairs:
    r"""Estimate the tangent space at random anchors, and the affinity of every pair of them.

    The tangent space at a point is the span of the first d principal directions of the point and
    its nearest neighbours, chosen without looking at any label. The affinity of two is
    :math:`\|U_i^T U_j\|_F^2 / d`, the mean squared cosine of their principal angles.

    Source: ours; local principal components as in Kambhatla and Leen (1997).

    Args:
        x: points (N, ...), flattened.
        anchors: number m of points at which tangent spaces are taken, <= N.
        neighbours: points in a neighbourhood, the anchor included; > d.
        d: dimension of a tangent space.
        generator: source of the choice of anchors.

    Returns:
        The pairs; ``.gap(labels)`` compares classes.

    Raises:
        ValueError: where an argument is out of range, or a neighbourhood spans less than d
            dimensions.
    """
    from scipy.spatial.distance import pdist, squareform  # noqa: PLC0415 - slow to import

    cloud = as_cloud(x, drop=False)
    N = len(cloud.points)
    m = checks.count("anchors", anchors, 2, N)
    d = checks.count("d", d, 1, cloud.points.shape[1])
    k = checks.count("neighbours", neighbours, d + 1, N)
    rows = torch.randperm(N, generator=generator, device="cpu")[:m]
    _, others = nearest_neighbours(cloud.points, k - 1, rows.numpy())
    near = torch.cat([rows[:, None], torch.from_numpy(others)], dim=1)
    points = torch.from_numpy(cloud.points)
    patches = points[near]
    patches -= patches.mean(1, keepdim=True)
    directions = _principal(patches, d).flatten(0, 1).numpy()
    # numpy sees a matrix times its own transpose, and computes half of it
    cosines = torch.from_numpy(directions @ directions.T)
    affinity = cosines.square_().reshape(m, d, m, d).sum((1, 3)) / d
    member = points.new_zeros(m, N).scatter_(1, near, 1.0)
    distance = torch.from_numpy(cloud.scale * squareform(pdist(cloud.points[rows.numpy()])))
    return TangentPairs(rows, affinity, distance, member @ member.T == 0)


def tangent_affinity(
    x: Tensor,
    labels: Tensor,
    *,
    anchors: int = 400,
    neighbours: int = 20,
    d: int = 8,
    generator: torch.Generator,
) -> Gap:
    """Affinity of tangent spaces within classes minus that across.

    The same as :func:`tangent_pairs` and ``.gap(labels)``.

    Close points have similar tangent spaces for no deeper reason (they share neighbours), and
    points of one class are close. So three differences are returned; quote ``matched``.

    Raises:
        ValueError: where an argument is out of range, or labels do not have one entry per point.
    """
    if len(labels) != len(x):
        given = tuple(np.shape(labels))
        raise ValueError(f"labels.shape = {given}: allowed is ({len(x)},), one label per point")
    pairs = tangent_pairs(x, anchors=anchors, neighbours=neighbours, d=d, generator=generator)
    return pairs.gap(labels)


def _principal(cloud: Tensor, d: int) -> Tensor:
    """Rows are the first d principal directions of centred (m, k, n), by k x k Gram matrices."""
    energy, weights = torch.linalg.eigh(cloud @ cloud.mT)
    flat = int((energy[:, -d] <= 1e-12 * energy[:, -1]).sum())
    if flat:
        allowed = f"a smaller d: {flat} neighbourhoods span fewer dimensions"
        raise ValueError(f"d = {d}: allowed is {allowed}")
    return (weights[..., -d:] / energy[:, None, -d:].sqrt()).mT @ cloud
