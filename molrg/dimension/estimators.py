r"""Estimators of intrinsic dimension, with an interval for the sampling of the points.

The intrinsic dimension is how many numbers locate a point on the set the data lie on. Both
estimators here, through scikit-dimension, look at how the distances to the nearest neighbours,
:math:`T_1 \le T_2 \le \dots`, grow: in d dimensions the volume of a ball grows as :math:`T^d`.

They see the data at one scale, that of the neighbours' distance. Clouds with an edge, such as a
Gaussian or a ball, read too low where d is high for the number of points
(:func:`molrg.dimension.calibration` shows by how much); sets that curve within that distance can
read too high.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrg import checks
from molrg.dimension.neighbours import Floats, Indices, as_cloud, nearest_neighbours

METHODS = ("mle", "twonn")
DISCARD = 0.1  # the share of largest ratios that TwoNN leaves out, as its authors do
TIES = 0.1  # of the points, at most: that many ties raise TwoNN by about 6 %
_EQUAL = 1e-9  # relative difference up to which two distances are a tie


@dataclass(frozen=True)
class Estimate:
    """An estimate of the intrinsic dimension with an interval for the sampling of the points.

    The interval does not cover the estimator's bias: see :func:`molrg.dimension.calibration`.
    """

    value: float
    low: float
    high: float
    method: str
    k: int
    N: int
    duplicates: int

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return (
            f"{method_name(self.method, self.k)}: {self.value:.1f} "
            f"[{self.low:.1f}, {self.high:.1f}] from N = {self.N}"
        )


def method_name(method: str, k: int) -> str:
    """How a method is called in tables."""
    return "TwoNN" if method == "twonn" else f"MLE k={k}"


def estimate(
    x: Tensor | np.ndarray,
    method: str = "mle",
    *,
    k: int = 20,
    level: float = 0.95,
    splits: int = 20,
    generator: torch.Generator | None = None,
) -> Estimate:
    r"""Estimate the intrinsic dimension of a cloud of points.

    ``mle``: the Levina-Bickel likelihood over k neighbours, inverses averaged over the points
    (:math:`\hat d^{-1} = \mathrm{mean}_i \frac{1}{k-1} \sum_{j<k} \log T_k(x_i) / T_j(x_i)`).
    ``twonn``: the slope of :math:`-\log(1 - F)` against :math:`\log T_2 / T_1`.

    The interval comes from halves. A bootstrap draws points twice, a point drawn twice is its own
    nearest neighbour at distance zero, and the estimate collapses; so the points are split at
    random into two disjoint halves, whose estimates are independent. Half their squared difference,
    averaged over splits, estimates the variance at N/2, without bias; half of that is the variance
    at N.

    Source: Levina and Bickel (2004) with the average of MacKay and Ghahramani (2005); Facco et al.
    (2017). The interval is ours; it assumes a variance proportional to 1/N.

    Args:
        x: points (N, ...), flattened to (N, n); exact duplicates are dropped and counted.
        method: "mle" or "twonn".
        k: neighbours of a point, for "mle"; 3 <= k <= N/4.
        level: coverage of the interval, in (0, 1).
        splits: random halvings, >= 2.
        generator: source of the halvings; None is a generator with seed 0.

    Returns:
        The estimate on all N points, with its interval.

    Raises:
        ValueError: where an argument is out of range, x is not finite, fewer than 4k points differ,
            or too many points have neighbours at equal distances, as in discrete data.
    """
    checks.one_of("method", method, METHODS)
    k = 2 if method == "twonn" else checks.count("k", k, 3)
    return NeighbourTable(x, k, splits=splits, generator=generator).estimate(method, k, level)


def readings(x: Tensor | np.ndarray, *, ks: Sequence[int] = (5, 10, 20)) -> dict[str, float]:
    """Estimates without intervals, by all methods from one search for neighbours.

    Source: as :func:`estimate`.

    Args:
        x: points (N, ...), flattened to (N, n); exact duplicates are dropped.
        ks: numbers of neighbours for the maximum-likelihood estimate, each >= 3.

    Returns:
        {"MLE k=5": ..., "TwoNN": ...}, in the order of ks, TwoNN last.

    Raises:
        ValueError: where x is not finite, has no more than max(ks) different points, or ties.
    """
    points = as_cloud(x).points
    largest = max(ks := [checks.count("ks", k, 3) for k in ks], default=2)
    if len(points) <= largest:
        allowed = f"more than {largest}, the largest of ks"
        raise ValueError(f"x = {len(points)} different points: allowed is {allowed}")
    distances, _ = nearest_neighbours(points, largest)
    methods = [("mle", k) for k in ks] + [("twonn", 2)]
    return {method_name(*chosen): _reading(distances, *chosen) for chosen in methods}


class NeighbourTable:
    """Neighbours of all points of a cloud, searched once, from which every method is read.

    Args:
        x: points (N, ...), flattened to (N, n); exact duplicates are dropped and counted.
        largest: the largest k that will be asked for, >= 2; 4 of them <= N.
        splits: random halvings for the intervals, >= 2.
        generator: source of the halvings; None is a generator with seed 0.

    Attributes:
        cloud: the different points.
        largest: as given.

    Raises:
        ValueError: where an argument is out of range or x is not finite.
    """

    def __init__(
        self,
        x: Tensor | np.ndarray,
        largest: int,
        *,
        splits: int = 20,
        generator: torch.Generator | None = None,
    ) -> None:
        splits = checks.count("splits", splits, 2)
        self.largest = largest = checks.count("largest", largest, 2)
        self.cloud = as_cloud(x)
        N = len(self.cloud.points)
        if 4 * largest > N:
            needed = f">= {4 * largest} of them, 4 times k = {largest}"
            raise ValueError(f"x = {N} different points: allowed is {needed}")
        # Four times as many neighbours as needed: a random half then keeps k of them but for a
        # chance of about 1e-8.
        self.distances, near = nearest_neighbours(self.cloud.points, min(N - 1, 4 * largest + 30))
        generator = generator or torch.Generator().manual_seed(0)
        masks = [_half(N, generator) for _ in range(splits)]
        self._halves = [
            [_within(self.distances, near, half, largest) for half in (mask, ~mask)]
            for mask in masks
        ]

    def estimate(self, method: str, k: int, level: float = 0.95) -> Estimate:
        """The estimate by one method, with its interval; "twonn" has 2 neighbours whatever k is.

        Raises:
            ValueError: where the method is unknown, k is not in 3 ... `largest`, the level is not
                in (0, 1), or too many distances are equal.
        """
        from scipy.stats import norm  # noqa: PLC0415 - slow to import

        checks.one_of("method", method, METHODS)
        k = 2 if method == "twonn" else checks.count("k", k, 3, self.largest)
        if not 0 < level < 1:
            raise ValueError(f"level = {level}: allowed is a number in (0, 1)")
        value = _reading(self.distances, method, k)
        gaps = [_formula(a, method, k) - _formula(b, method, k) for a, b in self._halves]
        half_width = float(norm.ppf(0.5 + level / 2)) * math.sqrt(np.mean(np.square(gaps)) / 4)
        return Estimate(
            value=value,
            low=value - half_width,
            high=value + half_width,
            method=method,
            k=k,
            N=len(self.cloud.points),
            duplicates=self.cloud.duplicates,
        )


def _half(N: int, generator: torch.Generator) -> NDArray[np.bool_]:
    mask = np.zeros(N, dtype=bool)
    order = torch.randperm(N, generator=generator, device="cpu").numpy()
    mask[order[: N // 2]] = True
    return mask


def _within(distances: Floats, near: Indices, half: NDArray[np.bool_], k: int) -> Floats:
    """Distances to the k nearest inside one half, read off the longer lists of the whole."""
    inside = half[near[half]]
    enough = inside.sum(1) >= k
    order = np.argsort(~inside[enough], axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances[half][enough], order, axis=1)


def _levina_bickel(distances: Floats) -> float:
    """Levina-Bickel with inverses averaged, from sorted neighbour distances (N, k)."""
    return float(1 / np.log(distances[:, -1:] / distances[:, :-1]).mean())


def _two_nn(distances: Floats) -> float:
    """TwoNN from sorted neighbour distances: a line through the origin, largest ratios left out."""
    log_ratio = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    log_ratio = log_ratio[: int(len(distances) * (1 - DISCARD))]
    survival = -np.log1p(-np.arange(1, len(log_ratio) + 1) / len(distances))
    return float(log_ratio @ survival / (log_ratio @ log_ratio))


def _formula(distances: Floats, method: str, k: int) -> float:
    """The same estimate as `_reading`, vectorised for the many halves."""
    return _two_nn(distances) if method == "twonn" else _levina_bickel(distances[:, :k])


def _reading(distances: Floats, method: str, k: int) -> float:
    """The estimate by scikit-dimension, from sorted neighbour distances.

    Raises:
        ValueError: where different points have distance zero, or too many distances are equal.
    """
    import skdim  # noqa: PLC0415 - slow to import

    near = distances[:, :k]
    _comparable(near, method_name(method, k))
    if method == "twonn":
        return float(skdim.id.TwoNN(discard_fraction=DISCARD, dist=True).fit(near).dimension_)
    estimator = skdim.id.MLE()
    estimator.fit(near, precomputed_knn_arrays=(near, near), n_neighbors=k, comb="mle")
    return float(estimator.dimension_)


def _comparable(near: Floats, name: str) -> None:
    """Raise where the distances (N, k) from too many points are equal, or zero."""
    zero = int((near[:, 0] == 0).sum())
    if zero:
        allowed = "points that double precision can tell apart"
        raise ValueError(f"x = {zero} points at distance 0 from another one: allowed is {allowed}")
    tied = float((near[:, -1] <= (1 + _EQUAL) * near[:, 0]).mean())
    if tied > TIES:
        raise ValueError(
            f"x = points of which {100 * tied:.0f} % have neighbours at equal distances: allowed "
            f"is {100 * TIES:.0f} % at most for {name}, which needs continuous data"
        )
