r"""The components of a mixture side by side, and what a noisy point says of them.

All components are computed at once. Their bases stand side by side, (n, d_1 + ... + d_K), so that
the latent coordinates :math:`z_k = U_k^T (x_t - s_t \mu_k)` of all of them are one matrix product.
What lies outside a subspace enters the density by its norm alone,

.. math:: \|x_t - s_t \mu_k\|^2 - \|z_k\|^2,

a difference of two nearly equal numbers where the noise is low. It is taken in double precision,
with points and means relative to the mean of the mixture, and with bases that are orthonormal in
double precision: others are made so, for theirs would be off by the rounding of their norms.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molrg.subspaces import orthonormalise

_BLOCK = 1 << 20  # numbers in a block of rows: 8 MB


class Components:
    """K low-rank Gaussians in one tensor each; C = d_1 + ... + d_K columns.

    Args:
        rows: the columns of all bases, one per row, (C, n); held in double precision.
        dims: d_1 ... d_K.
        weights: (K,).
        means: (K, n).
        spectra: variances along the columns, (C,).
        noise: standard deviation in all n directions.
    """

    def __init__(
        self,
        rows: Tensor,
        dims: Sequence[int],
        weights: Tensor,
        means: Tensor,
        spectra: Tensor,
        noise: float,
    ) -> None:
        self.rows = rows if rows.dtype == torch.float64 else _orthonormal(rows.double(), dims)
        self.weights, self.means, self.spectra = weights, means, spectra
        self.noise, self.n = noise, rows.shape[1]
        self.dims = torch.tensor(dims, device=rows.device)
        self.owner = torch.arange(len(dims), device=rows.device).repeat_interleave(self.dims)
        self.centre = weights.double() @ means.double()
        self.offsets = means.double() - self.centre
        self.shift = self.rows.new_zeros(len(rows))  # U_k^T (mu_k - centre)
        if self.offsets.any():
            blocks = zip(self._blocks(self.rows), self._blocks(self.owner), strict=True)
            products = [(block * self.offsets[k]).sum(-1) for block, k in blocks]
            self.shift = torch.cat(products)

    def _blocks(self, rows: Tensor) -> tuple[Tensor, ...]:
        return rows.split(max(_BLOCK // self.n, 1))

    def to(self, device: torch.device | str) -> Components:
        """The same components on a device."""
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        return moved

    def _sum_columns(self, values: Tensor) -> Tensor:
        """Sums over the columns of each component, (..., C) to (..., K)."""
        sums = values.new_zeros(*values.shape[:-1], len(self.dims))
        return sums.scatter_add(-1, self.owner.expand_as(values), values)

    def posterior(self, points: Tensor, s: Tensor, variance: Tensor) -> Posterior:
        """What noisy points (B, n) say of the components; `variance` is gamma_t^2."""
        s, variance = s.double(), variance.double()
        total = self.spectra.double() + self.noise**2
        outside = s.square() * self.noise**2 + variance
        inside = s.square() * total + variance
        centred = points.double() - s * self.centre
        products = [centred @ block.double().mT for block in self._blocks(self.rows)]
        latent = torch.cat(products, -1) - s * self.shift
        squares = latent.square()
        distance = self._squared_distances(centred, s) - self._sum_columns(squares)
        energy = self._sum_columns(squares / inside) + distance / outside
        log_determinant = self._sum_columns(inside.log()) + (self.n - self.dims) * outside.log()
        normalisation = self.n * math.log(2 * math.pi)
        log_joint = self.weights.double().log() - 0.5 * (energy + log_determinant + normalisation)
        return Posterior(s, total, inside, outside, centred, latent, log_joint)

    def _squared_distances(self, centred: Tensor, s: Tensor) -> Tensor:
        """From points (B, n) to the scaled means, (B, K)."""
        products = centred @ self.offsets.mT
        squares = self.offsets.square().sum(-1)
        return centred.square().sum(-1, keepdim=True) - 2 * s * products + s.square() * squares

    def average(self, posterior: Posterior, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior averages of mu_k - centre and of U_k diag(factors) z_k, (B, n) each."""
        weights = posterior.log_joint.softmax(-1)
        latent = weights[..., self.owner] * factors * posterior.latent
        return weights @ self.offsets, latent.to(self.rows) @ self.rows


def _orthonormal(rows: Tensor, dims: Sequence[int]) -> Tensor:
    """Orthonormal rows (C, n) that span for each component what its rows span."""
    return torch.cat([orthonormalise(block.mT).mT for block in rows.split(list(dims))])


@dataclass(frozen=True)
class Posterior:
    """Of points x_t (B, n), in double precision.

    Attributes:
        s: signal scale, () or (B, 1).
        total: variances of x_0 along the columns, (C,).
        inside: variances of x_t along the columns, (..., C).
        outside: its variance in all other directions, (..., 1) or ().
        centred: x_t less the scaled mean of the mixture, (B, n).
        latent: coordinates U_k^T (x_t - s_t mu_k), (B, C).
        log_joint: log of pi_k N(x_t), (B, K).
    """

    s: Tensor
    total: Tensor
    inside: Tensor
    outside: Tensor
    centred: Tensor
    latent: Tensor
    log_joint: Tensor
