"""Ensembles: models of one kind in tensors with a leading axis, and denoisers stacked into one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from molrg import checks
from molrg.denoisers.protocol import Denoiser, Movable


def chosen_models(models: Sequence[int] | Tensor, ensemble: tuple[int, ...]) -> list[int]:
    """The indices of models as a list.

    Raises:
        ValueError: where there is no ensemble, no index, or one out of range.
    """
    if len(ensemble) != 1:
        raise ValueError(f"ensemble = {ensemble}: allowed is (E,), models to choose from")
    indices = [checks.count(f"models[{i}]", e, 0, ensemble[0] - 1) for i, e in enumerate(models)]
    if not indices:
        raise ValueError("len(models) = 0: allowed is one model or more")
    return indices


def number_of_models(ensemble: tuple[int, ...]) -> int:
    """How many models there are in an ensemble: E for (E,), one for ().

    Raises:
        ValueError: where it is neither.
    """
    if len(ensemble) > 1:
        raise ValueError(f"ensemble = {ensemble}: allowed is () or (E,)")
    return checks.count("ensemble", ensemble[0]) if ensemble else 1


class EnsembleModule(nn.Module):
    """A module whose parameters have a leading axis of models where `ensemble` is (E,).

    Subclasses set `ensemble`, and name in `per_model` the buffers that have the axis, too.
    """

    ensemble: tuple[int, ...]
    per_model: tuple[str, ...] = ()

    def _stacked(self, models: Sequence[Tensor]) -> nn.Parameter:
        """The parameters of the models as one."""
        return nn.Parameter(torch.stack(tuple(models)) if self.ensemble else models[0])

    @torch.no_grad()
    def select(self, models: Sequence[int] | Tensor) -> Self:
        """A denoiser of the chosen models, in this order; a copy.

        Raises:
            ValueError: where this is a single model, or an index is out of range.
        """
        indices = chosen_models(models, self.ensemble)
        selected = copy.deepcopy(self)
        for parameter in selected.parameters():
            parameter.data = parameter.data[indices]
        for name in self.per_model:
            setattr(selected, name, getattr(self, name)[indices])
        selected.ensemble = (len(indices),)
        return selected


class Stacked:
    """Denoisers of single models as one ensemble: (E, B, \\*event) in, (E, B, \\*event) out.

    They are called one after another; only the face is that of an ensemble.

    Args:
        denoisers: E of them, on one schedule.
        event: the shape in which they take a point; that of x_t where omitted.

    Raises:
        ValueError: where there are none, or their schedules differ.
    """

    def __init__(self, denoisers: Sequence[Denoiser], event: tuple[int, ...] | None = None) -> None:
        if len(denoisers) == 0:
            raise ValueError("len(denoisers) = 0: allowed is one or more")
        self.denoisers, self.schedule = list(denoisers), denoisers[0].schedule
        for e, denoiser in enumerate(denoisers):
            if denoiser.schedule != self.schedule:
                allowed = f"{self.schedule}, that of the first"
                raise ValueError(
                    f"denoisers[{e}].schedule = {denoiser.schedule}: allowed is {allowed}"
                )
        self.ensemble: tuple[int, ...] = (len(denoisers),)
        self._event = event

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0; t is a scalar, (E,) or (E, B), or broadcasts to one of these.

        Raises:
            ValueError: where x_t or t has another shape.
        """
        E = len(self.denoisers)
        if x_t.dim() < 3 or len(x_t) != E:
            allowed = f"({E}, B, *event)"
            raise ValueError(f"x_t.shape = {tuple(x_t.shape)}: allowed is {allowed}")
        times = [t] * E
        if isinstance(t, Tensor) and t.dim() > 0:
            if t.dim() > 2 or any(
                a not in (1, b) for a, b in zip(t.shape, x_t.shape, strict=False)
            ):
                allowed = f"() or what broadcasts to ({E},) or ({E}, {x_t.shape[1]})"
                raise ValueError(f"t.shape = {tuple(t.shape)}: allowed is {allowed}")
            times = list(t.expand(E, *t.shape[1:]))
        estimates = []
        for denoiser, points, time in zip(self.denoisers, x_t, times, strict=True):
            shaped = points if self._event is None else points.flatten(1).unflatten(1, self._event)
            estimates.append(denoiser(shaped, time).reshape(points.shape))
        return torch.stack(estimates)

    def select(self, models: Sequence[int] | Tensor) -> Stacked:
        """The chosen denoisers, in this order.

        Raises:
            ValueError: where an index is out of range.
        """
        indices = chosen_models(models, self.ensemble)
        return Stacked([self.denoisers[e] for e in indices], self._event)

    def to(self, device: torch.device | str) -> Stacked:
        """The same denoisers on a device.

        Raises:
            ValueError: where one of them cannot be moved.
        """
        moved = []
        for e, denoiser in enumerate(self.denoisers):
            if not isinstance(denoiser, Movable):
                value = type(denoiser).__name__
                raise ValueError(f"denoisers[{e}] = {value}: allowed is what has a method `to`")
            moved.append(denoiser.to(device))
        return Stacked(moved, self._event)
