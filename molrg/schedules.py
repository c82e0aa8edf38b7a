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

import torch
from torch import Tensor

from molrg import checks


def as_time(t: float | Tensor) -> Tensor:
    """Return `t` as a float64 tensor.

    Raises:
        ValueError: where an entry is not a number in [0, 1].
    """
    tensor = torch.as_tensor(t, dtype=torch.float64)
    inside = bool(((tensor >= 0) & (tensor <= 1)).all())  # NaN compares false
    checks.require(
        inside,
        "t",
        t if tensor.dim() == 0 else f"tensor in [{tensor.min():g}, {tensor.max():g}]",
        "a number in [0, 1]",
    )
    return tensor


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
        """Return (s_t, gamma_t) in the dtype of `like`, ready to broadcast against it.

        Args:
            t: a scalar, or one value for each leading entry of `like`, such as (B,) for (B, \\*event).
            like: the noisy points.

        Raises:
            ValueError: where t is outside [0, 1] or its shape does not lead that of `like`.
        """
        t = as_time(t)
        fits = t.dim() <= like.dim() and all(
            a in (1, b) for a, b in zip(t.shape, like.shape, strict=False)
        )
        checks.require(
            fits,
            "t.shape",
            tuple(t.shape),
            f"() or leading axes of x_t, which is {tuple(like.shape)}",
        )
        shape = t.shape + (1,) * (like.dim() - t.dim() if t.dim() else 0)
        return self.s(t).to(like.dtype).reshape(shape), self.gamma(t).to(like.dtype).reshape(shape)

    def _checked_sigma(self, sigma: float | Tensor) -> Tensor:
        sigma = torch.as_tensor(sigma, dtype=torch.float64)
        low, high = self.sigma(0.0).item(), self.sigma(1.0).item()
        slack = 1e-9 * high
        inside = bool(((sigma >= low - slack) & (sigma <= high + slack)).all())
        checks.require(
            inside,
            "sigma",
            sigma.tolist(),
            f"in [{low:.4g}, {high:.4g}], the range of {type(self).__name__}",
        )
        return sigma.clamp(low, high)


@dataclass(frozen=True)
class VP(Schedule):
    """Variance-preserving diffusion with a linear rate beta(t) = beta_min + t (beta_max - beta_min).

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
        rates = (self.beta_min, self.beta_max)
        checks.require(
            0 < rates[0] < rates[1] < math.inf,
            "(beta_min, beta_max)",
            rates,
            "0 < beta_min < beta_max",
        )

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
        levels = (self.sigma_min, self.sigma_max)
        checks.require(
            0 < levels[0] < levels[1] < math.inf,
            "(sigma_min, sigma_max)",
            levels,
            "0 < sigma_min < sigma_max",
        )
        checks.require(0 < self.rho < math.inf, "rho", self.rho, "> 0")

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

    Subclasses give `alpha_bar`, the signal power s^2 of every step, (steps,), float64, strictly falling in (0, 1);
    gamma^2 is the rest.
    """

    alpha_bar: Tensor

    def step(self, t: float | Tensor) -> Tensor:
        """The step index in 0 ... steps - 1 that t in [0, 1] stands for."""
        return torch.round((len(self.alpha_bar) - 1) * as_time(t)).long()

    def s(self, t: float | Tensor) -> Tensor:
        return torch.sqrt(self.alpha_bar[self.step(t)])

    def gamma(self, t: float | Tensor) -> Tensor:
        return torch.sqrt(1 - self.alpha_bar[self.step(t)])

    def t_of_sigma(self, sigma: float | Tensor) -> Tensor:
        """The t of the step whose noise level is nearest to `sigma` in logarithm."""
        levels = torch.log((1 - self.alpha_bar) / self.alpha_bar) / 2
        wanted = torch.log(self._checked_sigma(sigma))
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
        checks.require(
            table.dim() == 1 and len(table) >= 2,
            "alpha_bar.shape",
            tuple(table.shape),
            "(steps,) with steps >= 2",
        )
        falling = bool((table.diff() < 0).all()) and table[-1] > 0 and table[0] < 1
        checks.require(
            falling,
            "alpha_bar",
            f"{table[0]:.3g} ... {table[-1]:.3g}",
            "strictly falling, in (0, 1)",
        )
        self.alpha_bar = table


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
        checks.count("steps", self.steps, 2)
        betas = (self.beta_start, self.beta_end)
        checks.require(
            0 < betas[0] < betas[1] < 1,
            "(beta_start, beta_end)",
            betas,
            "0 < beta_start < beta_end < 1",
        )

    @cached_property
    def alpha_bar(self) -> Tensor:
        """Cumulated signal power s^2 of every step, (steps,)."""
        betas = torch.linspace(self.beta_start, self.beta_end, self.steps, dtype=torch.float64)
        return torch.cumprod(1 - betas, 0)
