r"""Intrinsic dimension of data, with an interval, and what the number of points allows one to say.

The intrinsic dimension is how many numbers locate a point on the set the data lie on. Both
estimators here, through scikit-dimension, look at how the distances :math:`T_1 \le T_2 \le \dots` to the
nearest neighbours grow: in d dimensions the volume of a ball grows as :math:`T^d`.

They see the data at one scale, that of the neighbours' distance. Clouds with an edge, such as a
Gaussian or a ball, read too low where d is high for the number of points (:func:`calibration` shows
by how much); sets that curve within that distance can read too high.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrg import checks

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("mle", "twonn")
CALIBRATED_AT = 4000  # points of the calibration in `describe`, at most
DISCARD = 0.1  # the share of largest ratios that TwoNN leaves out, as its authors do
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """An estimate of the intrinsic dimension with an interval for the sampling of the points.

    The interval does not cover the estimator's bias: see :func:`calibration`.
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
        name = "TwoNN" if self.method == "twonn" else f"MLE k={self.k}"
        return f"{name}: {self.value:.1f} [{self.low:.1f}, {self.high:.1f}] from N = {self.N}"


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
    averaged over splits, estimates the variance at N/2, without bias; half of that is the variance at N.

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
        ValueError: where an argument is out of range, x is not finite, or fewer than 4k points differ.
    """
    checks.one_of("method", method, METHODS)
    k = 2 if method == "twonn" else checks.count("k", k, 3)
    return _estimates(x, [(method, k)], level, splits, generator)[0]


def readings(x: Tensor | np.ndarray, *, ks: Sequence[int] = (5, 10, 20)) -> dict[str, float]:
    """Estimates without intervals, by all methods from one search for neighbours.

    Source: as :func:`estimate`.

    Args:
        x: points (N, ...), flattened to (N, n); exact duplicates are dropped.
        ks: numbers of neighbours for the maximum-likelihood estimate, each >= 3.

    Returns:
        {"MLE k=5": ..., "TwoNN": ...}, in the order of ks, TwoNN last.

    Raises:
        ValueError: where x is not finite or has no more than max(ks) different points.
    """
    points, _ = as_points(x)
    k_max = max(checks.count("k", k, 3, len(points) - 1) for k in ks)
    distances, _ = nearest(points, k_max)
    return {f"MLE k={k}": _skdim(distances, "mle", k) for k in ks} | {
        "TwoNN": _skdim(distances, "twonn", 2)
    }


def describe(
    x: Tensor | np.ndarray,
    labels: Tensor | np.ndarray | None = None,
    *,
    ks: Sequence[int] = (5, 10, 20),
    generator: torch.Generator | None = None,
) -> Report:
    """Describe the dimension of a reader's own array: every method, and what N says about it.

    Source: ours.

    Args:
        x: points (N, ...), flattened to (N, n).
        labels: class of each point (N,), for a line per class; classes with fewer than 4k points
            are left out of it.
        ks: numbers of neighbours for the maximum-likelihood estimate.
        generator: source of the halvings and of the calibration; None is a generator with seed 0.

    Returns:
        A report that prints itself. It holds the same reading of the :func:`gaussian_twin`, too.

    Raises:
        ValueError: as :func:`estimate`; where labels do not have one entry a point.
    """
    generator = generator or torch.Generator().manual_seed(0)
    points, _ = as_points(x)
    whole = _estimates(x, [("mle", k) for k in ks] + [("twonn", 2)], 0.95, 20, generator)
    k = max(ks)
    classes: dict[Any, Estimate] = {}
    if labels is not None:
        y = np.asarray(labels)
        checks.require(
            y.shape == (len(x),), "labels.shape", y.shape, f"({len(x)},), one label a point"
        )
        big = [c for c in np.unique(y) if (y == c).sum() >= 4 * k]
        classes = {c.item(): estimate(np.asarray(x)[y == c], k=k, generator=generator) for c in big}
    reference = whole[len(ks) - 1]
    n, N = points.shape[1], reference.N
    dims = sorted(
        {min(n, round(reference.value * factor)) for factor in (0.5, 1, 1.5, 2, 3, 4)} - {0}
    )
    readings = calibration(min(N, CALIBRATED_AT), dims, k=k, generator=generator)
    flat = _invert(readings, reference.value)
    twin = gaussian_twin(torch.from_numpy(points), generator=generator)
    against = _estimates(twin, [("mle", k)], 0.95, 2, generator)[0].value
    return Report(N, n, reference.duplicates, whole, classes, flat, min(N, CALIBRATED_AT), against)


def calibration(
    N: int, dims: Sequence[int], *, k: int = 20, generator: torch.Generator
) -> pd.DataFrame:
    """Read both estimators on N points of a standard Gaussian of known dimension.

    A Gaussian that fills d dimensions has intrinsic dimension d; embedding it isometrically in more
    coordinates changes no distance, so this is also the reading in any ambient dimension >= d.

    Source: ours.

    Args:
        N: number of points, >= 4k.
        dims: the true dimensions.
        k: neighbours for the maximum-likelihood estimate.
        generator: source of the points.

    Returns:
        DataFrame with the columns d, mle, twonn.

    Raises:
        ValueError: where an argument is out of range.
    """
    import pandas as pd

    checks.count("N", N, 4 * checks.count("k", k, 3))
    rows = []
    for d in dims:
        x = torch.randn(
            N, checks.count("dims", d), generator=generator, dtype=torch.float64
        ).numpy()
        mle, twonn = readings(x, ks=(k,)).values()
        rows.append({"d": d, "mle": mle, "twonn": twonn})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Report:
    """What :func:`describe` found; prints as text, and as a table in a notebook."""

    N: int
    n: int
    duplicates: int
    estimates: list[Estimate]
    classes: dict[Any, Estimate]
    flat: float  # dimension of the Gaussian that gives the same reading
    calibrated_at: int
    twin: float  # the reading of the Gaussian with the data's mean and covariance

    @property
    def reference(self) -> Estimate:
        """The maximum-likelihood estimate with most neighbours: the one that is calibrated."""
        return max((e for e in self.estimates if e.method == "mle"), key=lambda e: e.k)

    @property
    def low(self) -> float:
        """The lowest lower end over methods."""
        return min(e.low for e in self.estimates)

    @property
    def high(self) -> float:
        """The highest upper end over methods."""
        return max(e.high for e in self.estimates)

    def table(self) -> pd.DataFrame:
        """One row for each method on all points, then one for each class."""
        import pandas as pd

        named = [("all", e) for e in self.estimates] + [
            (f"class {c}", e) for c, e in self.classes.items()
        ]
        rows = [
            (who, e.method, e.k, e.N, e.value, e.low, e.high, e.N / e.value) for who, e in named
        ]
        return pd.DataFrame(
            rows, columns=["points", "method", "k", "N", "dimension", "low", "high", "N/dimension"]
        )

    def statements(self) -> list[str]:
        """Sentences on what the number of points does and does not allow to say."""
        smallest = min(self.classes.values(), key=lambda e: e.N / e.value, default=self.reference)
        ratio = smallest.N / smallest.value
        flat = (
            f"about {self.flat:.0f}"
            if math.isfinite(self.flat)
            else "more than can be told at this N"
        )
        return [
            f"{self.N:,} points in {self.n:,} coordinates ({self.duplicates} exact duplicates dropped); all methods "
            f"together: {self.low:.1f} to {self.high:.1f}, {100 * self.high / self.n:.1f} % of the coordinates at most.",
            f"Bias: a flat Gaussian with this reading (k = {self.reference.k}, N = {self.calibrated_at:,}) has dimension "
            f"{flat}; a curved set can instead read higher than its dimension. The interval is for the sampling of "
            "independent points and covers neither.",
            f"A Gaussian with the same mean and covariance and no other structure reads {self.twin:.1f}; the data read "
            f"{self.reference.value / self.twin:.2f} of that. Near 1, a steep spectrum is all that has been seen.",
            f"Samples per dimension: {self.N / self.high:.0f} for the whole at least, log2(N/d) = {math.log2(self.N / self.high):.1f}"
            + (f"; {ratio:.0f} in the class that has the fewest." if self.classes else "."),
            f"Linear pieces would be determined ({'met' if ratio >= 1 else 'NOT met'}: N_k >= d_k), if the data were "
            "linear pieces without noise. Curved pieces, noise and trained networks need more, and how many more no "
            "estimate of dimension tells.",
            "Not shown by these numbers: that the set is a manifold, that it has several pieces, or that its dimension "
            "is the same everywhere.",
        ]

    def __repr__(self) -> str:
        table = self.table().to_string(index=False, float_format=lambda v: f"{v:.1f}")
        return "\n".join([table, "", *(f"- {line}" for line in self.statements())])

    def _repr_html_(self) -> str:
        table = self.table().to_html(index=False, float_format=lambda v: f"{v:.1f}", border=0)
        return table + "<ul>" + "".join(f"<li>{line}</li>" for line in self.statements()) + "</ul>"


def gaussian_twin(x: Tensor, *, N: int | None = None, generator: torch.Generator) -> Tensor:
    """Draw from the Gaussian that has the mean and the covariance of the data.

    It has the spectrum of the data and no other structure, so whatever it shares with the data is no
    evidence for a manifold.

    Source: ours.

    Args:
        x: points (N, n).
        N: number of points to draw; as many as x has unless given.
        generator: source of the draw.

    Returns:
        (N, n), in the dtype of x.

    Raises:
        ValueError: where x is not a finite (N, n) tensor with N >= 2.
    """
    checks.points("x", x, 2)
    mean = x.mean(0)
    factor = torch.linalg.qr(
        (x - mean) / math.sqrt(len(x)), mode="r"
    ).R  # factor^T factor is the covariance
    size = checks.count("N", len(x) if N is None else N)
    return mean + torch.randn(size, len(factor), generator=generator, dtype=x.dtype) @ factor


def _estimates(
    x: Tensor | np.ndarray,
    wanted: Sequence[tuple[str, int]],
    level: float,
    splits: int,
    generator: torch.Generator | None,
) -> list[Estimate]:
    """Estimates by several methods from one search for neighbours."""
    from scipy.stats import norm

    checks.require(0 < level < 1, "level", level, "a number in (0, 1)")
    checks.count("splits", splits, 2)
    points, duplicates = as_points(x)
    N, k_max = len(points), max(k for _, k in wanted)
    checks.require(
        4 * k_max <= N, "x", f"{N} different points", f">= {4 * k_max} of them, 4 times k = {k_max}"
    )
    # Four times as many neighbours as needed: a random half then keeps k of them but for a chance of about 1e-8.
    distances, near = nearest(points, min(N - 1, 4 * k_max + 30))
    generator = generator or torch.Generator().manual_seed(0)
    masks = [_half(N, generator) for _ in range(splits)]
    halves = [
        (_within(distances, near, m, k_max), _within(distances, near, ~m, k_max)) for m in masks
    ]
    results = []
    for method, k in wanted:
        value = _skdim(distances, method, k)
        spread = [_formula(a, method, k) - _formula(b, method, k) for a, b in halves]
        reach = float(norm.ppf(0.5 + level / 2)) * math.sqrt(np.mean(np.square(spread)) / 4)
        results.append(Estimate(value, value - reach, value + reach, method, k, N, duplicates))
    return results


def as_points(x: Tensor | np.ndarray, drop: bool = True) -> tuple[Floats, int]:
    """Finite float64 points (N, n) and the number of exact duplicates that were dropped, where asked.

    Raises:
        ValueError: where x is not a finite array (N, ...) with N >= 2.
    """
    array = x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)
    ok = array.ndim >= 2 and len(array) >= 2 and array.size > 0
    checks.require(ok, "x.shape", array.shape, "(N, ...) with N >= 2")
    points = array.reshape(len(array), -1).astype(np.float64)
    checks.require(
        bool(np.isfinite(points).all()), "x", "an array with NaN or infinity", "finite entries only"
    )
    if not drop:
        return points, 0
    rows = np.unique(points, axis=0, return_index=True)[1]
    return points[np.sort(rows)], len(points) - len(rows)


def nearest(
    points: Floats, k: int, queries: Floats | None = None
) -> tuple[Floats, NDArray[np.int64]]:
    """Distances and indices of the k nearest points, (N, k) each; of each point to the others, unless queries are given."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points).kneighbors(queries)


def _half(N: int, generator: torch.Generator) -> NDArray[np.bool_]:
    mask = np.zeros(N, dtype=bool)
    mask[torch.randperm(N, generator=generator)[: N // 2].numpy()] = True
    return mask


def _within(distances: Floats, near: NDArray[np.int64], half: NDArray[np.bool_], k: int) -> Floats:
    """Distances to the k nearest inside one half, read off the longer lists of the whole."""
    inside = half[near[half]]
    enough = inside.sum(1) >= k
    order = np.argsort(~inside[enough], axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances[half][enough], order, axis=1)


def _levina_bickel(distances: Floats) -> float:
    """Levina-Bickel with inverses averaged, from sorted neighbour distances (N, k)."""
    return float(1 / np.log(distances[:, -1:] / distances[:, :-1]).mean())


def _two_nn(distances: Floats) -> float:
    """TwoNN from sorted neighbour distances: a line through the origin, largest ratios discarded."""
    log_ratio = np.sort(np.log(distances[:, 1] / distances[:, 0]))[
        : int(len(distances) * (1 - DISCARD))
    ]
    survival = -np.log1p(-np.arange(1, len(log_ratio) + 1) / len(distances))
    return float(log_ratio @ survival / (log_ratio @ log_ratio))


def _formula(distances: Floats, method: str, k: int) -> float:
    """The same estimate as `_skdim`, vectorised for the many halves (equal to rounding: tested)."""
    return _two_nn(distances) if method == "twonn" else _levina_bickel(distances[:, :k])


def _skdim(distances: Floats, method: str, k: int) -> float:
    """The estimate by scikit-dimension, from sorted neighbour distances."""
    import skdim  # slow to import

    if method == "twonn":
        return float(
            skdim.id.TwoNN(discard_fraction=DISCARD, dist=True).fit(distances[:, :2]).dimension_
        )
    near = distances[:, :k]
    return float(
        skdim.id.MLE()
        .fit(near, precomputed_knn_arrays=(near, near), n_neighbors=k, comb="mle")
        .dimension_
    )


def _invert(readings: pd.DataFrame, value: float) -> float:
    """Dimension whose reading is `value`; infinite where the readings do not reach it."""
    if value > readings["mle"].max():
        return math.inf
    return float(np.interp(value, readings["mle"], readings["d"]))
