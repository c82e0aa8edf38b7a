r"""Networks as denoisers: perceptrons, U-Nets, and a mixture of Gaussians with nothing tied.

What a network puts out, F, becomes an estimate of x_0 in one place, `to_x0`. With a the standard
deviation of the data and :math:`r_t = \sqrt{s_t^2 a^2 + \gamma_t^2}` that of x_t,

.. math:: \hat x_0 = F, \qquad \hat x_0 = \frac{x_t - \gamma_t F}{s_t}, \qquad
          \hat x_0 = \frac{s_t a^2}{r_t^2} x_t - \frac{\gamma_t a}{r_t} F

for "x0", "eps" and "v"; the targets of F are then x_0, the noise, and a vector of unit variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from molrg import checks
from molrg.schedules import Schedule
from molrg.subspaces import orthonormalise, random_basis

PREDICTIONS = ("x0", "eps", "v")
Generators = torch.Generator | Sequence[torch.Generator]


def to_x0(
    output: Tensor, x_t: Tensor, s: Tensor, gamma: Tensor, prediction: str, data_scale: float = 1.0
) -> Tensor:
    """The estimate of x_0 that a network's output stands for.

    Source: Ho et al. (2020) for "eps", Salimans and Ho (2022) for "v", which is the diffusers library's
    ``v_prediction`` where s^2 + gamma^2 = 1 and data_scale = 1; the preconditioning of Karras et al. (2022) in general.

    Args:
        output: F, of the shape of x_t.
        x_t: noisy points.
        s: signal scale, broadcasting against x_t; > 0.
        gamma: noise scale, likewise.
        prediction: "x0", "eps" or "v".
        data_scale: standard deviation of a coordinate of the data, > 0; used by "v" only.

    Raises:
        ValueError: where the prediction is none of the three.
    """
    if checks.one_of("prediction", prediction, PREDICTIONS) == "x0":
        return output
    if prediction == "eps":
        return (x_t - gamma * output) / s
    total = (s * data_scale).square() + gamma.square()
    return s * data_scale**2 / total * x_t - gamma * data_scale / total.sqrt() * output


def network_time(schedule: Schedule, t: float | Tensor) -> Tensor:
    """The time as diffusers counts it: the step of a discrete schedule, and 999 t for a continuous one."""
    return (
        schedule.step(t)
        if hasattr(schedule, "step")
        else 999 * torch.as_tensor(t, dtype=torch.float64)
    )


class UNet(nn.Module):
    """A diffusers U-Net as a denoiser, whatever it was trained to predict.

    The network sees x_t as it is, and the time as `network_time` has it. It may be in half
    precision: x0_hat is put together in single then.

    Args:
        network: a diffusers ``UNet2DModel``, without classes.
        schedule: the forward process.
        prediction: "x0", "eps" or "v": in diffusers "sample", "epsilon", "v_prediction".
        data_scale: standard deviation of a pixel, > 0; used by "v" only.
        clip: bound that a pipeline puts on x0_hat in each step, or None. It is kept for samplers,
            `molrg.sampling.ddim` and others; x0_hat is not clipped here.

    Raises:
        ValueError: where the prediction, the scale or the bound is not as above.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        *,
        prediction: str = "v",
        data_scale: float = 1.0,
        clip: float | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule
        self.prediction = checks.one_of("prediction", prediction, PREDICTIONS)
        self.data_scale = checks.real("data_scale", data_scale, 1e-6)
        self.clip = None if clip is None else checks.real("clip", clip, 1e-6)

    @property
    def event(self) -> tuple[int | None, ...]:
        """(C, H, W) of the images; None where the network leaves a size open."""
        size = self.network.config.sample_size
        height, width = size if isinstance(size, (tuple, list)) else (size, size)
        return (self.network.config.in_channels, height, width)

    @property
    def multiple(self) -> int:
        """What H and W must be multiples of: a block halves them, all but the last."""
        return 2 ** (len(self.network.config.down_block_types) - 1)

    def _require_images(self, x_t: Tensor) -> None:
        shape = tuple(x_t.shape)
        fits = len(shape) == 4 and all(
            size in (None, given) for size, given in zip(self.event, shape[1:], strict=True)
        )
        if not fits or any(side % self.multiple for side in shape[2:]):
            sizes = ", ".join("any" if size is None else str(size) for size in self.event)
            raise ValueError(
                f"x_t.shape = {shape}: allowed is (B, {sizes}), height and width multiples of"
                f" {self.multiple}, by which this network halves them"
            )

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from images (B, C, H, W).

        Raises:
            ValueError: where the images are of a size or number of channels that the network
                cannot take.
        """
        self._require_images(x_t)
        time = network_time(self.schedule, t).to(x_t.device)
        time = time.to(self.network.dtype) if time.is_floating_point() else time
        output = self.network(x_t.to(self.network.dtype), time.expand(len(x_t))).sample
        output = output[:, : x_t.shape[1]]  # the rest: learned variances
        wide = x_t.to(torch.promote_types(x_t.dtype, torch.float32))
        s, gamma = self.schedule.at(t, wide)
        x0_hat = to_x0(output.to(wide.dtype), wide, s, gamma, self.prediction, self.data_scale)
        return x0_hat.to(x_t.dtype)


def _sources(generator: Generators, ensemble: tuple[int, ...]) -> list[torch.Generator]:
    """One source for each model: the same again where there is a single one."""
    checks.require(len(ensemble) <= 1, "ensemble", ensemble, "() or (E,)")
    models = checks.count("ensemble", ensemble[0]) if ensemble else 1
    sources = [generator] * models if isinstance(generator, torch.Generator) else list(generator)
    checks.require(
        len(sources) == models,
        "len(generator)",
        len(sources),
        f"one, or one for each of {models} models",
    )
    return sources


def _stacked(models: list[Tensor], ensemble: tuple[int, ...]) -> nn.Parameter:
    return nn.Parameter(torch.stack(models) if ensemble else models[0])


def _flat(x_t: Tensor, n: int, ensemble: tuple[int, ...]) -> Tensor:
    """Points (\\*E, B, n) from x_t of any event shape."""
    lead = len(ensemble) + 1
    fits = (
        x_t.dim() > lead
        and tuple(x_t.shape[: lead - 1]) == ensemble
        and math.prod(x_t.shape[lead:]) == n
    )
    checks.require(fits, "x_t.shape", tuple(x_t.shape), f"{(*ensemble, 'B')} and {n} entries each")
    return x_t.flatten(lead)


class MLP(nn.Module):
    """A multilayer perceptron as a denoiser, or an ensemble of them in one batched product a layer.

    It sees x_t scaled to unit variance, and the noise level as log sigma with a few waves of it. The
    last layer starts at zero.

    Source: ours; input scaling and time after Karras et al. (2022).

    Args:
        n: entries of an event, which may have any shape.
        schedule: the forward process.
        width: units of a hidden layer.
        depth: number of hidden layers, >= 1.
        prediction: "x0", "eps" or "v".
        data_scale: standard deviation of a coordinate of the data, > 0.
        ensemble: () for one model, (E,) for E of them; x_t is then (E, B, \\*event).
        generator: source of the weights, or one a model: then a model does not depend on the others.

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
        sizes = [n + 1 + 2 * len(self.frequencies), *hidden, n]
        layers: list[list[Tensor]] = [[] for _ in hidden]
        for source in _sources(
            generator, self.ensemble
        ):  # a model at a time, as it would be drawn alone
            for layer, (inward, outward) in zip(
                layers, zip(sizes, sizes[1:], strict=False), strict=False
            ):
                layer.append(torch.randn(inward, outward, generator=source) * math.sqrt(2 / inward))
        last = [torch.zeros(width, n) for _ in layers[0]]
        self.weights = nn.ParameterList(_stacked(layer, self.ensemble) for layer in [*layers, last])
        self.biases = nn.ParameterList(
            _stacked([torch.zeros(1, size) for _ in last], self.ensemble) for size in sizes[1:]
        )

    def _inputs(self, points: Tensor, s: Tensor, gamma: Tensor) -> Tensor:
        log_sigma = (gamma / s).clamp_min(1e-4).log()
        phases = log_sigma * log_sigma.new_tensor(self.frequencies)
        time = torch.cat([log_sigma / 4, phases.sin(), phases.cos()], dim=-1)
        scaled = points / ((s * self.data_scale).square() + gamma.square()).sqrt()
        return torch.cat([scaled, time], dim=-1).to(self.biases[0].dtype)

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from (\\*E, B, \\*event)."""
        points = _flat(x_t, self.n, self.ensemble)
        s, gamma = self.schedule.at(t, points)
        h = self._inputs(
            points, s.expand(*points.shape[:-1], 1), gamma.expand(*points.shape[:-1], 1)
        )
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = nn.functional.silu(h @ weight + bias)
        output = (h @ self.weights[-1] + self.biases[-1]).to(points.dtype)
        return to_x0(output, points, s, gamma, self.prediction, self.data_scale).reshape(x_t.shape)


class FreeMixture(nn.Module):
    r"""The optimal denoiser of K centred Gaussians of equal weight, with covariances free to be learned.

    .. math:: \hat x_0 = \sum_k w_k(x_t)\, Q_k\,\mathrm{diag}\frac{s_t \lambda_k}{s_t^2\lambda_k + \gamma_t^2}\, Q_k^T x_t

    with Q_k (n, n) orthonormal, the n variances lambda_k > 0 of each component its own, and w_k the posterior.
    Against `molrg.denoisers.LowRank`: no rank is imposed and no spectrum is tied. (Were the prior weights
    learned, too, one component would often take all the data.)

    Source: ours, the step between the tied low-rank denoiser of 2409.02426 and a network.

    Args:
        n: entries of an event, which may have any shape.
        schedule: the forward process.
        K: number of components.
        data_scale: standard deviation of a coordinate of the data, > 0; the variances start around its square.
        ensemble: () for one model, (E,) for E of them; x_t is then (E, B, \\*event).
        generator: source of the start, or one a model.

    Raises:
        ValueError: where an argument is not as above.
    """

    def __init__(
        self,
        n: int,
        schedule: Schedule,
        K: int,
        *,
        data_scale: float = 1.0,
        ensemble: tuple[int, ...] = (),
        generator: Generators,
    ) -> None:
        super().__init__()
        self.n, self.K, self.schedule, self.ensemble = (
            checks.count("n", n, 2),
            checks.count("K", K),
            schedule,
            tuple(ensemble),
        )
        start = 2 * math.log(checks.real("data_scale", data_scale, 1e-6))
        axes, spectra = [], []
        for source in _sources(generator, self.ensemble):
            axes.append(random_basis(n, n, generator=source, ensemble=(self.K,)).float())
            # flat spectra would make all components one
            spectra.append(start + 0.3 * torch.randn(self.K, 1, n, generator=source))
        self.axes, self.log_variances = (
            _stacked(axes, self.ensemble),
            _stacked(spectra, self.ensemble),
        )

    @torch.no_grad()
    def retract_(self) -> None:
        """Bring the axes back to orthonormal columns after a gradient step."""
        self.axes.copy_(orthonormalise(self.axes))

    @property
    def covariances(self) -> Tensor:
        """The K covariances as they are now, (\\*E, K, n, n), detached."""
        axes = self.axes.detach()
        return axes * self.log_variances.detach().exp() @ axes.mT

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from (\\*E, B, \\*event)."""
        points = _flat(x_t, self.n, self.ensemble)
        s, gamma = self.schedule.at(t, points)
        s, gamma = (
            scale.unsqueeze(-3) if scale.dim() else scale for scale in (s, gamma)
        )  # before the axis of components
        latent = points.unsqueeze(-3) @ self.axes  # (*E, K, B, n)
        variances = self.log_variances.exp()
        total = s.square() * variances + gamma.square().clamp_min(
            torch.finfo(points.dtype).tiny ** 0.5
        )
        weights = (-0.5 * (latent.square() / total + total.log()).sum(-1)).softmax(-2).unsqueeze(-1)
        return (weights * s * variances / total * latent @ self.axes.mT).sum(-3).reshape(x_t.shape)
