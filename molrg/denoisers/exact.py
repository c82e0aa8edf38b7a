r"""Exact denoisers: of a training set, of a Gaussian, and of a mixture of Gaussians.

That of the mixture of low-rank Gaussians is `molrg.MoLRG.denoiser`. All hold and compute
in single precision at least, for in float16 squares and small variances are out of range.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from molrg import checks
from molrg.schedules import Schedule, variance_floor


def _data(data: Tensor, least: int) -> Tensor:
    """Training points (N, \\*event) as (N, n)."""
    checks.finite("data", data)
    if data.dim() < 2 or len(data) < least:
        allowed = f"(N, *event) with N >= {least}"
        raise ValueError(f"data.shape = {tuple(data.shape)}: allowed is {allowed}")
    return data.flatten(1)


class Empirical(nn.Module):
    r"""The optimal denoiser of the training set itself: it can only memorise.

    .. math:: \hat x_0 = \sum_i w_i x^{(i)},\qquad
              w_i \propto \exp(-\|x_t - s_t x^{(i)}\|^2 / 2\gamma_t^2)

    Source: standard; the minimiser of the unrestricted training loss over N points.

    Args:
        data: training points (N, \\*event).
        schedule: the forward process.

    Raises:
        ValueError: where data are empty or not finite.
    """

    data: Tensor

    def __init__(self, data: Tensor, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule
        self.register_buffer("data", checks.at_least_single(_data(data, 1)))

    def weights(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Posterior probability of every training point, (B, N)."""
        return self._weights(x_t, t).to(x_t.dtype)

    def _weights(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        points = checks.at_least_single(checks.flat_events("x_t", x_t, self.data.shape[1]))
        s, gamma = self.schedule.at(t, points)
        # |x_t - s x|^2 less what is the same for all x; at gamma = 0 the nearest point wins
        distance = s.square() * self.data.square().sum(-1) - 2 * s * (points @ self.data.T)
        variance = gamma.square().clamp_min(variance_floor(points.dtype))
        return torch.softmax(-0.5 * distance / variance, dim=-1)

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from (B, \\*event)."""
        return (self._weights(x_t, t) @ self.data).to(x_t.dtype).reshape(x_t.shape)


class LinearMixture(nn.Module):
    """The optimal denoiser of a mixture of Gaussians with full covariances: K affine maps, softly.

    The general form that the low-rank denoisers specialise; also their slow but independent check.

    Source: a Gaussian conditional per component (2409.02426 version 5 has it for low-rank ones).

    Args:
        weights: (K,) non-negative, summing to one.
        means: (K, n).
        covariances: (K, n, n), positive semidefinite. A variance that is no more than the rounding
            of their entries is none.
        schedule: the forward process.

    Raises:
        ValueError: where shapes disagree, entries are not finite, or an eigenvalue is negative by
            more than rounding.
    """

    weights: Tensor
    means: Tensor
    variances: Tensor
    axes: Tensor

    def __init__(
        self,
        weights: Tensor | Sequence[float],
        means: Tensor,
        covariances: Tensor,
        schedule: Schedule,
    ) -> None:
        super().__init__()
        checks.finite("means", means)
        checks.finite("covariances", covariances)
        if means.dim() != 2:
            raise ValueError(f"means.shape = {tuple(means.shape)}: allowed is (K, n)")
        K, n = means.shape
        if covariances.shape != (K, n, n):
            shape = tuple(covariances.shape)
            raise ValueError(f"covariances.shape = {shape}: allowed is ({K}, {n}, {n})")
        self.schedule = schedule
        means = checks.at_least_single(means)
        self.register_buffer("weights", checks.probabilities("weights", weights, K).to(means))
        self.register_buffer("means", means)
        # In double precision: in single, LAPACK gives up (or NaN) where many eigenvalues are zero,
        # as with few images.
        spectra, axes = torch.linalg.eigh(covariances.double())
        spectra = _without_rounding(spectra, torch.finfo(covariances.dtype).eps)
        self.register_buffer("variances", spectra.to(means))  # (K, n)
        self.register_buffer("axes", axes.to(means))  # (K, n, n)

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from (B, \\*event)."""
        points = checks.at_least_single(checks.flat_events("x_t", x_t, self.means.shape[1]))
        s, gamma = self.schedule.at(t, points)
        variance = gamma.square().clamp_min(variance_floor(points.dtype))
        log_joints, means = [], []
        components = zip(self.weights, self.means, self.variances, self.axes, strict=True)
        for weight, mean, spectrum, axes in components:
            latent = (points - s * mean) @ axes
            total = s.square() * spectrum + variance
            log_joints.append(weight.log() - 0.5 * (latent.square() / total + total.log()).sum(-1))
            means.append(mean + (s * spectrum / total * latent) @ axes.T)
        posterior = torch.stack(log_joints, -1).softmax(-1)
        estimate = torch.einsum("bk,kbn->bn", posterior, torch.stack(means))
        return estimate.to(x_t.dtype).reshape(x_t.shape)


def _without_rounding(spectra: Tensor, eps: float) -> Tensor:
    """Eigenvalues (K, n), zero where they are rounding, which is no variance even at gamma_t = 0.

    Rounding of the entries, of relative size `eps`, moves an eigenvalue by no more than their root
    of squares times that; the decomposition adds its own, in double precision.
    """
    largest = spectra.amax(-1, keepdim=True)
    least = spectra.amin(-1, keepdim=True)
    if (least < -1e3 * eps * largest.clamp_min(1e-30)).any():
        raise ValueError(f"covariances = smallest eigenvalue {least.min():.3g}: allowed is >= 0")
    entries = eps * spectra.norm(dim=-1, keepdim=True)
    decomposition = 1e3 * torch.finfo(spectra.dtype).eps * largest
    return torch.where(spectra > torch.maximum(entries, decomposition), spectra, 0)


class Gaussian(LinearMixture):
    """The Wiener filter: the optimal denoiser of a Gaussian with the data's mean and covariance.

    Source: standard; the reference of Li, Dai and Qu (2410.24060) for what a network learns first.

    Args:
        data: (N, \\*event), N >= 2.
        schedule: the forward process.

    Raises:
        ValueError: where data have fewer than two points or are not finite.
    """

    def __init__(self, data: Tensor, schedule: Schedule) -> None:
        flat = _data(data, 2)
        # in double precision: the rounding of a sum over the data is not to count as variance
        covariance = torch.cov(flat.double().T, correction=0)
        mean = checks.at_least_single(flat).mean(0, keepdim=True)
        super().__init__([1.0], mean, covariance.unsqueeze(0), schedule)
