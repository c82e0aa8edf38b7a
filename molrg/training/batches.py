"""What a step of training draws: points, times and noise, for each model as it would be alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from molrg import checks
from molrg.draws import Generators


class Batches:
    """The points, uniform numbers and noise of every step, drawn into tensors that are made once.

    A thousand views cost as much as the draws, so they are made once, too. Numbers are drawn on the
    CPU, in single precision, several times cheaper than double: noise does not need sixteen digits.

    Args:
        data: (N, \\*event) for a single model; for an ensemble (N, n) for all models, or
            (E, N, \\*event). Of (E, 1, H, W) nothing says whether it is one point for each model
            or E images for all, so it is refused: say it by (E, 1, n) or (E, n).
        ensemble: () or (E,).
        generator: one source for all, or one per model.
        batch: points in a step, drawn with replacement; all where omitted.
        present: booleans (N,) or (E, N), false for rows that are padding, which come last; at least
            one true for each model.

    Raises:
        ValueError: where a shape or a number does not fit, or data are not finite.
    """

    def __init__(
        self,
        data: Tensor,
        ensemble: tuple[int, ...],
        generator: Generators,
        batch: int | None = None,
        present: Tensor | None = None,
    ) -> None:
        self.ensemble = ensemble
        self.data = for_each(checks.finite("data", data), ensemble)
        self.sources = _sources(generator, ensemble)
        self.present = None if present is None else self._for_each_point(present)
        lead, N = len(ensemble), self.data.shape[len(ensemble)]
        size = (*ensemble, N if batch is None else checks.count("batch", batch))
        event = self.data.shape[lead + 1 :]
        self._u = torch.zeros(size, dtype=torch.float32, device="cpu")
        self._noise = torch.zeros(*size, *event, dtype=torch.float32, device="cpu")
        self._rows = None if batch is None else torch.empty(size, dtype=torch.int64, device="cpu")
        self._limits = self._points_of_models()
        self._views = self._split()

    def _for_each_point(self, present: Tensor) -> Tensor:
        size = tuple(self.data.shape[: len(self.ensemble) + 1])
        if present.dtype != torch.bool or tuple(present.shape) not in (size, size[-1:]):
            value = f"{tuple(present.shape)} of {present.dtype}"
            raise ValueError(f"present.shape = {value}: allowed is {size} of torch.bool")
        present = present.to(self.data.device).expand(size)
        if not present[..., 0].all() or (present[..., 1:] > present[..., :-1]).any():
            allowed = "one point or more for each model, before all padding"
            raise ValueError(f"present = padding before a point: allowed is {allowed}")
        return present

    def _points_of_models(self) -> list[int]:
        """How many points there are to draw from, for each source."""
        if self.present is None:
            return [self.data.shape[len(self.ensemble)]] * len(self.sources)
        if len(self.sources) == 1 and self.ensemble:
            self.sources = self.sources * self.ensemble[0]
        return self.present.sum(-1).view(-1).tolist()

    def _split(self) -> Sequence[Sequence[Tensor]]:
        """What each source draws into; all points of a data set without its padding."""
        drawn = [self._u, self._noise] + ([] if self._rows is None else [self._rows])
        each: list[Any] = [drawn]
        if self.ensemble and (self.present is not None or len(self.sources) > 1):
            each = list(zip(*(tensor.unbind(0) for tensor in drawn), strict=True))
        if self.present is None or self._rows is not None:
            return each
        pairs = zip(each, self._limits, strict=True)
        return [[tensor[:points] for tensor in views] for views, points in pairs]

    def draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Points (\\*E, B, \\*event), u (\\*E, B) uniform on [0, 1), noise, who is present."""
        for source, points, views in zip(self.sources, self._limits, self._views, strict=True):
            u, noise, *rows = views
            u.uniform_(generator=source)
            noise.normal_(generator=source)
            for row in rows:
                row.random_(points, generator=source)
        noise = self._noise.to(device=self.data.device, dtype=self.data.dtype)
        if self._rows is None:
            return self.data, self._u, noise, self.present
        return self.data[self._index()], self._u, noise, None

    def _index(self) -> tuple[Tensor, ...]:
        """The drawn rows as an index of the data."""
        assert self._rows is not None
        rows = self._rows.to(self.data.device)
        if not self.ensemble:
            return (rows,)
        return torch.arange(*self.ensemble, device=rows.device).unsqueeze(1), rows


def for_each(data: Tensor, ensemble: tuple[int, ...]) -> Tensor:
    """The data with a leading axis of models, where there are models.

    Args:
        data: as in `Batches`.
        ensemble: () or (E,).

    Raises:
        ValueError: where the shape is another one, there is no point, or the shape can be read in
            two ways.
    """
    given = tuple(data.shape)
    if not ensemble:
        if data.dim() == 0 or len(data) == 0:
            raise ValueError(f"data.shape = {given}: allowed is (N, *event), N >= 1")
        return data
    if data.dim() == 2:
        data = data.expand(*ensemble, *data.shape)
    E = ensemble[0]
    if data.dim() < 3 or len(data) != E or data.shape[1] == 0:
        allowed = f"(N, n) for all models or ({E}, N, *event), N >= 1"
        raise ValueError(f"data.shape = {given}: allowed is {allowed}")
    if data.dim() > 3 and data.shape[1] == 1:
        n = data[0, 0].numel()
        allowed = f"({E}, {n}) for all models or ({E}, 1, {n}) with one point for each"
        raise ValueError(f"data.shape = {given}: allowed is {allowed}")
    return data


def _sources(generator: Generators, ensemble: tuple[int, ...]) -> list[torch.Generator]:
    """The given generator, or one for each model."""
    if isinstance(generator, torch.Generator):
        return [generator]
    models = ensemble[0] if ensemble else 1
    if len(generator) != models:
        allowed = f"one, or one for each of {models} models"
        raise ValueError(f"len(generator) = {len(generator)}: allowed is {allowed}")
    return list(generator)
