"""Clouds of points and their nearest neighbours: centred, scaled, and exact where it matters.

Distances by way of |a|^2 + |b|^2 - 2 ab are fast, and wrong by the rounding of |a|^2. So a cloud is
centred first, and points whose neighbours are too near for that formula are searched again by
differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
CLOSE = 1e-4  # of the radius: a squared distance of CLOSE^2 is known to 1e-5 by expanded squares
LARGEST = 1e300  # beyond it sums overflow
_CELLS = 2**22  # distances held at once


@dataclass(frozen=True)
class Cloud:
    """Points without an origin or a unit.

    Attributes:
        points: (N, n), centred and divided by `scale`, so that entries lie in [-1, 1].
        scale: a power of two.
        rows: (N,) where the points stand in the array that they are from, ascending.
        duplicates: how many exact duplicates were dropped.
    """

    points: Floats
    scale: float
    rows: Indices
    duplicates: int


def as_cloud(x: Tensor | np.ndarray, *, drop: bool = True) -> Cloud:
    """Take an array of any numeric type for a cloud of points.

    Args:
        x: points (N, ...), flattened to (N, n); of any real type, on any device.
        drop: whether exact duplicates are dropped.

    Returns:
        The cloud; its points are in the order of x.

    Raises:
        ValueError: where x is not a finite array of real numbers (N, ...) with N >= 2.
    """
    raw = numbers(x)
    rows = _different(raw) if drop else np.arange(len(raw))
    centred = raw[rows] - raw[rows].mean(0)
    largest = float(np.abs(centred).max())
    scale = 2.0 ** math.ceil(math.log2(largest)) if largest > 0 else 1.0
    return Cloud(centred / scale, scale, rows, len(raw) - len(rows))


def _different(points: Floats) -> Indices:
    """Where each of the different points (N, n) stands first, ascending."""
    first: dict[bytes, int] = {}
    for row, point in enumerate(points + 0.0):  # to which -0 is 0
        first.setdefault(point.tobytes(), row)
    return np.array(list(first.values()))


def numbers(x: Tensor | np.ndarray) -> Floats:
    """An array of any real type as finite float64 points (N, n).

    Raises:
        ValueError: as :func:`as_cloud`.
    """
    array = x.detach().cpu() if isinstance(x, Tensor) else np.asarray(x)
    if isinstance(array, Tensor):
        array = array.double().numpy() if array.is_floating_point() else array.numpy()
    if array.dtype.kind not in "buif":
        raise ValueError(f"x = an array of {array.dtype}: allowed is real numbers")
    if array.ndim < 2 or len(array) < 2 or array.size == 0:
        raise ValueError(f"x.shape = {array.shape}: allowed is (N, ...) with N >= 2")
    points = array.reshape(len(array), -1).astype(np.float64)
    if not np.isfinite(points).all():
        raise ValueError("x = an array with NaN or infinity: allowed is finite entries only")
    largest = float(np.abs(points).max())
    if largest > LARGEST / len(points):
        raise ValueError(f"x = entries up to {largest:.0e}: allowed is less than {LARGEST:.0e} / N")
    return points


def nearest_neighbours(
    points: Floats, k: int, rows: Indices | None = None
) -> tuple[Floats, Indices]:
    """The k nearest of the other points, for every point or for those numbered by `rows`.

    Args:
        points: (N, n) with entries in [-1, 1], as in a :class:`Cloud`.
        k: how many, 1 <= k < N.
        rows: (m,) which points; all unless given.

    Returns:
        distances, ascending, and the numbers of the neighbours, (m, k) each.
    """
    from sklearn.neighbors import NearestNeighbors  # noqa: PLC0415 - slow to import

    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(points)
    asked = np.arange(len(points)) if rows is None else np.asarray(rows)
    with_self, names = search.kneighbors(points[asked])
    distances, near = _without_self(with_self, names, asked)
    radius = math.sqrt(float(np.square(points).sum(1).max()))
    close = np.flatnonzero(distances[:, 0] < CLOSE * radius)
    if len(close):
        distances[close], near[close] = by_differences(points, k, asked[close])
    return distances, near


def _without_self(distances: Floats, near: Indices, rows: Indices) -> tuple[Floats, Indices]:
    """Drop every point from its own list of k + 1; the last one where it is not on it."""
    itself = near == rows[:, None]
    itself[~itself.any(1), -1] = True
    shape = (len(near), near.shape[1] - 1)
    return distances[~itself].reshape(shape), near[~itself].reshape(shape)


def by_differences(points: Floats, k: int, rows: Indices) -> tuple[Floats, Indices]:
    """As :func:`nearest_neighbours`, by differences: equal points have distance exactly 0."""
    from scipy.spatial.distance import cdist  # noqa: PLC0415 - slow to import

    parts = []
    for part in np.array_split(rows, math.ceil(len(rows) * len(points) / _CELLS)):
        distances = cdist(points[part], points)
        distances[np.arange(len(part)), part] = np.inf
        near = np.argpartition(distances, k - 1, axis=1)[:, :k]
        unsorted = np.take_along_axis(distances, near, axis=1)
        order = np.argsort(unsorted, axis=1, kind="stable")
        parts.append(
            (np.take_along_axis(unsorted, order, axis=1), np.take_along_axis(near, order, axis=1))
        )
    found = zip(*parts, strict=True)
    distances, near = (np.concatenate(arrays) for arrays in found)
    return distances, near
