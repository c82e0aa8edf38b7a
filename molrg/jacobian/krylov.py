"""Leading singular values and vectors by products alone: block Golub-Kahan bidiagonalisation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from molrg import checks, draws
from molrg.denoisers.protocol import Denoiser
from molrg.jacobian.operator import Linearised

# Rounding of the products, as a share of the largest singular value, with which results are still
# worth having. Single precision rounds to 1e-6, a network in bfloat16 to about 3e-3.
COARSEST = 0.01

# What fills a block that has run empty, against the norm of the block: below the rounding of the
# products, so that it changes nothing else, and far above that of double precision, so that it is
# a direction.
_FILLING = 1e-13
_SMALLEST_NORM = 1e-100  # of a block of zeros: anything whose square is still a number

# Passes of orthogonalisation. Two are enough for a generic block (Kahan: twice is enough); a
# block that was empty and holds nothing but the filling loses thirteen digits in the first, and
# needs one more.
_PASSES = 3


@dataclass(frozen=True)
class Triplets:
    """Approximate singular triplets at P points, largest first, and how good they are."""

    U: Tensor  # (P, n, p)
    S: Tensor  # (P, p)
    V: Tensor  # (P, n, p)
    residuals: Tensor  # (P, p) norms of J v - s u outside the left basis
    rounding: Tensor  # (P, p) norms of J v - s u inside it: zero in exact arithmetic


class BlockKrylov:
    """Block Golub-Kahan: orthonormal bases Q (right) and P (left) grown in turn.

    Kept are Y = J Q and Z = J^T P.
    Fully reorthogonalised, in double precision whatever the products are computed in. A block
    that runs empty goes on in a random direction, so that a matrix of low rank is no special
    case.

    P^T J Q is known twice, as P^T Y and as Z^T Q. They differ by the rounding of the products,
    which is thus measured: a network may compute in less than the precision of x_t.

    Source: Golub and Underwood (1977).

    Args:
        linear: the Jacobian.
        block: vectors multiplied at once, >= 1.
        generator: source of the first block.
    """

    def __init__(self, linear: Linearised, block: int, generator: torch.Generator) -> None:
        self.linear = linear
        self.generator = generator
        empty = linear.x.new_zeros(linear.points, linear.n, 0, dtype=torch.float64)
        self.Q = self.P = self.Y = self.Z = empty
        self.latest = self._draw((linear.points, linear.n, min(block, linear.n)))

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        device = self.linear.x.device
        return draws.normal(shape, generator=self.generator, dtype=torch.float64, device=device)

    @property
    def full(self) -> bool:
        """Whether P spans everything, so that nothing is left to find."""
        return self.P.shape[-1] == self.linear.n

    @property
    def products(self) -> int:
        """Products taken at each point, with J and with its transpose together."""
        return self.Q.shape[-1] + self.P.shape[-1]

    def extend_right(self) -> None:
        """A new block of Q, and the product with J."""
        self.Q, block = self._extended(self.Q)
        self.latest = _finite("J", self.linear.jvp(block))
        self.Y = torch.cat([self.Y, self.latest], -1)

    def extend_left(self) -> None:
        """A new block of P, and the product with the transpose."""
        self.P, block = self._extended(self.P)
        self.latest = _finite("the transpose of J", self.linear.vjp(block))
        self.Z = torch.cat([self.Z, self.latest], -1)

    def _extended(self, basis: Tensor) -> tuple[Tensor, Tensor]:
        """The basis with the latest products, made orthonormal, at its end; and those alone."""
        block = self.latest[..., : self.linear.n - basis.shape[-1]]
        norm = torch.linalg.matrix_norm(block, keepdim=True).clamp_min(_SMALLEST_NORM)
        block = block + _FILLING * norm * self._draw(tuple(block.shape))
        for _ in range(_PASSES):
            block = torch.linalg.qr(block - basis @ (basis.mT @ block)).Q
        return torch.cat([basis, block], -1), block

    def triplets(self) -> Triplets:
        """Those of J on the two bases; Q has a block more than P, or both are full."""
        W, S, Xh = torch.linalg.svd((self.Q.mT @ self.Z).mT, full_matrices=False)
        moved = self.Y @ Xh.mT  # J v
        inside = self.P.mT @ moved
        residuals = torch.linalg.vector_norm(moved - self.P @ inside, dim=-2)
        rounding = torch.linalg.vector_norm(inside - W * S.unsqueeze(-2), dim=-2)
        return Triplets(self.P @ W, S, self.Q @ Xh.mT, residuals, rounding)

    def __iter__(self) -> Iterator[Triplets]:
        """Better and better triplets; the last ones are exact.

        Raises:
            ValueError: where a product is not finite.
        """
        self.extend_right()
        while not self.full:
            self.extend_left()
            if not self.full:
                self.extend_right()
            yield self.triplets()


def _finite(matrix: str, products: Tensor) -> Tensor:
    if not bool(products.isfinite().all()):
        raise ValueError(
            f"products with {matrix} = some not finite: allowed is finite numbers only; in float16"
            " those above 65504 are not, so give network and x_t in bfloat16 or float32"
        )
    return products


def require_precise(triplets: Triplets, tolerance: float, name: str) -> None:
    """The products are not too coarse for what is asked.

    Args:
        triplets: as found.
        tolerance: what is asked for, as a share of the largest singular value; `COARSEST` where
            that is larger.
        name: of the argument that asks for it.

    Raises:
        ValueError: where their rounding is coarser than that.
    """
    largest = triplets.S[..., :1].clamp_min(torch.finfo(torch.float64).tiny)
    coarse = (triplets.rounding / largest).max().item()
    if coarse > max(tolerance, COARSEST):
        raise ValueError(
            f"{name} = {tolerance:g}: allowed is {coarse:.1g} or more, the share of the largest"
            " singular value to which this network rounds; give network and x_t in float32"
        )


def top_singular(
    denoiser: Denoiser,
    x_t: Tensor,
    t: float | Tensor,
    k: int,
    *,
    tolerance: float = 1e-3,
    block: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""The k largest singular values of J with their vectors, without forming J.

    Stops when :math:`\|J v_i - s_i u_i\| \le` `tolerance` :math:`s_i` (plus the rounding of the
    products) for i = 1 ... k; so every value is that near to a singular value of J, and
    quadratically nearer where it is apart from the others. Needs rank(J) products or more where
    the spectrum is flat: then `dense` is quicker.

    The rounding of the products is measured. For a network in bfloat16 it is about 0.3 per cent
    of s_1, in float16 0.03.

    Source: block Golub-Kahan bidiagonalisation with a random start (Golub and Underwood 1977;
    Musco and Musco 2015).

    Args:
        denoiser: as in `Linearised`, like x_t and t.
        x_t: points (B, \\*event), or (E, B, \\*event).
        t: scalar or (B,), in [0, 1].
        k: number of triplets, 1 ... n.
        tolerance: > 0.
        block: vectors multiplied at once, >= 1; chosen where omitted.
        generator: source of the start; a fixed one where omitted, for the result depends on it by
            less than `tolerance`.

    Returns:
        U (B, n, k), S (B, k) descending, Vh (B, k, n), as `torch.linalg.svd` returns them.

    Raises:
        ValueError: where k or the tolerance is out of range, where the products are rounded by
            more than a hundredth of s_1 and more than the tolerance, or as `Linearised`.
    """
    return leading(
        Linearised(denoiser, x_t, t), k, tolerance=tolerance, block=block, generator=generator
    )


def leading(
    linear: Linearised,
    k: int,
    *,
    tolerance: float = 1e-3,
    block: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`top_singular` of a Jacobian that is there already.

    Args:
        linear: the Jacobian.
        k: as in `top_singular`, like tolerance, block and generator.
        tolerance: > 0.
        block: >= 1.
        generator: of the start.

    Raises:
        ValueError: as `top_singular`.
    """
    tolerance = checks.real("tolerance", tolerance, 1e-14)
    k = checks.count("k", k, 1, linear.n)
    width = checks.count("block", min(linear.n, k + 2) if block is None else block)
    source = generator or torch.Generator().manual_seed(0)
    for triplets in BlockKrylov(linear, width, source):
        if _converged(triplets, k, tolerance, linear):
            break
    require_precise(triplets, tolerance, "tolerance")
    parts = (triplets.U[..., :k], triplets.S[..., :k], triplets.V.mT[..., :k, :])
    U, S, Vh = (part.to(linear.x.dtype).reshape(*linear.lead, *part.shape[1:]) for part in parts)
    return U, S, Vh


def _converged(triplets: Triplets, k: int, tolerance: float, linear: Linearised) -> bool:
    """Whether the first k residuals are small, against their values or against rounding."""
    S = triplets.S
    if S.shape[-1] < k:
        return False
    eps = torch.finfo(linear.x.dtype).eps
    expected = (
        min(10 * eps * math.sqrt(linear.n), 1e-4) * S[..., :1]
    )  # of x_t; a network may do worse
    rounding = torch.maximum(expected, triplets.rounding[..., :k].amax(-1, keepdim=True))
    return bool((triplets.residuals <= tolerance * S + rounding)[..., :k].all())
