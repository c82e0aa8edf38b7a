r"""The denoising loss, as the paper writes it, and one loop that minimises it.

.. math:: \ell(\theta) = \frac1N \sum_i \int \lambda_t\,
          E_\varepsilon \|x_\theta(s_t x^{(i)} + \gamma_t \varepsilon,\, t) - x^{(i)}\|^2 \,dt

A denoiser with a leading ensemble axis trains all its models at once: one tensor, one loop.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from molrg import checks
from molrg.denoisers import Denoiser
from molrg.denoisers.networks import PREDICTIONS, Generators
from molrg.schedules import Schedule

Weighting = Callable[[Tensor], Tensor]


def squared_errors(
    denoiser: Denoiser, x0: Tensor, t: float | Tensor, *, noise: Tensor, assign_on: str = "x_t"
) -> Tensor:
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
    checks.require(
        possible,
        "assign_on",
        repr(assign_on),
        f"'x_t' for {type(denoiser).__name__}; 'x0' needs a LowRank",
    )
    checks.require(
        noise.shape == x0.shape, "noise.shape", tuple(noise.shape), f"that of x0, {tuple(x0.shape)}"
    )
    s, gamma = denoiser.schedule.at(t, x0)
    x_t = s * x0 + gamma * noise
    x0_hat = denoiser(x_t, t) if assign_on == "x_t" else denoiser(x_t, t, denoiser.hard_weights(x0))
    lead = len(getattr(denoiser, "ensemble", ())) + 1
    return nn.functional.mse_loss(x0_hat, x0, reduction="none").flatten(lead).sum(-1)


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


def output_weighting(prediction: str, schedule: Schedule, data_scale: float = 1.0) -> Weighting:
    r"""The lambda_t with which the loss is the plain squared error of what a network puts out.

    1 for "x0", :math:`s_t^2/\gamma_t^2` for "eps", :math:`(s_t^2 a^2 + \gamma_t^2) / (\gamma_t a)^2` for "v": the
    inverse square of the factor of F in `molrg.networks.to_x0`.

    Args:
        prediction: "x0", "eps" or "v".
        schedule: the forward process.
        data_scale: a, the standard deviation of a coordinate of the data.

    Raises:
        ValueError: where the prediction is none of the three or the scale is not positive.
    """
    checks.one_of("prediction", prediction, PREDICTIONS)
    a = checks.real("data_scale", data_scale, 1e-6)

    def weighting(t: Tensor) -> Tensor:
        s, gamma = schedule.s(t), schedule.gamma(t)
        return {
            "x0": torch.ones_like(s),
            "eps": (s / gamma).square(),
            "v": (s / gamma).square() + a**-2,
        }[prediction]

    return weighting


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
    return loss(
        denoiser,
        x0.repeat(2 * n, 1),
        t,
        noise=noise.repeat_interleave(N, dim=0),
        assign_on=assign_on,
    )


def log_uniform_times(schedule: Schedule, sigma: tuple[float, float], u: Tensor) -> Tensor:
    """Map u, uniform on [0, 1], to times whose noise level is log-uniform on [sigma[0], sigma[1]]."""
    low, high = sigma
    checks.require(0 < low <= high < math.inf, "sigma", sigma, "(low, high) with 0 < low <= high")
    return schedule.t_of_sigma(low * (high / low) ** u.double())


class Trainer:
    """Minimisation of the denoising loss by Adam on fresh noise, one step at a time, stoppable at any.

    A step uses all the data, or a mini-batch, each point with its own time and noise. The step size
    rises linearly over `warmup` steps, and follows a half cosine from `lr` to 0 over the last `decay`,
    without which stochastic steps never settle. After each step the denoiser's ``retract_()``, where it has one,
    restores its constraint.

    Args:
        denoiser: a denoiser with parameters, changed in place; an ensemble of E models trains E
            independent copies of the loss.
        data: (N, \\*event) for all models, or (E, N, n) with a data set for each.
        steps: number of steps that the decay ends at, >= 1.
        lr: largest step size, > 0.
        sigma: range of noise levels, log-uniform, 0 < low <= high; None for t uniform on [0, 1].
        weighting: lambda_t as a function of t; 1 where omitted.
        assign_on: "x_t", or "x0" for the modified loss of Theorem 3.
        batch: points in a step, drawn with replacement; all where omitted.
        warmup: steps in which the step size rises, >= 0.
        decay: steps in which it falls, in 1 ... steps; all where omitted. With fewer, the number of steps
            may still be chosen while it is constant.
        weight_decay: of AdamW, >= 0.
        clip: bound on the norm of the gradient, over all models together; none where omitted.
        ema: weight of the past in the moving average of the parameters, in (0, 1); none where omitted.
        autocast: dtype that torch may compute in, such as torch.bfloat16; none where omitted.
        generator: one source for all, or one a model: then a model's result does not depend on which
            others are trained beside it (to rounding).

    Attributes:
        done: steps taken.
        average: the denoiser with averaged parameters, where `ema` is given, else None.

    Raises:
        ValueError: where an argument is out of range or data are not finite.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        data: Tensor,
        *,
        steps: int,
        lr: float = 0.05,
        sigma: tuple[float, float] | None = (0.1, 1.0),
        weighting: Weighting | None = None,
        assign_on: str = "x_t",
        batch: int | None = None,
        warmup: int = 0,
        decay: int | None = None,
        weight_decay: float = 0.0,
        clip: float | None = None,
        ema: float | None = None,
        autocast: torch.dtype | None = None,
        generator: Generators,
    ) -> None:
        self.steps, self.lr, self.warmup = (
            checks.count("steps", steps),
            checks.real("lr", lr, 1e-12),
            checks.count("warmup", warmup, 0),
        )
        self.decay = self.steps if decay is None else checks.count("decay", decay, 1, self.steps)
        self.denoiser, self.done, self.sigma = denoiser, 0, sigma
        self.weighting, self.assign_on, self.autocast = weighting, assign_on, autocast
        self.clip = None if clip is None else checks.real("clip", clip, 1e-12)
        self.ema = None if ema is None else checks.real("ema", ema, 1e-12, 1 - 1e-12)
        self.ensemble = tuple(getattr(denoiser, "ensemble", ()))
        self.data = self._expanded(checks.finite("data", data))
        self.sources = self._sources(generator)
        options = (
            {"weight_decay": checks.real("weight_decay", weight_decay, 0.0)} if weight_decay else {}
        )
        optimiser = torch.optim.AdamW if weight_decay else torch.optim.Adam
        self.optimiser = optimiser(denoiser.parameters(), lr=lr, fused=True, **options)
        self.average = copy.deepcopy(denoiser).requires_grad_(False) if ema else None
        self._reserve(None if batch is None else checks.count("batch", batch))

    def _expanded(self, data: Tensor) -> Tensor:
        ensemble = self.ensemble
        if ensemble and data.dim() == 2:
            data = data.expand(*ensemble, *data.shape)
        fits = (
            tuple(data.shape[: len(ensemble)]) == ensemble
            and data.dim() > len(ensemble)
            and data.shape[len(ensemble)] > 0
        )
        checks.require(
            fits, "data.shape", tuple(data.shape), f"(N, *event) or {ensemble} and (N, n), N >= 1"
        )
        return data

    def _sources(self, generator: Generators) -> list[torch.Generator]:
        if isinstance(generator, torch.Generator):
            return [generator]
        models = self.ensemble[0] if self.ensemble else 1
        checks.require(
            len(generator) == models,
            "len(generator)",
            len(generator),
            f"one, or one for each of {models} models",
        )
        return list(generator)

    def _reserve(self, batch: int | None) -> None:
        """Make the tensors that every step draws into, and their views, once: a thousand views cost as much as the draws."""
        lead, N = len(self.ensemble), self.data.shape[len(self.ensemble)]
        size = (*self.ensemble, batch or N)
        self.u, self.noise = torch.empty(size), torch.empty(*size, *self.data.shape[lead + 1 :])
        self.rows = None if batch is None else torch.empty(size, dtype=torch.int64)
        drawn = [self.u, self.noise] + [self.rows] * (batch is not None)
        single = len(self.sources) == 1
        self.views = (
            [drawn] if single else list(zip(*(tensor.unbind(0) for tensor in drawn), strict=True))
        )

    def _draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Points, times and noise of a step; models with a generator each draw exactly as they would alone."""
        for source, (u, noise, *rows) in zip(self.sources, self.views, strict=True):
            u.uniform_(generator=source)
            noise.normal_(
                generator=source
            )  # in float32, several times cheaper: noise needs no sixteenth digit
            for row in rows:
                row.random_(self.data.shape[len(self.ensemble)], generator=source)
        t = (
            self.u.double()
            if self.sigma is None
            else log_uniform_times(self.denoiser.schedule, self.sigma, self.u)
        )
        x0 = self.data
        if self.rows is not None:
            models = (torch.arange(*self.ensemble).unsqueeze(1),) if self.ensemble else ()
            x0 = x0[(*models, self.rows)]
        return x0, t, self.noise.to(x0.dtype)

    def rate(self) -> float:
        """Step size of the step to come."""
        rise = min(1.0, (self.done + 1) / self.warmup) if self.warmup else 1.0
        fallen = max(0, self.done - (self.steps - self.decay))
        return self.lr * (0.5 * (1 + math.cos(math.pi * fallen / self.decay))) * rise

    def step(self) -> Tensor:
        """Take one step.

        Returns:
            The loss before it, a scalar or (E,), detached.

        Raises:
            ValueError: where the loss is not finite.
        """
        x0, t, noise = self._draw()
        self.optimiser.param_groups[0]["lr"] = self.rate()
        self.optimiser.zero_grad()
        with nullcontext() if self.autocast is None else torch.autocast("cpu", dtype=self.autocast):
            value = loss(
                self.denoiser,
                x0,
                t,
                noise=noise,
                weighting=self.weighting,
                assign_on=self.assign_on,
            )
        checks.require(
            bool(value.isfinite().all()),
            "loss",
            f"{value.tolist()} at step {self.done}",
            "finite; try a smaller lr",
        )
        value.sum().backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.denoiser.parameters(), self.clip)
        self.optimiser.step()
        if hasattr(self.denoiser, "retract_"):
            self.denoiser.retract_()
        self._average()
        self.done += 1
        return value.detach()

    @torch.no_grad()
    def _average(self) -> None:
        if (
            self.average is not None
        ):  # young averages forget sooner, or they would remember the random start
            keep = min(self.ema, (1 + self.done) / (10 + self.done))
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.denoiser.parameters()), 1 - keep
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on; save it before the next step, for tensors are not copied."""
        return {
            "done": self.done,
            "denoiser": self.denoiser.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generators": [source.get_state() for source in self.sources],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state of a trainer made with the same arguments: exactly as if it had not stopped.

        Raises:
            ValueError: where the state has another number of generators, or an average where there is none.
        """
        saved, average = len(state["generators"]), state["average"]
        checks.require(
            saved == len(self.sources),
            'len(state["generators"])',
            saved,
            f"{len(self.sources)}, as in this trainer",
        )
        checks.require(
            (average is None) == (self.average is None),
            'state["average"]',
            "missing" if average is None else "given",
            "given where ema is",
        )
        self.denoiser.load_state_dict(state["denoiser"])
        if self.average is not None:
            self.average.load_state_dict(average)
        self.optimiser.load_state_dict(state["optimiser"])
        for source, kept in zip(self.sources, state["generators"], strict=True):
            source.set_state(kept)
        self.done = checks.count('state["done"]', state["done"], 0)


def fit(
    denoiser: nn.Module,
    data: Tensor,
    *,
    steps: int,
    lr: float = 0.05,
    sigma: tuple[float, float] | None = (0.1, 1.0),
    weighting: Weighting | None = None,
    assign_on: str = "x_t",
    batch: int | None = None,
    generator: Generators,
) -> Tensor:
    """Minimise the denoising loss: all the steps of a `Trainer`.

    Args:
        denoiser: a denoiser with parameters, changed in place; an ensemble of E models trains E
            independent copies of the loss.
        data: (N, \\*event) for all models, or (E, N, n) with a data set for each.
        steps: number of steps, >= 1.
        lr: largest step size, > 0.
        sigma: range of noise levels, log-uniform, 0 < low <= high; None for t uniform on [0, 1].
        weighting: lambda_t as a function of t; 1 where omitted.
        assign_on: "x_t", or "x0" for the modified loss of Theorem 3.
        batch: points in a step, drawn with replacement; all where omitted.
        generator: one source for all, or one a model: then a model's result does not depend on which
            others are trained beside it (to rounding).

    Returns:
        The loss at every step, (steps,) or (steps, E), detached.

    Raises:
        ValueError: where an argument is out of range, data are not finite, or a loss becomes NaN.
    """
    trainer = Trainer(
        denoiser,
        data,
        steps=steps,
        lr=lr,
        sigma=sigma,
        weighting=weighting,
        assign_on=assign_on,
        batch=batch,
        generator=generator,
    )
    history = torch.empty(steps, *trainer.ensemble, dtype=data.dtype)
    for value in history:
        value.copy_(trainer.step())
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
