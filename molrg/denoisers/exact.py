r"""Denoisers: everything that turns a noisy x_t into an estimate of E[x_0 | x_t].

All follow one protocol, ``x0_hat = denoiser(x_t, t)`` with a ``schedule``; the exact one of the
mixture is `molrg.MoLRG.denoiser`, networks come from `molrg.networks`. What consumes a denoiser knows
nothing else about it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from molrg import checks
from molrg.schedules import Schedule
from molrg.subspaces import orthonormalise


@runtime_checkable
class Denoiser(Protocol):
    """What every denoiser is: a schedule, and a call from (x_t, t) to an estimate of x_0.

    x_t is (B, \\*event); t is a scalar or (B,), in [0, 1]; the result has the shape of x_t.
    """

    schedule: Schedule

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor: ...


def _points(x_t: Tensor, n: int) -> Tensor:
    fits = x_t.dim() >= 2 and math.prod(x_t.shape[1:]) == n
    checks.require(fits, "x_t.shape", tuple(x_t.shape), f"(B, *event) with {n} entries each")
    return x_t.flatten(1)


class Empirical:
    r"""The optimal denoiser of the training set itself: it can only memorise.

    .. math:: \hat x_0 = \sum_i w_i x^{(i)},\qquad w_i \propto \exp(-\|x_t - s_t x^{(i)}\|^2 / 2\gamma_t^2)

    Source: standard; the minimiser of the unrestricted training loss over N points.

    Args:
        data: training points (N, \\*event).
        schedule: the forward process.

    Raises:
        ValueError: where data are empty or not finite.
    """

    def __init__(self, data: Tensor, schedule: Schedule) -> None:
        checks.finite("data", data)
        checks.require(
            data.dim() >= 2 and len(data) > 0,
            "data.shape",
            tuple(data.shape),
            "(N, *event) with N >= 1",
        )
        self.data, self.schedule = data.flatten(1), schedule

    def weights(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Posterior probability of every training point, (B, N)."""
        points = _points(x_t, self.data.shape[1])
        s, gamma = self.schedule.at(t, points)
        # |x_t - s x|^2 less the part that is the same for all x; at gamma = 0 the nearest point wins
        distance = s.square() * self.data.square().sum(-1) - 2 * s * (points @ self.data.T)
        variance = gamma.square().clamp_min(torch.finfo(points.dtype).tiny ** 0.5)
        return torch.softmax(-0.5 * distance / variance, dim=-1)

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        return (self.weights(x_t, t) @ self.data).reshape(x_t.shape)


class LinearMixture:
    """The optimal denoiser of a mixture of Gaussians with full covariances: K affine maps, soft-max weights.

    The general form that the low-rank denoisers specialise; also their slow but independent check.

    Source: a Gaussian conditional per component (2409.02426 version 5 has it for low-rank ones).

    Args:
        weights: (K,) non-negative, summing to one.
        means: (K, n).
        covariances: (K, n, n), positive semidefinite.
        schedule: the forward process.

    Raises:
        ValueError: where shapes disagree, entries are not finite, or a covariance has a negative eigenvalue.
    """

    def __init__(
        self, weights: Tensor, means: Tensor, covariances: Tensor, schedule: Schedule
    ) -> None:
        checks.finite("means", means), checks.finite("covariances", covariances)
        checks.require(means.dim() == 2, "means.shape", tuple(means.shape), "(K, n)")
        K, n = means.shape
        checks.require(
            covariances.shape == (K, n, n),
            "covariances.shape",
            tuple(covariances.shape),
            f"({K}, {n}, {n})",
        )
        weights = torch.as_tensor(weights, dtype=means.dtype)
        proper = (
            weights.shape == (K,)
            and bool((weights >= 0).all())
            and abs(weights.sum().item() - 1) < 1e-4
        )
        checks.require(proper, "weights", weights.tolist(), f"{K} non-negative numbers with sum 1")
        self.weights, self.means, self.schedule = weights, means, schedule
        # in double precision: in single, LAPACK gives up (or NaN) where many eigenvalues are zero, as with few images
        spectrum, axes = torch.linalg.eigh(covariances.double())
        self.variances, self.axes = (
            spectrum.to(means.dtype),
            axes.to(means.dtype),
        )  # (K, n), (K, n, n)
        lowest, largest = self.variances.min().item(), self.variances.max().item()
        rounding = 1e3 * torch.finfo(means.dtype).eps * max(largest, 1e-30)
        checks.require(
            lowest >= -rounding, "covariances", f"smallest eigenvalue {lowest:.3g}", ">= 0"
        )
        # what is rounding must not count as variance where gamma_t = 0
        self.variances = torch.where(self.variances > rounding, self.variances, 0)

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        points = _points(x_t, self.means.shape[1])
        s, gamma = self.schedule.at(t, points)
        variance = gamma.square().clamp_min(torch.finfo(points.dtype).tiny ** 0.5)
        log_joints, means = [], []
        for weight, mean, spectrum, axes in zip(
            self.weights, self.means, self.variances, self.axes, strict=True
        ):
            latent = (points - s * mean) @ axes
            total = s.square() * spectrum + variance
            log_joints.append(weight.log() - 0.5 * (latent.square() / total + total.log()).sum(-1))
            means.append(mean + (s * spectrum / total * latent) @ axes.T)
        posterior = torch.stack(log_joints, -1).softmax(-1)
        return torch.einsum("bk,kbn->bn", posterior, torch.stack(means)).reshape(x_t.shape)


class Gaussian(LinearMixture):
    """The Wiener filter: the optimal denoiser of one Gaussian with the mean and covariance of the data.

    Source: standard; the reference of Li, Dai and Qu (2410.24060) for what a network learns first.

    Args:
        data: (N, \\*event), N >= 2.
        schedule: the forward process.

    Raises:
        ValueError: where data have fewer than two points or are not finite.
    """

    def __init__(self, data: Tensor, schedule: Schedule) -> None:
        checks.finite("data", data)
        checks.require(
            data.dim() >= 2 and len(data) >= 2,
            "data.shape",
            tuple(data.shape),
            "(N, *event) with N >= 2",
        )
        flat = data.flatten(1)
        one = torch.ones(1, dtype=flat.dtype)
        super().__init__(
            one, flat.mean(0, keepdim=True), torch.cov(flat.T, correction=0)[None], schedule
        )


class LowRank(nn.Module):
    r"""The low-rank mixture-of-experts denoiser of the theorems, with learnable bases.

    .. math:: x_\theta(x_t, t) = c_t \sum_k w_k(x_t)\, U_k U_k^T x_t, \qquad c_t = \frac{s_t}{s_t^2 + \gamma_t^2}

    With ``assignment="soft"`` the weights are the exact posterior of a MoLRG with zero means and unit
    spectra,

    .. math:: w_k \propto \pi_k (1 + s_t^2/\gamma_t^2)^{-d_k/2}
              \exp\frac{s_t^2 \|U_k^T x_t\|^2}{2\gamma_t^2 (s_t^2 + \gamma_t^2)},

    so it equals ``MoLRG(bases, weights).denoiser(schedule)``; with "hard" all weight goes to the basis
    with the largest :math:`\|U_k^T x_t\|`. (The hard-max of Theorem 3 looks at the clean x_0, which no
    denoiser sees: it lives in the training loss, ``assign_on="x0"``.)

    An ensemble of models has bases with a leading axis, and takes x_t of shape (E, B, n).

    Source: 2409.02426, the parameterisation of Theorems 1 and 3.

    Args:
        bases: K orthonormal bases (n, d_k), or K of shape (E, n, d_k) for an ensemble of E models.
        schedule: the forward process.
        weights: pi, (K,), positive, summing to one; equal where omitted.
        assignment: "soft" or "hard", on x_t.
        joint: keep [U_1 ... U_K] orthonormal as a whole, not only each basis; the bases given must be so.

    Raises:
        ValueError: where a basis (with `joint`, all together) is not orthonormal, d_k >= n, shapes disagree or weights are improper.
    """

    def __init__(
        self,
        bases: Sequence[Tensor],
        schedule: Schedule,
        *,
        weights: Tensor | Sequence[float] | None = None,
        assignment: str = "soft",
        joint: bool = False,
    ) -> None:
        super().__init__()
        checks.require(len(bases) >= 1, "len(bases)", len(bases), "at least one basis")
        for k, basis in enumerate(bases):
            checks.orthonormal(f"bases[{k}]", basis)
            same = basis.shape[:-1] == bases[0].shape[:-1] and basis.dtype == bases[0].dtype
            checks.require(
                same,
                f"bases[{k}].shape",
                tuple(basis.shape),
                f"{tuple(bases[0].shape[:-1])} and one dtype",
            )
        checks.require(
            bases[0].dim() in (2, 3), "bases[0].shape", tuple(bases[0].shape), "(n, d) or (E, n, d)"
        )
        if joint:
            checks.orthonormal("[U_1 ... U_K]", torch.cat(tuple(bases), dim=-1))
        self.joint = joint
        self.schedule, self.assignment = (
            schedule,
            checks.one_of("assignment", assignment, ("soft", "hard")),
        )
        self.dims, self.K, self.n = [b.shape[-1] for b in bases], len(bases), bases[0].shape[-2]
        self.ensemble = tuple(bases[0].shape[:-2])
        # one tensor (*E, n, K d): smaller subspaces are padded with zero columns, which stay zero
        padded = [
            nn.functional.pad(basis, (0, max(self.dims) - basis.shape[-1])) for basis in bases
        ]
        self.columns = nn.Parameter(torch.cat(padded, dim=-1).clone())
        pi = torch.as_tensor(
            [1 / self.K] * self.K if weights is None else weights, dtype=torch.float64
        )
        proper = pi.shape == (self.K,) and bool((pi > 0).all()) and abs(pi.sum().item() - 1) < 1e-6
        checks.require(proper, "weights", pi.tolist(), f"{self.K} positive numbers with sum 1")
        self.register_buffer("log_weights", pi.to(self.columns.dtype).log())
        self.register_buffer("sizes", torch.tensor(self.dims, dtype=self.columns.dtype))

    @property
    def bases(self) -> list[Tensor]:
        """The K bases as they are now, (\\*E, n, d_k), detached."""
        blocks = self.columns.detach().split(max(self.dims), dim=-1)
        return [block[..., :d].clone() for block, d in zip(blocks, self.dims, strict=True)]

    @torch.no_grad()
    def retract_(self) -> None:
        """Bring the bases back to orthonormal columns after a gradient step."""
        if self.joint:
            self.columns.copy_(orthonormalise(self.columns))
            return
        blocks = torch.stack(self.columns.split(max(self.dims), dim=-1))
        self.columns.copy_(torch.cat(tuple(orthonormalise(blocks)), dim=-1))

    def latent(self, x: Tensor) -> Tensor:
        """Coordinates U_k^T x of every point on every basis, (\\*E, B, K, d_max)."""
        return (x @ self.columns).unflatten(-1, (self.K, -1))

    def _points(self, x: Tensor) -> Tensor:
        lead = len(self.ensemble) + 1
        fits = (
            x.dim() > lead
            and x.shape[: lead - 1] == self.ensemble
            and math.prod(x.shape[lead:]) == self.n
        )
        checks.require(
            fits, "x_t.shape", tuple(x.shape), f"{(*self.ensemble, 'B')} and {self.n} entries each"
        )
        return x.flatten(lead)

    def hard_weights(self, x: Tensor) -> Tensor:
        """One-hot weights (\\*E, B, K) on the basis with the largest projection of x; first of ties."""
        return self._hard_weights(self.latent(self._points(x)))

    def _hard_weights(self, latent: Tensor) -> Tensor:
        return nn.functional.one_hot(latent.square().sum(-1).argmax(-1), self.K).to(latent.dtype)

    def soft_weights(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Posterior weights w_k(x_t), (\\*E, B, K)."""
        points = self._points(x_t)
        return self._soft_weights(self.latent(points), *self.schedule.at(t, points))

    def _soft_weights(self, latent: Tensor, s: Tensor, gamma: Tensor) -> Tensor:
        variance = gamma.square().clamp_min(torch.finfo(latent.dtype).tiny ** 0.5)
        scale = s.square() / (2 * variance * (s.square() + variance))
        prior = self.log_weights - 0.5 * self.sizes * torch.log1p(s.square() / variance)
        return torch.softmax(prior + scale * latent.square().sum(-1), dim=-1)

    def forward(self, x_t: Tensor, t: float | Tensor, weights: Tensor | None = None) -> Tensor:
        """Estimate x_0; `weights` (\\*E, B, K) replaces the model's own (Theorem 3 in the loss)."""
        points = self._points(x_t)
        s, gamma = self.schedule.at(t, points)
        latent = self.latent(points)
        if weights is None and self.assignment == "hard":
            weights = self._hard_weights(latent)
        if weights is None:
            weights = self._soft_weights(latent, s, gamma)
        scale = s / (
            s.square() + gamma.square()
        )  # applied to the few latents, not to the n coordinates
        experts = ((scale * weights).unsqueeze(-1) * latent).flatten(-2)
        return (experts @ self.columns.mT).reshape(x_t.shape)
