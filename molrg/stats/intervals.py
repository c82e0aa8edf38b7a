"""Intervals that respect the range of a quantity: a share, a positive number, any statistic.

Student's interval of a mean, as in :class:`molrg.stats.Summary`, can leave the range of what it is
about: a share below 0, a negative error. These cannot. What a claim is judged by stands in the
ledger, and is not changed by them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from molrg import checks

Floats = NDArray[np.float64]


def wilson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's interval of a share: successes out of independent trials.

    Source: Wilson (1927).

    Args:
        successes: whole numbers, of any shape.
        trials: whole numbers >= 1, of a shape that broadcasts with it.
        level: coverage, in (0, 1).

    Returns:
        Lower and upper ends, in [0, 1].

    Raises:
        ValueError: where numbers are not whole, trials not finite and >= 1, successes not between 0
            and trials, or the level is out of range.
    """
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=float), np.asarray(trials, dtype=float))
    _only("trials", n, np.isfinite(n) & (n == np.floor(n)) & (n >= 1), "whole numbers >= 1")
    _only("successes", k, (k == np.floor(k)) & (k >= 0) & (k <= n), "whole numbers 0 ... trials")
    z = ndtri(0.5 + _level(level) / 2)
    share = k / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # the ends at no success and at nothing else are 0 and 1 but for rounding
    low = np.where(k == 0, 0.0, np.maximum(centre - half, 0.0))
    high = np.where(k == n, 1.0, np.minimum(centre + half, 1.0))
    return low, high


def positive(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of the logarithm of positive values, one per seed, taken back.

    It is about the geometric mean, which for skew values lies below the mean.

    Args:
        values: (S,) > 0; the interval of a single one is (0, infinity).
        level: coverage, in (0, 1).

    Raises:
        ValueError: where a value is not positive and finite, or there is none.
    """
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or len(x) == 0 or not (np.isfinite(x) & (x > 0)).all():
        raise ValueError(f"values = {x.tolist()}: allowed is positive numbers, one per seed")
    _level(level)
    if len(x) == 1:
        return 0.0, float("inf")
    logs = np.log(x)
    reach = stdtrit(len(x) - 1, 0.5 + level / 2) * logs.std(ddof=1) / np.sqrt(len(x))
    return float(np.exp(logs.mean() - reach)), float(np.exp(logs.mean() + reach))


def bootstrap(
    values: ArrayLike,
    statistic: Callable[[Floats], Floats] = lambda rows: rows.mean(-2),
    *,
    level: float = 0.95,
    resamples: int = 2000,
    generator: torch.Generator,
) -> tuple[Floats, Floats]:
    """Percentile interval of a statistic over resampled seeds.

    The ends are values of the statistic, and so lie in its range. With few seeds it is too narrow:
    for a mean of ten normal values by about a fifth.

    Source: Efron (1979).

    Args:
        values: (S,) or (S, J), one row per seed.
        statistic: from rows (..., S, J) to (..., J), or to any (..., L); the mean where omitted.
        level: coverage, in (0, 1).
        resamples: number of resamples, >= 100.
        generator: source of the resampling.

    Returns:
        Lower and upper ends, (J,) or (L,).

    Raises:
        ValueError: where an argument is out of range, or a value is not finite.
    """
    x = np.asarray(values, dtype=float)
    if x.ndim not in (1, 2) or len(x) == 0 or not np.isfinite(x).all():
        raise ValueError(f"values = array of shape {x.shape}: allowed is finite (S,) or (S, J)")
    rows = x[:, None] if x.ndim == 1 else x
    shape = (checks.count("resamples", resamples, 100), len(rows))
    picks = torch.randint(len(rows), shape, generator=generator, device="cpu").numpy()
    tail = (1 - _level(level)) / 2
    low, high = np.quantile(statistic(rows[picks]), [tail, 1 - tail], axis=0)
    return low, high


def _only(name: str, numbers: Floats, good: NDArray[np.bool_], allowed: str) -> None:
    """Refuse numbers of which one is not good; the message shows the first such."""
    if not good.all():
        raise ValueError(f"{name} = {numbers[~good][0]:g}: allowed is {allowed}")


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: allowed is a number in (0, 1)")
    return level
