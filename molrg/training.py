r"""The denoising loss, as the paper writes it, and one loop that minimises it.

.. math:: \ell(\theta) = \frac1N \sum_i \int \lambda_t\,
          E_\varepsilon \|x_\theta(s_t x^{(i)} + \gamma_t \varepsilon,\, t) - x^{(i)}\|^2 \,dt

A denoiser with a leading ensemble axis trains all its models at once: one tensor, one loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from molrg import checks
from molrg.denoisers import Denoiser
from molrg.schedules import Schedule

Weighting = Callable[[Tensor], Tensor]
Generators = torch.Generator | Sequence[torch.Generator]


def squared_errors(denoiser: Denoiser, x0: Tensor, t: float | Tensor, *, noise: Tensor, assign_on: str = "x_t") -> Tensor:
    """|x_theta(s_t x0 + gamma_t noise, t) - x0|^2 for every point: the integrand of the loss.

    Args:
        denoiser: any denoiser; a `LowRank` one where `assign_on` is "x0".
        x0: clean points (B, \\*event), or (E, B, n) for an ensemble.
        t: scalar, (B,) or (E, B), in [0, 1].
        noise: epsilon, of the shape of x0.
        assign_on: "x_t" lets the denoiser assign points to components itself; "x0" gives it the
            hard-max assignment of the clean points, which is the modified loss of Theorem 3.

    Returns:
        (B,) or (E, B).

    Raises:
        ValueError: where shapes differ or `assign_on` is neither of the two.
    """
    checks.one_of("assign_on", assign_on, ("x_t", "x0"))
    possible = assign_on == "x_t" or hasattr(denoiser, "hard_weights")
    checks.require(possible, "assign_on", repr(assign_on), f"'x_t' for {type(denoiser).__name__}; 'x0' needs a LowRank")
    checks.require(noise.shape == x0.shape, "noise.shape", tuple(noise.shape), f"that of x0, {tuple(x0.shape)}")
    s, gamma = denoiser.schedule.at(t, x0)
    x_t = s * x0 + gamma * noise
    x0_hat = denoiser(x_t, t) if assign_on == "x_t" else denoiser(x_t, t, denoiser.hard_weights(x0))
    lead = len(getattr(denoiser, "ensemble", ())) + 1
    return (x0_hat - x0).square().flatten(lead).sum(-1)


def loss(
    denoiser: Denoiser,
    x0: Tensor,
    t: float | Tensor,
    *,
    noise: Tensor,
    weighting: Weighting | None = None,
    assign_on: str = "x_t",
) -> Tensor:
    """The training loss on given times and noise: the mean over points of lambda_t |x_theta - x0|^2.

    Source: 2409.02426, the empirical denoising loss; with ``assign_on="x0"``, the loss of Theorem 3.

    Args:
        denoiser: as in `squared_errors`, like x0, t, noise and assign_on.
        x0: clean points (B, \\*event), or (E, B, n).
        t: scalar, (B,) or (E, B).
        noise: of the shape of x0.
        weighting: lambda_t as a function of t; 1 where omitted.
        assign_on: "x_t" or "x0".

    Returns:
        A scalar, or (E,) for an ensemble.

    Raises:
        ValueError: as `squared_errors`.
    """
    errors = squared_errors(denoiser, x0, t, noise=noise, assign_on=assign_on)
    if weighting is not None:
        errors = errors * weighting(torch.as_tensor(t, dtype=torch.float64)).to(errors.dtype)
    return errors.mean(-1)


def sphere_points(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    r"""The 2n points :math:`\pm\sqrt n\, e_j`, (2n, n): their average equals E_eps for every quadratic.

    They have mean zero and second moment I, which is all that a quadratic in epsilon sees.

    Raises:
        ValueError: unless n >= 1.
    """
    half = math.sqrt(checks.count("n", n)) * torch.eye(n, dtype=dtype)
    return torch.cat([half, -half])


def exact_loss(denoiser: Denoiser, x0: Tensor, t: float, *, assign_on: str = "x_t") -> Tensor:
    """The training loss at one t with E_eps computed exactly, for denoisers linear in the noise.

    Runs `loss` itself on all 2n `sphere_points`. Exact where the estimate is affine in epsilon, such
    as K = 1 or ``assign_on="x0"``; for others it is only a quadrature.

    Args:
        denoiser: as in `loss`.
        x0: clean points (N, n).
        t: scalar in [0, 1].
        assign_on: "x_t" or "x0".

    Raises:
        ValueError: as `loss`, and where x0 is not a finite (N, n).
    """
    checks.require(checks.points("x0", x0).dim() == 2, "x0.shape", tuple(x0.shape), "(N, n)")
    N, n = x0.shape
    noise = sphere_points(n, x0.dtype)
    return loss(denoiser, x0.repeat(2 * n, 1), t, noise=noise.repeat_interleave(N, dim=0), assign_on=assign_on)


def log_uniform_times(schedule: Schedule, sigma: tuple[float, float], u: Tensor) -> Tensor:
    """Map u, uniform on [0, 1], to times whose noise level is log-uniform on [sigma[0], sigma[1]]."""
    low, high = sigma
    checks.require(0 < low <= high < math.inf, "sigma", sigma, "(low, high) with 0 < low <= high")
    return schedule.t_of_sigma(low * (high / low) ** u.double())


def _draws(
    shape: tuple[int, ...], lead: int, dtype: torch.dtype, generator: Generators
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (u, noise) for ever; models with a generator each draw exactly as they would alone."""
    shared = isinstance(generator, torch.Generator)
    sources = [generator] if shared else list(generator)
    noise = torch.empty(shape)  # float32 draws are several times cheaper, and noise needs no sixteenth digit
    u = torch.empty(shape[:lead])
    # the views are made once: with a thousand models, indexing costs as much as drawing
    rows = [(u, noise)] if len(sources) == 1 else list(zip(u.unbind(0), noise.unbind(0), strict=True))
    while True:
        for source, (row_u, row_noise) in zip(sources, rows, strict=True):
            row_u.uniform_(generator=source)
            row_noise.normal_(generator=source)
        yield u, noise.to(dtype)


def fit(
    denoiser: nn.Module,
    data: Tensor,
    *,
    steps: int,
    lr: float = 0.05,
    sigma: tuple[float, float] = (0.1, 1.0),
    weighting: Weighting | None = None,
    assign_on: str = "x_t",
    generator: Generators,
) -> Tensor:
    """Minimise the denoising loss by Adam on fresh noise, with a step size that decays to zero.

    Every step uses all the data, each point with its own noise level (log-uniform) and noise. The
    step follows a half cosine from `lr` to 0, without which stochastic steps never settle. After
    each step the denoiser's ``retract_()``, where it has one, restores its constraint.

    Args:
        denoiser: a denoiser with parameters, changed in place; an ensemble of E models trains E
            independent copies of the loss.
        data: (N, \\*event) for all models, or (E, N, n) with a data set for each.
        steps: number of steps, >= 1.
        lr: largest step size, > 0.
        sigma: range of noise levels, 0 < low <= high.
        weighting: lambda_t as a function of t; 1 where omitted.
        assign_on: "x_t", or "x0" for the modified loss of Theorem 3.
        generator: one source for all, or one a model: then a model's result does not depend on which
            others are trained beside it (to rounding).

    Returns:
        The loss at every step, (steps,) or (steps, E), detached.

    Raises:
        ValueError: where an argument is out of range, data are not finite, or a loss becomes NaN.
    """
    checks.count("steps", steps), checks.real("lr", lr, 1e-12), checks.finite("data", data)
    ensemble = tuple(getattr(denoiser, "ensemble", ()))
    if ensemble and data.dim() == 2:
        data = data.expand(*ensemble, *data.shape)
    lead = data.shape[: len(ensemble)]
    checks.require(tuple(lead) == ensemble and data.shape[len(ensemble)] > 0, "data.shape", tuple(data.shape), f"(N, *event) or {ensemble} and (N, n), N >= 1")
    if not isinstance(generator, torch.Generator):
        models = ensemble[0] if ensemble else 1
        checks.require(len(generator) == models, "len(generator)", len(generator), f"one, or one for each of {models} models")
    optimiser = torch.optim.Adam(denoiser.parameters(), lr=lr, fused=True)
    decay = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    history = torch.empty(steps, *ensemble, dtype=data.dtype)
    draws = _draws(tuple(data.shape), len(ensemble) + 1, data.dtype, generator)
    for step, (u, noise) in zip(range(steps), draws, strict=False):
        t = log_uniform_times(denoiser.schedule, sigma, u)
        optimiser.zero_grad()
        value = loss(denoiser, data, t, noise=noise, weighting=weighting, assign_on=assign_on)
        checks.require(bool(value.isfinite().all()), "loss", f"{value.tolist()} at step {step}", "finite; try a smaller lr")
        value.sum().backward()
        optimiser.step()
        decay.step()
        if hasattr(denoiser, "retract_"):
            denoiser.retract_()
        history[step] = value.detach()
    return history


@torch.no_grad()
def evaluate(
    denoiser: Denoiser,
    data: Tensor,
    *,
    sigma: tuple[float, float] = (0.1, 1.0),
    levels: int = 16,
    generator: torch.Generator,
) -> Tensor:
    """The loss averaged over a grid of noise levels, the same noise for every model of an ensemble.

    Used to choose among restarts by their own objective.

    Args:
        denoiser: any denoiser.
        data: (N, \\*event), or (E, N, n).
        sigma: range of the grid, log-spaced.
        levels: number of noise levels, >= 1.
        generator: source of the noise.

    Returns:
        A scalar, or (E,) for an ensemble.
    """
    checks.finite("data", data)
    ensemble = tuple(getattr(denoiser, "ensemble", ()))
    if ensemble and data.dim() == 2:
        data = data.expand(*ensemble, *data.shape)
    grid = (torch.arange(checks.count("levels", levels)) + 0.5) / levels
    total = torch.zeros(ensemble, dtype=data.dtype)
    for t in log_uniform_times(denoiser.schedule, sigma, grid):
        noise = torch.randn(data.shape[len(ensemble) :], generator=generator, dtype=data.dtype)
        total += loss(denoiser, data, t, noise=noise.expand(data.shape))
    return total / levels
