r"""Orthonormal bases: random ones, at given angles, learned from data.

A subspace is given by an orthonormal basis U of shape (n, d), n ambient and d intrinsic. Leading
axes are an ensemble: (..., n, d).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from molrg import checks, draws


def random_basis(
    n: int, d: int, *, generator: torch.Generator, ensemble: tuple[int, ...] = ()
) -> Tensor:
    """Draw a uniformly (Haar) distributed orthonormal basis, (\\*ensemble, n, d), float64.

    Raises:
        ValueError: unless 1 <= d <= n.
    """
    d = checks.count("d", d, 1, n := checks.count("n", n))
    shape = (*ensemble, n, d)
    return orthonormalise(draws.normal(shape, generator=generator, dtype=torch.float64))


def orthonormalise(basis: Tensor) -> Tensor:
    """The orthonormal basis of the span of (..., n, d): Q of QR with a positive diagonal of R.

    Two passes of Cholesky QR: batched matrix products, where Householder QR is a loop over the
    ensemble. They are exact to rounding while no column is nearly in the span of those before it;
    others go through Householder QR. The length of a column does not count; columns that are
    exactly zero (padding) stay zero.

    Raises:
        ValueError: where columns are dependent, to rounding, or not finite.
    """
    if not basis.is_floating_point():
        raise ValueError(f"basis = {basis.dtype}: allowed is a floating-point tensor")
    return _orthonormalised(checks.scaled(basis, (-2,))).to(basis.dtype)


def _orthonormalised(basis: Tensor) -> Tensor:
    """As `orthonormalise`, of columns whose squares can be summed."""
    once, sines = _cholesky_qr(basis)
    steep = sines.amin(-1) >= 100 * torch.finfo(basis.dtype).eps ** 0.5  # NaN compares false
    if steep.all():
        return _cholesky_qr(once)[0]
    shape = (-1, *basis.shape[-2:])
    each = zip(basis.reshape(shape), once.reshape(shape), steep.flatten().tolist(), strict=True)
    parts = [_cholesky_qr(q)[0] if well else _householder_qr(a) for a, q, well in each]
    return torch.stack(parts).reshape(basis.shape)


def _cholesky_qr(basis: Tensor) -> tuple[Tensor, Tensor]:
    """One pass, and the sine of the angle of each column to the span of those before it."""
    gram = basis.mT @ basis
    squares = gram.diagonal(dim1=-2, dim2=-1)
    padding = (squares == 0).to(basis.dtype)
    factor, _ = torch.linalg.cholesky_ex(gram + torch.diag_embed(padding))
    sines = factor.diagonal(dim1=-2, dim2=-1) / (squares + padding).sqrt()
    return torch.linalg.solve_triangular(factor.mT, basis, upper=True, left=False), sines


def _householder_qr(basis: Tensor) -> Tensor:
    """The orthonormal basis of one (n, d); zero columns stay zero."""
    norms = basis.norm(dim=0)
    present = norms != 0
    Q, R = torch.linalg.qr(basis[:, present] / norms[present])
    diagonal = R.diagonal()
    if not (diagonal.abs() > max(basis.shape) * torch.finfo(basis.dtype).eps).all():
        allowed = "independent columns, and finite entries"
        raise ValueError(
            f"basis = {tuple(basis.shape)} with dependent columns: allowed is {allowed}"
        )
    result = torch.zeros_like(basis)
    result[:, present] = Q * diagonal.sign()
    return result


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
    n = checks.count("n", n, 2)
    if len(dims) == 0:
        raise ValueError("dims = []: allowed is at least one dimension")
    dims = [checks.count(f"dims[{k}]", d, 1, n - 1) for k, d in enumerate(dims)]
    cosine = 0.0 if angle == 90 else math.cos(math.radians(checks.real("angle", angle, 0, 90)))
    needed = [_equiangular(sum(d > level for d in dims), cosine) for level in range(max(dims))]
    rank = sum(vectors.shape[1] for vectors in needed)
    if rank > n:
        needs = f"{len(dims)} subspaces of dimensions {dims} at {angle:g} degrees need"
        raise ValueError(f"n = {n}: allowed is >= {rank}, which {needs}")
    sizes = [vectors.shape[1] for vectors in needed]
    frame = random_basis(n, rank, generator=generator).split(sizes, dim=1)
    columns: list[list[Tensor]] = [[] for _ in dims]
    for level, (vectors, axes) in enumerate(zip(needed, frame, strict=True)):
        members = [k for k, d in enumerate(dims) if d > level]
        for k, vector in zip(members, vectors, strict=True):
            columns[k].append(axes @ vector)
    return [torch.stack(column, dim=1) for column in columns]


@lru_cache(maxsize=64)
def _equiangular(m: int, cosine: float) -> Tensor:
    """m unit vectors (m, r) with |inner product| = cosine in every pair, r as small as may be."""
    for signed in (-cosine, cosine):  # the obtuse simplex saves a dimension where cosine = 1/(m-1)
        gram = torch.full((m, m), signed, dtype=torch.float64, device="cpu").fill_diagonal_(1.0)
        values, vectors = torch.linalg.eigh(gram)
        if values[0] < -1e-12 or (signed < 0 and values[0] > 1e-12):
            continue
        kept = values > 1e-12
        return vectors[:, kept] * values[kept].sqrt()
    raise AssertionError("the acute Gram matrix is positive semidefinite for cosines in [0, 1]")


def pca(
    x: Tensor, d: int, *, completion: str = "svd", generator: torch.Generator | None = None
) -> Tensor:
    r"""Leading principal subspace: the orthonormal U of largest :math:`\sum_i \|U^T x_i\|^2`.

    No mean is removed: the model of Theorem 1 has none. Where the data span fewer than d
    dimensions, as with N < d, the maximiser is not unique: every subspace that contains the data is
    one.

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
        ValueError: where x is not finite, d is out of range, or a random completion has no
            generator.
    """
    checks.points("x", x)
    d = checks.count("d", d, 1, x.shape[-1] - 1)
    checks.one_of("completion", completion, ("svd", "random"))
    if completion == "svd":
        return torch.linalg.svd(x, full_matrices=x.shape[-2] < d).Vh[..., :d, :].mT
    if generator is None:
        raise ValueError("generator = None: allowed is a torch.Generator for a random completion")
    _, values, Vh = torch.linalg.svd(x, full_matrices=False)
    present = values[..., :d] > values[..., :1] * max(x.shape[-2:]) * torch.finfo(x.dtype).eps
    # (..., n, min(N, d)), zero where there is no energy
    kept = Vh[..., :d, :].mT * present.unsqueeze(-2)
    shape = (*kept.shape[:-1], d)
    drawn = draws.normal(shape, generator=generator, dtype=torch.float64).to(x)
    drawn = drawn - kept @ (kept.mT @ drawn)
    missing = pad(~present, (0, d - present.shape[-1]), value=True).unsqueeze(-2)
    return orthonormalise(pad(kept, (0, d - kept.shape[-1])) + drawn * missing)
