r"""Sampling a Gaussian on a subspace in closed form: KL, Wasserstein distance, steps needed.

For data :math:`N(0, UU^T)` with d of D directions every step of `reverse_schemes` maps a Gaussian
to a Gaussian, direction by direction, so that the law at the end is known exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from molrg import checks
from molrg.schedules import Schedule
from molrg.studies.reverse_schemes import (
    coefficients,
    descending,
    level_grid,
    variance_preserving,
)


def endpoint_variance(scheme: str, schedule: Schedule, times: Tensor, signal: float) -> float:
    """Variance at the end of the scheme along a direction in which the data are N(0, signal).

    Exact: the denoiser is linear, so every step maps a Gaussian to a Gaussian. The start is that of
    `sampling.prior`.

    Args:
        scheme: one of `SCHEMES`.
        schedule: the forward process.
        times: (steps + 1,) descending.
        signal: variance of the data along the direction, >= 0.

    Raises:
        ValueError: as `coefficients`, and where the signal is negative or there is no step.
    """
    checks.real("signal", signal, 0.0)
    starts = descending(times)[:-1]
    A, B, C = coefficients(scheme, schedule, starts, times[1:])
    s, gamma = schedule.s(starts), schedule.gamma(starts)
    slope = s * signal / (s.square() * signal + gamma.square())  # of the posterior mean in x_t
    factors = (A + B * slope).square().tolist()
    variance = gamma[0].item() ** 2
    for factor, added in zip(factors, C.square().tolist(), strict=True):
        variance = factor * variance + added
    return variance


def gaussian_kl(true: float, sampled: float) -> float:
    """KL divergence of N(0, true) from N(0, sampled): what each direction adds.

    Raises:
        ValueError: where a variance is not positive.
    """
    for name, value in (("true", true), ("sampled", sampled)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} = {value}: allowed is a variance > 0")
    excess = (true - sampled) / sampled
    return 0.5 * (excess - math.log1p(excess))


@dataclass(frozen=True)
class Endpoint:
    """Where a scheme ends for data N(0, UU^T) with d of D directions.

    ``inside`` and ``outside`` are its variances along the subspace and across it, ``kl`` the
    divergence of the true law at the last time from it, ``w2`` its Wasserstein distance from the
    data, and ``w2_denoised`` that distance after one last denoising step.
    """

    inside: float
    outside: float
    kl: float
    w2: float
    w2_denoised: float


def endpoint(scheme: str, schedule: Schedule, times: Tensor, *, D: int, d: int) -> Endpoint:
    """The law at the end of a scheme for N(0, UU^T), in closed form.

    Args:
        scheme: one of `SCHEMES`.
        schedule: the forward process.
        times: (steps + 1,) descending, the last with gamma > 0.
        D: ambient dimension, >= d.
        d: dimension of the subspace, >= 1; d = D is the full-rank Gaussian.

    Raises:
        ValueError: where an argument is out of range.
    """
    d = checks.count("d", d)
    D = checks.count("D", D, d)
    inside = endpoint_variance(scheme, schedule, times, 1.0)
    outside = endpoint_variance(scheme, schedule, times, 0.0)
    s = schedule.s(times[-1]).item()
    gamma = _last_gamma(schedule, times)
    kl = d * gaussian_kl(s**2 + gamma**2, inside) + (D - d) * gaussian_kl(gamma**2, outside)
    w2 = math.sqrt(d * (math.sqrt(inside) - 1) ** 2 + (D - d) * outside)
    slope = s / (s**2 + gamma**2)  # of the last denoising step, which leaves nothing outside
    w2_denoised = math.sqrt(d) * abs(slope * math.sqrt(inside) - 1)
    return Endpoint(inside, outside, kl, w2, w2_denoised)


def _last_gamma(schedule: Schedule, times: Tensor) -> float:
    gamma = schedule.gamma(times[-1]).item()
    if gamma <= 0:
        allowed = "a time with gamma > 0: at 0 the law has no density"
        raise ValueError(f"times[-1] = {times[-1].item()}: allowed is {allowed}")
    return gamma


def path_kl(schedule: Schedule, times: Tensor, *, d: int) -> float:
    r"""KL divergence of the exact reverse process from the frozen posterior mean, as paths.

    .. math:: \frac d2 \sum_k (\rho_k - 1 - \log \rho_k), \qquad
              \rho_k = \gamma_k^2 / \gamma_{k+1}^2

    for data :math:`N(0, UU^T)`, plus the divergence at the start. It bounds that of the endpoints
    from above, and D does not occur in it.

    Source: ours, from the martingale property of the posterior mean, on which 2410.09046 rests.

    Args:
        schedule: the forward process, variance-preserving.
        times: (steps + 1,) descending, the last with gamma > 0.
        d: dimension of the subspace.

    Raises:
        ValueError: where an argument is out of range.
    """
    d = checks.count("d", d)
    variance_preserving(schedule, descending(times), "the law of paths")
    _last_gamma(schedule, times)
    gamma2 = schedule.gamma(times) ** 2
    excess = gamma2[:-1] / gamma2[1:] - 1
    along_paths = 0.5 * (excess - excess.log1p()).sum().item()
    return d * (along_paths + gaussian_kl(1.0, gamma2[0].item()))


def steps_needed(
    scheme: str, schedule: Schedule, *, D: int, d: int, kl: float, stop: float, most: int = 4096
) -> int:
    """The smallest number of steps on `level_grid` after which the endpoint's KL is at most `kl`.

    Args:
        scheme: one of `SCHEMES`.
        schedule: the forward process.
        D: ambient dimension, >= d.
        d: dimension of the subspace.
        kl: the divergence allowed, > 0.
        stop: last noise level.
        most: where to give up.

    Raises:
        ValueError: where an argument is out of range, or `most` steps do not suffice.
    """
    if checks.real("kl", kl, 0.0) == 0:
        raise ValueError(f"kl = {kl}: allowed is a number > 0")
    most = checks.count("most", most)

    def enough(steps: int) -> bool:
        grid = level_grid(schedule, steps, stop=stop)
        return endpoint(scheme, schedule, grid, D=D, d=d).kl <= kl

    low, high = 0, 1  # the divergence falls with the number of steps
    while not enough(high):
        if high >= most:
            raise ValueError(f"kl = {kl}: allowed is a divergence within reach of {most} steps")
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high


def path_steps_needed(
    schedule: Schedule, *, d: int, kl: float, stop: float, most: int = 100_000
) -> int:
    """A number of steps on `level_grid` that brings `path_kl` to at most `kl`, to one per cent.

    Args:
        schedule: the forward process, variance-preserving.
        d: dimension of the subspace.
        kl: the divergence allowed, > 0.
        stop: last noise level.
        most: where to give up.

    Raises:
        ValueError: where an argument is out of range, or `most` steps do not suffice.
    """
    if checks.real("kl", kl, 0.0) == 0:
        raise ValueError(f"kl = {kl}: allowed is a number > 0")
    steps = 1
    while path_kl(schedule, level_grid(schedule, steps, stop=stop), d=d) > kl:
        if steps >= most:
            raise ValueError(f"kl = {kl}: allowed is a divergence within reach of {most} steps")
        steps = math.ceil(1.01 * steps)
    return steps
