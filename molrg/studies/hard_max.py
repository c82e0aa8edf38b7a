r"""What hard assignment loses: the smaller posterior weight of two subspaces, and the loss.

Two components of equal weight and dimension, zero mean and unit variances; x_t = x_0 + sigma noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from molrg.denoisers import LowRank
from molrg.draws import normal, normal_like, uniform
from molrg.mixture import MoLRG
from molrg.schedules import EDM
from molrg.subspaces import random_basis
from molrg.training import squared_errors

SCHEDULE = EDM(sigma_min=0.01, sigma_max=20)  # s = 1, so that gamma = sigma


def smaller_weight(
    mixture: MoLRG, sigma: float, *, samples: int, generator: torch.Generator
) -> tuple[float, float]:
    r"""Mean of the smaller posterior weight, and its standard error.

    Importance sampling from :math:`q \propto \sqrt{p_1 p_2}`, where both components are plausible.
    The weighted values are bounded, so that the error can be trusted at every noise level.

    Args:
        mixture: two components of equal weight.
        sigma: noise level.
        samples: from q.
        generator: their source.
    """
    t = SCHEDULE.t_of_sigma(sigma)
    identity = torch.eye(mixture.n, dtype=torch.float64, device="cpu")
    precisions = [torch.linalg.inv(U @ U.T + sigma**2 * identity) for U in mixture.bases]
    precision = (precisions[0] + precisions[1]) / 2
    q = MultivariateNormal(torch.zeros_like(precision[0]), precision_matrix=precision)
    root = torch.linalg.cholesky(q.covariance_matrix)
    x_t = normal((samples, mixture.n), generator=generator, dtype=root.dtype) @ root.T
    ratio = torch.exp(mixture.log_prob(x_t, t, SCHEDULE) - q.log_prob(x_t))
    values = ratio * mixture.responsibilities(x_t, t, SCHEDULE).amin(1)
    return float(values.mean()), float(values.std() / samples**0.5)


def coefficient(degrees: Iterable[float], sigma: float) -> float:
    """Bhattacharyya coefficient of the two laws of x_t, by its formula in the principal angles.

    Source: ours.

    Args:
        degrees: all principal angles.
        sigma: noise level, > 0.
    """
    spread = sigma**2 * (1 + sigma**2)
    quarters = [math.sin(math.radians(angle)) ** 2 / 4 for angle in degrees]
    return math.prod(math.sqrt(spread / (spread + quarter)) for quarter in quarters)


def bounds(d: int, angle: float, sigma: float) -> tuple[float, float]:
    """Lower and upper bound of the mean of the smaller weight, for d equal principal angles."""
    bc = coefficient([angle] * d, sigma)
    return (1 - math.sqrt(1 - bc**2)) / 2, bc / 2


def by_determinants(bases: Sequence[Tensor], sigma: float) -> float:
    """The same coefficient for any two Gaussians: |C1|^(1/4) |C2|^(1/4) / |(C1 + C2) / 2|^(1/2)."""
    identity = torch.eye(len(bases[0]), dtype=bases[0].dtype, device=bases[0].device)
    first, second = (U @ U.T + sigma**2 * identity for U in bases)
    halves = (torch.logdet(first) + torch.logdet(second)) / 4
    return float(torch.exp(halves - torch.logdet((first + second) / 2) / 2))


def tilted_pair(degrees: Sequence[float], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two random bases (2 d + 1, d) with the given d principal angles."""
    d = len(degrees)
    frame = random_basis(2 * d + 1, 2 * d, generator=generator)
    theta = torch.deg2rad(torch.tensor(degrees, dtype=frame.dtype, device=frame.device))
    return frame[:, :d], frame[:, :d] * theta.cos() + frame[:, d:] * theta.sin()


def formula_deviations(
    seeds: Iterable[int], *, sigmas: Sequence[float] = (0.1, 0.5, 2.0)
) -> pd.DataFrame:
    """The formula in the angles against determinants, for angles that all differ.

    One row: a seed; largest relative deviation over noise levels, for random angles and for one of
    5 degrees beside three of 90: "formula", and "forgetful", which takes all angles to be right.

    Args:
        seeds: of angles and bases.
        sigmas: noise levels.
    """
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        worst = {"formula": 0.0, "forgetful": 0.0}
        for sigma in sigmas:
            drawn = 90 * uniform((4,), generator=generator)
            for degrees in (drawn.tolist(), [5.0, 90.0, 90.0, 90.0]):
                exact = by_determinants(tilted_pair(degrees, generator), sigma)
                for name, angles in (("formula", degrees), ("forgetful", [90.0] * 4)):
                    off = abs(coefficient(angles, sigma) / exact - 1)
                    worst[name] = max(worst[name], off)
        rows.append({"seed": seed, **worst})
    return pd.DataFrame(rows)


def survey(
    dims: Sequence[int],
    angles: Sequence[float],
    sigmas: Sequence[float],
    seeds: Iterable[int],
    *,
    samples: int,
) -> pd.DataFrame:
    """The smaller weight in every cell.

    One row: seed, d, angle, sigma; its measured "mean" and "error", the bounds "low" and "high".

    Args:
        dims: dimensions d of both subspaces, in 2 d dimensions.
        angles: all principal angles, in degrees.
        sigmas: noise levels.
        seeds: of mixtures and samples.
        samples: in each cell.
    """
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        for d in dims:
            for angle in angles:
                mixture = MoLRG.random(2 * d, [d, d], angle=angle, generator=generator)
                for sigma in sigmas:
                    cell = {"seed": seed, "d": d, "angle": angle, "sigma": sigma}
                    mean, error = smaller_weight(
                        mixture, sigma, samples=samples, generator=generator
                    )
                    rows.append({**cell, "mean": mean, "error": error})
    return judged_at(pd.DataFrame(rows))


def violations(table: pd.DataFrame) -> pd.Series:
    """Number of cells of a `survey` outside their bounds by more than five errors, by seed."""
    slack = 5 * table.error
    outside = (table["mean"] < table.low - slack) | (table["mean"] > table.high + slack)
    return outside.groupby(table.seed).sum()


def judged_at(table: pd.DataFrame, angle: float | None = None) -> pd.DataFrame:
    """The same measurements with the bounds of their own or of another angle."""
    angles = table.angle if angle is None else [angle] * len(table)
    cells = zip(table.d, angles, table.sigma, strict=True)
    pairs = [bounds(*cell) for cell in cells]
    return table.assign(low=[low for low, _ in pairs], high=[high for _, high in pairs])


def loss_gaps(
    angles: Iterable[float],
    sigmas: Sequence[float],
    seeds: Sequence[int],
    *,
    samples: int,
    n: int = 8,
    d: int = 4,
) -> pd.DataFrame:
    """Loss of hard assignment minus that of the posterior mean, at the true bases.

    One row: angle, seed, sigma; in per cent of the latter, "by_x_t" for the noisy point, which is a
    denoiser and worse, and "by_x0" for the clean point, which sees the answer.

    Args:
        angles: between the subspaces, in degrees.
        sigmas: noise levels.
        seeds: of mixtures, points and noise.
        samples: points.
        n: ambient dimension.
        d: dimension of both.
    """
    rows = []
    for angle in angles:
        for seed in seeds:
            for sigma in sigmas:
                gap = _loss_gap(seed, angle, sigma, samples, n, d)
                rows.append({"angle": angle, "seed": seed, "sigma": sigma, **gap})
    return pd.DataFrame(rows)


@torch.no_grad()
def _loss_gap(
    seed: int, angle: float, sigma: float, samples: int, n: int, d: int
) -> dict[str, float]:
    generator = torch.Generator().manual_seed(seed)
    mixture = MoLRG.random(n, [d, d], angle=angle, generator=generator)
    x, _ = mixture.sample(samples, generator=generator)
    noise = normal_like(x, generator=generator)
    t = float(SCHEDULE.t_of_sigma(sigma))
    soft = LowRank(list(mixture.bases), SCHEDULE)
    hard = LowRank(list(mixture.bases), SCHEDULE, assignment="hard")
    best = squared_errors(soft, x, t, noise=noise).mean()
    by_x_t = squared_errors(hard, x, t, noise=noise).mean()
    by_x0 = squared_errors(soft, x, t, noise=noise, assign_on="x0").mean()
    return {
        "by_x_t": float(100 * (by_x_t - best) / best),
        "by_x0": float(100 * (by_x0 - best) / best),
    }
