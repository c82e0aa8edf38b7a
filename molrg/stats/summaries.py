"""One quantity over seeds: its mean, interval and extremes; and tests of several hypotheses at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from molrg import checks


@dataclass(frozen=True)
class Summary:
    """One quantity over seeds: mean with 95 % Student interval, extremes and sum."""

    mean: float
    lower: float
    upper: float
    min: float
    max: float
    sum: float

    @classmethod
    def of(cls, values: np.ndarray) -> Summary:
        """Summarise one value a seed; with a single seed the interval of the mean is infinite."""
        mean, half = float(values.mean()), float("inf")
        if len(values) > 1:
            half = float(
                stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
            )
        return cls(
            mean,
            mean - half,
            mean + half,
            float(values.min()),
            float(values.max()),
            float(values.sum()),
        )


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's corrected p-values over the last two axes together, (..., m, J): the least level at which each is still rejected.

    Source: Holm (1979).

    Raises:
        ValueError: where p has fewer than two axes, or an entry is not in [0, 1].
    """
    p = np.asarray(p, dtype=float)
    checks.require(
        p.ndim >= 2 and bool(((p >= 0) & (p <= 1)).all()), "p", p.shape, "(..., m, J), in [0, 1]"
    )
    flat = p.reshape(*p.shape[:-2], -1)
    order = flat.argsort(-1)
    count = flat.shape[-1]
    stepped = np.minimum(
        np.maximum.accumulate(np.take_along_axis(flat, order, -1) * np.arange(count, 0, -1), -1), 1
    )
    corrected = np.empty_like(flat)
    np.put_along_axis(corrected, order, stepped, -1)
    return corrected.reshape(p.shape)
