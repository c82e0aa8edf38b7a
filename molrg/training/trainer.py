"""One loop that minimises the denoising loss, a step at a time.

A denoiser with a leading ensemble axis trains all its models at once: one tensor, one loop.
Whatever the loop does, it does to each model as if it were alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from molrg import checks
from molrg.denoisers.protocol import Retractable, Tangential, check_denoiser, ensemble_of
from molrg.draws import Generators
from molrg.training.batches import Batches
from molrg.training.loss import Assignment, Weighting, log_uniform_times, loss

OptimiserFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class Trainer:
    """Minimisation of the denoising loss on fresh noise, one step at a time, stoppable at any.

    A step uses all the data, or a mini-batch, each point with its own time and noise. The step size
    rises linearly over `warmup` steps, and follows a half cosine from `lr` to 0 over the last
    `decay`, without which stochastic steps never settle. A denoiser that is `Retractable` is
    retracted after each step; the gradients of one that is `Tangential` are projected before it.

    Args:
        denoiser: a denoiser with parameters, changed in place; an ensemble of E models trains E
            independent copies of the loss.
        data: (N, \\*event); for an ensemble (N, n) for all models, or (E, N, \\*event) with a data
            set for each, as in `Batches`.
        steps: number of steps that the decay ends at, >= 1.
        lr: largest step size, > 0.
        sigma: range of noise levels, log-uniform, 0 < low <= high; None for t uniform on [0, 1].
        weighting: lambda_t as a function of t; 1 where omitted.
        assign_on: "x_t", "x0" for the modified loss of Theorem 3, or a function, as in `loss`.
        present: booleans (E, N), false where a data set with fewer than N points is padded.
        optimiser: makes the optimiser from the parameters, such as
            ``lambda parameters: torch.optim.SGD(parameters, momentum=0.9)``; its step size is set
            by `lr`. Adam where omitted, or AdamW with `weight_decay`.
        batch: points in a step, drawn with replacement; all where omitted.
        warmup: steps in which the step size rises, >= 0.
        decay: steps in which it falls, in 1 ... steps; all where omitted. With fewer, the number of
            steps may still be chosen while it is constant.
        weight_decay: of AdamW, >= 0; not with an optimiser of one's own.
        clip: bound on the norm of the gradient, of each model by itself; none where omitted.
        ema: weight of the past in the moving average of the parameters, in (0, 1); none where
            omitted.
        autocast: dtype that torch may compute in, such as torch.bfloat16; none where omitted.
        generator: one source for all, or one per model: then a model's result does not depend on
            which others are trained beside it (to rounding).

    Attributes:
        done: steps taken.

    Raises:
        ValueError: where an argument is out of range, shapes do not fit, or data are not finite.
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
        assign_on: str | Assignment = "x_t",
        present: Tensor | None = None,
        optimiser: OptimiserFactory | None = None,
        batch: int | None = None,
        warmup: int = 0,
        decay: int | None = None,
        weight_decay: float = 0.0,
        clip: float | None = None,
        ema: float | None = None,
        autocast: torch.dtype | None = None,
        generator: Generators,
    ) -> None:
        self.steps = checks.count("steps", steps)
        self.lr = checks.real("lr", lr, 1e-12)
        self.warmup = checks.count("warmup", warmup, 0)
        self.decay = self.steps if decay is None else checks.count("decay", decay, 1, self.steps)
        self.clip = None if clip is None else checks.real("clip", clip, 1e-12)
        self.ema = None if ema is None else checks.real("ema", ema, 1e-12, 1 - 1e-12)
        self.denoiser = denoiser
        self._estimator = check_denoiser(denoiser)  # the same, by its protocol
        if sigma is not None:
            log_uniform_times(self._estimator.schedule, sigma, torch.arange(2, device="cpu"))
        self.done, self.sigma = 0, sigma
        self.weighting, self.assign_on, self.autocast = weighting, assign_on, autocast
        self.ensemble = ensemble_of(self._estimator)
        self.batches = Batches(data, self.ensemble, generator, batch, present)
        weight_decay = checks.real("weight_decay", weight_decay, 0.0)
        if optimiser is not None and weight_decay:
            raise ValueError(f"weight_decay = {weight_decay}: allowed is 0 with an optimiser given")
        self.optimiser = (optimiser or _adam(self.lr, weight_decay))(denoiser.parameters())
        self._averaged = self._start_average() if ema else None

    @property
    def average(self) -> nn.Module | None:
        """The denoiser with averaged parameters, where `ema` is given, else None."""
        return None if self._averaged is None else self._averaged.module

    def rate(self) -> float:
        """Step size of the step to come; 0 from the end of the decay on."""
        rise = min(1.0, (self.done + 1) / self.warmup) if self.warmup else 1.0
        fallen = min(max(0, self.done - (self.steps - self.decay)), self.decay)
        return self.lr * (0.5 * (1 + math.cos(math.pi * fallen / self.decay))) * rise

    def step(self) -> Tensor:
        """Take one step.

        Returns:
            The loss before it, a scalar or (E,), detached.

        Raises:
            ValueError: where the loss is not finite.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.zero_grad()
        value = self._loss()
        value.sum().backward()
        if isinstance(self.denoiser, Tangential):
            self.denoiser.project_gradient_()
        if self.clip is not None:
            clip_gradients_(self.denoiser.parameters(), self.clip, self.ensemble)
        self.optimiser.step()
        if isinstance(self.denoiser, Retractable):
            self.denoiser.retract_()
        if self._averaged is not None:
            self._averaged.update_parameters(self.denoiser)
        self.done += 1
        return value.detach()

    def _loss(self) -> Tensor:
        x0, u, noise, present = self.batches.draw()
        schedule = self._estimator.schedule
        t = u.double() if self.sigma is None else log_uniform_times(schedule, self.sigma, u)
        mixed = torch.autocast(x0.device.type, dtype=self.autocast) if self.autocast else None
        with mixed or nullcontext():
            losses = loss(
                self._estimator,
                x0,
                t,
                noise=noise,
                weighting=self.weighting,
                assign_on=self.assign_on,
                present=present,
            )
        if not losses.isfinite().all():
            value = f"{losses.tolist()} at step {self.done}"
            raise ValueError(f"loss = {value}: allowed is finite; try a smaller lr")
        return losses

    def _start_average(self) -> AveragedModel:
        averaged = AveragedModel(self.denoiser, multi_avg_fn=self._move_average)
        averaged.update_parameters(self.denoiser)  # the start counts as the first of the models
        return averaged.requires_grad_(False)

    def _move_average(self, averaged: Any, current: Any, _: Any) -> None:
        # young averages forget sooner, or they would remember the random start
        keep = min(self.ema or 0.0, (1 + self.done) / (10 + self.done))
        get_ema_multi_avg_fn(keep)(averaged, current, _)

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on; nothing is copied: save it before a step."""
        return {
            "done": self.done,
            "denoiser": self.denoiser.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generators": [source.get_state() for source in self.batches.sources],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state of a trainer made with the same arguments: to the same bits.

        Raises:
            ValueError: where the state has another number of generators, or an average where there
                is none.
        """
        saved, expected = len(state["generators"]), len(self.batches.sources)
        if saved != expected:
            allowed = f"{expected}, as in this trainer"
            raise ValueError(f'len(state["generators"]) = {saved}: allowed is {allowed}')
        if (state["average"] is None) != (self.average is None):
            value = "missing" if state["average"] is None else "given"
            raise ValueError(f'state["average"] = {value}: allowed is given where ema is')
        self.denoiser.load_state_dict(state["denoiser"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        for source, kept in zip(self.batches.sources, state["generators"], strict=True):
            source.set_state(kept)
        self.done = checks.count('state["done"]', state["done"], 0)


def _adam(lr: float, weight_decay: float) -> OptimiserFactory:
    if weight_decay:
        return functools.partial(torch.optim.AdamW, lr=lr, fused=True, weight_decay=weight_decay)
    return functools.partial(torch.optim.Adam, lr=lr, fused=True)


@torch.no_grad()
def clip_gradients_(
    parameters: Iterable[nn.Parameter], bound: float, ensemble: tuple[int, ...] = ()
) -> None:
    """Scale gradients down to a norm of at most `bound`, for each model of an ensemble by itself.

    Args:
        parameters: with a leading axis of models where there is an ensemble.
        bound: on the norm over all parameters of a model.
        ensemble: () or (E,).
    """
    if not ensemble:
        nn.utils.clip_grad_norm_(parameters, bound)
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    squares = [gradient.flatten(1).square().sum(1) for gradient in gradients]
    norms = torch.stack(squares).sum(0).sqrt()
    scale = (bound / (norms + 1e-6)).clamp(max=1)  # the same small number as in torch
    for gradient in gradients:
        gradient *= scale.view(-1, *[1] * (gradient.dim() - 1))


def fit(
    denoiser: nn.Module,
    data: Tensor,
    *,
    steps: int,
    lr: float = 0.05,
    sigma: tuple[float, float] | None = (0.1, 1.0),
    weighting: Weighting | None = None,
    assign_on: str | Assignment = "x_t",
    present: Tensor | None = None,
    batch: int | None = None,
    generator: Generators,
) -> Tensor:
    """Minimise the denoising loss: all the steps of a `Trainer`.

    Args:
        denoiser: a denoiser with parameters, changed in place; an ensemble of E models trains E
            independent copies of the loss.
        data: (N, \\*event); for an ensemble (N, n) for all models, or (E, N, \\*event) with a data
            set for each, as in `Batches`.
        steps: number of steps, >= 1.
        lr: largest step size, > 0.
        sigma: range of noise levels, log-uniform, 0 < low <= high; None for t uniform on [0, 1].
        weighting: lambda_t as a function of t; 1 where omitted.
        assign_on: "x_t", "x0" for the modified loss of Theorem 3, or a function, as in `loss`.
        present: booleans (E, N), false where a data set with fewer than N points is padded.
        batch: points in a step, drawn with replacement; all where omitted.
        generator: one source for all, or one per model: then a model's result does not depend on
            which others are trained beside it (to rounding).

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
        present=present,
        batch=batch,
        generator=generator,
    )
    return torch.stack([trainer.step() for _ in range(trainer.steps)])
