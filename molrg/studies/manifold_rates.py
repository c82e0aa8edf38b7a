r"""Rates on manifolds: the error of a learned score, and of the discretised reverse process, in D dimensions.

Two experiments that can be judged against exact references. The score of the training points
against that of the true law, on a curve that uses all coordinates; and the law at the end of three
discretisations of the reverse process for :math:`N(0, UU^T)`, followed direction by direction.
The ambient dimension is D here, as in the papers on the subject; it is n elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from molrg import checks
from molrg.denoisers import Denoiser
from molrg.sampling import Step
from molrg.schedules import Schedule, as_time

SCHEMES = ("posterior mean", "score", "euler")


@dataclass(frozen=True)
class Curve:
    r"""A curve of given length on the unit sphere of R^D, a different wave in every coordinate.

    .. math:: x(u) = \sqrt{2/D}\,(\cos \omega_1 u, \dots, \cos \omega_{D/2} u,
              \sin \omega_1 u, \dots, \sin \omega_{D/2} u), \qquad u \in [0, 1]

    It has constant speed, equal to its length. Where the frequencies differ in size and none is zero, no
    hyperplane through the origin contains it: it uses all D directions, though not equally.

    Source: ours.

    Args:
        frequencies: omega, (D/2,), finite.

    Raises:
        ValueError: where the frequencies are not a finite vector.
    """

    frequencies: Tensor

    def __post_init__(self) -> None:
        checks.finite("frequencies", self.frequencies)
        shape = tuple(self.frequencies.shape)
        checks.require(
            len(shape) == 1 and shape[0] >= 1, "frequencies.shape", shape, "(D/2,) with D >= 2"
        )

    @classmethod
    def random(cls, D: int, *, length: float = 6.0, generator: torch.Generator) -> Curve:
        """Frequencies from a Student law with five degrees of freedom, scaled to the exact length.

        The law has a fourth moment, so that the curvature stays bounded as D grows.

        Args:
            D: ambient dimension, even, >= 2.
            length: of the curve, > 0.
            generator: source of the frequencies.

        Raises:
            ValueError: where an argument is out of range.
        """
        checks.require(checks.count("D", D, 2) % 2 == 0, "D", D, "an even whole number >= 2")
        checks.require(checks.real("length", length, 0.0) > 0, "length", length, "a number > 0")
        normal = torch.randn(6, int(D) // 2, generator=generator, dtype=torch.float64)
        omega = normal[0] / normal[1:].square().mean(0).sqrt()
        return cls(length * omega / omega.square().mean().sqrt())

    @property
    def D(self) -> int:
        """The ambient dimension."""
        return 2 * len(self.frequencies)

    @property
    def length(self) -> float:
        """The length of the curve, which is its speed."""
        return self.frequencies.square().mean().sqrt().item()

    def __call__(self, u: Tensor) -> Tensor:
        """The points at parameters u, (N,) to (N, D)."""
        phase = u[:, None] * self.frequencies
        return torch.cat([phase.cos(), phase.sin()], dim=-1) / math.sqrt(len(self.frequencies))

    def sample(self, N: int, *, generator: torch.Generator) -> Tensor:
        """Draw N points uniformly along the curve, (N, D)."""
        return self(
            torch.rand(checks.count("N", N), generator=generator, dtype=self.frequencies.dtype)
        )

    def nodes(self, count: int = 512) -> Tensor:
        """Midpoints of `count` equal pieces, (count, D): a quadrature for the uniform law on the curve."""
        return self(
            (torch.arange(checks.count("count", count), dtype=self.frequencies.dtype) + 0.5) / count
        )


class Tube:
    r"""The optimal denoiser of points with equal weights, blurred by ambient noise.

    The law is :math:`\frac1M \sum_j N(m_j, \tau^2 I)`; with points dense on a curve, that of a curve
    with noise of standard deviation tau around it. With tau = 0 it equals `denoisers.Empirical`.

    Source: a Gaussian conditional per point.

    Args:
        points: m_j, (M, D).
        schedule: the forward process.
        noise: tau per coordinate, >= 0.

    Raises:
        ValueError: where points are not a finite (M, D), or the noise is negative.
    """

    def __init__(self, points: Tensor, schedule: Schedule, noise: float = 0.0) -> None:
        self.points, self.schedule = checks.points("points", points), schedule
        self.noise = checks.real("noise", noise, 0.0)

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        wanted = self.points.shape[-1]
        checks.require(
            x_t.dim() == 2 and x_t.shape[1] == wanted,
            "x_t.shape",
            tuple(x_t.shape),
            f"(B, {wanted})",
        )
        s, gamma = self.schedule.at(t, x_t)
        around = (s * self.noise).square()
        variance = (around + gamma.square()).clamp_min(torch.finfo(x_t.dtype).tiny ** 0.5)
        distance = s.square() * self.points.square().sum(-1) - 2 * s * (x_t @ self.points.T)
        weights = torch.softmax(
            -0.5 * (distance - distance.amin(-1, keepdim=True)) / variance, dim=-1
        )
        pull = around / variance  # how far the estimate follows x_t away from the points
        return (1 - pull) * (weights @ self.points) + pull * x_t / s


def score(denoiser: Denoiser, x_t: Tensor, t: float | Tensor) -> Tensor:
    r"""The score that a denoiser stands for, :math:`(s_t \hat x_0 - x_t) / \gamma_t^2`.

    Source: Tweedie's formula.

    Raises:
        ValueError: where gamma_t = 0.
    """
    s, gamma = denoiser.schedule.at(t, x_t)
    checks.require(bool((gamma > 0).all()), "t", t, "t with gamma_t > 0")
    return (s * denoiser(x_t, t) - x_t) / gamma.square()


def score_error(estimate: Denoiser, reference: Denoiser, x_t: Tensor, t: float) -> float:
    r"""The scaled error :math:`\gamma_t^2\, E\|\hat s(x_t) - s(x_t)\|^2`, averaged over the given points.

    The scale makes it the same for every schedule at equal noise level, and one coordinate of pure
    noise counts as one.

    Source: ours; the claim is that of 2409.18804.

    Args:
        estimate: denoiser of the score that was learned.
        reference: denoiser of the true law, on the same schedule.
        x_t: noisy points (B, D), drawn from the true law of x_t.
        t: their time.

    Raises:
        ValueError: where gamma_t = 0.
    """
    difference = score(estimate, x_t, t) - score(reference, x_t, t)
    return (reference.schedule.gamma(t) ** 2 * difference.square().sum(-1).mean()).item()


def level_grid(schedule: Schedule, steps: int, *, stop: float) -> Tensor:
    """Times from 1 down to noise level `stop`, the noise levels in geometric progression.

    At high noise the steps of the variance-preserving clock are then constant, at low noise they are
    a fixed share of the time that remains.

    Args:
        schedule: the forward process.
        steps: number of steps, >= 1.
        stop: last noise level, above zero and below that of t = 1.

    Returns:
        (steps + 1,) strictly descending times; fewer where a discrete schedule has not so many levels.

    Raises:
        ValueError: where an argument is out of range.
    """
    checks.count("steps", steps)
    top = schedule.sigma(1.0).item()
    checks.require(0 < stop < top, "stop", stop, f"a noise level in (0, {top:.4g})")
    levels = torch.linspace(
        math.log(top), math.log(stop), int(steps) + 1, dtype=torch.float64
    ).exp()
    times = schedule.t_of_sigma(levels.clamp_max(top))
    times[0] = 1.0
    return torch.unique_consecutive(times)


def coefficients(
    scheme: str, schedule: Schedule, t: float | Tensor, to: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    r"""A step of the reverse process as :math:`x_{to} = A x_t + B \hat x_0 + C \xi`, with standard Gaussian xi.

    "posterior mean": the reverse equation solved exactly with x0_hat held fixed. "score": solved
    exactly with the score held fixed. "euler": Euler-Maruyama. The first is `sampling.ancestral`.

    Source: 2410.09046 for the first; the others are standard.

    Args:
        scheme: one of `SCHEMES`.
        schedule: the forward process; variance-preserving for all but the first scheme.
        t: time of departure, in (0, 1], or several of them.
        to: time of arrival, in [0, t), of the same shape.

    Returns:
        A, B and C in the shape of t, float64.

    Raises:
        ValueError: where an argument is not as above.
    """
    checks.one_of("scheme", scheme, SCHEMES)
    t, to = as_time(t), as_time(to)
    checks.require(
        t.shape == to.shape and bool((to < t).all()), "to", to.tolist(), f"below t = {t.tolist()}"
    )
    s, gamma, s_to, gamma_to = schedule.s(t), schedule.gamma(t), schedule.s(to), schedule.gamma(to)
    if scheme == "posterior mean":
        r, share = s / s_to, gamma_to / gamma
        A = r * share.square()
        return (
            A,
            s_to - A * s,
            share * (gamma.square() - (r * gamma_to).square()).clamp_min(0).sqrt(),
        )
    _preserving(schedule, t, f"scheme {scheme!r}")
    h = 2 * torch.log(s_to / s)  # the clock in which the forward process is dx = -x/2 dh + dB
    if scheme == "score":
        push = 2 * torch.expm1(h / 2)
        return (
            torch.exp(h / 2) - push / gamma.square(),
            push * s / gamma.square(),
            torch.expm1(h).sqrt(),
        )
    return 1 + h / 2 - h / gamma.square(), h * s / gamma.square(), h.sqrt()


def _preserving(schedule: Schedule, t: Tensor, purpose: str) -> None:
    total = schedule.s(t).square() + schedule.gamma(t).square()
    ok = bool(((total - 1).abs() < 1e-9).all())
    checks.require(
        ok,
        "schedule",
        type(schedule).__name__,
        f"a variance-preserving one, such as VP, for {purpose}",
    )


def _steps(times: Tensor) -> Tensor:
    checks.require(
        times.dim() == 1 and len(times) >= 2,
        "times.shape",
        tuple(times.shape),
        "(steps + 1,) with steps >= 1",
    )
    checks.require(bool((times.diff() < 0).all()), "times", times.tolist(), "strictly descending")
    return times


def reverse(
    denoiser: Denoiser, x_t: Tensor, times: Tensor, *, scheme: str, generator: torch.Generator
) -> Iterator[Step]:
    """Sample by one of the three schemes, as the generators of `sampling` do.

    Args:
        denoiser: any denoiser.
        x_t: starting points (B, \\*event) at ``times[0]``.
        times: (steps + 1,) descending.
        scheme: one of `SCHEMES`.
        generator: source of the noise.

    Yields:
        One `Step` for each time after the first.

    Raises:
        ValueError: as `coefficients`, and where there is no step.
    """
    for t, to in pairwise(_steps(times).tolist()):
        A, B, C = (c.to(x_t.dtype) for c in coefficients(scheme, denoiser.schedule, t, to))
        x0_hat = denoiser(x_t, t)
        x_t = (
            A * x_t + B * x0_hat + C * torch.randn(x_t.shape, generator=generator, dtype=x_t.dtype)
        )
        yield Step(to, x_t, x0_hat)


def endpoint_variance(scheme: str, schedule: Schedule, times: Tensor, signal: float) -> float:
    """Variance at the end of the scheme along a direction in which the data are N(0, signal).

    Exact: the denoiser is linear, so every step maps a Gaussian to a Gaussian. The start is that of
    `sampling.prior`.

    Args:
        scheme: one of `SCHEMES`.
        schedule: the forward process.
        times: (steps + 1,) descending.
        signal: variance of the data along the direction, >= 0.

    Raises:
        ValueError: as `coefficients`, and where the signal is negative or there is no step.
    """
    checks.real("signal", signal, 0.0)
    starts = _steps(times)[:-1]
    A, B, C = coefficients(scheme, schedule, starts, times[1:])
    s, gamma = schedule.s(starts), schedule.gamma(starts)
    shrink = s * signal / (s.square() * signal + gamma.square())
    variance = gamma[0].item() ** 2
    for kept, added in zip((A + B * shrink).square().tolist(), C.square().tolist(), strict=True):
        variance = kept * variance + added
    return variance


def gaussian_kl(true: float, sampled: float) -> float:
    """KL divergence of N(0, true) from N(0, sampled): what each direction adds.

    Raises:
        ValueError: where a variance is not positive.
    """
    for name, value in (("true", true), ("sampled", sampled)):
        checks.require(0 < value < math.inf, name, value, "a variance > 0")
    excess = (true - sampled) / sampled
    return 0.5 * (excess - math.log1p(excess))


@dataclass(frozen=True)
class Endpoint:
    """Where a scheme ends for data N(0, UU^T) with d of D directions.

    ``inside`` and ``outside`` are its variances along the subspace and across it, ``kl`` the divergence
    of the true law at the last time from it, ``w2`` its Wasserstein distance from the data, and
    ``w2_denoised`` that distance after one last denoising step.
    """

    inside: float
    outside: float
    kl: float
    w2: float
    w2_denoised: float


def endpoint(scheme: str, schedule: Schedule, times: Tensor, *, D: int, d: int) -> Endpoint:
    """The law at the end of a scheme for N(0, UU^T), in closed form.

    Args:
        scheme: one of `SCHEMES`.
        schedule: the forward process.
        times: (steps + 1,) descending, the last with gamma > 0.
        D: ambient dimension, >= d.
        d: dimension of the subspace, >= 1; d = D is the full-rank Gaussian.

    Raises:
        ValueError: where an argument is out of range.
    """
    checks.count("d", d), checks.count("D", D, d)
    inside, outside = (endpoint_variance(scheme, schedule, times, signal) for signal in (1.0, 0.0))
    s, gamma = schedule.s(times[-1]).item(), schedule.gamma(times[-1]).item()
    checks.require(
        gamma > 0,
        "times[-1]",
        times[-1].item(),
        "a time with gamma > 0: at 0 the law has no density",
    )
    kl = d * gaussian_kl(s**2 + gamma**2, inside) + (D - d) * gaussian_kl(gamma**2, outside)
    w2 = math.sqrt(d * (math.sqrt(inside) - 1) ** 2 + (D - d) * outside)
    shrink = s / (s**2 + gamma**2)
    return Endpoint(inside, outside, kl, w2, math.sqrt(d) * abs(shrink * math.sqrt(inside) - 1))


def path_kl(schedule: Schedule, times: Tensor, *, d: int) -> float:
    r"""KL divergence of the exact reverse process from the scheme that freezes the posterior mean, as paths.

    .. math:: \frac d2 \sum_k (\rho_k - 1 - \log \rho_k), \qquad \rho_k = \gamma_k^2 / \gamma_{k+1}^2

    for data :math:`N(0, UU^T)`, plus the divergence at the start. It bounds that of the endpoints from
    above and holds no D.

    Source: ours, from the martingale property of the posterior mean, on which 2410.09046 rests.

    Args:
        schedule: the forward process, variance-preserving.
        times: (steps + 1,) descending, the last with gamma > 0.
        d: dimension of the subspace.

    Raises:
        ValueError: where an argument is out of range.
    """
    checks.count("d", d)
    _preserving(schedule, _steps(times), "the law of paths")
    gamma2 = schedule.gamma(times) ** 2
    checks.require(gamma2[-1].item() > 0, "times[-1]", times[-1].item(), "a time with gamma > 0")
    excess = gamma2[:-1] / gamma2[1:] - 1
    return d * (0.5 * (excess - excess.log1p()).sum().item() + gaussian_kl(1.0, gamma2[0].item()))


def steps_needed(
    scheme: str, schedule: Schedule, *, D: int, d: int, kl: float, stop: float, most: int = 4096
) -> int:
    """The smallest number of steps on `level_grid` after which the endpoint's KL is at most `kl`.

    Args:
        scheme: one of `SCHEMES`.
        schedule: the forward process.
        D: ambient dimension, >= d.
        d: dimension of the subspace.
        kl: the divergence allowed, > 0.
        stop: last noise level.
        most: where to give up.

    Raises:
        ValueError: where an argument is out of range, or `most` steps do not suffice.
    """
    checks.require(checks.real("kl", kl, 0.0) > 0, "kl", kl, "a number > 0")

    def enough(steps: int) -> bool:
        return endpoint(scheme, schedule, level_grid(schedule, steps, stop=stop), D=D, d=d).kl <= kl

    low, high = 0, 1  # the divergence falls with the number of steps
    while not enough(high):
        checks.require(high < most, "kl", kl, f"a divergence within reach of {most} steps")
        low, high = high, min(2 * high, checks.count("most", most))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
