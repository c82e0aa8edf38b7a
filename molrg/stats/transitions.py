"""Where a curve changes: sigmoids fitted to transitions, and the place where a level is passed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.special import expit

from molrg import checks


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
        """Abscissa (N itself where ``log2``) at which the curve reaches a share of its rise.

        Raises:
            ValueError: where the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level = {level}: allowed is a share of the rise, between 0 and 1")
        u = self.centre + (self.width * math.log(level / (1 - level)) if self.found else 0.0)
        return 2.0**u if self.log2 else u

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """The fitted curve at abscissae x; NaN where nothing was found."""
        u = np.log2(np.asarray(x, dtype=float)) if self.log2 else np.asarray(x, dtype=float)
        return _sigmoid((self.centre, self.width, self.low, self.high), u)


def _sigmoid(p: Sequence[float], u: NDArray) -> NDArray:
    centre, width, low, high = p
    return low + (high - low) * expit((u - centre) / width)


class _Curve(NamedTuple):
    centre: float
    width: float
    low: float
    high: float


def _fit(
    u: NDArray, y: NDArray, levels: tuple[float, float] | None, falls: bool, contrast: float
) -> _Curve:
    """Least squares on one curve; its width is NaN where there is no transition."""
    low, high = levels or (float(y.min()), float(y.max()))
    if high - low < contrast:
        return _Curve(math.nan, math.nan, low, high)  # flat: before and after look the same
    sign = -1.0 if falls else 1.0
    passed = sign * (y - (low + high) / 2) > 0
    if passed.all() or not passed.any():
        return _Curve(-math.inf if passed.all() else math.inf, math.nan, low, high)
    start, least, most = _search_box(u, passed, None if levels else (low, high))

    def gap(p: NDArray) -> NDArray:
        return _sigmoid((p[0], sign * p[1], *(levels or p[2:])), u) - y

    p = least_squares(gap, start, bounds=(least, most)).x
    if not u[0] <= p[0] <= u[-1]:
        return _Curve(math.inf if p[0] > u[-1] else -math.inf, math.nan, low, high)
    fitted = levels or (float(p[2]), float(p[3]))
    return _Curve(float(p[0]), sign * float(p[1]), *fitted)


def _fit_each(
    u: NDArray,
    rows: NDArray,
    picks: NDArray,
    levels: tuple[float, float] | None,
    falls: bool,
    contrast: float,
) -> list[_Curve]:
    """Fits to the means of picked rows, (draws, S); the same rows in another order once only."""
    distinct, places = np.unique(np.sort(picks, axis=1), axis=0, return_inverse=True)
    curves = [_fit(u, rows[pick].mean(0), levels, falls, contrast) for pick in distinct]
    return [curves[place] for place in places.ravel()]


def _search_box(
    u: NDArray, passed: NDArray[np.bool_], free: tuple[float, float] | None
) -> tuple[list[float], list[float], list[float]]:
    """Start, lower and upper bounds of centre and width, and of the levels where they are free."""
    span = float(u[-1] - u[0])
    start = [float(u[passed.argmax()]), span / 8]
    least = [float(u[0]) - span, span / 200]
    most = [float(u[-1]) + span, 2 * span]
    if free:
        low, high = free
        middle = (low + high) / 2
        room = (high - low) / 5
        start += [low, high]
        least += [low - room, middle]
        most += [middle, high + room]
    return start, least, most


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
        score: (S, P), one row per seed; (P,) for a single one, whose interval is then infinite.
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
    at = np.asarray(x, dtype=float)
    rows = np.atleast_2d(np.asarray(score, dtype=float))
    if at.ndim != 1 or len(at) < 3 or not _ascending(at) or (log2 and at[0] <= 0):
        allowed = "at least 3 ascending numbers" + " > 0" * log2
        raise ValueError(f"x = {at.tolist()}: allowed is {allowed}")
    if rows.ndim != 2 or rows.shape[1] != len(at) or not np.isfinite(rows).all():
        raise ValueError(f"score = array of shape {rows.shape}: allowed is finite (S, {len(at)})")
    if levels is not None and not levels[0] < levels[1]:
        raise ValueError(f"levels = {levels}: allowed is (low, high) with low < high, or None")
    u = np.log2(at) if log2 else at
    least = checks.real("contrast", contrast, 0.0) if levels is None else 0.0
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(rows), size=(checks.count("draws", draws), len(rows)))
    every_row = np.arange(len(rows))
    best, *curves = _fit_each(u, rows, np.vstack([every_row, picks]), levels, falls, least)
    return Transition(
        *best,
        centre_interval=_interval([curve.centre for curve in curves], len(rows)),
        width_interval=_interval([curve.width for curve in curves], len(rows)),
        log2=log2,
    )


def _ascending(x: NDArray) -> bool:
    return bool(np.isfinite(x).all() and (np.diff(x) > 0).all())


def _interval(values: Sequence[float], seeds: int) -> tuple[float, float]:
    """Central 95 %, infinite where that many draws have no transition; NaN is left out."""
    known = np.sort([value for value in values if not math.isnan(value)])
    if seeds < 2 or len(known) == 0:
        return -math.inf, math.inf
    cut = int(0.025 * len(known))
    return float(known[cut]), float(known[-1 - cut])


def crossing(
    N: Sequence[float], values: Sequence[float], level: float, *, falls: bool = True
) -> float:
    """From which N on a curve stays beyond a level, linear in log N between the points.

    Args:
        N: ascending and positive.
        values: one for each N.
        level: to be reached.
        falls: the curve has to come down to the level; else to come up to it.

    Returns:
        The last passage. Where the curve is beyond the level throughout, the first N, and where it
        is not at the end, the last one: a bound then, and not a measurement.

    Raises:
        ValueError: where an argument is not as above.
    """
    at = np.asarray(N, dtype=float)
    y = np.asarray(values, dtype=float) - checks.real("level", level)
    if at.ndim != 1 or len(at) < 2 or not _ascending(at) or at[0] <= 0:
        raise ValueError(f"N = {at.tolist()}: allowed is two or more ascending numbers > 0")
    if y.shape != at.shape or not np.isfinite(y).all():
        raise ValueError(f"values = {list(values)}: allowed is one finite number for each N")
    short = np.flatnonzero(y > 0 if falls else y < 0)  # not there yet
    if len(short) == 0:
        return float(at[0])
    k = short[-1]
    if k == len(at) - 1:
        return float(at[-1])
    share = y[k] / (y[k] - y[k + 1])
    return float(at[k] ** (1 - share) * at[k + 1] ** share)
