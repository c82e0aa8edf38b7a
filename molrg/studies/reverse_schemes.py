r"""Three discretisations of the reverse process, by what each holds fixed during a step.

A step has the form :math:`x_{to} = A x_t + B \hat x_0(x_t) + C \xi`. Holding the posterior mean
fixed is `sampling.ancestral`; the two other schemes hold the score, or everything, fixed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from molrg import checks, draws, sampling
from molrg.denoisers import Denoiser
from molrg.sampling import Step
from molrg.schedules import Schedule, as_time

SCHEMES = ("posterior mean", "score", "euler")


def level_grid(schedule: Schedule, steps: int, *, stop: float) -> Tensor:
    """Times from 1 down to noise level `stop`, the noise levels in geometric progression.

    At high noise the steps of the variance-preserving clock are then constant, at low noise they
    are a fixed share of the time that remains.

    Args:
        schedule: the forward process.
        steps: number of steps, >= 1.
        stop: last noise level, above zero and below that of t = 1.

    Returns:
        (steps + 1,) strictly descending times; fewer where a discrete schedule has fewer levels.

    Raises:
        ValueError: where an argument is out of range.
    """
    count = checks.count("steps", steps)
    top = schedule.sigma(1.0).item()
    if not 0 < stop < top:
        raise ValueError(f"stop = {stop}: allowed is a noise level in (0, {top:.4g})")
    logarithms = torch.linspace(
        math.log(top), math.log(stop), count + 1, dtype=torch.float64, device="cpu"
    )
    times = schedule.t_of_sigma(logarithms.exp().clamp_max(top))
    times[0] = 1.0
    return torch.unique_consecutive(times)


def descending(times: Tensor) -> Tensor:
    """Return a grid of times where it is one for a sampler.

    Raises:
        ValueError: where it is not strictly descending, or has no step.
    """
    if times.dim() != 1 or len(times) < 2:
        shape = tuple(times.shape)
        raise ValueError(f"times.shape = {shape}: allowed is (steps + 1,) with steps >= 1")
    if not bool((times.diff() < 0).all()):
        raise ValueError(f"times = {times.tolist()}: allowed is strictly descending")
    return times


def variance_preserving(schedule: Schedule, t: Tensor, purpose: str) -> None:
    """Check that s_t^2 + gamma_t^2 = 1 at the given times.

    Raises:
        ValueError: where it is not.
    """
    total = schedule.s(t).square() + schedule.gamma(t).square()
    if not bool(((total - 1).abs() < 1e-9).all()):
        name = type(schedule).__name__
        allowed = f"a variance-preserving one, such as VP, for {purpose}"
        raise ValueError(f"schedule = {name}: allowed is {allowed}")


def coefficients(
    scheme: str, schedule: Schedule, t: float | Tensor, to: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    r"""A, B and C of a step :math:`x_{to} = A x_t + B \hat x_0 + C \xi`, xi standard Gaussian.

    "posterior mean": the reverse equation solved exactly with x0_hat held fixed, the step of
    `sampling.ancestral`. "score": solved exactly with the score held fixed. "euler":
    Euler-Maruyama.

    Source: 2410.09046 for the first; the others are standard.

    Args:
        scheme: one of `SCHEMES`.
        schedule: the forward process; variance-preserving for all but the first scheme.
        t: time of departure, in (0, 1], or several of them.
        to: time of arrival, in [0, t), of the same shape.

    Returns:
        A, B and C in the shape of t, float64.

    Raises:
        ValueError: where an argument is not as above.
    """
    checks.one_of("scheme", scheme, SCHEMES)
    t = as_time(t)
    to = as_time(to)
    if t.shape != to.shape or not bool((to < t).all()):
        raise ValueError(f"to = {to.tolist()}: allowed is below t = {t.tolist()}")
    if scheme == "posterior mean":
        return _posterior_mean_fixed(schedule, t, to)
    variance_preserving(schedule, t, f"scheme {scheme!r}")
    return _score_fixed(schedule, t, to) if scheme == "score" else _euler(schedule, t, to)


def _posterior_mean_fixed(
    schedule: Schedule, t: Tensor, to: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    s, gamma = schedule.s(t), schedule.gamma(t)
    s_to, gamma_to = schedule.s(to), schedule.gamma(to)
    r = s / s_to
    ratio = gamma_to / gamma
    A = r * ratio.square()
    C = ratio * (gamma.square() - (r * gamma_to).square()).clamp_min(0).sqrt()
    return A, s_to - A * s, C


def _clock_step(schedule: Schedule, t: Tensor, to: Tensor) -> Tensor:
    """Step in the clock h in which the forward process is dx = -x/2 dh + dB."""
    return 2 * torch.log(schedule.s(to) / schedule.s(t))


def _score_fixed(schedule: Schedule, t: Tensor, to: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    h = _clock_step(schedule, t, to)
    weight = 2 * torch.expm1(h / 2) / schedule.gamma(t).square()  # of the score, times gamma^2
    return torch.exp(h / 2) - weight, weight * schedule.s(t), torch.expm1(h).sqrt()


def _euler(schedule: Schedule, t: Tensor, to: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    h = _clock_step(schedule, t, to)
    weight = h / schedule.gamma(t).square()
    return 1 + h / 2 - weight, weight * schedule.s(t), h.sqrt()


def reverse(
    denoiser: Denoiser, x_t: Tensor, times: Tensor, *, scheme: str, generator: torch.Generator
) -> Iterator[Step]:
    """Sample by one of the three schemes, as the generators of `sampling` do.

    Args:
        denoiser: any denoiser.
        x_t: starting points (B, \\*event) at ``times[0]``.
        times: (steps + 1,) descending.
        scheme: one of `SCHEMES`.
        generator: source of the noise.

    Yields:
        One `Step` for each time after the first.

    Raises:
        ValueError: as `coefficients`, and where there is no step.
    """
    if checks.one_of("scheme", scheme, SCHEMES) == "posterior mean":
        yield from sampling.ancestral(denoiser, x_t, times, generator=generator)
        return
    for t, to in pairwise(descending(times).tolist()):
        A, B, C = (c.to(x_t) for c in coefficients(scheme, denoiser.schedule, t, to))
        x0_hat = denoiser(x_t, t)
        x_t = A * x_t + B * x0_hat + C * draws.normal_like(x_t, generator=generator)
        yield Step(to, x_t, x0_hat)
