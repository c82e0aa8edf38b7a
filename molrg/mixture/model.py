r"""MoLRG: the mixture of low-rank Gaussians, with its exact density, score and denoiser.

.. math:: x_0 \sim \sum_k \pi_k \, N(\mu_k,\; U_k \Lambda_k U_k^T + \tau^2 I)

U_k (n, d_k) orthonormal, Lambda_k a diagonal spectrum, tau the noise off (and on) the subspaces.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molrg import checks, draws
from molrg.mixture import fitting
from molrg.mixture.components import Components, Posterior
from molrg.schedules import Schedule, variance_floor
from molrg.subspaces import random_bases


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
        bases, means, variances: lists of K, as above.
        weights: (K,), of the dtype of the bases.
        noise: tau.
        history: log-likelihood per point, before each step of EM and at its end; empty where the
            mixture was not fitted.
        histories: that of every start of EM.

    Raises:
        ValueError: where an argument is outside what is said above.
    """

    history: Sequence[float] = ()
    histories: Sequence[Sequence[float]] = ()

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
        pi = checks.probabilities("weights", weights, self.K).to(rows)
        zeros, ones = rows.new_zeros(self.K * self.n), rows.new_ones(len(rows))
        joined = _joined("means", means, [self.n] * self.K, zeros).view(self.K, self.n)
        spectra = _joined("variances", variances, self.dims, ones)
        self._set(Components(rows, self.dims, pi, joined, spectra, self.noise), rows, list(bases))
        if not (spectra > 0).all():
            k = int(self.component[(spectra > 0).int().argmin()])
            spectrum = self.variances[k].tolist()
            raise ValueError(f"variances[{k}] = {spectrum}: allowed is positive numbers")

    def _set(self, components: Components, rows: Tensor, bases: list[Tensor]) -> None:
        """Hold the components, the columns of the bases as they were given, and lists of K."""
        self._components, self._dtype = components, rows.dtype
        self.weights, self.component = components.weights, components.owner
        self.columns = rows.mT
        self.bases = bases
        self.means = list(components.means)
        self.variances = list(components.spectra.split(self.dims))

    def to(self, device: torch.device | str) -> MoLRG:
        """The same mixture with its parameters on a device."""
        moved = copy.copy(self)
        rows = self.columns.mT.to(device)
        moved._set(self._components.to(device), rows, [U.mT for U in rows.split(self.dims)])
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

    @classmethod
    def fit(
        cls,
        x: Tensor,
        K: int,
        d: int,
        *,
        starts: int = 3,
        iterations: int = 100,
        tolerance: float = 1e-6,
        generator: torch.Generator,
    ) -> MoLRG:
        """Fit a mixture to points by EM: probabilistic PCA in every component, one shared noise.

        Each start is a k-means clustering; the one that ends with the largest likelihood is kept.

        Source: Tipping and Bishop, Mixtures of probabilistic principal component analysers (1999),
            with one noise for all components. No library that is known to us has it: see
            `molrg.mixture.fitting`.

        Args:
            x: points (N, n), N > K (d + 1).
            K: number of components, >= 1.
            d: dimension of each, 1 <= d < n. A direction that holds less variance than the noise is
                left with next to none.
            starts: number of starts, >= 1.
            iterations: steps of EM at most, of each start.
            tolerance: EM ends when a step adds less to the log-likelihood per number in x.
            generator: source of the starts.

        Returns:
            The mixture, of the dtype of x and where x is, with its `history`.

        Raises:
            ValueError: where x is not finite, not (N, n), too short or one point many times, its
                variances are below what its dtype holds, or another argument is out of range.
        """
        fitted = fitting.em(
            x,
            K,
            d,
            starts=starts,
            iterations=iterations,
            tolerance=tolerance,
            generator=generator,
        )
        mixture = cls._of(fitted.components, x.dtype)
        mixture.history, mixture.histories = fitted.history, fitted.histories
        return mixture

    @classmethod
    def of_labels(cls, x: Tensor, labels: Tensor, d: int) -> MoLRG:
        """The mixture of given groups of points: probabilistic PCA of each, one shared noise.

        Args:
            x: points (N, n).
            labels: group of each point, (N,), whole numbers from 0 on.
            d: dimension of each component.

        Raises:
            ValueError: as `fit`, or where labels are not N whole numbers >= 0.
        """
        if labels.shape != (len(x),) or labels.is_floating_point() or labels.min() < 0:
            value = f"{labels.dtype} {tuple(labels.shape)}"
            raise ValueError(f"labels = {value}: allowed is ({len(x)},) whole numbers >= 0")
        K = int(labels.max()) + 1
        return cls._of(fitting.of_labels(x, labels, K, d), x.dtype)

    @classmethod
    def _of(cls, components: Components, dtype: torch.dtype) -> MoLRG:
        """The mixture in the dtype of x; variances that it rounds to zero are its least number."""
        dims, limits = components.dims.tolist(), torch.finfo(dtype)
        largest = components.spectra.max().item() + components.noise**2
        if not limits.tiny <= largest <= limits.max:
            value = f"points of variance {largest:.3g} along an axis"
            allowed = f"in [{limits.tiny:.3g}, {limits.max:.3g}], the numbers of {dtype}"
            raise ValueError(f"x = {value}: allowed is {allowed}")
        spectra = components.spectra.clamp_min(limits.tiny * limits.eps)
        return cls(
            [block.mT.to(dtype) for block in components.rows.split(dims)],
            components.weights,
            list(components.means),
            list(spectra.split(dims)),
            components.noise,
        )

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
        shape = (len(labels), self.n)
        x = self.noise * draws.normal(shape, generator=generator, dtype=self._dtype)
        on_subspaces = self._draw_on_subspaces(counts, generator)
        x, labels, order = (value.to(on_subspaces.device) for value in (x, labels, order))
        x[order] += self._components.means[labels[order]] + on_subspaces
        return x, labels

    def _labels(self, N: int | Sequence[int] | Tensor, generator: torch.Generator) -> Tensor:
        if not isinstance(N, Sequence | Tensor):
            points = checks.count("N", N)
            return torch.multinomial(
                self.weights.double().cpu(), points, replacement=True, generator=generator
            )
        counts = [checks.count(f"N[{k}]", count, 0) for k, count in enumerate(N)]
        if len(counts) != self.K:
            raise ValueError(f"len(N) = {len(counts)}: allowed is K = {self.K}")
        if sum(counts) == 0:
            raise ValueError("sum(N) = 0: allowed is >= 1")
        labels = torch.arange(self.K, device="cpu")
        return labels.repeat_interleave(torch.tensor(counts, device="cpu"))

    def _draw_on_subspaces(self, counts: Tensor, generator: torch.Generator) -> Tensor:
        """Points U_k Lambda_k^(1/2) z, those of the first component first, (N, n).

        One component after another, of those that have points: what torch draws depends on how many
        numbers are asked for at once.
        """
        points = []
        for k in counts.nonzero().flatten().tolist():
            shape = (int(counts[k]), self.dims[k])
            latent = draws.normal(shape, generator=generator, dtype=self._dtype)
            points.append(
                (latent.to(self.weights.device) * self.variances[k].sqrt()) @ self.bases[k].T
            )
        return torch.cat(points)

    def _posterior(
        self, x_t: Tensor, t: float | Tensor, schedule: Schedule, bounded: bool = False
    ) -> Posterior:
        """What x_t says of the components.

        With gamma_t^2 bounded from below the posterior mean at gamma_t = 0 is its limit, the
        projection on the nearest component.
        """
        if x_t.dtype != self._dtype:
            allowed = f"{self._dtype}, that of the bases"
            raise ValueError(f"x_t.dtype = {x_t.dtype}: allowed is {allowed}")
        points = checks.flat_events("x_t", x_t, self.n)
        s, gamma = (scale.double() for scale in schedule.at(t, checks.at_least_single(points)))
        floor = variance_floor(torch.float64) if bounded else 0.0
        return self._components.posterior(points, s, gamma.square().clamp_min(floor))

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

    def log_likelihood(self, x: Tensor) -> Tensor:
        """Log-density of clean points x_0, (B,).

        Args:
            x: points (B, \\*event), n entries each.

        Raises:
            ValueError: where the mixture has no noise, and so no density.
        """
        if self.noise == 0:
            raise ValueError("noise = 0: allowed is > 0, for the law of x_0 has no density")
        points = checks.flat_events("x", x, self.n)
        one = points.new_ones(())
        posterior = self._components.posterior(points, one, torch.zeros_like(one))
        return posterior.log_joint.logsumexp(-1).to(x.dtype)

    def score(self, x_t: Tensor, t: float | Tensor, schedule: Schedule) -> Tensor:
        """Gradient of the log-density with respect to x_t, in the shape of x_t.

        Raises:
            ValueError: as `log_prob`.
        """
        self._check_density(t, schedule)
        posterior = self._posterior(x_t, t, schedule)
        inside, outside = posterior.inside, posterior.outside
        offset, on_subspaces = self._components.average(posterior, 1 - outside / inside)
        residual = posterior.centred - posterior.s * offset - on_subspaces
        return (-residual / outside).to(x_t.dtype).reshape(x_t.shape)

    def responsibilities(self, x_t: Tensor, t: float | Tensor, schedule: Schedule) -> Tensor:
        """Posterior probabilities w_k(x_t) of the K components, (B, K)."""
        posterior = self._posterior(x_t, t, schedule, bounded=True)
        return posterior.log_joint.softmax(-1).to(x_t.dtype)

    def posterior_mean(self, x_t: Tensor, t: float | Tensor, schedule: Schedule) -> Tensor:
        """E[x_0 | x_t], in the shape of x_t; at gamma_t = 0 its limit."""
        posterior = self._posterior(x_t, t, schedule, bounded=True)
        s, outside = posterior.s, posterior.outside
        shrink_inside = s * posterior.total / posterior.inside
        shrink_outside = s * self.noise**2 / outside
        offset, on_subspaces = self._components.average(posterior, shrink_inside - shrink_outside)
        elsewhere = shrink_outside * (posterior.centred - s * offset)
        mean = self._components.centre + offset + elsewhere + on_subspaces
        return mean.to(x_t.dtype).reshape(x_t.shape)

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
    vectors = [
        vector.to(default) if isinstance(vector, Tensor) else default.new_tensor(vector)
        for vector in vectors
    ]
    for k, (vector, size) in enumerate(zip(vectors, sizes, strict=True)):
        if vector.shape != (size,):
            raise ValueError(f"{name}[{k}].shape = {tuple(vector.shape)}: allowed is ({size},)")
    joined = torch.cat(vectors)
    if not joined.isfinite().all():
        k = next(k for k, vector in enumerate(vectors) if not vector.isfinite().all())
        raise ValueError(f"{name}[{k}] = vector with NaN or infinity: allowed is finite entries")
    return joined
