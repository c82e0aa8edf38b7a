r"""The task of the ladder, and how all of its denoisers are measured: error, samples, and N*.

The task is that of the paper's network experiment: two orthogonal subspaces in 48 dimensions. N* is
the number of samples of each from which on an error stays below a level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrg import checks, stats
from molrg.denoisers import Denoiser
from molrg.memorization import copy_ratio, nearest, off_subspace
from molrg.mixture import MoLRG
from molrg.sampling import finish, heun, time_grid
from molrg.schedules import VP
from molrg.subspaces import random_bases

n, K = 48, 2  # those of the paper's network experiment
SCHEDULE = VP()
SIGMA = (0.1, 3.0)  # of training and sampling; a direction of a subspace has variance one
# Noise levels of the error: below, x_t is nearly the answer, above, the answer is nearly the mean.
ERROR_SIGMA = (0.1, 1.0)
SCALE = 0.3  # of a coordinate, sqrt(d / n) for d between 4 and 5; the same for all d
CS = (0.2, 0.25, 1 / 3, 0.4, 0.5)
RESIDUALS = (0.05, 0.1, 0.2, 0.3, 0.5)

Task = tuple[MoLRG, Tensor]


def problem(seed: int, d: int, N: int) -> Task:
    """A mixture of two orthogonal subspaces of dimension d, and N training points of each.

    Without ambient noise, as in the released code of 2409.02426; the mixture depends on seed and d
    alone. The points are (2 N, n).

    Raises:
        ValueError: unless d >= 1 and N >= 1.
    """
    generator = torch.Generator().manual_seed(seed)
    bases = random_bases(n, [checks.count("d", d)] * K, generator=generator)
    mixture = MoLRG([basis.float() for basis in bases])
    return mixture, mixture.sample([checks.count("N", N)] * K, generator=generator)[0]


def fresh(mixture: MoLRG, seed: int, points: int) -> Tensor:
    """Points that no model was trained on, (points, n)."""
    return mixture.sample(points, generator=torch.Generator().manual_seed(2**21 + seed))[0]


@torch.no_grad()
def evaluate(
    denoiser: Denoiser, tasks: Sequence[Task], seeds: Sequence[int], *, points: int = 512
) -> tuple[Tensor, Tensor]:
    """What every model of an ensemble makes of fresh noisy points, and of noise alone.

    Args:
        denoiser: an ensemble of E models, x_t (E, B, n).
        tasks: E pairs of a mixture and its training points.
        seeds: E seeds of the points and of the noise: the same for all rungs.
        points: fresh points at each noise level; half as many samples are drawn.

    Returns:
        Squared errors (E, 8) at noise levels over `ERROR_SIGMA`, mean square distance to the exact
        denoiser over the mean square of that one; and samples (E, points / 2, n).
    """
    sources = [torch.Generator().manual_seed(2**20 + seed) for seed in seeds]
    mixtures = [mixture for mixture, _ in tasks]
    x0 = torch.stack([fresh(m, seed, points) for m, seed in zip(mixtures, seeds, strict=True)])
    low, high = map(math.log10, ERROR_SIGMA)
    levels = torch.logspace(low, high, 8, dtype=torch.float64, device="cpu")
    errors = []
    for t in denoiser.schedule.t_of_sigma(levels):
        x_t = denoiser.schedule.add_noise(x0, t, _noise(sources, points))
        exact = torch.stack(
            [m.denoiser(denoiser.schedule)(x, t) for m, x in zip(mixtures, x_t, strict=True)]
        )
        error = (denoiser(x_t, t) - exact).square().mean((1, 2))
        errors.append(error / exact.square().mean((1, 2)))
    return torch.stack(errors, dim=1), _samples(denoiser, _noise(sources, points // 2))


def _noise(sources: Sequence[torch.Generator], points: int) -> Tensor:
    """Each model's own, (E, points, n)."""
    return torch.stack(
        [torch.randn(points, n, generator=source, device="cpu") for source in sources]
    )


def _samples(denoiser: Denoiser, noise: Tensor) -> Tensor:
    """12 steps of Heun's method to the lowest level of training, and a last denoising."""
    last, start = denoiser.schedule.t_of_sigma(torch.tensor(SIGMA, device="cpu")).tolist()
    s, gamma = denoiser.schedule.at(start, noise)
    first = (s.square() * SCALE**2 + gamma.square()).sqrt() * noise
    times = time_grid(denoiser.schedule, 12, start=start, stop=last)
    return denoiser(finish(heun(denoiser, first, times)), last)


def sample_scores(samples: Tensor, mixture: MoLRG, data: Tensor, unseen: Tensor) -> dict[str, Any]:
    """Do samples copy the training points, and do they lie on the subspaces?

    Args:
        samples: (B, n).
        mixture: whose subspaces.
        data: the training points.
        unseen: points of the mixture that are not among them.

    Returns:
        "memorised", the share with d1 / d2 below each of `CS`; "gl", the share that is no copy and
        has a relative residual below r, rows over `CS`, columns over `RESIDUALS`; "residual", the
        median; "spread", the mean distance to the nearest training point over that of the unseen
        points.
    """
    ratio, residual = copy_ratio(samples, data), off_subspace(samples, mixture.bases)
    good = [[((ratio >= c) & (residual < most)).double().mean() for most in RESIDUALS] for c in CS]
    return {
        "memorised": [(ratio < c).double().mean() for c in CS],
        "gl": good,
        "residual": residual.median(),
        "spread": nearest(samples, data, 1).mean() / nearest(unseen, data, 1).mean(),
    }


def arrivals(
    table: pd.DataFrame, level: float, *, column: str = "error", falls: bool = True
) -> pd.DataFrame:
    """N* of every seed and dimension: from which N on a curve stays beyond a level.

    Args:
        table: a row for each seed, d and N, with a number in `column`.
        level: to be reached, as in `molrg.stats.crossing`.
        column: the curve.
        falls: the curve has to come down to the level; else to come up to it.

    Returns:
        One row per seed, one column for each d.
    """
    curves = table.sort_values("N").groupby(["seed", "d"])
    crossings = {
        key: stats.crossing(rows.N.tolist(), rows[column].tolist(), level, falls=falls)
        for key, rows in curves
    }
    return pd.Series(crossings).unstack()


def samples_per_dimension(arrived: pd.DataFrame) -> NDArray[np.float64]:
    """N*/d of every seed, the geometric mean over d, for what `arrivals` returns."""
    return np.exp(np.log(arrived / arrived.columns.to_numpy()).mean(axis=1)).to_numpy()


def exponent(arrived: pd.DataFrame) -> NDArray[np.float64]:
    """e in N* ~ d^e, one for each seed, for what `arrivals` returns."""
    return np.polyfit(np.log(arrived.columns), np.log(arrived.T), 1)[0]
