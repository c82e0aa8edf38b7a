"""One quantity over seeds: mean, interval and extremes; and tests of several hypotheses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


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
        """Summarise one value per seed; with a single seed the interval of the mean is infinite."""
        mean = float(values.mean())
        half = float("inf")
        if len(values) > 1:
            quantile = stdtrit(len(values) - 1, 0.975)
            half = float(quantile * values.std(ddof=1) / np.sqrt(len(values)))
        return cls(
            mean=mean,
            lower=mean - half,
            upper=mean + half,
            min=float(values.min()),
            max=float(values.max()),
            sum=float(values.sum()),
        )


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's corrected p-values: the least level at which each hypothesis is still rejected.

    Source: Holm (1979).

    Args:
        p: (..., m, J); the m J hypotheses of the last two axes are corrected together.

    Returns:
        The corrected values, of the same shape.

    Raises:
        ValueError: where p has fewer than two axes, or an entry is not in [0, 1].
    """
    p = np.asarray(p, dtype=float)
    if p.ndim < 2 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p = {p.shape}: allowed is (..., m, J), in [0, 1]")
    flat = p.reshape(*p.shape[:-2], -1)
    order = flat.argsort(-1)
    weights = np.arange(flat.shape[-1], 0, -1)
    steps = np.take_along_axis(flat, order, -1) * weights
    corrected = np.empty_like(flat)
    np.put_along_axis(corrected, order, np.minimum(np.maximum.accumulate(steps, -1), 1), -1)
    return corrected.reshape(p.shape)
