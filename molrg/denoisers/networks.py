r"""Networks as denoisers: what they put out as an estimate of x_0, and U-Nets.

What a network puts out, F, becomes an estimate of x_0 in one place, `to_x0`. With a the standard
deviation of the data and :math:`r_t = \sqrt{s_t^2 a^2 + \gamma_t^2}` that of x_t,

.. math:: \hat x_0 = F, \qquad \hat x_0 = \frac{x_t - \gamma_t F}{s_t}, \qquad
          \hat x_0 = \frac{s_t a^2}{r_t^2} x_t - \frac{\gamma_t a}{r_t} F

for "x0", "eps" and "v"; the targets of F are then x_0, the noise, and a vector of unit variance.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from molrg import checks
from molrg.schedules import Schedule, Stepwise, as_time

PREDICTIONS = ("x0", "eps", "v")


def to_x0(
    output: Tensor, x_t: Tensor, s: Tensor, gamma: Tensor, prediction: str, data_scale: float = 1.0
) -> Tensor:
    """The estimate of x_0 that a network's output stands for.

    Source: Ho et al. (2020) for "eps", Salimans and Ho (2022) for "v", which is the diffusers
    library's ``v_prediction`` where s^2 + gamma^2 = 1 and data_scale = 1; the preconditioning of
    Karras et al. (2022) in general.

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
    """The time as diffusers counts it: the step of a discrete schedule, else 999 t."""
    return schedule.step(t) if isinstance(schedule, Stepwise) else 999 * as_time(t)


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

    network: Any

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
    def fixed_event(self) -> tuple[int, int, int]:
        """(C, H, W) of a network that leaves nothing open.

        Raises:
            ValueError: where it leaves a size open.
        """
        channels, height, width = self.event
        if channels is None or height is None or width is None:
            raise ValueError(f"event = {self.event}: allowed is a network of one size of images")
        return channels, height, width

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
        wide = checks.at_least_single(x_t)
        s, gamma = self.schedule.at(t, wide)
        x0_hat = to_x0(output.to(wide.dtype), wide, s, gamma, self.prediction, self.data_scale)
        return x0_hat.to(x_t.dtype)
