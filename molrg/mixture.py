r"""MoLRG: the mixture of low-rank Gaussians, with its exact density, score and denoiser.

.. math:: x_0 \sim \sum_k \pi_k \, N(\mu_k,\; U_k \Lambda_k U_k^T + \tau^2 I)

U_k (n, d_k) orthonormal, Lambda_k a diagonal spectrum, tau the noise off (and on) the subspaces.

All components are computed at once. Their bases stand side by side, (n, d_1 + ... + d_K), so that
the latent coordinates :math:`z_k = U_k^T (x_t - s_t \mu_k)` of all of them are one matrix product.
What lies outside a subspace enters the density by its norm alone,

.. math:: \|x_t - s_t \mu_k\|^2 - \|z_k\|^2,

a difference of two nearly equal numbers where the noise is low. It is taken in double precision,
with points and means relative to the mean of the mixture, whatever the precision of the bases.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from molrg import checks, draws
from molrg.schedules import Schedule, variance_floor
from molrg.subspaces import random_bases

_BLOCK = 1 << 20  # numbers that are made double at a time: 8 MB


class MoLRG:
    r"""Mixture of K low-rank Gaussians in n dimensions.

    Source: 2409.02426, Definition of the MoLRG model; means and spectra as in its version 5.

    Args:
        bases: K orthonormal bases U_k (n, d_k) with d_k < n, of one floating dtype and device.
        weights: pi, (K,), non-negative, summing to one; equal where omitted.
        means: K vectors mu_k, each (n,); zero where omitted.
        variances: K spectra Lambda_k, each (d_k,), positive; ones where omitted.
        noise: standard deviation tau per coordinate, added in all n directions; >= 0.

    Attributes:
        n: ambient dimension.
        K: number of components.
        dims: intrinsic dimensions d_1 ... d_K.
        columns: the bases side by side, (n, d_1 + ... + d_K).
        component: the component that a column belongs to, (d_1 + ... + d_K,).
        bases, means, variances: lists of K, as above; views of one tensor each.
        weights: (K,), of the dtype of the bases.
        noise: tau.

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
        checks.orthonormal_each("bases", bases)
        self.n, self.K = bases[0].shape[0], len(bases)
        self.dims = [basis.shape[1] for basis in bases]
        self.noise = checks.real("noise", noise, 0.0)
        rows = torch.cat([basis.mT for basis in bases])
        self.weights = checks.probabilities("weights", weights, self.K).to(rows)
        zeros, ones = rows.new_zeros(self.K * self.n), rows.new_ones(len(rows))
        joined = _joined("means", means, [self.n] * self.K, zeros)
        spectra = _joined("variances", variances, self.dims, ones)
        self._keep(rows, joined.view(self.K, self.n), spectra)
        if not (spectra > 0).all():
            k = int(self.component[(spectra > 0).int().argmin()])
            spectrum = self.variances[k].tolist()
            raise ValueError(f"variances[{k}] = {spectrum}: allowed is positive numbers")

    def _keep(self, rows: Tensor, means: Tensor, spectra: Tensor) -> None:
        """Hold the joined parameters, and what follows from them alone."""
        self._rows, self._means, self._spectra = rows, means, spectra
        self._dims = torch.tensor(self.dims, device=rows.device)
        self.component = torch.arange(self.K, device=rows.device).repeat_interleave(self._dims)
        self._centre = self.weights.double() @ means.double()
        self._offsets = means.double() - self._centre
        self._shift = rows.new_zeros(len(rows), dtype=torch.float64)  # U_k^T (mu_k - mean)
        if self._offsets.any():
            blocks = zip(self._blocks(rows), self._blocks(self.component), strict=True)
            products = [(block.double() * self._offsets[k]).sum(-1) for block, k in blocks]
            self._shift = torch.cat(products)
        self._list_components()

    def _list_components(self) -> None:
        self.columns = self._rows.mT
        self.bases = [block.mT for block in self._rows.split(self.dims)]
        self.means = list(self._means)
        self.variances = list(self._spectra.split(self.dims))

    def _blocks(self, rows: Tensor) -> tuple[Tensor, ...]:
        return rows.split(max(_BLOCK // self.n, 1))

    def to(self, device: torch.device | str) -> MoLRG:
        """The same mixture with its parameters on a device."""
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        moved._list_components()
        return moved

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
            angle: degrees in [0, 90], that of all principal angles of every pair of subspaces.
            noise: standard deviation per coordinate, >= 0.
            generator: source of the random orientation.

        Raises:
            ValueError: where n is too small, or K too large, for such subspaces.
        """
        return cls(random_bases(n, dims, angle=angle, generator=generator), noise=noise)

    def sample(
        self, N: int | Sequence[int] | Tensor, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw samples.

        Args:
            N: a number of samples with random labels, or K exact counts (then ordered by label).
            generator: source of randomness, on the CPU.

        Returns:
            x (N, n) and labels (N,), int64.

        Raises:
            ValueError: where N is not positive, or the counts not K numbers >= 0 with a sum > 0.
        """
        labels = self._labels(N, generator)
        order = labels.argsort(stable=True)
        counts = labels.bincount(minlength=self.K)
        x = self.noise * draws.normal(
            (len(labels), self.n), generator=generator, dtype=self._rows.dtype
        )
        x, latent = x.to(self._rows.device), self._draw_latent(counts, generator)
        labels, order = labels.to(x.device), order.to(x.device)
        # for each point, in order of label, a sum of columns weighted by its latent coordinates
        column, begins = self._columns_of(labels[order])
        on_subspace = embedding_bag(
            column,
            self._rows,
            begins,
            mode="sum",
            per_sample_weights=latent.to(x.device) * self._spectra[column].sqrt(),
        )
        x[order] += self._means[labels[order]] + on_subspace
        return x, labels

    def _labels(self, N: int | Sequence[int] | Tensor, generator: torch.Generator) -> Tensor:
        if not isinstance(N, Sequence | Tensor):
            weights = self.weights.double().cpu()
            return torch.multinomial(weights, checks.count("N", N), True, generator=generator)
        counts = [checks.count(f"N[{k}]", count, 0) for k, count in enumerate(N)]
        if len(counts) != self.K:
            raise ValueError(f"len(N) = {len(counts)}: allowed is K = {self.K}")
        if sum(counts) == 0:
            raise ValueError("sum(N) = 0: allowed is >= 1")
        labels = torch.arange(self.K, device="cpu")
        return labels.repeat_interleave(torch.tensor(counts, device="cpu"))

    def _draw_latent(self, counts: Tensor, generator: torch.Generator) -> Tensor:
        """Standard normal latent coordinates of all points, those of the first component first.

        Drawn a component at a time: what torch draws depends on how many are asked for at once.
        """
        present = counts.nonzero().flatten().tolist()
        shapes = [(int(counts[k]), self.dims[k]) for k in present]
        dtype = self._rows.dtype
        parts = [draws.normal(shape, generator=generator, dtype=dtype) for shape in shapes]
        return torch.cat([part.flatten() for part in parts])

    def _columns_of(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The columns of the components `labels` in a row, and where those of each point begin."""
        sizes = self._dims[labels]
        begins = sizes.cumsum(0) - sizes
        first_columns = (self._dims.cumsum(0) - self._dims)[labels]
        place = torch.arange(int(sizes.sum()), device=labels.device)
        return place + (first_columns - begins).repeat_interleave(sizes), begins

    def _points(self, x_t: Tensor) -> Tensor:
        if x_t.dtype != self._rows.dtype:
            allowed = f"{self._rows.dtype}, that of the bases"
            raise ValueError(f"x_t.dtype = {x_t.dtype}: allowed is {allowed}")
        return checks.flat_events("x_t", x_t, self.n)

    def _sum_columns(self, values: Tensor) -> Tensor:
        """Sums over the columns of each component, (..., d_1 + ... + d_K) to (..., K)."""
        sums = values.new_zeros(*values.shape[:-1], self.K)
        return sums.scatter_add(-1, self.component.expand_as(values), values)

    def _posterior(
        self, x_t: Tensor, t: float | Tensor, schedule: Schedule, floor: float = 0.0
    ) -> _Posterior:
        """What x_t says of the components, in double precision.

        `floor` bounds gamma_t^2 from below; with it the posterior mean at gamma_t = 0 is its limit,
        the projection on the nearest component.
        """
        points = self._points(x_t)
        s, gamma = (scale.double() for scale in schedule.at(t, points))
        variance = gamma.square().clamp_min(floor)
        total = self._spectra.double() + self.noise**2
        inside, outside = s.square() * total + variance, s.square() * self.noise**2 + variance
        centred = points.double() - s * self._centre
        products = [centred @ block.double().mT for block in self._blocks(self._rows)]
        latent = torch.cat(products, -1) - s * self._shift
        squares = latent.square()
        offsets = self._offsets
        distance = centred.square().sum(-1, keepdim=True) - 2 * s * (centred @ offsets.mT)
        distance = distance + s.square() * offsets.square().sum(-1)
        energy = self._sum_columns(squares / inside)
        energy = energy + (distance - self._sum_columns(squares)) / outside
        log_determinant = self._sum_columns(inside.log()) + (self.n - self._dims) * outside.log()
        normalisation = self.n * math.log(2 * math.pi)
        log_joint = self.weights.double().log() - 0.5 * (energy + log_determinant + normalisation)
        return _Posterior(s, total, inside, outside, centred, latent, log_joint)

    def _combine(self, posterior: _Posterior, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Averages over the posterior of mu_k - mean and of U_k diag(factors) z_k, (B, n) each."""
        weights = posterior.log_joint.softmax(-1)
        latent = weights[..., self.component] * factors * posterior.latent
        return weights @ self._offsets, latent.to(self._rows) @ self._rows

    def _check_density(self, t: float | Tensor, schedule: Schedule) -> None:
        if self.noise == 0 and bool((schedule.gamma(t) == 0).any()):
            allowed = "t with gamma_t > 0: the law of x_0 is singular and has no density"
            raise ValueError(f"t = {t}: allowed is {allowed}")

    def log_prob(self, x_t: Tensor, t: float | Tensor, schedule: Schedule) -> Tensor:
        """Log-density of x_t, (B,).

        Args:
            x_t: points (B, \\*event), n entries each.
            t: scalar or (B,) in [0, 1].
            schedule: the forward process.

        Raises:
            ValueError: where t is out of range, or gamma_t = 0 and the mixture has no noise.
        """
        self._check_density(t, schedule)
        return self._posterior(x_t, t, schedule).log_joint.logsumexp(-1).to(x_t.dtype)

    def score(self, x_t: Tensor, t: float | Tensor, schedule: Schedule) -> Tensor:
        """Gradient of the log-density with respect to x_t, in the shape of x_t.

        Raises:
            ValueError: as `log_prob`.
        """
        self._check_density(t, schedule)
        posterior = self._posterior(x_t, t, schedule)
        inside, outside = posterior.inside, posterior.outside
        offset, on_subspaces = self._combine(posterior, 1 - outside / inside)
        residual = posterior.centred - posterior.s * offset - on_subspaces
        return (-residual / outside).to(x_t.dtype).reshape(x_t.shape)

    def responsibilities(self, x_t: Tensor, t: float | Tensor, schedule: Schedule) -> Tensor:
        """Posterior probabilities w_k(x_t) of the K components, (B, K)."""
        posterior = self._posterior(x_t, t, schedule, variance_floor(x_t.dtype))
        return posterior.log_joint.softmax(-1).to(x_t.dtype)

    def posterior_mean(self, x_t: Tensor, t: float | Tensor, schedule: Schedule) -> Tensor:
        """E[x_0 | x_t], in the shape of x_t; at gamma_t = 0 its limit."""
        posterior = self._posterior(x_t, t, schedule, variance_floor(x_t.dtype))
        s, outside = posterior.s, posterior.outside
        shrink_inside = s * posterior.total / posterior.inside
        shrink_outside = s * self.noise**2 / outside
        offset, on_subspaces = self._combine(posterior, shrink_inside - shrink_outside)
        elsewhere = shrink_outside * (posterior.centred - s * offset)
        mean = self._centre + offset + elsewhere + on_subspaces
        return mean.to(x_t.dtype).reshape(x_t.shape)

    def denoiser(self, schedule: Schedule) -> PosteriorMean:
        """The exact posterior mean E[x_0 | x_t] as a denoiser."""
        return PosteriorMean(self, schedule)


@dataclass(frozen=True)
class _Posterior:
    """Given points x_t (B, n), in double precision; C = d_1 + ... + d_K columns.

    Attributes:
        s: signal scale, () or (B, 1).
        total: variances of x_0 along the columns, (C,).
        inside: variances of x_t along the columns, (..., C).
        outside: its variance in all other directions, (..., 1) or ().
        centred: x_t less the mean of the mixture, (B, n).
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
        return self.mixture.posterior_mean(x_t, t, self.schedule)

    def to(self, device: torch.device | str) -> PosteriorMean:
        """The same denoiser on a device."""
        return PosteriorMean(self.mixture.to(device), self.schedule)


def _joined(
    name: str, vectors: Sequence[Tensor] | None, sizes: Sequence[int], default: Tensor
) -> Tensor:
    """Vectors of these sizes one after another, like `default`, which stands for none given."""
    if vectors is None:
        return default
    if len(vectors) != len(sizes):
        raise ValueError(f"len({name}) = {len(vectors)}: allowed is K = {len(sizes)}")
    vectors = [torch.as_tensor(vector) for vector in vectors]
    for k, (vector, size) in enumerate(zip(vectors, sizes, strict=True)):
        if vector.shape != (size,):
            raise ValueError(f"{name}[{k}].shape = {tuple(vector.shape)}: allowed is ({size},)")
    joined = torch.cat(vectors).to(default)
    if not joined.isfinite().all():
        k = next(k for k, vector in enumerate(vectors) if not vector.isfinite().all())
        raise ValueError(f"{name}[{k}] = vector with NaN or infinity: allowed is finite entries")
    return joined
