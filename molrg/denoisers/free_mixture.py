"""A mixture of Gaussians with nothing tied, as a denoiser that learns."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from molrg import checks, draws
from molrg.denoisers.ensembles import EnsembleModule, number_of_models
from molrg.draws import Generators
from molrg.schedules import Schedule, variance_floor
from molrg.subspaces import orthonormalise, random_basis


class FreeMixture(EnsembleModule):
    r"""The optimal denoiser of K centred Gaussians of equal weight and free covariances.

    .. math:: \hat x_0 = \sum_k w_k(x_t)\,
              Q_k\,\mathrm{diag}\frac{s_t \lambda_k}{s_t^2\lambda_k + \gamma_t^2}\, Q_k^T x_t

    with Q_k (n, n) orthonormal, the n variances lambda_k > 0 of each component its own, and w_k the
    posterior. Against `molrg.denoisers.LowRank`: no rank is imposed and no spectrum is tied. (Were
    the prior weights learned, too, one component would often take all the data.)

    Source: ours, the step between the tied low-rank denoiser of 2409.02426 and a network.

    Args:
        n: entries of an event, which may have any shape.
        schedule: the forward process.
        K: number of components.
        data_scale: standard deviation of a coordinate of the data, > 0; the variances start around
            its square.
        ensemble: () for one model, (E,) for E of them; x_t is then (E, B, \\*event).
        generator: source of the start, or one per model.

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
        self.n, self.K = checks.count("n", n, 2), checks.count("K", K)
        self.schedule, self.ensemble = schedule, tuple(ensemble)
        start = 2 * math.log(checks.real("data_scale", data_scale, 1e-6))
        axes, spectra = [], []
        for source in draws.spread(generator, number_of_models(self.ensemble)):
            axes.append(random_basis(self.n, self.n, generator=source, ensemble=(self.K,)).float())
            shape = (self.K, 1, self.n)
            noise = draws.normal(shape, generator=source, dtype=torch.float32)
            spectra.append(start + 0.3 * noise)  # flat spectra would make all components one
        self.axes = self._stacked(axes)
        self.log_variances = self._stacked(spectra)

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
        points = checks.flat_events("x_t", x_t, self.n, self.ensemble)
        scales = self.schedule.at(t, points)
        # with an axis of components before that of points
        s, gamma = (scale.unsqueeze(-3) if scale.dim() else scale for scale in scales)
        latent = points.unsqueeze(-3) @ self.axes  # (*E, K, B, n)
        variances = self.log_variances.exp()
        variance = gamma.square().clamp_min(variance_floor(points.dtype))
        total = s.square() * variances + variance
        weights = (-0.5 * (latent.square() / total + total.log()).sum(-1)).softmax(-2).unsqueeze(-1)
        return (weights * s * variances / total * latent @ self.axes.mT).sum(-3).reshape(x_t.shape)
