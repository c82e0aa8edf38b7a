"""A multilayer perceptron as a denoiser."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from molrg import checks, draws
from molrg.denoisers.ensembles import EnsembleModule, number_of_models
from molrg.denoisers.networks import PREDICTIONS, to_x0
from molrg.draws import Generators
from molrg.schedules import Schedule


class MLP(EnsembleModule):
    """A multilayer perceptron as a denoiser, or an ensemble of them in one batched product a layer.

    It sees x_t scaled to unit variance, and the noise level as log sigma with a few waves of it.
    The last layer starts at zero.

    Source: ours; input scaling and time after Karras et al. (2022).

    Args:
        n: entries of an event, which may have any shape.
        schedule: the forward process.
        width: units of a hidden layer.
        depth: number of hidden layers, >= 1.
        prediction: "x0", "eps" or "v".
        data_scale: standard deviation of a coordinate of the data, > 0.
        ensemble: () for one model, (E,) for E of them; x_t is then (E, B, \\*event).
        generator: source of the weights, or one per model: then a model does not depend on the
            others.

    Raises:
        ValueError: where an argument is not as above.
    """

    frequencies = (0.25, 0.5, 1.0, 2.0)

    def __init__(
        self,
        n: int,
        schedule: Schedule,
        *,
        width: int = 256,
        depth: int = 3,
        prediction: str = "v",
        data_scale: float = 1.0,
        ensemble: tuple[int, ...] = (),
        generator: Generators,
    ) -> None:
        super().__init__()
        self.n, self.schedule, self.ensemble = checks.count("n", n), schedule, tuple(ensemble)
        self.prediction = checks.one_of("prediction", prediction, PREDICTIONS)
        self.data_scale = checks.real("data_scale", data_scale, 1e-6)
        hidden = [checks.count("width", width)] * checks.count("depth", depth)
        sizes = [self.n + 1 + 2 * len(self.frequencies), *hidden, self.n]
        layers: list[list[Tensor]] = [[] for _ in hidden]
        # a model at a time, as it would be drawn alone
        for source in draws.spread(generator, number_of_models(self.ensemble)):
            for layer, inward, outward in zip(layers, sizes, sizes[1:], strict=False):
                weight = draws.normal((inward, outward), generator=source, dtype=torch.float32)
                layer.append(weight * math.sqrt(2 / inward))
        zero = layers[0][0].new_zeros
        layers.append([zero(hidden[-1], self.n) for _ in layers[0]])
        self.weights = nn.ParameterList(self._stacked(layer) for layer in layers)
        self.biases = nn.ParameterList(
            self._stacked([zero(1, size) for _ in layers[0]]) for size in sizes[1:]
        )

    def _inputs(self, points: Tensor, s: Tensor, gamma: Tensor) -> Tensor:
        log_sigma = (gamma / s).clamp_min(1e-4).log()
        phases = log_sigma * log_sigma.new_tensor(self.frequencies)
        time = torch.cat([log_sigma / 4, phases.sin(), phases.cos()], dim=-1)
        scaled = points / ((s * self.data_scale).square() + gamma.square()).sqrt()
        return torch.cat([scaled, time], dim=-1).to(self.biases[0].dtype)

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from (\\*E, B, \\*event)."""
        points = checks.flat_events("x_t", x_t, self.n, self.ensemble)
        s, gamma = self.schedule.at(t, points)
        each = (*points.shape[:-1], 1)
        h = self._inputs(points, s.expand(each), gamma.expand(each))
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = nn.functional.silu(h @ weight + bias)
        output = (h @ self.weights[-1] + self.biases[-1]).to(points.dtype)
        return to_x0(output, points, s, gamma, self.prediction, self.data_scale).reshape(x_t.shape)
