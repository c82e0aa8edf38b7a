r"""EM for a mixture of probabilistic PCA whose components share one noise: `molrg.MoLRG.fit`.

The M-step needs the d leading eigenvectors of each component's weighted covariance, not the
covariance: they are computed from the points that belong to the component, whichever of pixels and
points are fewer. With fewer points than pixels the whole fit runs in coordinates of their span.

Why not a library's: scikit-learn has Gaussian mixtures with full or diagonal covariances, and
factor analysis of a single component. A full covariance of 784 pixels needs more images of each
component than there are, and its inverse at every step; a diagonal one has no subspace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from molrg import checks
from molrg.mixture.components import Components

_CHUNK = 4096  # points of one E-step at a time
_MEMBER = 1e-12  # a point of less responsibility changes nothing in a component
_LEAST_NOISE = 1e-10  # of the mean variance: data that lie on their subspaces have none


@dataclass(frozen=True)
class Fitted:
    """What EM ended with, in the coordinates of the data, float64.

    Attributes:
        components: the K low-rank Gaussians.
        history: log-likelihood per point, before every step and at the end.
        histories: that of every start; the chosen one ended highest.
    """

    components: Components
    history: list[float]
    histories: list[list[float]]


@dataclass(frozen=True)
class _Span:
    """Coordinates of points (N, n) in which N < n points are no more than N numbers each.

    Attributes:
        points: (N, r), float64.
        axes: orthonormal, (n, r); None where the coordinates are the pixels.
        centre: (n,).
        n: ambient dimension.
    """

    points: Tensor
    axes: Tensor | None
    centre: Tensor
    n: int

    @classmethod
    def of(cls, x: Tensor) -> _Span:
        points = x.double()
        centre = points.mean(0)
        points = points - centre
        axes = torch.linalg.qr(points.mT)[0] if x.shape[0] < x.shape[1] else None
        return cls(points if axes is None else points @ axes, axes, centre, x.shape[1])

    def back(self, inside: Components) -> Components:
        """Components in these coordinates, in those of the data."""
        rows, means = inside.rows, inside.means
        if self.axes is not None:
            rows, means = rows @ self.axes.mT, means @ self.axes.mT
        dims = inside.dims.tolist()
        return Components(
            rows, dims, inside.weights, means + self.centre, inside.spectra, inside.noise
        )


def em(
    x: Tensor,
    K: int,
    d: int,
    *,
    starts: int,
    iterations: int,
    tolerance: float,
    generator: torch.Generator,
) -> Fitted:
    """EM from several k-means starts; the arguments are those of `molrg.MoLRG.fit`.

    Raises:
        ValueError: as there.
    """
    K, d = check(x, K, d)
    starts = checks.count("starts", starts)
    iterations = checks.count("iterations", iterations)
    tolerance = checks.real("tolerance", tolerance, 0.0)
    span = _Span.of(x)
    runs = []
    for _ in range(starts):
        labels = _k_means(span.points, K, generator)
        runs.append(_climb(span, _one_hot(labels, K), d, iterations, tolerance * span.n))
    components, history = max(runs, key=lambda run: run[1][-1])
    return Fitted(span.back(components), history, [run[1] for run in runs])


def of_labels(x: Tensor, labels: Tensor, K: int, d: int) -> Components:
    """Components of given groups of points: a single M-step.

    Args:
        x: data (N, n).
        labels: group of each point, (N,), in 0 ... K - 1.
        K: number of groups.
        d: their dimension.

    Raises:
        ValueError: as `molrg.MoLRG.fit`, or where labels are not N whole numbers below K.
    """
    K, d = check(x, K, d)
    if labels.shape != (len(x),) or labels.min() < 0 or labels.max() >= K:
        value = f"{tuple(labels.shape)} from {int(labels.min())} to {int(labels.max())}"
        raise ValueError(f"labels = {value}: allowed is ({len(x)},) in 0 ... K - 1 = {K - 1}")
    span = _Span.of(x)
    return span.back(_maximise(span, _one_hot(labels.to(x.device), K), d, None))


def check(x: Tensor, K: int, d: int) -> tuple[int, int]:
    """K and d as ints; raises where no such mixture can be fitted to points x (N, n).

    Raises:
        ValueError: where x is not finite or not (N, n), or K or d is out of range.
    """
    checks.points("x", x)
    if x.dim() != 2:
        raise ValueError(f"x.shape = {tuple(x.shape)}: allowed is (N, n)")
    N, n = x.shape
    K = checks.count("K", K, 1, N)
    d = checks.count("d", d, 1, n - 1)
    if K * (d + 1) >= N:
        allowed = f"more than K (d + 1) = {K * (d + 1)} points, as many as fit without any noise"
        raise ValueError(f"len(x) = {N}: allowed is {allowed}")
    if bool((x == x[0]).all()):
        raise ValueError("x = one point many times: allowed is points that differ")
    return K, d


def _one_hot(labels: Tensor, K: int) -> Tensor:
    return (labels.unsqueeze(1) == torch.arange(K, device=labels.device)).double()


def _k_means(points: Tensor, K: int, generator: torch.Generator) -> Tensor:
    from sklearn.cluster import KMeans  # noqa: PLC0415 - slow to import

    seed = int(torch.randint(2**31 - 1, (), generator=generator, device="cpu"))
    model = KMeans(K, n_init=1, random_state=seed)
    return torch.from_numpy(model.fit_predict(points.cpu().numpy())).long().to(points.device)


def _climb(
    span: _Span, shares: Tensor, d: int, iterations: int, least: float
) -> tuple[Components, list[float]]:
    """Alternate M and E from responsibilities (N, K), until a step gains less than `least`."""
    components = _maximise(span, shares, d, None)
    shares, reached = _expect(span, components)
    history = [reached]
    for _ in range(iterations):
        components = _maximise(span, shares, d, components)
        shares, reached = _expect(span, components)
        history.append(reached)
        if history[-1] - history[-2] < least:
            break
    return components, history


def _expect(span: _Span, components: Components) -> tuple[Tensor, float]:
    """Responsibilities (N, K), and the log-likelihood per point in all n directions."""
    one = span.points.new_ones(())
    joints = [
        components.posterior(block, one, torch.zeros_like(one)).log_joint
        for block in span.points.split(_CHUNK)
    ]
    log_joint = torch.cat(joints)
    outside = (span.n - span.points.shape[1]) * math.log(2 * math.pi * components.noise**2)
    return log_joint.softmax(1), log_joint.logsumexp(1).mean().item() - 0.5 * outside


def _maximise(span: _Span, shares: Tensor, d: int, before: Components | None) -> Components:
    """The M-step: a component that lost all its points stays as it was before."""
    counts = shares.sum(0)
    means, rows, leading, left = [], [], [], []
    for k, share in enumerate(shares.mT):
        if (share <= _MEMBER).all() and before is not None:
            means.append(before.means[k])
            rows.append(before.rows[k * d : (k + 1) * d])
            leading.append(before.spectra[k * d : (k + 1) * d] + before.noise**2)
            left.append(counts.new_zeros(()))
            continue
        mean, basis, eigenvalues, rest = _principal(span.points, share, d)
        means.append(mean)
        rows.append(basis)
        leading.append(eigenvalues)
        left.append(rest)
    largest = torch.cat(leading)
    total = span.points.square().sum(1).mean().item() / span.n
    variance = _shared_noise(counts, torch.stack(leading), torch.stack(left), span.n)
    variance = max(variance, _LEAST_NOISE * total)
    spectra = (largest - variance).clamp_min(variance * torch.finfo(largest.dtype).eps)
    weights = counts / counts.sum()
    return Components(
        torch.cat(rows), [d] * len(means), weights, torch.stack(means), spectra, variance**0.5
    )


def _principal(points: Tensor, share: Tensor, d: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weighted mean, d leading axes (d, r), their variances, and the variance left over."""
    members = share > _MEMBER
    share, points = share[members], points[members]
    share = share / share.sum().clamp_min(torch.finfo(share.dtype).tiny)
    mean = share @ points
    scaled = (points - mean) * share.sqrt().unsqueeze(1)
    scaled = pad(scaled, (0, 0, 0, max(d - len(scaled), 0)))
    if len(scaled) < scaled.shape[1]:
        axes = torch.linalg.eigh(scaled @ scaled.mT)[1][:, -d:].flip(1)
        axes = scaled.mT @ axes
        axes = axes / axes.norm(dim=0).clamp_min(torch.finfo(axes.dtype).tiny)
    else:
        axes = torch.linalg.eigh(scaled.mT @ scaled)[1][:, -d:].flip(1)
    basis = torch.linalg.qr(axes)[0]  # completes what fewer points than d leave open
    variances = (scaled @ basis).square().sum(0)
    left = scaled.square().sum() - variances.sum()
    return mean, basis.mT, variances, left.clamp_min(0.0)


def _shared_noise(counts: Tensor, leading: Tensor, left: Tensor, n: int) -> float:
    """The noise variance of largest likelihood, given each component's leading variances (K, d).

    The mean variance of all directions outside the subspaces; a leading one of less than that is
    outside, too. Each round leaves out what is above the mean, so that the mean can only fall.
    """
    share = counts.unsqueeze(1)
    outside = (counts * left).sum()
    directions = counts.sum() * (n - leading.shape[1])
    variance = outside / directions
    while True:
        below = (leading < variance) * share
        lower = (outside + (below * leading).sum()) / (directions + below.sum())
        if not lower < variance:
            return variance.item()
        variance = lower
