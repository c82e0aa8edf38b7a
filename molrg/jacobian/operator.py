r"""The Jacobian of a denoiser, :math:`J = \partial \hat x_0 / \partial x_t`: formed, or only multiplied with.

For a posterior mean :math:`J = (s_t / \gamma_t^2)\,\mathrm{Cov}[x_0 \mid x_t]`: symmetric, with no negative eigenvalue
(and so no negative trace). Everything here asks no more of a denoiser than to be differentiable, and of one
point not to act on the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from molrg import checks
from molrg.denoisers import Denoiser

__all__ = ["Linearised", "Rank", "asymmetry", "dense", "numerical_rank", "rank", "top_singular"]

_AT_ONCE, _ENTRIES = (
    32,
    2**17,
)  # products in one pass, and entries of x_t in them: enough to fill a processor, few enough for its memory


class _Convolution(torch.autograd.Function):
    """A convolution as what it is to its input, a linear map: differentiated, its transpose, and differentiated again, itself.

    Torch's own second derivative is with respect to the weights, too, asked for or not, which doubles its cost.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, *how: Any) -> Tensor:
        return functional.conv2d(x, weight, None, *how)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, weight, *ctx.how = inputs
        ctx.shape = x.shape
        ctx.save_for_backward(weight)

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple:
        return (
            _Transposed.apply(u, *ctx.saved_tensors, ctx.shape, *ctx.how),
            None,
            *(None for _ in ctx.how),
        )


class _Transposed(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, weight: Tensor, shape: torch.Size, *how: Any) -> Tensor:
        return torch.nn.grad.conv2d_input(shape, weight, u, *how)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, weight, _, *ctx.how = inputs
        ctx.save_for_backward(weight)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple:
        return (
            _Convolution.apply(v, *ctx.saved_tensors, *ctx.how),
            None,
            None,
            *(None for _ in ctx.how),
        )


class _LinearConvolutions(TorchFunctionMode):
    """Puts `_Convolution` in the place of torch's in two dimensions."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return (self.conv2d if func is functional.conv2d else func)(*args, **(kwargs or {}))

    def conv2d(
        self, input: Tensor, weight: Tensor, bias: Tensor | None = None, *how: Any, **more: Any
    ) -> Tensor:
        """Arguments as of torch; what is not linear in its input alone, or is told by name, is left to torch."""
        plain = (
            not more and not any(isinstance(value, str) for value in how) and weight.grad_fn is None
        )
        if not plain or torch.is_autocast_enabled("cpu"):
            return functional.conv2d(input, weight, bias, *how, **more)
        moved = _Convolution.apply(input, weight, *how)
        return moved if bias is None else moved + bias.reshape(-1, 1, 1)


class Linearised:
    r"""A denoiser at given points, as a linear map of changes of x_t: products with J and with its transpose.

    The denoiser is run on copies of the points. A product with the transpose is then a backward pass, one copy a product.
    :math:`u \mapsto J^T u` is linear, so its own derivative, a second backward pass, is a product with J.
    (Forward-mode derivatives give the same, but slowly: their rules for normalisation and attention are made of many small steps.)

    Args:
        denoiser: any denoiser; every point of a batch on its own, and in evaluation mode.
        x_t: points (B, \\*event), or (E, B, \\*event) for an ensemble; n entries an event. In what follows P = B or E B.
        t: in [0, 1], a scalar or what broadcasts to the leading axes of x_t.

    Raises:
        ValueError: where x_t is not finite, t does not fit, or what the denoiser returns has not the shape of x_t, is not
            finite, or does not depend on it differentiably.
    """

    def __init__(self, denoiser: Denoiser, x_t: Tensor, t: float | Tensor) -> None:
        checks.finite("x_t", x_t)
        lead = len(getattr(denoiser, "ensemble", ())) + 1
        shape = tuple(x_t.shape)
        checks.require(
            x_t.dim() > lead and x_t.numel() > 0,
            "x_t.shape",
            shape,
            f"{lead} leading axes and an event, none empty",
        )
        self.denoiser, self.x, self.lead = denoiser, x_t.detach(), shape[:lead]
        self.t = self._time(t)
        self.points, self.n = math.prod(self.lead), math.prod(shape[lead:])
        self.most = max(1, min(_AT_ONCE // self.points, _ENTRIES // x_t.numel()))
        self.copies = 0
        value = self._run(1)
        checks.require(
            tuple(value.shape) == shape,
            "denoiser(x_t, t).shape",
            tuple(value.shape),
            f"that of x_t, {shape}",
        )
        checks.finite("denoiser(x_t, t)", value.detach())
        slope = (
            torch.autograd.grad(value, self._inputs, torch.zeros_like(value), allow_unused=True)
            if value.requires_grad
            else [None]
        )
        checks.require(
            slope[0] is not None,
            "denoiser(x_t, t)",
            "a constant to autograd",
            "a differentiable function of x_t",
        )

    def _time(self, t: float | Tensor) -> float | Tensor:
        """Times as they are where there is one for all, and one for each point otherwise."""
        if not isinstance(t, Tensor) or t.dim() == 0:
            return t
        try:
            return t.expand(self.lead)
        except RuntimeError:
            raise ValueError(
                f"t.shape = {tuple(t.shape)}: allowed is () or what broadcasts to {self.lead}"
            ) from None

    def _run(self, copies: int) -> Tensor:
        """Estimates of x_0 from copies of the points, next to one another, ready to be differentiated once or twice."""
        last = len(self.lead) - 1
        t = (
            self.t.repeat_interleave(copies, last)
            if isinstance(self.t, Tensor) and self.t.dim()
            else self.t
        )
        self._inputs = self.x.repeat_interleave(copies, last).requires_grad_()
        with (
            torch.enable_grad(),
            sdpa_kernel(SDPBackend.MATH),
            _LinearConvolutions(),
        ):  # fused attention has no second derivative
            return self.denoiser(self._inputs, t)

    def _passes(self, vectors: Tensor, twice: bool) -> Tensor:
        """All products, `copies` at once."""
        k = vectors.shape[-1]
        if self.copies < min(k, self.most):
            self.copies = min(k, self.most)
            self._output, self._pulled = self._run(self.copies), None
        if twice and self._pulled is None:
            self._u = torch.zeros_like(self._output, requires_grad=True)
            (self._pulled,) = torch.autograd.grad(
                self._output, self._inputs, self._u, create_graph=True
            )
        value, variable = (self._pulled, self._u) if twice else (self._output, self._inputs)
        found = []
        for part in vectors.to(self.x.dtype).split(self.copies, dim=-1):
            moved = functional.pad(part, (0, self.copies - part.shape[-1])).mT.reshape(value.shape)
            if value.requires_grad:
                (moved,) = torch.autograd.grad(
                    value, variable, moved, retain_graph=True, materialize_grads=True
                )
            else:  # J^T u does not depend on u: a step function
                moved = torch.zeros_like(moved)
            found.append(moved.reshape(self.points, self.copies, self.n)[:, : part.shape[-1]].mT)
        return torch.cat(found, -1).to(vectors.dtype)

    def times(self, vectors: Tensor) -> Tensor:
        """J V for V (P, n, k)."""
        return self._passes(vectors, True)

    def transposed_times(self, vectors: Tensor) -> Tensor:
        """J^T U for U (P, n, k)."""
        return self._passes(vectors, False)


def dense(denoiser: Denoiser, x_t: Tensor, t: float | Tensor) -> Tensor:
    """The whole Jacobian at every point, row by row in reverse mode.

    Args:
        denoiser: as in `Linearised`, like x_t and t.
        x_t: points (B, \\*event), or (E, B, \\*event).
        t: scalar or (B,), in [0, 1].

    Returns:
        J (B, n, n) or (E, B, n, n); entry [b, i, j] is the derivative of output i by input j.

    Raises:
        ValueError: as `Linearised`.
    """
    linear = Linearised(denoiser, x_t, t)
    identity = torch.eye(linear.n, dtype=linear.x.dtype).expand(linear.points, -1, -1)
    return (
        linear.transposed_times(identity).mT.reshape(*linear.lead, linear.n, linear.n).contiguous()
    )


def asymmetry(J: Tensor) -> Tensor:
    r"""How far J is from symmetric: :math:`\|J - J^T\|_F / (2 \|J\|_F)`, from 0 (symmetric) to 1 (antisymmetric).

    Args:
        J: (..., n, n). Independent random entries give about 0.71; zero is symmetric.

    Raises:
        ValueError: where J is not square or not finite.
    """
    checks.finite("J", J)
    checks.require(
        J.dim() >= 2 and J.shape[-1] == J.shape[-2], "J.shape", tuple(J.shape), "(..., n, n)"
    )
    norm = torch.linalg.matrix_norm(J).clamp_min(torch.finfo(J.dtype).tiny)
    return torch.linalg.matrix_norm(J - J.mT) / (2 * norm)


def numerical_rank(singular_values: Tensor, eta: float = 0.99) -> Tensor:
    r"""The energy rank: the smallest r with :math:`\sqrt{\sum_{i \le r} s_i^2} > \eta \sqrt{\sum_i s_i^2}`.

    With eta = 0.99 that is 98.01 per cent of the energy. Of m equal values it needs m up to m = 50, and
    m - 1 from 51 on. A zero matrix has rank 0.

    Source: the released code of 2409.02426; the rule of 2409.02374 (equation 10) with eta squared.

    Args:
        singular_values: (..., m), all of them, >= 0, in any order.
        eta: in (0, 1).

    Returns:
        int64, (...).

    Raises:
        ValueError: where a value is negative or not finite, there are none, or eta is out of range.
    """
    checks.finite("singular_values", singular_values)
    shape = tuple(singular_values.shape)
    checks.require(
        len(shape) >= 1 and shape[-1] >= 1, "singular_values.shape", shape, "(..., m) with m >= 1"
    )
    lowest = singular_values.min().item()
    checks.require(lowest >= 0, "singular_values", f"smallest {lowest:.3g}", ">= 0")
    energy = singular_values.double().square().sort(descending=True).values
    return _first_above(energy.cumsum(-1), _share(eta) * energy.sum(-1, keepdim=True))


def _share(eta: float) -> float:
    checks.require(0 < eta < 1, "eta", eta, "a number in (0, 1)")
    return eta**2


def _first_above(cumulated: Tensor, wanted: Tensor) -> Tensor:
    """The first r, counted from one, at which the sum is above what is wanted; 0 where nothing is wanted."""
    count = (cumulated <= wanted).sum(-1) + 1
    return torch.where(wanted[..., 0] > 0, count, 0)


class _Krylov:
    """Block Golub-Kahan: orthonormal bases Q (right) and P (left) grown in turn, with Y = J Q and Z = J^T P.

    Fully reorthogonalised, in double precision. A block that runs empty goes on in a random direction,
    so that a matrix of low rank is no special case.
    """

    def __init__(self, linear: Linearised, block: int, generator: torch.Generator) -> None:
        self.linear, self.generator = linear, generator
        empty = torch.zeros(linear.points, linear.n, 0, dtype=torch.float64)
        self.Q = self.P = self.Y = self.Z = empty
        self.fresh = torch.randn(
            linear.points, linear.n, min(block, linear.n), generator=generator, dtype=torch.float64
        )

    @property
    def full(self) -> bool:
        """Whether P spans everything, so that nothing is left to find."""
        return self.P.shape[-1] == self.linear.n

    def right(self) -> None:
        """A new block of Q, and the product with J."""
        self.Q, block = self._extended(self.Q, self.fresh)
        self.fresh = self.linear.times(block)
        self.Y = torch.cat([self.Y, self.fresh], -1)

    def left(self) -> None:
        """A new block of P, and the product with the transpose."""
        self.P, block = self._extended(self.P, self.fresh)
        self.fresh = self.linear.transposed_times(block)
        self.Z = torch.cat([self.Z, self.fresh], -1)

    def _extended(self, basis: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
        block = block[..., : self.linear.n - basis.shape[-1]]
        size = torch.linalg.matrix_norm(block, keepdim=True).clamp_min(1e-100)
        block = block + 1e-13 * size * torch.randn(
            block.shape, generator=self.generator, dtype=torch.float64
        )
        for _ in range(3):
            block = torch.linalg.qr(block - basis @ (basis.mT @ block)).Q
        return torch.cat([basis, block], -1), block

    def triplets(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """U, S, V and the norms of J v - s u; J^T u = s v to rounding, once Q has a block more than P, or all."""
        W, S, X = torch.linalg.svd((self.Q.mT @ self.Z).mT, full_matrices=False)
        U = self.P @ W
        return (
            U,
            S,
            self.Q @ X.mT,
            torch.linalg.vector_norm(self.Y @ X.mT - U * S.unsqueeze(-2), dim=-2),
        )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Better and better triplets; the last ones are exact."""
        self.right()
        while not self.full:
            self.left()
            if not self.full:
                self.right()
            yield self.triplets()


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

    Stops when :math:`\|J v_i - s_i u_i\| \le` `tolerance` :math:`s_i` (plus the rounding of the products) for
    i = 1 ... k; so every value is that near to a singular value of J, and quadratically nearer where it
    is apart from the others. Needs rank(J) products or more where the spectrum is flat: then `dense` is quicker.

    Source: block Golub-Kahan bidiagonalisation with a random start (Golub and Underwood 1977; Musco and Musco 2015).

    Args:
        denoiser: as in `Linearised`, like x_t and t.
        x_t: points (B, \\*event), or (E, B, \\*event).
        t: scalar or (B,), in [0, 1].
        k: number of triplets, 1 ... n.
        tolerance: > 0.
        block: vectors multiplied at once, >= 1; chosen where omitted.
        generator: source of the start; a fixed one where omitted, for the result depends on it by less than `tolerance`.

    Returns:
        U (B, n, k), S (B, k) descending, Vh (B, k, n), as `torch.linalg.svd` returns them.

    Raises:
        ValueError: where k or the tolerance is out of range, or as `Linearised`.
    """
    tolerance = checks.real("tolerance", tolerance, 1e-14)
    linear = Linearised(denoiser, x_t, t)
    k = checks.count("k", k, 1, linear.n)
    width = checks.count("block", min(linear.n, k + 2) if block is None else block)
    rounding = 10 * torch.finfo(linear.x.dtype).eps * math.sqrt(linear.n)
    for U, S, V, residuals in _Krylov(linear, width, generator or torch.Generator().manual_seed(0)):
        near = residuals <= tolerance * S + rounding * S[..., :1]
        if S.shape[-1] >= k and bool(near[..., :k].all()):
            break
    found = (U[..., :k], S[..., :k], V.mT[..., :k, :])
    return tuple(part.to(linear.x.dtype).reshape(*linear.lead, *part.shape[1:]) for part in found)


@dataclass(frozen=True)
class Rank:
    """Energy ranks of B Jacobians, each with an interval for what was estimated; exact where low = high = rank."""

    rank: Tensor  # (B,) int64
    low: Tensor  # (B,) int64
    high: Tensor  # (B,) int64
    products: int  # taken at each point, with J and with its transpose together


def rank(
    denoiser: Denoiser,
    x_t: Tensor,
    t: float | Tensor,
    *,
    eta: float = 0.99,
    accuracy: float = 0.02,
    probes: int = 16,
    block: int = 16,
    generator: torch.Generator | None = None,
) -> Rank:
    r"""The energy rank of J as in `numerical_rank`, without forming J.

    The largest singular values are summed until they hold the share :math:`\eta^2` of :math:`\|J\|_F^2`. Of that
    norm, what the bases P found so far hold is known; the rest, :math:`\|(1 - PP^T) J\|_F^2`, is estimated by random
    probes, taken once and projected as P grows. The interval carries the 95 % error of this estimate,
    and the energy that the values found still lack according to their residuals.

    Source: ours; the estimate of the rest as in Hutch++ (Meyer et al. 2021).

    Args:
        denoiser: as in `Linearised`, like x_t and t.
        x_t: points (B, \\*event), or (E, B, \\*event).
        t: scalar or (B,), in [0, 1].
        eta: in (0, 1).
        accuracy: stop where the interval is not wider than this times the rank, or than one; >= 0.
        probes: random vectors, >= 2.
        block: vectors multiplied at once, >= 1.
        generator: source of start and probes; a fixed one where omitted.

    Returns:
        The ranks with their intervals. Work grows with the largest rank among the points; above about a
        tenth of n, `dense` is quicker.

    Raises:
        ValueError: where an argument is out of range, or as `Linearised`.
    """
    share, accuracy, probes = (
        _share(eta),
        checks.real("accuracy", accuracy, 0.0),
        checks.count("probes", probes, 2),
    )
    block, linear = checks.count("block", block), Linearised(denoiser, x_t, t)
    source = generator or torch.Generator().manual_seed(0)
    krylov = _Krylov(linear, block, source)
    G = torch.randn(linear.points, linear.n, probes, generator=source, dtype=torch.float64)
    H = linear.transposed_times(G)
    for _, S, _, residuals in krylov:
        low, middle, high = _interval(krylov, S, residuals, G, H, share)
        known = bool((high <= S.shape[-1]).all())
        if known and bool((high - low <= (accuracy * middle).clamp_min(1)).all()):
            break
    products = probes + krylov.Q.shape[-1] + krylov.P.shape[-1]
    return Rank(*(part.reshape(linear.lead) for part in (middle, low, high)), products)


def _interval(
    krylov: _Krylov, S: Tensor, residuals: Tensor, G: Tensor, H: Tensor, share: float
) -> Iterator[Tensor]:
    """Ranks with the norm at the low end, in the middle and at the high end; one too many where not yet reached."""
    found, lacking = S.square().cumsum(-1), residuals.square().cumsum(-1)
    rest = (H - krylov.Z @ (krylov.P.mT @ G)).square().sum(-2)  # (P, probes)
    count = rest.shape[-1]
    error = stats.t.ppf(0.975, count - 1) * rest.std(-1, keepdim=True) / math.sqrt(count)
    held, rest = found[..., -1:], rest.mean(-1, keepdim=True)
    least, most = share * (held + (rest - error).clamp_min(0)), share * (held + rest + error)
    return (
        _first_above(*pair)
        for pair in ((found + lacking, least), (found, share * (held + rest)), (found, most))
    )
