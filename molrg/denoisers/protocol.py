"""What a denoiser is, and what some of them have besides.

Whoever takes a denoiser asks for one of these protocols, by `isinstance` where it is optional, and
for nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from molrg.schedules import Schedule


@runtime_checkable
class Denoiser(Protocol):
    """What every denoiser is: a schedule, and a call from (x_t, t) to an estimate of x_0.

    x_t is (B, \\*event); t is a scalar or (B,), in [0, 1]; the result has the shape of x_t.
    """

    @property
    def schedule(self) -> Schedule:
        """The forward process."""

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor: ...


@runtime_checkable
class ForEvents(Protocol):
    """A denoiser of events of one shape, such as images (C, H, W); None where a size is open."""

    @property
    def event(self) -> tuple[int | None, ...]:
        """The shape of an event, such as (C, H, W); None where a size is open."""


@runtime_checkable
class Ensemble(Protocol):
    """Models of one kind, computed together on x_t (E, B, \\*event).

    Attributes:
        ensemble: (E,), or () for a single model, whose x_t is (B, \\*event).
    """

    ensemble: tuple[int, ...]


@runtime_checkable
class Selectable(Ensemble, Protocol):
    """An ensemble from which models can be chosen."""

    def select(self, models: Sequence[int] | Tensor) -> Ensemble:
        """A denoiser of the chosen models, in this order; a copy."""


@runtime_checkable
class Retractable(Protocol):
    """A denoiser whose parameters obey a constraint, such as orthonormal columns."""

    def retract_(self) -> None:
        """Bring the parameters back to the constraint, in place; called after a gradient step."""


@runtime_checkable
class Tangential(Protocol):
    """A denoiser that takes gradients along its constraint only."""

    def project_gradient_(self) -> None:
        """Remove from the gradients what leads off the constraint; called before a step."""


@runtime_checkable
class Movable(Protocol):
    """A denoiser that can be moved to a device, in place or as a copy."""

    def to(self, device: torch.device | str) -> Any:
        """The denoiser on the device."""


@runtime_checkable
class Assigning(Protocol):
    """A denoiser of K components, which assigns points to them by weights (\\*E, B, K)."""

    schedule: Schedule

    def __call__(self, x_t: Tensor, t: float | Tensor, weights: Tensor | None = None) -> Tensor:
        """Estimate x_0, with `weights` in place of its own where they are given."""

    def soft_weights(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Posterior probabilities of the components."""

    def hard_weights(self, x: Tensor) -> Tensor:
        """One-hot weights on the component with the largest projection of x."""


def ensemble_of(denoiser: Denoiser) -> tuple[int, ...]:
    """The leading axes of x_t that are models: (E,) for an `Ensemble` of E, else ()."""
    return tuple(denoiser.ensemble) if isinstance(denoiser, Ensemble) else ()


def check_denoiser(denoiser: Any) -> Denoiser:
    """Return what is a denoiser; a wrapper that hides the schedule of one is none.

    Raises:
        ValueError: where it is not callable or has no schedule.
    """
    if not isinstance(denoiser, Denoiser) or not isinstance(denoiser.schedule, Schedule):
        allowed = "what is called with (x_t, t) and has a `schedule`"
        raise ValueError(f"denoiser = {type(denoiser).__name__}: allowed is {allowed}")
    return denoiser
