r"""Clustering points by the subspace they lie near."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from molrg import checks, draws
from molrg.subspaces.alternation import Alternated, alternate
from molrg.subspaces.bases import random_basis
from molrg.subspaces.geometry import Bases


def clustering_accuracy(labels_hat: Tensor, labels: Tensor) -> float:
    """Share of points in the right cluster, after the best renaming of the clusters.

    Two random labellings of K balanced clusters score above 1/K, because the renaming is chosen
    afterwards: compare with a control, not with 1/K.

    Args:
        labels_hat: (N,) whole numbers >= 0.
        labels: (N,) whole numbers >= 0.

    Raises:
        ValueError: where the lengths differ or are zero.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import

    labels_hat, labels = _whole(labels_hat), _whole(labels)
    if labels_hat.shape != labels.shape or labels.dim() != 1 or len(labels) == 0:
        allowed = f"that of labels, {tuple(labels.shape)}, not empty"
        raise ValueError(f"labels_hat.shape = {tuple(labels_hat.shape)}: allowed is {allowed}")
    for name, given in (("labels_hat", labels_hat), ("labels", labels)):
        if given.min() < 0:
            least = f"numbers with smallest {int(given.min())}"
            raise ValueError(f"{name} = {least}: allowed is whole numbers >= 0")
    names_hat, places_hat = labels_hat.unique(return_inverse=True)
    names, places = labels.unique(return_inverse=True)
    sizes = (len(names_hat), len(names))
    pairs = torch.bincount(places_hat * sizes[1] + places, minlength=math.prod(sizes))
    table = pairs.reshape(sizes).numpy()
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / len(labels))


def _whole(labels: Any) -> Tensor:
    return torch.as_tensor(labels, device="cpu").long()


_ORTHOGONAL = 1e-20  # square of a cosine that is zero to rounding
_INITS = ("random", "balanced", "spectral", "whitened", "random+spectral", "random+whitened")


@dataclass(frozen=True)
class KSubspaces:
    """The result of `k_subspaces`: the best restart, for one data set or for (...) of them.

    Attributes:
        bases: K orthonormal bases (..., n, d_k).
        labels: (..., N) index of the basis with the largest projection.
        objective: mean squared projection, mean_i max_k |U_k^T x_i|^2, to be maximised; a float, or
            (...).
        objectives: (..., restarts) objective that each restart ended with.
        iterations: alternations until all restarts were stationary.
        starts: K bases (..., restarts, n, d_k), what each restart ended with.
        start_labels: (..., restarts, N) likewise.
    """

    bases: list[Tensor]
    labels: Tensor
    objective: float | Tensor
    objectives: Tensor
    iterations: int
    starts: list[Tensor]
    start_labels: Tensor


def k_subspaces(
    x: Tensor,
    K: int,
    d: int | Sequence[int],
    *,
    restarts: int = 8,
    init: str | Bases = "random",
    joint: bool = False,
    max_iterations: int = 100,
    generator: torch.Generator | Sequence[torch.Generator],
) -> KSubspaces:
    r"""Cluster points by subspace: maximise :math:`\sum_i \max_k \|U_k^T x_i\|^2` by alternation.

    Each point goes to the basis on which its projection is largest, each basis becomes the leading
    principal subspace of its points, until nothing moves. All restarts on all data sets run as one
    ensemble, and for each data set the one with the largest objective is returned. A cluster that
    loses all its points keeps its basis; one with fewer points than dimensions is completed at
    random.

    Source: the right-hand side of Theorem 3 of 2409.02426 (K-subspaces: Bradley and Mangasarian,
        2000).

    Args:
        x: data (N, n), or (..., N, n) for many data sets.
        K: number of subspaces, 1 <= K <= N.
        d: their dimension, or K dimensions; 1 <= d_k < n.
        restarts: number of starts, >= 1.
        init: "random" bases, "balanced" random labels, "spectral" or "whitened" (labels from
            `spectral_labels` of the points or of their `whitened` coordinates; restarts differ by a
            tenth of labels redrawn, the first by none), "random+spectral" or "random+whitened" (one
            such start after the random ones, not counted in `restarts`), or K given bases (one
            start).
        joint: keep [U_1 ... U_K] orthonormal as a whole, so that the subspaces are orthogonal to
            one another; needs d_1 + ... + d_K <= n. By default each basis is orthonormal by itself.
        max_iterations: alternations at most, >= 1.
        generator: source of the starts; one for all, or one for each data set, whose result then
            does not depend on which others are there.

    Raises:
        ValueError: where an argument is out of the range above or x is not finite.
    """
    *lead, N, n = checks.points("x", x).shape
    K = checks.count("K", K, 1, N)
    restarts = checks.count("restarts", restarts)
    max_iterations = checks.count("max_iterations", max_iterations)
    dims = _dimensions(d, K, n, joint)
    sets = x.reshape(-1, N, n)
    _check_squares(sets)
    sources = draws.spread(generator, len(sets))
    starts = [
        _start(one, K, dims, restarts, init, source)
        for one, source in zip(sets, sources, strict=True)
    ]
    *bases, labels = (torch.stack(part) for part in zip(*starts, strict=True))
    ended = alternate(
        sets, bases, labels, joint=joint, max_iterations=max_iterations, generators=sources
    )
    return _chosen(ended, tuple(lead))


def _check_squares(sets: Tensor) -> None:
    """Raise where squares of a data set overflow, or so many vanish that digits are lost."""
    largest, energy = sets.abs().amax((1, 2)), sets.square().sum((1, 2))
    limits = torch.finfo(sets.dtype)
    bad = ~energy.isfinite() | ((largest > 0) & (energy < limits.tiny / limits.eps))
    if bad.any():
        value = f"numbers up to {largest[bad][0]:.3g}"
        raise ValueError(f"x = {value}: allowed is those whose squares {sets.dtype} can sum")


def _dimensions(d: int | Sequence[int], K: int, n: int, joint: bool) -> list[int]:
    """The dimensions of K subspaces."""
    given = [d] * K if isinstance(d, int | float | np.number) else list(d)
    if len(given) != K:
        raise ValueError(f"len(d) = {len(given)}: allowed is K = {K}")
    dims = [checks.count(f"d[{k}]", size, 1, n - 1) for k, size in enumerate(given)]
    if joint and sum(dims) > n:
        allowed = f"True where the dimensions {dims} sum to at most n = {n}"
        raise ValueError(f"joint = True: allowed is {allowed}")
    return dims


def _chosen(ended: Alternated, lead: tuple[int, ...]) -> KSubspaces:
    """The start of largest objective for every data set, with the leading axes of the data."""
    best = ended.objectives.argmax(-1)
    rows = torch.arange(len(best), device=best.device)
    objective = ended.objectives[rows, best].reshape(lead)
    return KSubspaces(
        [basis[rows, best].reshape(*lead, *basis.shape[2:]) for basis in ended.bases],
        ended.labels[rows, best].reshape(*lead, -1),
        objective if lead else objective.item(),
        ended.objectives.reshape(*lead, -1),
        ended.iterations,
        [basis.reshape(*lead, *basis.shape[1:]) for basis in ended.bases],
        ended.labels.reshape(*lead, *ended.labels.shape[1:]),
    )


def _start(
    x: Tensor, K: int, dims: list[int], restarts: int, init: str | Bases, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """K bases (R, n, d_k) for one data set (N, n), and labels (R, N) before them, -1 where none."""
    N, n = x.shape
    unlabelled = torch.full((restarts, N), -1, device=x.device)
    if not isinstance(init, str):
        return *_given(init, dims, x), unlabelled[:1]
    kind = checks.one_of("init", init, _INITS)
    extra = kind.startswith("random+")
    kind = kind.removeprefix("random+")
    starts = (restarts + extra,)
    bases = [random_basis(n, d, generator=generator, ensemble=starts).to(x) for d in dims]
    if kind == "random":
        return *bases, unlabelled
    if kind == "balanced":
        order = draws.uniform((restarts, N), generator=generator).argsort(-1).argsort(-1)
        return *bases, (order % K).to(x.device)
    points = whitened(x, sum(dims)) if kind == "whitened" else x
    labels = _spectral_start(x, points, K, dims, generator)
    if extra:
        return *bases, torch.cat([unlabelled, labels.to(x.device).unsqueeze(0)])
    return *bases, _redrawn(labels, K, restarts, generator).to(x.device)


def _given(init: Bases, dims: list[int], x: Tensor) -> list[Tensor]:
    """Given bases as a single start."""
    if len(init) != len(dims):
        raise ValueError(f"len(init) = {len(init)}: allowed is K = {len(dims)}")
    for k, (basis, d) in enumerate(zip(init, dims, strict=True)):
        checks.orthonormal(f"init[{k}]", basis)
        if basis.shape != (x.shape[1], d):
            allowed = f"({x.shape[1]}, {d})"
            raise ValueError(f"init[{k}].shape = {tuple(basis.shape)}: allowed is {allowed}")
    return [basis.to(x).unsqueeze(0) for basis in init]


def _redrawn(labels: Tensor, K: int, restarts: int, generator: torch.Generator) -> Tensor:
    """The labels for each restart, a tenth of them drawn anew in all but the first."""
    shape = (restarts, len(labels))
    chosen = draws.uniform(shape, generator=generator) < 0.1
    chosen[0] = False
    drawn = torch.randint(K, shape, generator=generator, device="cpu")
    return torch.where(chosen, drawn, labels)


def _spectral_start(
    x: Tensor, points: Tensor, K: int, dims: list[int], generator: torch.Generator
) -> Tensor:
    """Spectral labels (N,), on the CPU, renamed so that the dimensions capture most energy."""
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import

    seed = int(torch.randint(2**31 - 1, (), generator=generator, device="cpu"))
    labels = spectral_labels(points, K, seed=seed).cpu()
    if len(set(dims)) == 1:
        return labels
    x = x.cpu()
    spectra = [torch.linalg.svdvals(x[labels == k]).square().cumsum(0) for k in range(K)]
    captured = [[spectrum[min(d, len(spectrum)) - 1].item() for d in dims] for spectrum in spectra]
    return torch.from_numpy(linear_sum_assignment(captured, maximize=True)[1])[labels]


def spectral_labels(x: Tensor, K: int, *, seed: int) -> Tensor:
    r"""Cluster by subspace without bases: spectral clustering, by :math:`\cos^2(x_i, x_j)`.

    A classical method to compare with; the affinity is that of thresholding-based subspace
    clustering (Heckel and Boelcskei, 2015) without the threshold, the clustering scikit-learn's.
    Where the points fall into exactly K groups with no affinity between them, to rounding, spectral
    clustering is to return these groups; they are found as connected components, without k-means.

    Args:
        x: data (N, n).
        K: number of clusters, 1 <= K <= N.
        seed: seed of scikit-learn's k-means.

    Returns:
        labels (N,), int64.

    Raises:
        ValueError: where K is out of range or x is not finite.
    """
    checks.points("x", x)
    K = checks.count("K", K, 1, x.shape[0])
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - slow to import

    unit = normalize(x.double(), dim=-1)
    affinity = (unit @ unit.mT).square().cpu().numpy()
    groups, labels = connected_components(affinity > _ORTHOGONAL, directed=False)
    if groups == K:
        return torch.from_numpy(labels).long().to(x.device)
    from sklearn.cluster import SpectralClustering  # noqa: PLC0415 - slow to import

    model = SpectralClustering(K, affinity="precomputed", random_state=seed, assign_labels="kmeans")
    return torch.from_numpy(model.fit_predict(affinity)).long().to(x.device)


def whitened(x: Tensor, rank: int | None = None) -> Tensor:
    r"""Coordinates of the points in which the data have covariance I/N: left singular vectors.

    They are the same for x and for x A, whatever the invertible A, so they do not know at which
    angles subspaces meet. Their Gram matrix is the shape interaction matrix: with no noise, and
    subspaces whose sum is direct, its entry is zero for every two points of different subspaces.
    `spectral_labels` and `k_subspaces` can be given them in place of the points.

    Source: Costeira and Kanade (1998).

    Args:
        x: data (N, n).
        rank: number of coordinates at most, >= 1, such as d_1 + ... + d_K, beyond which there is
            only noise; the numerical rank of x where that is smaller, or rank omitted.

    Returns:
        (N, r), with orthonormal columns.

    Raises:
        ValueError: where x is not finite or zero, or rank is out of range.
    """
    if checks.points("x", x).dim() != 2:
        raise ValueError(f"x.shape = {tuple(x.shape)}: allowed is (N, n)")
    left, values, _ = torch.linalg.svd(x, full_matrices=False)
    present = int((values > values[0] * max(x.shape) * torch.finfo(x.dtype).eps * 10).sum())
    if present == 0:
        raise ValueError("x = all zero: allowed is points with some energy")
    return left[:, : present if rank is None else min(present, checks.count("rank", rank))]
