r"""Phase diagrams: success rates over a grid of cells, and the line along which success begins.

A trial is one seed. Its success in a cell is 0 or 1; the rate of a cell is the mean over trials.
The boundary N*(d) is the first N with a rate of at least one half, and the boundary line the
least-squares line through it. What is uncertain is which trials were drawn, so the interval
resamples trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from molrg import checks
from molrg.stats.intervals import wilson


def tolerance(angle: float = 90.0) -> float:
    """Largest `subspace_error` that counts as success: 0.1, or sin(angle) / 4 if that is smaller.

    Subspaces that meet at a small angle are near each other: at 0.1 one of them twice, or two
    halfway between, would count.

    Source: ours; the papers give no criterion.

    Args:
        angle: smallest angle between two true subspaces, degrees in (0, 90].

    Raises:
        ValueError: where the angle is out of range.
    """
    if not 0 < angle <= 90:
        raise ValueError(f"angle = {angle}: allowed is in (0, 90] degrees")
    return min(0.1, math.sin(math.radians(angle)) / 4)


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
    # ten of twenty trials are one half, whatever the rounding
    reached = np.asarray(rates) >= 0.5 - 1e-12
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
        if missing:
            given = f"table.columns = {list(table.columns)}"
            raise ValueError(f"{given}: allowed is also {sorted(missing)}")
        keys = ["seed", y, x]
        levels = [np.sort(table[key].unique()) for key in keys]
        sizes = [len(level) for level in levels]
        once = not table.duplicated(keys).any()
        if len(table) == 0 or len(table) != math.prod(sizes) or not once:
            raise ValueError(
                f"table = {len(table)} rows: allowed is one for each of {sizes} {keys}"
            )
        values = table.sort_values(keys)[success].to_numpy(dtype=float)
        if not np.isin(values, (0, 1)).all():
            raise ValueError(f"{success} = {sorted(set(values))[:5]}: allowed is 0 or 1")
        seeds, rows, columns = levels
        return cls(x=columns, y=rows, seeds=seeds, success=values.reshape(sizes).astype(bool))

    @property
    def rates(self) -> np.ndarray:
        """Success rates, (Q, P)."""
        return self.success.mean(0)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Wilson's interval of every rate, two arrays (Q, P)."""
        return wilson(self.success.sum(0), len(self.seeds), level)

    @property
    def beyond(self) -> float:
        """What stands for a boundary beyond the grid: one more step of x. It is a lower bound."""
        return float(self.x[-1] + (self.x[-1] - self.x[-2] if len(self.x) > 1 else 1))

    @property
    def boundary(self) -> np.ndarray:
        """N*(y), (Q,): first x with a rate of at least one half; infinity where there is none."""
        return first_success(self.x, self.rates)

    @property
    def boundaries(self) -> np.ndarray:
        """The first x at which each trial alone succeeds, (S, Q); infinity where it never does."""
        return first_success(self.x, self.success)

    @property
    def slopes(self) -> np.ndarray:
        """Slope of each trial's own boundary line, (S,); no success in a row counts as `beyond`.

        Raises:
            ValueError: where there are fewer than two rows.
        """
        if len(self.y) < 2:
            raise ValueError(f"len(y) = {len(self.y)}: allowed is >= 2")
        return _line(self.y, np.minimum(self.boundaries, self.beyond))[0]

    def agreement(self, expected: np.ndarray) -> np.ndarray:
        """Share of cells in which each trial does what is expected, (S,).

        Unlike a slope it is defined, and low, where nothing ever succeeds or everything does.

        Args:
            expected: (Q, P) booleans, such as N >= d.

        Raises:
            ValueError: where the shape is another one.
        """
        wanted = self.success.shape[1:]
        if np.shape(expected) != wanted:
            raise ValueError(f"expected.shape = {np.shape(expected)}: allowed is {wanted}")
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
        censored: (Q,) where N* lies beyond the grid and its bound `SuccessMap.beyond` was used.
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


def _line(y: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares slopes and intercepts of heights (..., Q) over y (Q,)."""
    centred = y - y.mean()
    slope = heights @ centred / (centred @ centred)
    return slope, heights.mean(-1) - slope * y.mean()


def boundary_line(
    cells: SuccessMap, *, resamples: int = 2000, generator: torch.Generator
) -> BoundaryLine:
    """Fit the boundary line of a map, and bootstrap it over trials.

    A row without success inside the grid enters with its lower bound and is marked `censored`: then
    the slope is a statement about the grid, not about the method.

    Source: ours.

    Args:
        cells: at least two rows.
        resamples: number of bootstrap samples, >= 100.
        generator: source of the resampling.

    Raises:
        ValueError: where an argument is out of range.
    """
    if len(cells.y) < 2:
        raise ValueError(f"len(cells.y) = {len(cells.y)}: allowed is >= 2")
    S = len(cells.seeds)
    shape = (checks.count("resamples", resamples, 100), S)
    picks = torch.randint(S, shape, generator=generator, device="cpu")
    # (R, S): how often each trial is in a resample
    shares = torch.zeros_like(picks).scatter_add_(1, picks, torch.ones_like(picks)).numpy() / S
    rates = (shares @ cells.success.reshape(S, -1)).reshape(-1, *cells.rates.shape)
    slopes, intercepts = _line(cells.y, np.minimum(first_success(cells.x, rates), cells.beyond))
    boundary = np.minimum(cells.boundary, cells.beyond)
    slope, intercept = _line(cells.y, boundary)
    return BoundaryLine(
        slope=float(slope),
        intercept=float(intercept),
        slope_interval=_central(slopes),
        intercept_interval=_central(intercepts),
        boundary=boundary,
        censored=np.isinf(cells.boundary),
    )


def _central(values: np.ndarray) -> tuple[float, float]:
    """The central 95 % of resampled values."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
