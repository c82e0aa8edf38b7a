r"""MoLRG: the mixture of low-rank Gaussians, with its exact density, score and denoiser.

.. math:: x_0 \sim \sum_k \pi_k \, N(\mu_k,\; U_k \Lambda_k U_k^T + \tau^2 I)

U_k (n, d_k) orthonormal, Lambda_k a diagonal spectrum, tau the noise off (and on) the subspaces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molrg import checks
from molrg.schedules import Schedule
from molrg.subspaces import random_bases


class MoLRG:
    r"""Mixture of K low-rank Gaussians in n dimensions.

    Source: 2409.02426, Definition of the MoLRG model; means and spectra as in its version 5.

    Args:
        bases: K orthonormal bases U_k, each (n, d_k) with d_k < n, all of one floating dtype.
        weights: pi, (K,), non-negative, summing to one; equal where omitted.
        means: K vectors mu_k, each (n,); zero where omitted.
        variances: K spectra Lambda_k, each (d_k,), positive; ones where omitted.
        noise: standard deviation tau per coordinate, added in all n directions; >= 0.

    Raises:
        ValueError: where an argument is outside what is said above.
    """

    def __init__(
        self,
        bases: Sequence[Tensor],
        weights: Tensor | Sequence[float] | None = None,
        means: Sequence[Tensor] | None = None,
        variances: Sequence[Tensor] | None = None,
        noise: float = 0.0,
    ) -> None:
        checks.require(len(bases) >= 1, "len(bases)", len(bases), "at least one basis")
        self.bases = [checks.orthonormal(f"bases[{k}]", basis) for k, basis in enumerate(bases)]
        self.n, self.K = self.bases[0].shape[0], len(self.bases)
        self.dims = [basis.shape[1] for basis in self.bases]
        like = self.bases[0]
        same = all(basis.shape[0] == self.n and basis.dtype == like.dtype for basis in self.bases)
        checks.require(
            same, "bases", [(tuple(b.shape), b.dtype) for b in self.bases], "one n and one dtype"
        )
        self.weights = self._weights(weights).to(like.dtype)
        self.means = self._vectors("means", means, [self.n] * self.K, 0.0)
        self.variances = self._vectors("variances", variances, self.dims, 1.0)
        for k, spectrum in enumerate(self.variances):
            checks.require(
                bool((spectrum > 0).all()), f"variances[{k}]", spectrum.tolist(), "positive numbers"
            )
        self.noise = checks.real("noise", noise, 0.0)

    def _weights(self, weights: Tensor | Sequence[float] | None) -> Tensor:
        if weights is None:
            return torch.full((self.K,), 1 / self.K, dtype=torch.float64)
        weights = torch.as_tensor(weights, dtype=torch.float64)
        checks.require(
            weights.shape == (self.K,), "weights.shape", tuple(weights.shape), f"({self.K},)"
        )
        total = weights.sum().item()
        checks.require(
            bool((weights >= 0).all()), "weights", weights.tolist(), "non-negative numbers"
        )
        checks.require(
            abs(total - 1) < 1e-6,
            "weights",
            f"{weights.tolist()} with sum {total:.6g}",
            "a sum of 1",
        )
        return weights / total

    def _vectors(
        self, name: str, given: Sequence[Tensor] | None, sizes: list[int], default: float
    ) -> list[Tensor]:
        dtype = self.bases[0].dtype
        if given is None:
            return [torch.full((size,), default, dtype=dtype) for size in sizes]
        checks.require(len(given) == self.K, f"len({name})", len(given), f"K = {self.K}")
        vectors = [
            checks.finite(f"{name}[{k}]", torch.as_tensor(v).to(dtype)) for k, v in enumerate(given)
        ]
        for k, (vector, size) in enumerate(zip(vectors, sizes, strict=True)):
            checks.require(
                vector.shape == (size,), f"{name}[{k}].shape", tuple(vector.shape), f"({size},)"
            )
        return vectors

    @classmethod
    def random(
        cls,
        n: int,
        dims: Sequence[int],
        *,
        angle: float = 90.0,
        noise: float = 0.0,
        generator: torch.Generator,
    ) -> MoLRG:
        """Draw a mixture with equal weights, zero means and unit spectra.

        Args:
            n: ambient dimension.
            dims: intrinsic dimensions d_1 ... d_K, each in 1 ... n - 1.
            angle: degrees in [0, 90]; every pair of subspaces has all its principal angles equal to it.
            noise: standard deviation per coordinate, >= 0.
            generator: source of the random orientation.

        Raises:
            ValueError: where n is too small, or K too large, for such subspaces.
        """
        return cls(random_bases(n, dims, angle=angle, generator=generator), noise=noise)

    def sample(
        self, N: int | Sequence[int], *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw samples.

        Args:
            N: a number of samples with random labels, or K exact counts (then ordered by label).
            generator: source of randomness.

        Returns:
            x (N, n) and labels (N,), int64.

        Raises:
            ValueError: where N is not positive, or the counts are not K numbers >= 0 with a positive sum.
        """
        if isinstance(N, Sequence | Tensor):
            counts = [checks.count(f"N[{k}]", count, 0) for k, count in enumerate(N)]
            checks.require(len(counts) == self.K, "len(N)", len(counts), f"K = {self.K}")
            checks.require(sum(counts) > 0, "sum(N)", sum(counts), ">= 1")
            labels = torch.repeat_interleave(torch.arange(self.K), torch.tensor(counts))
        else:
            labels = torch.multinomial(
                self.weights.double(), checks.count("N", N), True, generator=generator
            )
        dtype = self.bases[0].dtype
        x = self.noise * torch.randn(len(labels), self.n, generator=generator, dtype=dtype)
        for k, basis in enumerate(self.bases):
            chosen = labels == k
            latent = torch.randn(int(chosen.sum()), self.dims[k], generator=generator, dtype=dtype)
            x[chosen] += self.means[k] + (latent * self.variances[k].sqrt()) @ basis.T
        return x, labels

    def _components(self, x_t: Tensor, t: float | Tensor, schedule: Schedule, floor: float = 0.0):
        """Per component k: its log of pi_k N(x_t), its score and its posterior mean of x_0.

        `floor` bounds gamma_t^2 from below; with it the posterior mean at gamma_t = 0 is its limit,
        the projection on the nearest component.
        """
        s, gamma = schedule.at(t, x_t)
        variance = gamma.square().clamp_min(floor)
        outside = s.square() * self.noise**2 + variance
        shrink_outside = s * self.noise**2 / outside
        for k, basis in enumerate(self.bases):
            centred = x_t - s * self.means[k]
            latent = centred @ basis
            residual = centred - latent @ basis.T
            inside = s.square() * (self.variances[k] + self.noise**2) + variance
            shrink = s * (self.variances[k] + self.noise**2) / inside
            log_determinant = (inside.log() + torch.zeros_like(latent)).sum(-1, keepdim=True)
            log_determinant = log_determinant + (self.n - self.dims[k]) * outside.log()
            energy = (latent.square() / inside).sum(-1, keepdim=True) + residual.square().sum(
                -1, keepdim=True
            ) / outside
            log_joint = self.weights[k].log() - 0.5 * (
                energy + log_determinant + self.n * math.log(2 * math.pi)
            )
            score = -(latent / inside) @ basis.T - residual / outside
            mean = self.means[k] + (shrink * latent) @ basis.T + shrink_outside * residual
            yield log_joint, score, mean

    def _points(self, x_t: Tensor) -> Tensor:
        fits = x_t.dim() >= 2 and math.prod(x_t.shape[1:]) == self.n
        checks.require(
            fits, "x_t.shape", tuple(x_t.shape), f"(B, *event) with {self.n} entries each"
        )
        dtype = self.bases[0].dtype
        checks.require(x_t.dtype == dtype, "x_t.dtype", x_t.dtype, f"{dtype}, that of the bases")
        return x_t.reshape(x_t.shape[0], self.n)

    def _needs_density(self, t: float | Tensor, schedule: Schedule) -> None:
        degenerate = self.noise == 0 and bool((schedule.gamma(t) == 0).any())
        checks.require(
            not degenerate,
            "t",
            t,
            "t with gamma_t > 0: the law of x_0 is singular and has no density",
        )

    def log_prob(self, x_t: Tensor, t: float | Tensor, schedule: Schedule) -> Tensor:
        """Log-density of x_t, (B,).

        Args:
            x_t: points (B, \\*event), n entries each.
            t: scalar or (B,) in [0, 1].
            schedule: the forward process.

        Raises:
            ValueError: where t is out of range, or gamma_t = 0 and the mixture has no noise.
        """
        self._needs_density(t, schedule)
        log_joints = [joint for joint, _, _ in self._components(self._points(x_t), t, schedule)]
        return torch.cat(log_joints, dim=-1).logsumexp(-1)

    def score(self, x_t: Tensor, t: float | Tensor, schedule: Schedule) -> Tensor:
        """Gradient of the log-density with respect to x_t, in the shape of x_t.

        Raises:
            ValueError: as `log_prob`.
        """
        self._needs_density(t, schedule)
        log_joints, scores, _ = zip(*self._components(self._points(x_t), t, schedule), strict=True)
        return self._average(log_joints, scores).reshape(x_t.shape)

    def responsibilities(self, x_t: Tensor, t: float | Tensor, schedule: Schedule) -> Tensor:
        """Posterior probabilities w_k(x_t) of the K components, (B, K)."""
        floor = torch.finfo(x_t.dtype).tiny ** 0.5
        log_joints = [
            joint for joint, _, _ in self._components(self._points(x_t), t, schedule, floor)
        ]
        return torch.cat(log_joints, dim=-1).softmax(-1)

    @staticmethod
    def _average(log_joints: Sequence[Tensor], vectors: Sequence[Tensor]) -> Tensor:
        weights = torch.cat(list(log_joints), dim=-1).softmax(-1)
        return torch.einsum("bk,kbn->bn", weights, torch.stack(list(vectors)))

    def denoiser(self, schedule: Schedule) -> PosteriorMean:
        """The exact posterior mean E[x_0 | x_t] as a denoiser."""
        return PosteriorMean(self, schedule)


@dataclass(frozen=True)
class PosteriorMean:
    r"""The optimal denoiser of a MoLRG, :math:`E[x_0 \mid x_t]`, in closed form.

    .. math:: \sum_k w_k(x_t)\,\{\mu_k + s_t^{-1} U_k D_k U_k^T (x_t - s_t \mu_k)\},\qquad
              D_k = \mathrm{diag}\frac{s_t^2 \lambda_k}{\gamma_t^2 + s_t^2 \lambda_k}

    written for noise = 0; with noise, the directions outside U_k shrink by their own factor. At
    gamma_t = 0 it is the limit: the projection on the nearest component.

    Source: 2409.02426, the lemma on the optimal denoiser; a Gaussian conditional per component.
    """

    mixture: MoLRG
    schedule: Schedule

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        floor = torch.finfo(x_t.dtype).tiny ** 0.5
        points = self.mixture._points(x_t)
        log_joints, _, means = zip(
            *self.mixture._components(points, t, self.schedule, floor), strict=True
        )
        return self.mixture._average(log_joints, means).reshape(x_t.shape)
