r"""Samplers: from noise to data by repeated denoising, as generators that yield every step.

All take any denoiser and a grid of times. They differ in one formula, written over each: how
:math:`x_{t'}` comes from :math:`x_t` and :math:`\hat x_0`, with :math:`(s, \gamma)` the scales of
the schedule at t and :math:`(s', \gamma')` those at t'.

**Where a sampler ends.** At the last of the times, with the noise of that time still in. A
continuous schedule has none at t = 0. A discrete one has: the first step of DDPM keeps
:math:`\gamma_0 = 0.01`. The pipelines of diffusers go one step further, to no noise at all: there x
is :math:`\hat x_0`. That is ``denoise_last=True``. On the times of their scheduler,
``scheduler.timesteps / (scheduler.config.num_train_timesteps - 1)``, with ``clip`` where they clip,
``ddim`` and ``ancestral`` are then their DDIM and DDPM pipelines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from molrg import checks, draws
from molrg.denoisers.protocol import Denoiser, check_denoiser
from molrg.draws import Generators
from molrg.schedules import Schedule, as_time


class Step(NamedTuple):
    """One step of a sampler: the time reached, the point there, and the denoised estimate used."""

    t: float
    x_t: Tensor
    x0_hat: Tensor


class _Level(NamedTuple):
    """A time with its scales, on the device of the points; noisy where gamma > 0."""

    t: float
    s: Tensor
    gamma: Tensor
    noisy: bool

    @property
    def sigma(self) -> Tensor:
        return self.gamma / self.s


# Of a method: from x_t at one level to the next, and the x0_hat that it used.
_Update = Callable[[Tensor, _Level, _Level], tuple[Tensor, Tensor]]


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
        (steps + 1,) times from start to stop, float64; fewer where a discrete schedule has fewer
        levels between them.

    Raises:
        ValueError: where an argument is out of range, or start equals stop.
    """
    steps = checks.count("steps", steps)
    rho = checks.real("rho", rho, 1e-3)
    span = (checks.real("start", start, 0.0, 1.0), checks.real("stop", stop, 0.0, 1.0))
    ends = torch.tensor(span, dtype=torch.float64, device="cpu")
    if start == stop:
        raise ValueError(f"stop = {stop}: allowed is other than start = {start}")
    first, last = schedule.sigma(ends) ** (1 / rho)
    fractions = torch.linspace(0, 1, steps + 1, dtype=torch.float64, device="cpu")
    levels = torch.lerp(first, last, fractions) ** rho
    grid = torch.unique_consecutive(schedule.t_of_sigma(levels))
    if len(grid) < 2:
        raise ValueError(f"stop = {stop}: allowed is another noise level than start = {start}")
    grid[0], grid[-1] = ends
    return grid


def prior(
    shape: tuple[int, ...],
    schedule: Schedule,
    t: float = 1.0,
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw x_t from N(0, gamma_t^2 I), which the law of x_t is close to at t = 1.

    Args:
        shape: (B, \\*event).
        schedule: the forward process.
        t: in [0, 1].
        generator: source of the noise.
        dtype: of the points.
        device: of the points; the numbers are the same on each.

    Raises:
        ValueError: where t is out of range.
    """
    noise = draws.normal(shape, generator=generator, dtype=dtype, device=device)
    return schedule.gamma(t).to(noise) * noise


def ddim(
    denoiser: Denoiser,
    x_t: Tensor,
    times: Tensor,
    *,
    clip: float | None = None,
    denoise_last: bool = False,
) -> Iterator[Step]:
    r"""Deterministic sampling, first order (DDIM).

    .. math:: x_{t'} = s'\,\hat x_0 + \gamma'\,\hat\varepsilon,
              \qquad \hat\varepsilon = (x_t - s\,\hat x_0) / \gamma

    Source: Song, Meng and Ermon (2021), eta = 0; in sigma and x_t / s_t, Euler's method for the
    probability-flow equation.

    Args:
        denoiser: any denoiser.
        x_t: starting points (B, \\*event) at ``times[0]``.
        times: (steps + 1,) strictly descending in [0, 1].
        clip: bound on the entries of x0_hat, > 0, as diffusers' ``clip_sample`` has it: the implied
            noise is that of x0_hat before. None for none.
        denoise_last: go on from the last time to no noise at all, if there is any left.

    Yields:
        One `Step` for each time after the first; with `denoise_last` one more, with t = 0.

    Raises:
        ValueError: where the denoiser, the times or the bound are not as above, at once.
    """

    def update(x_t: Tensor, here: _Level, there: _Level) -> tuple[Tensor, Tensor]:
        x0_hat = estimate(x_t, here)
        clipped = x0_hat if clip is None else x0_hat.clamp(-clip, clip)
        return _transport(x_t, x0_hat, here, there, clipped), clipped

    estimate = _Estimate(denoiser, x_t)
    clip = _bound(clip)
    levels = _levels(denoiser, x_t, times, descending=True)
    return _steps(update, x_t, [*levels, *_no_noise(levels, denoise_last)])


def ddim_invert(
    denoiser: Denoiser, x_0: Tensor, times: Tensor, *, corrections: int = 0
) -> Iterator[Step]:
    r"""Run DDIM backwards: from data to the noise that would produce it.

    .. math:: x_{t'} = s'\,\hat x_0 + \gamma'\,\hat\varepsilon, \qquad
              \hat\varepsilon = (x_t - s\,\hat x_0) / \gamma, \qquad t' > t

    A step of DDIM denoises at its noisy end, which inversion does not know yet: without corrections
    it denoises at the other end. Each correction denoises at the end found so far and steps again,

    .. math:: x_{t'} \leftarrow (1 - w)\,x_{t'} + w\,(s'\,\hat x_0 + \gamma'\,\hat\varepsilon),
              \qquad \hat x_0 = \hat x_0(x_{t'}, t'), \qquad w = 2 / (1 + \sigma' / \sigma),

    so that what `ddim` makes of the result on the same times comes nearer to x_0.

    Source: DDIM inversion, as LOCO-Edit (2409.02374) uses it; the corrections, a damped fixed-point
    iteration, are ours. The damping is the best one where the Jacobian of the denoiser has its
    eigenvalues between 0 and 1/s_t.

    Args:
        denoiser: any denoiser.
        x_0: points (B, \\*event) at ``times[0]``.
        times: (steps + 1,) strictly ascending in [0, 1].
        corrections: further evaluations in each step, >= 0.

    Yields:
        One `Step` for each time after the first.

    Raises:
        ValueError: where the denoiser, the times or the corrections are not as above, at once.
    """

    def update(x_t: Tensor, here: _Level, there: _Level) -> tuple[Tensor, Tensor]:
        x0_hat = estimate(x_t, here)
        end = _transport(x_t, x0_hat, here, there, x0_hat)
        if not here.noisy:  # leaving t = 0 no noise is known, and there is nothing to correct
            return end, x0_hat
        weight = 2 / (1 + there.sigma / here.sigma)
        for _ in range(corrections):
            x0_hat = estimate(end, there)
            end = torch.lerp(end, _transport(x_t, x0_hat, here, there, x0_hat), weight)
        return end, x0_hat

    estimate = _Estimate(denoiser, x_0)
    corrections = checks.count("corrections", corrections, 0)
    return _steps(update, x_0, _levels(denoiser, x_0, times, descending=False))


def heun(
    denoiser: Denoiser, x_t: Tensor, times: Tensor, *, denoise_last: bool = False
) -> Iterator[Step]:
    r"""Deterministic sampling, second order: the slope is averaged over both ends of a step.

    With :math:`d(x, t) = (x / s - \hat x_0(x, t)) / \sigma`, the slope of :math:`x / s` in sigma,
    and :math:`\tilde x` where DDIM would arrive,

    .. math:: \frac{x_{t'}}{s'} = \frac{x_t}{s}
              + (\sigma' - \sigma)\,\frac{d(x_t, t) + d(\tilde x, t')}{2}

    Source: Karras et al. (2022), algorithm 1, written for any schedule.

    Args:
        denoiser: any denoiser.
        x_t: starting points (B, \\*event) at ``times[0]``.
        times: (steps + 1,) strictly descending in [0, 1].
        denoise_last: go on from the last time to no noise at all, if there is any left.

    Yields:
        One `Step` for each time after the first; with `denoise_last` one more, with t = 0.

    Raises:
        ValueError: where the denoiser or the times are not as above, at once.
    """

    def update(x_t: Tensor, here: _Level, there: _Level) -> tuple[Tensor, Tensor]:
        x0_hat = estimate(x_t, here)
        euler = _transport(x_t, x0_hat, here, there, x0_hat)
        if not there.noisy:  # the slope at sigma = 0 is 0/0: the last step stays first order
            return euler, x0_hat
        slope = (x_t / here.s - x0_hat) / here.sigma
        slope_there = (euler / there.s - estimate(euler, there)) / there.sigma
        step = (there.sigma - here.sigma) * (slope + slope_there) / 2
        return there.s * (x_t / here.s + step), x0_hat

    estimate = _Estimate(denoiser, x_t)
    levels = _levels(denoiser, x_t, times, descending=True)
    return _steps(update, x_t, [*levels, *_no_noise(levels, denoise_last)])


def ancestral(
    denoiser: Denoiser,
    x_t: Tensor,
    times: Tensor,
    *,
    generator: Generators,
    clip: float | None = None,
    denoise_last: bool = False,
) -> Iterator[Step]:
    r"""Stochastic sampling: each step draws from the posterior of x_t' given x_t and x0_hat.

    With :math:`r = s / s'`, so that :math:`x_t = r\,x_{t'} +` noise of variance
    :math:`\gamma^2 - r^2 \gamma'^2`,

    .. math:: x_{t'} = s'\,\hat x_0 + r\,\frac{\gamma'^2}{\gamma^2}\,(x_t - s\,\hat x_0)
              + \frac{\gamma'}{\gamma} \sqrt{\gamma^2 - r^2 \gamma'^2}\;z, \qquad z \sim N(0, I)

    Source: Ho et al. (2020), the posterior variance; for any schedule and any grid.

    Args:
        denoiser: any denoiser.
        x_t: starting points (B, \\*event) at ``times[0]``.
        times: (steps + 1,) strictly descending in [0, 1].
        generator: source of the noise, or several for equal parts of the points (`draws`).
        clip: bound on the entries of x0_hat, > 0, or None.
        denoise_last: go on from the last time to no noise at all, if there is any left.

    Yields:
        One `Step` for each time after the first; with `denoise_last` one more, with t = 0.

    Raises:
        ValueError: where the denoiser, the times or the bound are not as above, at once.
    """

    def update(x_t: Tensor, here: _Level, there: _Level) -> tuple[Tensor, Tensor]:
        x0_hat = estimate(x_t, here)
        x0_hat = x0_hat if clip is None else x0_hat.clamp(-clip, clip)
        r = here.s / there.s
        variance = here.gamma.square() - r.square() * there.gamma.square()
        ratio = there.gamma / here.gamma
        mean = there.s * x0_hat + r * ratio.square() * (x_t - here.s * x0_hat)
        z = draws.normal_like(x_t, generator=generator)
        return mean + ratio * variance.clamp_min(0).sqrt() * z, x0_hat

    estimate = _Estimate(denoiser, x_t)
    clip = _bound(clip)
    levels = _levels(denoiser, x_t, times, descending=True)
    return _steps(update, x_t, [*levels, *_no_noise(levels, denoise_last)])


def finish(steps: Iterator[Step]) -> Tensor:
    """Run a sampler to its end and return the last x_t.

    Args:
        steps: what a sampler returns.

    Raises:
        ValueError: where there is no step.
    """
    last = None
    for step in steps:
        last = step
    if last is None:
        raise ValueError("steps = empty: allowed is a sampler with at least one step")
    return last.x_t


def _steps(update: _Update, x_t: Tensor, levels: list[_Level]) -> Iterator[Step]:
    """The loop of all samplers; half precision is for the network and for what is handed out."""
    state = checks.at_least_single(x_t)
    for here, there in pairwise(levels):
        state, x0_hat = update(state, here, there)
        yield Step(there.t, state.to(x_t.dtype), x0_hat.to(x_t.dtype))


def _transport(x_t: Tensor, x0_hat: Tensor, here: _Level, there: _Level, clipped: Tensor) -> Tensor:
    """Move x_t to another time, with `clipped` for x_0 and the noise that x0_hat implies."""
    if not here.noisy:  # no noise to carry along: leaving t = 0, the implied noise is undetermined
        return there.s / here.s * x_t
    return there.s * clipped + there.gamma / here.gamma * (x_t - here.s * x0_hat)


class _Estimate:
    """The denoiser in the dtype of the points that were given, its estimate in the state's."""

    def __init__(self, denoiser: Denoiser, x_t: Tensor) -> None:
        check_denoiser(denoiser)
        self.denoiser = denoiser
        self.dtype = x_t.dtype

    def __call__(self, x_t: Tensor, level: _Level) -> Tensor:
        return self.denoiser(x_t.to(self.dtype), level.t).to(x_t.dtype)


def _levels(denoiser: Denoiser, x_t: Tensor, times: Tensor, *, descending: bool) -> list[_Level]:
    """The times, checked, each with its scales."""
    grid = as_time(times, "times").cpu()
    if grid.dim() != 1 or len(grid) < 2:
        raise ValueError(
            f"times.shape = {tuple(grid.shape)}: allowed is (steps + 1,) with steps >= 1"
        )
    steps = grid.diff()
    if not bool((steps < 0).all() if descending else (steps > 0).all()):
        order = "descending" if descending else "ascending"
        raise ValueError(f"times = {grid.tolist()}: allowed is strictly {order}")
    schedule = denoiser.schedule
    like = checks.at_least_single(x_t)
    noisy = (schedule.gamma(grid) > 0).tolist()
    return [
        _Level(t, *schedule.at(t, like), above)
        for t, above in zip(grid.tolist(), noisy, strict=True)
    ]


def _no_noise(levels: list[_Level], wanted: bool) -> list[_Level]:
    """The level below the last, x_0 itself, where it is wanted and there is noise left."""
    last = levels[-1]
    if not wanted or not last.noisy:
        return []
    return [_Level(0.0, torch.ones_like(last.s), torch.zeros_like(last.gamma), noisy=False)]


def _bound(clip: float | None) -> float | None:
    return None if clip is None else checks.real("clip", clip, 1e-6)
