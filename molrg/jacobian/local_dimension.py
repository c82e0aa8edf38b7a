r"""The dimension of data at a noise level, read from a denoiser: by its trace, its error, or FLIPD.

Write :math:`y = x_t / s_t = x_0 + \sigma \varepsilon`, and J for the Jacobian of the denoiser by y.
For a posterior mean :math:`J = \mathrm{Cov}[x_0 \mid y] / \sigma^2`, so that

.. math:: E\|x_0 - \hat x_0\|^2 / \sigma^2 = E\,\mathrm{tr}\,J ,

and both tend to d as the noise vanishes, on data of d dimensions.

    >>> from molrg import MoLRG, jacobian, schedules
    >>> mixture = MoLRG.random(48, [4], generator=torch.Generator().manual_seed(0))
    >>> denoiser, t = mixture.denoiser(schedules.EDM()), schedules.EDM().t_of_sigma(0.1).item()
    >>> x, _ = mixture.sample(2, generator=torch.Generator().manual_seed(1))
    >>> jacobian.trace(denoiser, x, t).values                       # 4 / (1 + 0.1^2)
    tensor([3.9604, 3.9604], dtype=torch.float64)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from molrg import checks, draws
from molrg.denoisers.protocol import Denoiser, check_denoiser, ensemble_of
from molrg.jacobian.evaluation import evaluated
from molrg.jacobian.operator import Linearised
from molrg.stats import Summary

_POINTS_AT_ONCE = 32
_COLUMNS_AT_ONCE = 32
_ENTRIES_AT_ONCE = 2**15  # in one evaluation that is not differentiated, of more points than these


@dataclass(frozen=True)
class LocalDimension:
    """One reading of the dimension at each point.

    Attributes:
        values: (B,), or (E, B) for an ensemble.
        errors: standard errors of the values from random probes, of their shape; zero where none
            were used.
    """

    values: Tensor
    errors: Tensor

    def summary(self) -> Summary:
        """The mean over all points, with its 95 % interval by Student's t, and the extremes."""
        return Summary.of(self.values.double().flatten().cpu().numpy())


def trace(
    denoiser: Denoiser,
    x_t: Tensor,
    t: float | Tensor,
    *,
    probes: int | None = None,
    generator: torch.Generator | None = None,
) -> LocalDimension:
    r"""The trace of the Jacobian by :math:`y = x_t / s_t`: exact, or Hutchinson's estimate.

    Source: Hutchinson (1990) for the estimate :math:`z^T J z` with random signs z.

    Args:
        denoiser: as in `molrg.jacobian.Linearised`, like x_t and t.
        x_t: noisy points (B, \\*event), or (E, B, \\*event); n entries an event.
        t: scalar or (B,), in [0, 1].
        probes: vectors of random signs for each point, >= 2; all n unit vectors, which is exact,
            where omitted.
        generator: source of the probes; a fixed one where omitted.

    Returns:
        The traces, unbiased, with their standard errors. A point costs n or `probes` backward
        passes.

    Raises:
        ValueError: where probes < 2, or as `Linearised`.
    """
    check_denoiser(denoiser)
    checks.finite("x_t", x_t)
    probes = probes if probes is None else checks.count("probes", probes, 2)
    source = generator or torch.Generator().manual_seed(0)
    values, errors = [], []
    for points, time in _parts(denoiser, x_t, t, _POINTS_AT_ONCE):
        linear = Linearised(denoiser, points, time)
        scale = denoiser.schedule.at(time, points)[0].double()
        scale = scale.expand(points.shape).reshape(linear.points, -1)[:, 0]
        part = _exact(linear) if probes is None else _estimated(linear, probes, source)
        value, error = (scale * numbers for numbers in part)
        values.append(value.reshape(linear.lead))
        errors.append(error.reshape(linear.lead))
    return LocalDimension(torch.cat(values, -1), torch.cat(errors, -1))


def _parts(
    denoiser: Denoiser, x: Tensor, t: float | Tensor, most: int
) -> Iterator[tuple[Tensor, float | Tensor]]:
    """At most so many points at a time, with their times; all where the shapes do not fit."""
    axis = len(ensemble_of(denoiser))
    if x.dim() <= axis + 1 or x.shape[axis] == 0:
        yield x, t
        return
    single = not isinstance(t, Tensor) or t.dim() == 0 or t.shape[-1] == 1
    for start in range(0, x.shape[axis], most):
        part = slice(start, start + most)
        points = x.narrow(axis, start, min(most, x.shape[axis] - start))
        yield points, t if single else t[..., part]  # type: ignore[index]


def _exact(linear: Linearised) -> tuple[Tensor, Tensor]:
    """Sums of the diagonals, a block of columns at a time; no error."""
    x = linear.x
    total = torch.zeros(linear.points, dtype=torch.float64, device=x.device)
    for columns in torch.arange(linear.n, device=x.device).split(_COLUMNS_AT_ONCE):
        units = x.new_zeros(linear.n, len(columns))
        units[columns, torch.arange(len(columns), device=x.device)] = 1.0
        units = units.expand(linear.points, -1, -1)
        total += (units * linear.vjp(units)).double().sum((-2, -1))
    return total, torch.zeros_like(total)


def _estimated(
    linear: Linearised, probes: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Hutchinson's estimates with their standard errors."""
    shape = (linear.points, linear.n, probes)
    uniform = draws.uniform(shape, generator=generator, device=linear.x.device)
    signs = torch.where(uniform < 0.5, -1.0, 1.0).to(linear.x.dtype)
    estimates = (signs * linear.vjp(signs)).double().sum(-2)
    return estimates.mean(-1), estimates.std(-1) / math.sqrt(probes)


def normalised_error(
    denoiser: Denoiser, x0: Tensor, t: float | Tensor, *, generator: torch.Generator
) -> LocalDimension:
    r"""The denoising error of each point over the noise, :math:`\|x_0-\hat x_0\|^2 / \sigma_t^2`.

    Its mean is least for the posterior mean, where it equals that of `trace`: for every other
    denoiser it is an upper bound.

    Source: Tweedie's formula of second order; 2510.12975 reads the dimension from the loss.

    Args:
        denoiser: any denoiser.
        x0: clean points (B, \\*event), or (E, B, \\*event) for an ensemble.
        t: one noise level, in [0, 1].
        generator: source of the noise, one draw a point.

    Returns:
        The errors, which are chance, one draw of noise each; `summary` has the interval of their
        mean.

    Raises:
        ValueError: where x0 is not finite or empty, there is no noise at t, or the denoiser's
            result is not finite or has not the shape of x0.
    """
    check_denoiser(denoiser)
    noise = draws.normal_like(_some(x0), generator=generator)
    values = _squared_distances(denoiser, x0, noise, t)
    return LocalDimension(values, torch.zeros_like(values))


def _some(x0: Tensor) -> Tensor:
    """The clean points, where there are some."""
    if checks.finite("x0", x0).numel() == 0:
        raise ValueError(f"x0.shape = {tuple(x0.shape)}: allowed is at least one point")
    return x0


def _squared_distances(denoiser: Denoiser, x0: Tensor, noise: Tensor, t: float | Tensor) -> Tensor:
    """Squared distances over sigma^2 of clean points and estimates from y = x0 + sigma noise."""
    lead = len(ensemble_of(denoiser)) + 1
    if x0.dim() <= lead:
        raise ValueError(f"x0.shape = {tuple(x0.shape)}: allowed is {lead} leading axes, an event")
    sigma = _sigma(denoiser, t)
    noisy = denoiser.schedule.add_noise(x0, t, noise)
    most = max(_POINTS_AT_ONCE, _ENTRIES_AT_ONCE // max(1, x0.shape[lead:].numel()))
    with torch.no_grad(), evaluated(denoiser):
        parts = _parts(denoiser, noisy, t, most)
        estimate = torch.cat([denoiser(*part) for part in parts], lead - 1)
    checks.finite("denoiser(x_t, t)", estimate)
    if estimate.shape != x0.shape:
        value = f"{tuple(estimate.shape)}: allowed is that of x0, {tuple(x0.shape)}"
        raise ValueError(f"denoiser(x_t, t).shape = {value}")
    return (estimate - x0).double().square().flatten(lead).sum(-1) / sigma**2


def _sigma(denoiser: Denoiser, t: float | Tensor) -> float:
    if isinstance(t, Tensor) and t.numel() != 1:
        raise ValueError(f"t.shape = {tuple(t.shape)}: allowed is one noise level")
    sigma = float(denoiser.schedule.sigma(t))
    if sigma <= 0:
        raise ValueError(f"t = {float(t)}: allowed is a time with noise")
    return sigma


def flipd(
    denoiser: Denoiser,
    x0: Tensor,
    t: float | Tensor,
    *,
    probes: int | None = None,
    generator: torch.Generator | None = None,
) -> LocalDimension:
    r"""FLIPD's local dimension at clean points.

    It is :math:`n + \sigma^2 (\mathrm{tr} \nabla s + \|s\|^2)` with the score s of the noisy law at
    :math:`y = x_0`. By Tweedie's formula that is
    :math:`\mathrm{tr}\,J + \|\hat x_0 - x_0\|^2 / \sigma^2`, with the denoiser applied to a point
    without noise, which a network has hardly seen in training.

    Source: Kamkari et al. (2406.03537).

    Args:
        denoiser: as in `trace`.
        x0: clean points (B, \\*event), or (E, B, \\*event).
        t: one noise level, in [0, 1].
        probes: as in `trace`.
        generator: as in `trace`.

    Returns:
        The values, which may be negative where the denoiser is no posterior mean, with the standard
        errors of their traces.

    Raises:
        ValueError: as `trace` and `normalised_error`.
    """
    check_denoiser(denoiser)
    without_noise = torch.zeros_like(_some(x0))
    residuals = _squared_distances(denoiser, x0, without_noise, t)
    x_t = denoiser.schedule.add_noise(x0, t, without_noise)
    traces = trace(denoiser, x_t, t, probes=probes, generator=generator)
    return LocalDimension(traces.values + residuals, traces.errors)
