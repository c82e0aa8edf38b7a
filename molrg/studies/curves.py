r"""A curve that uses all coordinates, and the exact denoiser of points with noise around them.

The ambient dimension is D here, as in the papers on the subject; it is n elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from molrg import checks, draws
from molrg.schedules import Schedule, variance_floor


@dataclass(frozen=True)
class Curve:
    r"""A curve of given length on the unit sphere of R^D, a different wave in every coordinate.

    .. math:: x(u) = \sqrt{2/D}\,(\cos \omega_1 u, \dots, \cos \omega_{D/2} u,
              \sin \omega_1 u, \dots, \sin \omega_{D/2} u), \qquad u \in [0, 1]

    It has constant speed, equal to its length. Where the frequencies differ in size and none is
    zero, no hyperplane through the origin contains it: it uses all D directions, but not equally.

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
        if len(shape) != 1 or shape[0] < 1:
            raise ValueError(f"frequencies.shape = {shape}: allowed is (D/2,) with D >= 2")

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
        if checks.count("D", D, 2) % 2:
            raise ValueError(f"D = {D}: allowed is an even whole number >= 2")
        if checks.real("length", length, 0.0) == 0:
            raise ValueError(f"length = {length}: allowed is a number > 0")
        normal = draws.normal((6, int(D) // 2), generator=generator, dtype=torch.float64)
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
        omega = self.frequencies
        count = checks.count("N", N)
        u = draws.uniform((count,), generator=generator, dtype=omega.dtype, device=omega.device)
        return self(u)

    def nodes(self, count: int = 512) -> Tensor:
        """Midpoints of `count` equal pieces, (count, D): a quadrature for the uniform law."""
        omega = self.frequencies
        pieces = checks.count("count", count)
        u = torch.arange(pieces, dtype=omega.dtype, device=omega.device)
        return self((u + 0.5) / pieces)


class KernelDensity:
    r"""The posterior mean for a Gaussian kernel density estimate, exact.

    The law is :math:`\frac1M \sum_j N(m_j, \tau^2 I)`; with points dense on a curve, that of a
    curve with noise of standard deviation tau around it. With tau = 0 it is `denoisers.Empirical`.

    Source: a Gaussian conditional per point.

    Args:
        points: m_j, (M, D).
        schedule: the forward process.
        noise: tau per coordinate, >= 0, the bandwidth of the kernel.

    Raises:
        ValueError: where points are not a finite (M, D), or the noise is negative.
    """

    def __init__(self, points: Tensor, schedule: Schedule, noise: float = 0.0) -> None:
        self.points = checks.at_least_single(checks.points("points", points))
        self.schedule = schedule
        self.noise = checks.real("noise", noise, 0.0)

    def to(self, device: torch.device | str) -> KernelDensity:
        """The same denoiser with its points on the device."""
        return KernelDensity(self.points.to(device), self.schedule, self.noise)

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        D = self.points.shape[-1]
        if x_t.dim() != 2 or x_t.shape[1] != D:
            raise ValueError(f"x_t.shape = {tuple(x_t.shape)}: allowed is (B, {D})")
        given, x_t = x_t.dtype, checks.at_least_single(x_t)
        s, gamma = self.schedule.at(t, x_t)
        kernel = (s * self.noise).square()
        variance = (kernel + gamma.square()).clamp_min(variance_floor(x_t.dtype))
        # squared distances to the scaled points, up to a term that is the same for all of them
        distance = s.square() * self.points.square().sum(-1) - 2 * s * (x_t @ self.points.T)
        nearest = distance.amin(-1, keepdim=True)
        weights = torch.softmax(-0.5 * (distance - nearest) / variance, dim=-1)
        shrinkage = kernel / variance  # how far the estimate follows x_t away from the points
        return ((1 - shrinkage) * (weights @ self.points) + shrinkage * x_t / s).to(given)
