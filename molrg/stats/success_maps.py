r"""Phase diagrams: success rates over a grid of cells, where success begins, and the line it begins along.

A trial is one seed. Its success in a cell is 0 or 1; the rate of a cell is the mean over trials. The
boundary N*(d) is the first N with a rate of at least one half, and the boundary line the least-squares
line through it. What is uncertain is which trials were drawn, so the interval resamples trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy import stats

from molrg import checks


def tolerance(angle: float = 90.0) -> float:
    """Largest `subspace_error` that counts as success: 0.1, or sin(angle) / 4 where that is smaller.

    Two subspaces that meet at a small angle are near each other, and at 0.1 swapping them would count.

    Source: ours; the papers give no criterion.

    Args:
        angle: smallest angle between two true subspaces, degrees in (0, 90].

    Raises:
        ValueError: where the angle is out of range.
    """
    checks.require(angle > 0, "angle", angle, "in (0, 90] degrees")
    return min(0.1, math.sin(math.radians(checks.real("angle", angle, 0, 90))) / 4)


def succeeded(errors: ArrayLike, angle: float = 90.0) -> np.ndarray:
    """Whether each error is below the `tolerance` at this angle; NaN is no success."""
    return np.asarray(errors, dtype=float) < tolerance(angle)


def first_success(x: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """The first x with a rate of at least one half, infinity where there is none.

    Args:
        x: (P,) ascending.
        rates: (..., P) success rates.

    Returns:
        (...) entries of x, or infinity.
    """
    reached = (
        np.asarray(rates) >= 0.5 - 1e-12
    )  # ten of twenty trials are one half, whatever the rounding
    return np.where(reached.any(-1), np.asarray(x, dtype=float)[reached.argmax(-1)], np.inf)


@dataclass(frozen=True)
class SuccessMap:
    """Success of every trial in every cell of a grid.

    Attributes:
        x: (P,) what grows along a row, such as N, ascending.
        y: (Q,) what tells the rows apart, such as d, ascending.
        seeds: (S,) the trials.
        success: (S, Q, P) booleans.
    """

    x: np.ndarray
    y: np.ndarray
    seeds: np.ndarray
    success: np.ndarray

    @classmethod
    def of(
        cls, table: pd.DataFrame, *, x: str = "N", y: str = "d", success: str = "success"
    ) -> SuccessMap:
        """Arrange a tidy table, one row for each cell and seed, as `sweeps.run` returns it.

        Args:
            table: with columns "seed" and those named below.
            x: column that grows along a row of the map.
            y: column that tells the rows apart.
            success: column of 0 and 1.

        Raises:
            ValueError: where a column is missing, or a (seed, y, x) is there twice or not at all.
        """
        missing = {x, y, success, "seed"} - set(table.columns)
        checks.require(not missing, "table.columns", list(table.columns), f"also {sorted(missing)}")
        keys = ["seed", y, x]
        levels = [np.sort(table[key].unique()) for key in keys]
        whole = (
            len(table) == math.prod(map(len, levels))
            and not table.duplicated(keys).any()
            and len(table) > 0
        )
        checks.require(
            whole,
            "table",
            f"{len(table)} rows",
            f"one for each of {[len(level) for level in levels]} {keys}",
        )
        values = table.sort_values(keys)[success].to_numpy(dtype=float)
        checks.require(
            bool(np.isin(values, (0, 1)).all()), success, sorted(set(values))[:5], "0 or 1"
        )
        return cls(
            levels[2],
            levels[1],
            levels[0],
            values.reshape([len(level) for level in levels]).astype(bool),
        )

    @property
    def rates(self) -> np.ndarray:
        """Success rates, (Q, P)."""
        return self.success.mean(0)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Wilson's interval of every rate, two arrays (Q, P)."""
        trials = len(self.seeds)
        found = [
            stats.binomtest(int(k), trials).proportion_ci(level, "wilson")
            for k in self.success.sum(0).flat
        ]
        low, high = np.array(found).T.reshape(2, *self.rates.shape)
        return low, high

    @property
    def beyond(self) -> float:
        """What stands for a boundary beyond the grid: one more step of x. It is a lower bound."""
        return float(self.x[-1] + (self.x[-1] - self.x[-2] if len(self.x) > 1 else 1))

    @property
    def boundary(self) -> np.ndarray:
        """N*(y): first x with a rate of at least one half over trials, (Q,); infinity where there is none."""
        return first_success(self.x, self.rates)

    @property
    def boundaries(self) -> np.ndarray:
        """The first x at which each trial alone succeeds, (S, Q); infinity where it never does."""
        return first_success(self.x, self.success)

    @property
    def slopes(self) -> np.ndarray:
        """Slope of the boundary line of each trial alone, (S,); rows without success count as `beyond`."""
        return _fit(self.y, np.minimum(self.boundaries, self.beyond))[0]

    def agreement(self, expected: np.ndarray) -> np.ndarray:
        """Share of cells in which each trial does what is expected, (S,).

        Unlike a slope it is defined, and low, where nothing ever succeeds or everything does.

        Args:
            expected: (Q, P) booleans, such as N >= d.

        Raises:
            ValueError: where the shape is another one.
        """
        fits = np.shape(expected) == self.success.shape[1:]
        checks.require(fits, "expected.shape", np.shape(expected), str(self.success.shape[1:]))
        return (self.success == np.asarray(expected, dtype=bool)).mean((1, 2))


@dataclass(frozen=True)
class BoundaryLine:
    """The least-squares line through a boundary, with 95 % intervals over resampled trials.

    Attributes:
        slope: of N* in y.
        intercept: at y = 0.
        slope_interval: (low, high).
        intercept_interval: (low, high).
        boundary: (Q,) the points the line goes through.
        censored: (Q,) where N* lies beyond the grid and its lower bound `SuccessMap.beyond` was used.
    """

    slope: float
    intercept: float
    slope_interval: tuple[float, float]
    intercept_interval: tuple[float, float]
    boundary: np.ndarray
    censored: np.ndarray

    def at(self, y: ArrayLike) -> np.ndarray:
        """Height of the line at y."""
        return self.intercept + self.slope * np.asarray(y, dtype=float)


def _fit(y: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares slopes and intercepts of heights (..., Q) over y (Q,)."""
    centred = y - y.mean()
    slope = heights @ centred / (centred @ centred)
    return slope, heights.mean(-1) - slope * y.mean()


def boundary_line(
    cells: SuccessMap, *, resamples: int = 2000, generator: torch.Generator
) -> BoundaryLine:
    """Fit the boundary line of a map, and bootstrap it over trials.

    A row without success inside the grid enters with its lower bound and is marked `censored`: then the
    slope is a statement about the grid, not about the method.

    Source: ours.

    Args:
        cells: at least two rows.
        resamples: number of bootstrap samples, >= 100.
        generator: source of the resampling.

    Raises:
        ValueError: where an argument is out of range.
    """
    checks.require(len(cells.y) >= 2, "len(cells.y)", len(cells.y), ">= 2")
    S = len(cells.seeds)
    drawn = torch.randint(S, (checks.count("resamples", resamples, 100), S), generator=generator)
    counts = (
        torch.nn.functional.one_hot(drawn, S).sum(1).numpy() / S
    )  # (R, S): how often each trial is in
    rates = (counts @ cells.success.reshape(S, -1)).reshape(-1, *cells.rates.shape)
    slopes, intercepts = _fit(cells.y, np.minimum(first_success(cells.x, rates), cells.beyond))
    boundary = cells.boundary
    slope, intercept = _fit(cells.y, np.minimum(boundary, cells.beyond))
    ends = [
        tuple(map(float, np.quantile(values, [0.025, 0.975]))) for values in (slopes, intercepts)
    ]
    return BoundaryLine(
        float(slope),
        float(intercept),
        *ends,
        np.minimum(boundary, cells.beyond),
        np.isinf(boundary),
    )
