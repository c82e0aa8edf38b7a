r"""Linear subspaces: random ones at a given angle, learned ones, and distances between them.

A subspace is given by an orthonormal basis U of shape (n, d), n ambient and d intrinsic. Leading
axes are an ensemble: (..., n, d). Angles are the principal (canonical) angles, in radians unless a
name says degrees.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import SpectralClustering
from torch import Tensor

from molrg import checks
from molrg.subspaces.alternation import Found, alternate

Bases = Sequence[Tensor]


def random_basis(
    n: int, d: int, *, generator: torch.Generator, ensemble: tuple[int, ...] = ()
) -> Tensor:
    """Draw a uniformly (Haar) distributed orthonormal basis, (\\*ensemble, n, d), float64.

    Raises:
        ValueError: unless 1 <= d <= n.
    """
    checks.count("d", d, 1, checks.count("n", n))
    return orthonormalise(torch.randn(*ensemble, n, d, generator=generator, dtype=torch.float64))


def orthonormalise(basis: Tensor) -> Tensor:
    """Return the orthonormal basis of the span of (..., n, d), nearest in the sense of QR.

    Two passes of Cholesky QR: batched matrix products, where Householder QR is a loop over the
    ensemble. Columns that are exactly zero (padding) stay zero.

    Accuracy: orthonormal to rounding while the condition number is below about 1e7 (float64).
    """
    for _ in range(2):
        gram = basis.mT @ basis
        padding = torch.diag_embed((gram.diagonal(dim1=-2, dim2=-1) == 0).to(basis.dtype))
        factor = torch.linalg.cholesky(gram + padding)
        basis = torch.linalg.solve_triangular(factor.mT, basis, upper=True, left=False)
    return basis


def random_bases(
    n: int, dims: Sequence[int], *, angle: float = 90.0, generator: torch.Generator
) -> list[Tensor]:
    """Draw K subspaces of which every pair has all min(d_i, d_j) principal angles equal to `angle`.

    The directions are built one coordinate at a time: the l-th basis vectors of all subspaces with
    d_k >= l are equiangular, and orthogonal to those of every other coordinate.

    Args:
        n: ambient dimension.
        dims: intrinsic dimensions d_1 ... d_K, each >= 1.
        angle: degrees, in [0, 90].
        generator: source of the random orientation.

    Returns:
        K orthonormal bases, (n, d_k), float64.

    Raises:
        ValueError: where a dimension or the angle is out of range, d_k >= n, or n is too small for
            so many subspaces at that angle.
    """
    checks.count("n", n, 2)
    checks.require(len(dims) >= 1, "dims", list(dims), "at least one dimension")
    dims = [checks.count(f"dims[{k}]", d, 1, n - 1) for k, d in enumerate(dims)]
    cosine = 0.0 if angle == 90 else math.cos(math.radians(checks.real("angle", angle, 0, 90)))
    needed = [_equiangular(sum(d > level for d in dims), cosine) for level in range(max(dims))]
    rank = sum(vectors.shape[1] for vectors in needed)
    checks.require(
        rank <= n,
        "n",
        n,
        f">= {rank}, which {len(dims)} subspaces of dimensions {dims} at {angle:g} degrees need",
    )
    frame = random_basis(n, rank, generator=generator).split(
        [vectors.shape[1] for vectors in needed], dim=1
    )
    columns: list[list[Tensor]] = [[] for _ in dims]
    for level, (vectors, axes) in enumerate(zip(needed, frame, strict=True)):
        members = [k for k, d in enumerate(dims) if d > level]
        for k, vector in zip(members, vectors, strict=True):
            columns[k].append(axes @ vector)
    return [torch.stack(column, dim=1) for column in columns]


def _equiangular(m: int, cosine: float) -> Tensor:
    """m unit vectors (m, r), |inner product| = cosine for every pair, r as small as this family allows."""
    for signed in (-cosine, cosine):  # the obtuse simplex saves a dimension where cosine = 1/(m-1)
        gram = torch.full((m, m), signed, dtype=torch.float64).fill_diagonal_(1.0)
        values, vectors = torch.linalg.eigh(gram)
        if values[0] < -1e-12 or (signed < 0 and values[0] > 1e-12):
            continue
        kept = values > 1e-12
        return vectors[:, kept] * values[kept].sqrt()
    raise AssertionError(
        "the acute Gram matrix is positive semidefinite for every cosine in [0, 1]"
    )


def pca(
    x: Tensor, d: int, *, completion: str = "svd", generator: torch.Generator | None = None
) -> Tensor:
    r"""Leading principal subspace: the maximiser of :math:`\sum_i \|U^T x_i\|^2` over orthonormal U.

    No mean is removed: the model of Theorem 1 has none. Where the data span fewer than d dimensions, as
    with N < d, the maximiser is not unique: every subspace that contains the data is one.

    Source: the right-hand side of Theorem 1 of 2409.02426; the random completion is ours.

    Args:
        x: data (..., N, n), leading axes an ensemble.
        d: dimension, 1 <= d < n.
        completion: where the data leave directions open: "svd", as the singular value decomposition
            happens to complete them, or "random", uniformly in the complement of the data.
        generator: source of a random completion.

    Returns:
        Orthonormal basis (..., n, d), the directions of largest energy first.

    Raises:
        ValueError: where x is not finite, d is out of range, or a random completion has no generator.
    """
    checks.points("x", x)
    d = checks.count("d", d, 1, x.shape[-1] - 1)
    checks.one_of("completion", completion, ("svd", "random"))
    if completion == "svd":
        return torch.linalg.svd(x, full_matrices=x.shape[-2] < d).Vh[..., :d, :].mT
    checks.require(
        generator is not None, "generator", generator, "a torch.Generator for a random completion"
    )
    _, values, Vh = torch.linalg.svd(x, full_matrices=False)
    present = values[..., :d] > values[..., :1] * max(x.shape[-2:]) * torch.finfo(x.dtype).eps
    kept = Vh[..., :d, :].mT * present.unsqueeze(
        -2
    )  # (..., n, min(N, d)), zero where there is no energy
    drawn = torch.randn(*kept.shape[:-1], d, generator=generator, dtype=torch.float64).to(x.dtype)
    drawn = drawn - kept @ (kept.mT @ drawn)
    missing = torch.nn.functional.pad(~present, (0, d - present.shape[-1]), value=True).unsqueeze(
        -2
    )
    return orthonormalise(torch.nn.functional.pad(kept, (0, d - kept.shape[-1])) + drawn * missing)


def principal_angles(first: Tensor, second: Tensor) -> Tensor:
    """Principal angles between the spans of (..., n, d_1) and (..., n, d_2), ascending, in radians.

    Accuracy: small angles come from sines and large ones from cosines, so both are good to rounding
    (Bjorck and Golub, 1973), where arccos alone loses half the digits.

    Returns:
        (..., min(d_1, d_2)) in [0, pi/2].

    Raises:
        ValueError: where a basis is not finite or the ambient dimensions differ.
    """
    checks.finite("first", first), checks.finite("second", second)
    checks.require(
        first.shape[-2] == second.shape[-2],
        "second.shape",
        tuple(second.shape),
        f"n = {first.shape[-2]} rows",
    )
    wider = torch.promote_types(first.dtype, second.dtype)
    first, second = first.to(wider), second.to(wider)
    if first.shape[-1] < second.shape[-1]:
        first, second = second, first
    left, cosines, _ = torch.linalg.svd(second.mT @ first, full_matrices=False)
    aligned = second @ left
    sines = (aligned - first @ (first.mT @ aligned)).norm(dim=-2)
    return torch.where(
        cosines**2 > 0.5, torch.asin(sines.clamp(max=1)), torch.acos(cosines.clamp(max=1))
    )


def projector_distance(first: Tensor, second: Tensor) -> Tensor:
    r"""Relative distance :math:`\|P - P^*\|_F / \sqrt{d + d^*}` in [0, 1] between two subspaces.

    Written with residuals, so that equal subspaces give about 1e-16 and not its square root.

    Args:
        first: (..., n, d).
        second: (..., n, d*); leading axes broadcast.
    """
    residual = second - first @ (first.mT @ second)
    converse = first - second @ (second.mT @ first)
    total = residual.square().sum((-2, -1)) + converse.square().sum((-2, -1))
    return torch.sqrt(total / (first.shape[-1] + second.shape[-1]))


def energies(x: Tensor, bases: Bases) -> Tensor:
    r"""Squared projections :math:`\|U_k^T x_i\|^2` of every point on every basis.

    Args:
        x: points (N, n).
        bases: K bases (n, d_k), or (E, n, d_k) for an ensemble.

    Returns:
        (N, K), or (E, N, K).
    """
    return torch.stack([(x @ basis).square().sum(-1) for basis in bases], dim=-1)


def _pairwise(estimate: Bases, truth: Bases) -> np.ndarray:
    for name, bases in (("estimate", estimate), ("truth", truth)):
        checks.require(len(bases) >= 1, f"len({name})", len(bases), "at least one basis")
        for k, basis in enumerate(bases):
            checks.orthonormal(f"{name}[{k}]", basis)
    checks.require(
        len(estimate) == len(truth),
        "len(estimate)",
        len(estimate),
        f"as many as truth, {len(truth)}",
    )
    shape = {basis.shape[-2] for basis in (*estimate, *truth)}
    checks.require(len(shape) == 1, "ambient dimensions", sorted(shape), "all equal")
    # in double precision, so that bases trained in single can be held against exact ones
    return np.array(
        [[projector_distance(u.double(), v.double()).item() for v in truth] for u in estimate]
    )


def _best_permutation(distances: np.ndarray) -> np.ndarray:
    """The permutation with the smallest largest entry (a bottleneck assignment), ties by the sum."""
    for limit in np.unique(distances):
        rows, columns = linear_sum_assignment(np.where(distances <= limit, distances, 1e3))
        if distances[rows, columns].max() <= limit:
            return columns
    raise AssertionError("the largest distance admits every permutation")


def match(estimate: Bases, truth: Bases) -> list[int]:
    """The permutation Pi for which `estimate[k]` belongs to `truth[Pi[k]]` in `subspace_error`."""
    return _best_permutation(_pairwise(estimate, truth)).tolist()


def subspace_error(estimate: Tensor | Bases, truth: Tensor | Bases) -> float:
    r"""Recovery error :math:`\max_k \|P_k - P^*_k\|_F / \sqrt{d_k + d^*_k}`, minimised over permutations.

    Source: Theorems 2 and 4 of 2409.02426 bound the numerator; the scale puts it in [0, 1].

    Args:
        estimate: K orthonormal bases (n, d_k), or one.
        truth: K orthonormal bases (n, d*_k), or one.

    Raises:
        ValueError: where a basis is not orthonormal, or the numbers or ambient dimensions differ.
    """
    estimate = (
        [estimate] if isinstance(estimate, Tensor) and estimate.dim() == 2 else list(estimate)
    )
    truth = [truth] if isinstance(truth, Tensor) and truth.dim() == 2 else list(truth)
    distances = _pairwise(estimate, truth)
    return float(distances[np.arange(len(truth)), _best_permutation(distances)].max())


def subspace_errors(estimate: Bases, truth: Bases) -> Tensor:
    r"""`subspace_error` of an ensemble: (..., n, d_k) against (..., n, d*_k), leading axes broadcast.

    Args:
        estimate: K orthonormal bases, K <= 5 (all permutations are tried).
        truth: K orthonormal bases.

    Returns:
        (...) errors in [0, 1].

    Raises:
        ValueError: where the numbers of bases differ or K is too large.
    """
    checks.require(
        len(estimate) == len(truth),
        "len(estimate)",
        len(estimate),
        f"as many as truth, {len(truth)}",
    )
    K = checks.count("len(truth)", len(truth), 1, 5)
    distances = [[projector_distance(u, v) for v in truth] for u in estimate]
    orders = itertools.permutations(range(K))
    return torch.stack(
        [torch.stack([distances[k][order[k]] for k in range(K)]).amax(0) for order in orders]
    ).amin(0)


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
    labels_hat, labels = torch.as_tensor(labels_hat).long(), torch.as_tensor(labels).long()
    same = labels_hat.shape == labels.shape and labels.dim() == 1 and len(labels) > 0
    checks.require(
        same,
        "labels_hat.shape",
        tuple(labels_hat.shape),
        f"that of labels, {tuple(labels.shape)}, not empty",
    )
    for name, given in (("labels_hat", labels_hat), ("labels", labels)):
        checks.require(
            int(given.min()) >= 0, name, f"with smallest {int(given.min())}", "whole numbers >= 0"
        )
    size = int(max(labels_hat.max(), labels.max())) + 1
    table = (
        torch.bincount(labels_hat * size + labels, minlength=size * size)
        .reshape(size, size)
        .numpy()
    )
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / len(labels))


_INITS = ("random", "balanced", "spectral", "whitened", "random+spectral", "random+whitened")


@dataclass(frozen=True)
class KSubspaces:
    """The result of `k_subspaces`: what the best restart found, for one data set or for (...) of them.

    Attributes:
        bases: K orthonormal bases (..., n, d_k).
        labels: (..., N) index of the basis with the largest projection.
        objective: mean squared projection, mean_i max_k |U_k^T x_i|^2, to be maximised; a float, or (...).
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
    ensemble, and for each data set the one with the largest objective is returned. A cluster that loses
    all its points keeps its basis; one with fewer points than dimensions is completed at random.

    Source: the right-hand side of Theorem 3 of 2409.02426 (K-subspaces: Bradley and Mangasarian, 2000).

    Args:
        x: data (N, n), or (..., N, n) for many data sets.
        K: number of subspaces, 1 <= K <= N.
        d: their dimension, or K dimensions; 1 <= d_k < n.
        restarts: number of starts, >= 1.
        init: "random" bases, "balanced" random labels, "spectral" or "whitened" (labels from
            `spectral_labels` of the points or of their `whitened` coordinates; restarts differ by a tenth of
            labels redrawn, the first by none), "random+spectral" or "random+whitened" (one such start after
            the random ones, not counted in `restarts`), or K given bases (one start).
        joint: keep [U_1 ... U_K] orthonormal as a whole, so that the subspaces are orthogonal to one
            another; needs d_1 + ... + d_K <= n. By default each basis is orthonormal by itself.
        max_iterations: alternations at most, >= 1.
        generator: source of the starts; one for all, or one for each data set, whose result then does
            not depend on which others are there.

    Raises:
        ValueError: where an argument is out of the range above or x is not finite.
    """
    checks.points("x", x)
    *lead, N, n = x.shape
    (
        checks.count("K", K, 1, N),
        checks.count("restarts", restarts),
        checks.count("max_iterations", max_iterations),
    )
    dims = [d] * K if isinstance(d, int) else list(d)
    checks.require(len(dims) == K, "len(d)", len(dims), f"K = {K}")
    dims = [checks.count(f"d[{k}]", size, 1, n - 1) for k, size in enumerate(dims)]
    checks.require(
        not joint or sum(dims) <= n,
        "joint",
        joint,
        f"True where the dimensions {dims} sum to at most n = {n}",
    )
    sets = x.reshape(-1, N, n)
    sources = [generator] * len(sets) if isinstance(generator, torch.Generator) else list(generator)
    checks.require(
        len(sources) == len(sets),
        "len(generator)",
        len(sources),
        f"one, or one for each of {len(sets)} data sets",
    )
    starts = [
        _start(one, K, dims, restarts, init, source)
        for one, source in zip(sets, sources, strict=True)
    ]
    *bases, labels = (torch.stack(part) for part in zip(*starts, strict=True))
    found = alternate(
        sets, bases, labels, joint=joint, max_iterations=max_iterations, generators=sources
    )
    return _chosen(found, tuple(lead))


def _chosen(found: Found, lead: tuple[int, ...]) -> KSubspaces:
    """The start with the largest objective for every data set, with the leading axes of the data."""
    best = found.objectives.argmax(-1)
    rows = torch.arange(len(best))
    objective = found.objectives[rows, best].reshape(lead)
    return KSubspaces(
        [basis[rows, best].reshape(*lead, *basis.shape[2:]) for basis in found.bases],
        found.labels[rows, best].reshape(*lead, -1),
        objective if lead else objective.item(),
        found.objectives.reshape(*lead, -1),
        found.iterations,
        [basis.reshape(*lead, *basis.shape[1:]) for basis in found.bases],
        found.labels.reshape(*lead, *found.labels.shape[1:]),
    )


def _start(
    x: Tensor, K: int, dims: list[int], restarts: int, init: str | Bases, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """K bases (R, n, d_k) for one data set (N, n), and labels (R, N) that go before them, -1 where none do."""
    N, n = x.shape
    unlabelled = torch.full((restarts, N), -1)
    if not isinstance(init, str):
        checks.require(len(init) == K, "len(init)", len(init), f"K = {K}")
        for k, basis in enumerate(init):
            checks.orthonormal(f"init[{k}]", basis)
            checks.require(
                basis.shape == (n, dims[k]),
                f"init[{k}].shape",
                tuple(basis.shape),
                f"({n}, {dims[k]})",
            )
        return *(basis.to(x.dtype).unsqueeze(0) for basis in init), unlabelled[:1]
    kind, extra = checks.one_of("init", init, _INITS), 0
    if kind.startswith("random+"):
        kind, extra = kind.removeprefix("random+"), restarts
    drawn = [
        random_basis(n, d, generator=generator, ensemble=(restarts + bool(extra),)).to(x.dtype)
        for d in dims
    ]
    if kind == "random":
        return *drawn, unlabelled
    if kind == "balanced":
        return *drawn, torch.rand(restarts, N, generator=generator).argsort(-1).argsort(-1) % K
    labels = _spectral_start(
        x, whitened(x, sum(dims)) if kind == "whitened" else x, K, dims, generator
    )
    if extra:
        return *drawn, torch.cat([unlabelled, labels.unsqueeze(0)])
    redrawn = torch.rand(restarts, N, generator=generator) < 0.1
    redrawn[0] = False
    return *drawn, torch.where(
        redrawn, torch.randint(K, (restarts, N), generator=generator), labels
    )


def _spectral_start(
    x: Tensor, seen: Tensor, K: int, dims: list[int], generator: torch.Generator
) -> Tensor:
    """Spectral labels (N,) of the points as `seen`, renamed so that the dimensions together capture most energy."""
    labels = spectral_labels(seen, K, seed=int(torch.randint(2**31 - 1, (), generator=generator)))
    if len(set(dims)) == 1:
        return labels
    spectra = [torch.linalg.svdvals(x[labels == k]).square().cumsum(0) for k in range(K)]
    captured = np.array(
        [[spectrum[min(d, len(spectrum)) - 1].item() for d in dims] for spectrum in spectra]
    )
    return torch.from_numpy(linear_sum_assignment(captured, maximize=True)[1])[labels]


def spectral_labels(x: Tensor, K: int, *, seed: int) -> Tensor:
    r"""Cluster by subspace without bases: spectral clustering of the affinities :math:`\cos^2(x_i, x_j)`.

    A classical method to compare with; the affinity is that of thresholding-based subspace
    clustering (Heckel and Boelcskei, 2015) without the threshold, the clustering scikit-learn's.

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
    checks.count("K", K, 1, x.shape[0])
    unit = torch.nn.functional.normalize(x.double(), dim=-1)
    affinity = (unit @ unit.mT).square().numpy()
    model = SpectralClustering(K, affinity="precomputed", random_state=seed, assign_labels="kmeans")
    return torch.from_numpy(model.fit_predict(affinity)).long()


def whitened(x: Tensor, rank: int | None = None) -> Tensor:
    r"""Coordinates of the points in which the data have covariance I/N: the leading left singular vectors.

    They are the same for x and for x A, whatever the invertible A, so they do not know at which angles
    subspaces meet. Their Gram matrix is the shape interaction matrix: with no noise, and subspaces whose
    sum is direct, its entry is zero for every two points of different subspaces. `spectral_labels` and
    `k_subspaces` can be given them in place of the points.

    Source: Costeira and Kanade (1998).

    Args:
        x: data (N, n).
        rank: number of coordinates at most, >= 1, such as d_1 + ... + d_K, beyond which there is only
            noise; the numerical rank of x where that is smaller, or rank omitted.

    Returns:
        (N, r), with orthonormal columns.

    Raises:
        ValueError: where x is not finite or zero, or rank is out of range.
    """
    checks.require(
        isinstance(x, Tensor) and x.dim() == 2, "x.shape", tuple(getattr(x, "shape", ())), "(N, n)"
    )
    left, values, _ = torch.linalg.svd(checks.points("x", x), full_matrices=False)
    present = int((values > values[0] * max(x.shape) * torch.finfo(x.dtype).eps * 10).sum())
    checks.require(present > 0, "x", "all zero", "some energy")
    return left[:, : min(present, present if rank is None else checks.count("rank", rank))]
