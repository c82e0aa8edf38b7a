r"""Samplers: from noise to data by repeated denoising, as generators that yield every step.

All take any denoiser and a descending (or, for inversion, ascending) grid of times, and work in the
pair (s_t, gamma_t) of its schedule. The last step yields the finished sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from molrg import checks
from molrg.denoisers import Denoiser
from molrg.schedules import Schedule, as_time


class Step(NamedTuple):
    """One step of a sampler: the time reached, the point there, and the denoised estimate used."""

    t: float
    x_t: Tensor
    x0_hat: Tensor


def time_grid(
    schedule: Schedule, steps: int, *, start: float = 1.0, stop: float = 0.0, rho: float = 7.0
) -> Tensor:
    """Times whose noise levels interpolate sigma^(1/rho), the grid of Karras et al. (2022).

    Args:
        schedule: the forward process.
        steps: number of steps, >= 1; the grid has one time more.
        start: first time, in [0, 1].
        stop: last time, in [0, 1].
        rho: > 0; larger takes smaller steps at low noise.

    Returns:
        (steps + 1,) times from start to stop, float64; fewer where a discrete schedule has no so many levels.

    Raises:
        ValueError: where an argument is out of range, or start equals stop.
    """
    checks.count("steps", steps), checks.real("rho", rho, 1e-3)
    ends = as_time(torch.tensor([start, stop], dtype=torch.float64))
    checks.require(start != stop, "stop", stop, f"other than start = {start}")
    roots = schedule.sigma(ends) ** (1 / rho)
    levels = (
        torch.lerp(roots[0], roots[1], torch.linspace(0, 1, steps + 1, dtype=torch.float64)) ** rho
    )
    grid = torch.unique_consecutive(schedule.t_of_sigma(levels))
    checks.require(len(grid) >= 2, "stop", stop, f"another noise level than start = {start}")
    grid[0], grid[-1] = ends
    return grid


def prior(
    shape: tuple[int, ...],
    schedule: Schedule,
    t: float = 1.0,
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Draw x_t from N(0, gamma_t^2 I), which the law of x_t is close to at t = 1."""
    return schedule.gamma(t).to(dtype) * torch.randn(shape, generator=generator, dtype=dtype)


def _grid(times: Tensor, *, ascending: bool = False) -> list[float]:
    grid = as_time(times)
    checks.require(
        grid.dim() == 1 and len(grid) >= 2,
        "times.shape",
        tuple(grid.shape),
        "(steps + 1,) with steps >= 1",
    )
    rising = grid.diff() > 0 if ascending else grid.diff() < 0
    checks.require(
        bool(rising.all()),
        "times",
        grid.tolist(),
        "strictly ascending" if ascending else "strictly descending",
    )
    return grid.tolist()


def _transport(schedule: Schedule, x_t: Tensor, x0_hat: Tensor, t: float, to: float) -> Tensor:
    """Move x_t to another time with x0_hat and the noise it implies held fixed (one DDIM step)."""
    (s, gamma), (s_to, gamma_to) = schedule.at(t, x_t), schedule.at(to, x_t)
    if gamma == 0:  # no noise to carry along: leaving t = 0, the implied noise is undetermined
        return s_to / s * x_t
    return s_to * x0_hat + gamma_to / gamma * (x_t - s * x0_hat)


def ddim(denoiser: Denoiser, x_t: Tensor, times: Tensor) -> Iterator[Step]:
    """Deterministic sampling, first order (DDIM).

    Source: Song, Meng and Ermon (2021), eta = 0; in sigma and x_t / s_t, Euler's method for the
    probability-flow equation.

    Args:
        denoiser: any denoiser.
        x_t: starting points (B, \\*event) at ``times[0]``.
        times: (steps + 1,) strictly descending in [0, 1].

    Yields:
        One `Step` for each time after the first.

    Raises:
        ValueError: where times are not as above.
    """
    grid = _grid(times)
    for t, to in zip(grid, grid[1:], strict=False):
        x0_hat = denoiser(x_t, t)
        x_t = _transport(denoiser.schedule, x_t, x0_hat, t, to)
        yield Step(to, x_t, x0_hat)


def ddim_invert(
    denoiser: Denoiser, x_0: Tensor, times: Tensor, *, corrections: int = 0
) -> Iterator[Step]:
    """Run DDIM backwards: from data to the noise that would produce it.

    A step of DDIM denoises at its noisy end, which inversion does not know yet: without corrections it
    denoises at the other end. Each correction denoises at the end found so far and steps again, so that
    what `ddim` makes of the result on the same times comes nearer to x_0.

    Source: DDIM inversion, as LOCO-Edit (2409.02374) uses it; the corrections, a damped fixed-point iteration, are ours. The
    damping is the best one where the Jacobian of the denoiser has its eigenvalues between 0 and 1/s_t.

    Args:
        denoiser: any denoiser.
        x_0: points (B, \\*event) at ``times[0]``.
        times: (steps + 1,) strictly ascending in [0, 1].
        corrections: further evaluations in each step, >= 0.

    Yields:
        One `Step` for each time after the first.

    Raises:
        ValueError: where times or corrections are not as above.
    """
    grid, x_t, corrections = (
        _grid(times, ascending=True),
        x_0,
        checks.count("corrections", corrections, 0),
    )
    for t, to in zip(grid, grid[1:], strict=False):
        x0_hat = denoiser(x_t, t)
        end = _transport(denoiser.schedule, x_t, x0_hat, t, to)
        (s, gamma), (s_to, gamma_to) = denoiser.schedule.at(t, x_t), denoiser.schedule.at(to, x_t)
        weight = 2 / (1 + gamma_to / s_to * s / gamma)
        for _ in range(
            corrections if gamma > 0 else 0
        ):  # leaving t = 0 no noise is known, and nothing to correct
            x0_hat = denoiser(end, to)
            end = torch.lerp(end, _transport(denoiser.schedule, x_t, x0_hat, t, to), weight)
        x_t = end
        yield Step(to, x_t, x0_hat)


def heun(denoiser: Denoiser, x_t: Tensor, times: Tensor) -> Iterator[Step]:
    """Deterministic sampling, second order: the slope is averaged over both ends of a step.

    Source: Karras et al. (2022), algorithm 1, written for any schedule.

    Args:
        denoiser: any denoiser.
        x_t: starting points (B, \\*event) at ``times[0]``.
        times: (steps + 1,) strictly descending in [0, 1].

    Yields:
        One `Step` for each time after the first.

    Raises:
        ValueError: where times are not as above.
    """
    grid, schedule = _grid(times), denoiser.schedule
    for t, to in zip(grid, grid[1:], strict=False):
        x0_hat = denoiser(x_t, t)
        euler = _transport(schedule, x_t, x0_hat, t, to)
        if schedule.gamma(to) > 0:  # the slope at sigma = 0 is 0/0: the last step stays first order
            (s, gamma), (s_to, gamma_to) = schedule.at(t, x_t), schedule.at(to, x_t)
            slope = (x_t / s - x0_hat) / (gamma / s)
            slope_to = (euler / s_to - denoiser(euler, to)) / (gamma_to / s_to)
            euler = s_to * (x_t / s + (gamma_to / s_to - gamma / s) * (slope + slope_to) / 2)
        x_t = euler
        yield Step(to, x_t, x0_hat)


def ancestral(
    denoiser: Denoiser, x_t: Tensor, times: Tensor, *, generator: torch.Generator
) -> Iterator[Step]:
    """Stochastic sampling: each step draws from the posterior of x_to given x_t and x0_hat.

    Source: Ho et al. (2020), the posterior variance; for any schedule and any grid.

    Args:
        denoiser: any denoiser.
        x_t: starting points (B, \\*event) at ``times[0]``.
        times: (steps + 1,) strictly descending in [0, 1].
        generator: source of the noise.

    Yields:
        One `Step` for each time after the first.

    Raises:
        ValueError: where times are not as above.
    """
    grid, schedule = _grid(times), denoiser.schedule
    for t, to in zip(grid, grid[1:], strict=False):
        x0_hat = denoiser(x_t, t)
        (s, gamma), (s_to, gamma_to) = schedule.at(t, x_t), schedule.at(to, x_t)
        # x_t given x_to: scale r, variance v = gamma^2 - r^2 gamma_to^2
        r = s / s_to
        variance = gamma.square() - r.square() * gamma_to.square()
        mean = s_to * x0_hat + r * (gamma_to / gamma).square() * (x_t - s * x0_hat)
        spread = gamma_to / gamma * variance.clamp_min(0).sqrt()
        x_t = mean + spread * torch.randn(x_t.shape, generator=generator, dtype=x_t.dtype)
        yield Step(to, x_t, x0_hat)


def finish(steps: Iterator[Step]) -> Tensor:
    """Run a sampler to its end and return the last x_t.

    Raises:
        ValueError: where there is no step.
    """
    last = None
    for step in steps:
        last = step
    checks.require(last is not None, "steps", "empty", "a sampler with at least one step")
    return last.x_t
