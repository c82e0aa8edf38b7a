r"""The posterior mean of a mixture of low-rank Gaussians, in three ways that share no code.

Tweedie's formula needs only the density of x_t, quadrature only the model, importance sampling only
samples. The closed form must agree with each, and a closed form without the volumes of the
components must not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from molrg.draws import normal, normal_like, uniform
from molrg.mixture import MoLRG
from molrg.schedules import VP
from molrg.subspaces import random_bases, random_basis

SCHEDULE = VP()
FORMULAS = ("closed form", "without determinant")


def random_mixture(generator: torch.Generator) -> MoLRG:
    """Ten dimensions, components of dimensions 1, 2 and 3, all else unequal."""
    bases = random_bases(10, [1, 2, 3], angle=50, generator=generator)
    means = [normal((10,), generator=generator, dtype=torch.float64) for _ in bases]
    unit = [uniform(U.shape[1:], generator=generator, dtype=torch.float64) for U in bases]
    spectra = [0.3 + 1.5 * u for u in unit]
    return MoLRG(bases, weights=[0.2, 0.3, 0.5], means=means, variances=spectra)


def noised(mixture: MoLRG, t: float, count: int, generator: torch.Generator) -> Tensor:
    """Noisy points x_t of the mixture, (count, n)."""
    x0, _ = mixture.sample(count, generator=generator)
    return SCHEDULE.add_noise(x0, t, normal_like(x0, generator=generator))


def tweedie(mixture: MoLRG, x_t: Tensor, t: float) -> Tensor:
    """(x_t + gamma_t^2 grad log p_t(x_t)) / s_t, the gradient by automatic differentiation.

    Source: Tweedie's formula (Robbins, 1956).

    Args:
        mixture: of which only the log-density is used.
        x_t: noisy points (B, n).
        t: in (0, 1].
    """
    point = x_t.clone().requires_grad_()
    (score,) = torch.autograd.grad(mixture.log_prob(point, t, SCHEDULE).sum(), point)
    s, gamma = SCHEDULE.at(t, x_t)
    return (x_t + gamma**2 * score) / s


def quadrature(mixture: MoLRG, x_t: Tensor, t: float, nodes: int = 64) -> Tensor:
    """The average of x_0 = mu_k + U_k a over the latents a, by Gauss-Hermite nodes.

    Args:
        mixture: of which only the parameters are used.
        x_t: noisy points (B, n).
        t: in (0, 1], high enough for the nodes to resolve the noise.
        nodes: in each latent direction.
    """
    z, weight = (torch.from_numpy(values).to(x_t.device) for values in hermegauss(nodes))
    points, log_weights = [], []
    for k, basis in enumerate(mixture.bases):
        d = basis.shape[1]
        latents = torch.cartesian_prod(*[z] * d).reshape(-1, d)
        product = torch.cartesian_prod(*[weight.log()] * d).reshape(-1, d).sum(-1)
        points.append(mixture.means[k] + latents * mixture.variances[k].sqrt() @ basis.T)
        normalised = product - torch.logsumexp(product, 0)
        log_weights.append(mixture.weights[k].log() + normalised)
    return _average(torch.cat(points), torch.cat(log_weights), x_t, t)


def _average(x0: Tensor, log_weight: Tensor, x_t: Tensor, t: float) -> Tensor:
    """Average of x0 (M, n), weighted by exp(log_weight) N(x_t; s x0, gamma^2 I), (B, n)."""
    s, gamma = SCHEDULE.at(t, x_t)
    explained = log_weight - torch.cdist(x_t, s * x0).square() / (2 * gamma**2)
    return torch.softmax(explained, dim=-1) @ x0


def without_determinant(mixture: MoLRG, x_t: Tensor, t: float) -> Tensor:
    """The closed form with weights that forget the volumes of the components."""
    s, gamma = SCHEDULE.at(t, x_t)
    log_joints, means = [], []
    parts = zip(mixture.weights, mixture.means, mixture.bases, mixture.variances, strict=True)
    for weight, mu, basis, spectrum in parts:
        centred = x_t - s * mu
        latent = centred @ basis
        gain = s**2 * spectrum / (gamma**2 + s**2 * spectrum)
        unexplained = centred.square().sum(-1) - (gain * latent**2).sum(-1)
        log_joints.append(weight.log() - unexplained / (2 * gamma**2))
        means.append(mu + gain * latent / s @ basis.T)
    weights = torch.softmax(torch.stack(log_joints), 0)
    return torch.einsum("kb,kbn->bn", weights, torch.stack(means))


def sampled_z(
    samples: Tensor,
    x_t: Tensor,
    t: float,
    estimates: Sequence[Tensor],
    *,
    generator: torch.Generator,
) -> list[float]:
    """Distance of estimates from importance sampling, in standard errors.

    Args:
        samples: clean points of the model (N, n), of which nothing else is used.
        x_t: noisy points (B, n).
        t: in (0, 1].
        estimates: of x_0, each (B, n), compared along a random direction for every point.
        generator: source of directions.

    Returns:
        For each estimate the largest over the points.
    """
    s, gamma = SCHEDULE.at(t, x_t)
    drawn = [random_basis(x_t.shape[1], 1, generator=generator)[:, 0] for _ in x_t]
    directions = torch.stack(drawn).to(x_t)  # one for each point
    # The log-likelihood of every sample, but for a constant of each point.
    fit = x_t @ samples.T - s / 2 * samples.square().sum(1)
    weights = torch.softmax(s / gamma**2 * fit, dim=1)
    values = directions @ samples.T
    means = (weights * values).sum(1)
    errors = (weights * (values - means[:, None])).square().sum(1).sqrt()
    z = [((means - (e * directions).sum(1)) / errors).abs().max() for e in estimates]
    return torch.stack(z).tolist()


def deviations(
    seeds: Iterable[int],
    *,
    draws: int,
    nodes: int,
    times: Sequence[float] = (0.25, 0.4, 0.6),
    points: int = 20,
) -> pd.DataFrame:
    """The closed form, and the one without determinant, against the three other ways.

    One row: a seed (its own `random_mixture`) and a "formula" of `FORMULAS`; largest relative
    deviation from "tweedie" and from "quadrature", and largest "importance_z" of five points, over
    all times.

    Args:
        seeds: of mixtures and points.
        draws: samples for importance sampling, the same for all points of a seed.
        nodes: for quadrature.
        times: noise levels, in (0, 1].
        points: noisy points at each.
    """
    rows = [
        row
        for seed in seeds
        for t_rows in _of_seed(seed, draws, nodes, times, points)
        for row in t_rows
    ]
    return pd.DataFrame(rows).groupby(["seed", "formula"], as_index=False).max()


def _of_seed(
    seed: int, draws: int, nodes: int, times: Sequence[float], points: int
) -> Iterable[list[dict[str, Any]]]:
    """The rows of one seed, for one time after the other."""
    generator = torch.Generator().manual_seed(seed)
    mixture = random_mixture(generator)
    samples, _ = mixture.sample(draws, generator=generator)
    for t in times:
        x_t = noised(mixture, t, points, generator)
        estimates = [mixture.denoiser(SCHEDULE)(x_t, t), without_determinant(mixture, x_t, t)]
        references = {
            "tweedie": tweedie(mixture, x_t, t),
            "quadrature": quadrature(mixture, x_t, t, nodes),
        }
        first = [estimate[:5] for estimate in estimates]
        z = sampled_z(samples, x_t[:5], t, first, generator=generator)
        yield [
            {"seed": seed, "formula": formula}
            | {name: _relative(estimate, wanted) for name, wanted in references.items()}
            | {"importance_z": deviation}
            for formula, estimate, deviation in zip(FORMULAS, estimates, z, strict=True)
        ]


def _relative(estimate: Tensor, reference: Tensor) -> float:
    return float((estimate - reference).abs().max() / reference.abs().max())


def certainty(
    angles: Iterable[float],
    sigmas: Sequence[float],
    seeds: Sequence[int],
    *,
    n: int = 12,
    d: int = 3,
    points: int = 500,
) -> pd.DataFrame:
    """How sure the denoiser of two subspaces is of the component.

    One row: angle, sigma, seed; "largest", the mean over points of the larger weight.

    Args:
        angles: between the subspaces, in degrees.
        sigmas: noise levels.
        seeds: of mixtures and points.
        n: ambient dimension.
        d: dimension of both.
        points: noisy points of each.
    """
    rows = []
    for angle in angles:
        for seed in seeds:
            for sigma in sigmas:
                generator = torch.Generator().manual_seed(seed)
                mixture = MoLRG.random(n, [d, d], angle=angle, generator=generator)
                t = float(SCHEDULE.t_of_sigma(sigma))
                x_t = noised(mixture, t, points, generator)
                largest = float(mixture.responsibilities(x_t, t, SCHEDULE).amax(1).mean())
                rows.append({"angle": angle, "sigma": sigma, "seed": seed, "largest": largest})
    return pd.DataFrame(rows)
