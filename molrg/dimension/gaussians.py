"""Gaussians to hold data against: of known dimension, and with the covariance of the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from molrg import checks, draws
from molrg.dimension.estimators import readings

if TYPE_CHECKING:
    import pandas as pd


def flat_dimension(N: int, reading: float, n: int, k: int, generator: torch.Generator) -> float:
    """Dimension of the Gaussian whose reading from N points is `reading`; n at most."""
    candidates = {min(n, max(1, round(reading * factor))) for factor in (0.5, 1, 1.5, 2, 3, 4)}
    return _invert(calibration(N, sorted(candidates), k=k, generator=generator), reading)


def _invert(table: pd.DataFrame, value: float) -> float:
    """Dimension whose reading is `value`; infinite where the readings do not reach it."""
    if value > table["mle"].max():
        return math.inf
    return float(np.interp(value, table["mle"], table["d"]))


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
    import pandas as pd  # noqa: PLC0415 - slow to import

    k = checks.count("k", k, 3)
    N = checks.count("N", N, 4 * k)
    rows = []
    for d in [checks.count("dims", d) for d in dims]:
        shape = (N, d)
        x = draws.normal(shape, generator=generator, dtype=torch.float64)
        mle, twonn = readings(x, ks=(k,)).values()
        rows.append({"d": d, "mle": mle, "twonn": twonn})
    return pd.DataFrame(rows)


def gaussian_twin(x: Tensor, *, N: int | None = None, generator: torch.Generator) -> Tensor:
    """Draw from the Gaussian that has the mean and the covariance of the data.

    It has the spectrum of the data and no other structure, so whatever it shares with the data is
    no evidence for a manifold.

    Source: ours.

    Args:
        x: points (N, n).
        N: number of points to draw; as many as x has unless given.
        generator: source of the draw.

    Returns:
        (N, n), in the dtype and on the device of x.

    Raises:
        ValueError: where x is not a finite (N, n) tensor with N >= 2.
    """
    return FittedGaussian.of(x).sample(len(x) if N is None else N, generator=generator)


@dataclass(frozen=True)
class FittedGaussian:
    """The Gaussian with the mean and the covariance of data, from which twins are drawn."""

    mean: Tensor  # (n,)
    factor: Tensor  # (r, n); factor^T factor is the covariance

    @classmethod
    def of(cls, x: Tensor) -> FittedGaussian:
        """Fit to points (N, n).

        Raises:
            ValueError: where x is not a finite (N, n) tensor with N >= 2.
        """
        checks.points("x", x, 2)
        if x.dim() != 2:
            raise ValueError(f"x.shape = {tuple(x.shape)}: allowed is (N, n)")
        mean = x.mean(0)
        scaled = (x - mean) / math.sqrt(len(x))
        return cls(mean, torch.linalg.qr(scaled, mode="r").R)

    def sample(self, N: int, *, generator: torch.Generator) -> Tensor:
        """Draw points (N, n), as :func:`gaussian_twin`."""
        shape = (checks.count("N", N), len(self.factor))
        z = draws.normal(
            shape, generator=generator, dtype=self.factor.dtype, device=self.factor.device
        )
        return self.mean + z @ self.factor
