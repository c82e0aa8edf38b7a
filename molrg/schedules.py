r"""Noise schedules: :math:`x_t = s_t x_0 + \gamma_t \varepsilon` for t in [0, 1].

The papers leave :math:`s_t` and :math:`\gamma_t` open; three conventional choices are given. What
matters to a denoiser is the noise level :math:`\sigma_t = \gamma_t / s_t`, and figures against t
mean little without saying which schedule: ``sigma`` and ``t_of_sigma`` convert.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from molrg import checks


def as_time(t: float | Tensor, name: str = "t") -> Tensor:
    """Return `t` as a float64 tensor; an error calls it by `name`.

    Raises:
        ValueError: where an entry is not a number in [0, 1].
    """
    tensor = _double(t)
    if not tensor.equal(tensor.clamp(0, 1)):  # NaN is equal to nothing
        value = f"{t}" if tensor.dim() == 0 else f"tensor in [{tensor.min():g}, {tensor.max():g}]"
        raise ValueError(f"{name} = {value}: allowed is a number in [0, 1]")
    return tensor


def _double(value: Any) -> Tensor:
    """A number, a list or an array as a tensor on the CPU; a tensor stays on its device."""
    if isinstance(value, Tensor):
        return value.double()
    return torch.tensor(value, dtype=torch.float64, device="cpu")


def variance_floor(dtype: torch.dtype) -> float:
    """The least gamma_t^2 that a denoiser divides by, so that it takes its limit at gamma_t = 0.

    The root of the smallest normal number: it is far below every noise level, and squared distances
    can be divided by it without overflow.
    """
    return torch.finfo(dtype).tiny ** 0.5


class Schedule(ABC):
    """A forward process, given by its signal scale ``s`` and noise scale ``gamma``."""

    @abstractmethod
    def s(self, t: float | Tensor) -> Tensor:
        """Signal scale s_t > 0, float64, of the shape of `t`."""

    @abstractmethod
    def gamma(self, t: float | Tensor) -> Tensor:
        """Noise scale gamma_t >= 0, float64, of the shape of `t`."""

    @abstractmethod
    def t_of_sigma(self, sigma: float | Tensor) -> Tensor:
        """The t at which gamma_t / s_t equals `sigma`; ValueError where no t in [0, 1] does."""

    def sigma(self, t: float | Tensor) -> Tensor:
        """Noise level sigma_t = gamma_t / s_t, float64, of the shape of `t`."""
        return self.gamma(t) / self.s(t)

    def at(self, t: float | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return (s_t, gamma_t) like `like`, in dtype and device, ready to broadcast against it.

        Args:
            t: a scalar, or a value for each leading entry of `like`, such as (B,) for (B,
                \\*event).
            like: the noisy points; the result is on their device, wherever t is.

        Raises:
            ValueError: where t is outside [0, 1] or its shape does not lead that of `like`.
        """
        t = as_time(t)
        leads = all(a in (1, b) for a, b in zip(t.shape, like.shape, strict=False))
        if t.dim() > like.dim() or not leads:
            allowed = f"() or leading axes of x_t, which is {tuple(like.shape)}"
            raise ValueError(f"t.shape = {tuple(t.shape)}: allowed is {allowed}")
        shape = t.shape + (1,) * (like.dim() - t.dim() if t.dim() else 0)
        scales = self.s(t).reshape(shape), self.gamma(t).reshape(shape)
        s, gamma = (scale.to(device=like.device, dtype=like.dtype) for scale in scales)
        return s, gamma

    def add_noise(self, x0: Tensor, t: float | Tensor, noise: Tensor) -> Tensor:
        """The noisy points x_t = s_t x0 + gamma_t noise.

        Args:
            x0: clean points (B, \\*event).
            t: a scalar or (B,) in [0, 1].
            noise: standard normal, of the shape of x0.

        Raises:
            ValueError: as `at`.
        """
        s, gamma = self.at(t, x0)
        return s * x0 + gamma * noise

    @cached_property
    def _sigma_range(self) -> tuple[float, float]:
        return self.sigma(0.0).item(), self.sigma(1.0).item()

    def _checked_sigma(self, sigma: float | Tensor) -> Tensor:
        sigma = _double(sigma)
        low, high = self._sigma_range
        slack = 1e-9 * high
        if not ((sigma >= low - slack) & (sigma <= high + slack)).all():
            allowed = f"in [{low:.4g}, {high:.4g}], the range of {type(self).__name__}"
            raise ValueError(f"sigma = {sigma.tolist()}: allowed is {allowed}")
        return sigma.clamp(low, high)


@dataclass(frozen=True)
class VP(Schedule):
    """Variance-preserving diffusion, with rate beta(t) = beta_min + t (beta_max - beta_min).

    Source: Song et al. (2021), the continuous limit of DDPM.

    Args:
        beta_min: rate at t = 0, > 0.
        beta_max: rate at t = 1, > beta_min.

    Raises:
        ValueError: where the rates are not 0 < beta_min < beta_max.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min < self.beta_max < math.inf:
            rates = (self.beta_min, self.beta_max)
            raise ValueError(f"(beta_min, beta_max) = {rates}: allowed is 0 < beta_min < beta_max")

    def _integrated_rate(self, t: float | Tensor) -> Tensor:
        t = as_time(t)
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def s(self, t: float | Tensor) -> Tensor:
        return torch.exp(-0.5 * self._integrated_rate(t))

    def gamma(self, t: float | Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(-self._integrated_rate(t)))

    def t_of_sigma(self, sigma: float | Tensor) -> Tensor:
        integrated = torch.log1p(self._checked_sigma(sigma) ** 2)
        # the root of beta_min t + (beta_max - beta_min) t^2 / 2 in the form that does not cancel
        root = torch.sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * integrated)
        return (2 * integrated / (self.beta_min + root)).clamp(0, 1)


@dataclass(frozen=True)
class EDM(Schedule):
    """Variance-exploding diffusion, s_t = 1, on the noise levels of Karras et al. (2022).

    t in [0, 1] maps to sigma from `sigma_min` to `sigma_max` by interpolating sigma^(1/rho).

    Args:
        sigma_min: noise level at t = 0, > 0.
        sigma_max: noise level at t = 1, > sigma_min.
        rho: > 0; larger puts more of [0, 1] at low noise.

    Raises:
        ValueError: where a bound above does not hold.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            levels = (self.sigma_min, self.sigma_max)
            allowed = "0 < sigma_min < sigma_max"
            raise ValueError(f"(sigma_min, sigma_max) = {levels}: allowed is {allowed}")
        if not 0 < self.rho < math.inf:
            raise ValueError(f"rho = {self.rho}: allowed is > 0")

    def s(self, t: float | Tensor) -> Tensor:
        return torch.ones_like(as_time(t))

    def gamma(self, t: float | Tensor) -> Tensor:
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return (low + as_time(t) * (high - low)) ** self.rho

    def t_of_sigma(self, sigma: float | Tensor) -> Tensor:
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return ((self._checked_sigma(sigma) ** (1 / self.rho) - low) / (high - low)).clamp(0, 1)


class Stepwise(Schedule):
    """A schedule of finitely many noise levels: t in [0, 1] maps to step round((steps - 1) t).

    Subclasses give `alpha_bar`, the signal power s^2 of every step, (steps,), float64, strictly
    falling in (0, 1); gamma^2 is the rest. The table is looked up on the device of t.
    """

    @property
    @abstractmethod
    def alpha_bar(self) -> Tensor:
        """Signal power of every step."""

    def step(self, t: float | Tensor) -> Tensor:
        """The step index in 0 ... steps - 1 that t in [0, 1] stands for."""
        return torch.round((len(self.alpha_bar) - 1) * as_time(t)).long()

    def s(self, t: float | Tensor) -> Tensor:
        return torch.sqrt(self._power(t))

    def gamma(self, t: float | Tensor) -> Tensor:
        return torch.sqrt(1 - self._power(t))

    def _power(self, t: float | Tensor) -> Tensor:
        step = self.step(t)
        return self.alpha_bar.to(step.device)[step]

    def t_of_sigma(self, sigma: float | Tensor) -> Tensor:
        """The t of the step whose noise level is nearest to `sigma` in logarithm."""
        wanted = torch.log(self._checked_sigma(sigma))
        power = self.alpha_bar.to(wanted.device)
        levels = torch.log((1 - power) / power) / 2
        nearest = (levels - wanted.unsqueeze(-1)).abs().argmin(-1)
        return nearest.to(torch.float64) / (len(self.alpha_bar) - 1)


class Discrete(Stepwise):
    """A discrete schedule by its table, such as the cosine one, or another program's.

    Args:
        alpha_bar: signal power s^2 of every step, (steps,), strictly falling in (0, 1), steps >= 2.

    Raises:
        ValueError: where the table is not as above.
    """

    def __init__(self, alpha_bar: Tensor) -> None:
        table = checks.finite("alpha_bar", alpha_bar).double()
        if table.dim() != 1 or len(table) < 2:
            allowed = "(steps,) with steps >= 2"
            raise ValueError(f"alpha_bar.shape = {tuple(table.shape)}: allowed is {allowed}")
        if not (table.diff() < 0).all() or table[-1] <= 0 or table[0] >= 1:
            ends = f"{table[0]:.3g} ... {table[-1]:.3g}"
            raise ValueError(f"alpha_bar = {ends}: allowed is strictly falling, in (0, 1)")
        self._table = table

    @property
    def alpha_bar(self) -> Tensor:
        """Signal power s^2 of every step, (steps,)."""
        return self._table

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Discrete) and torch.equal(self.alpha_bar, other.alpha_bar)

    def __hash__(self) -> int:
        return hash((len(self.alpha_bar), self.alpha_bar[0].item(), self.alpha_bar[-1].item()))


@dataclass(frozen=True)
class DDPM(Stepwise):
    """The discrete schedule of Ho et al. (2020): t maps to step round((steps - 1) t), linear betas.

    Args:
        steps: number of noise levels, >= 2.
        beta_start: variance added at the first step, in (0, 1).
        beta_end: variance added at the last step, in (beta_start, 1).

    Raises:
        ValueError: where a bound above does not hold.
    """

    steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checks.count("steps", self.steps, 2))
        if not 0 < self.beta_start < self.beta_end < 1:
            betas = (self.beta_start, self.beta_end)
            allowed = "0 < beta_start < beta_end < 1"
            raise ValueError(f"(beta_start, beta_end) = {betas}: allowed is {allowed}")

    @cached_property
    def alpha_bar(self) -> Tensor:
        """Cumulated signal power s^2 of every step, (steps,)."""
        ends = (self.beta_start, self.beta_end)
        betas = torch.linspace(*ends, self.steps, dtype=torch.float64, device="cpu")
        return torch.cumprod(1 - betas, 0)
