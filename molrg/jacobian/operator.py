"""The Jacobian of a denoiser at given points as a linear map: jvp, vjp, and all of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge
from torch.nn import functional

from molrg import checks
from molrg.denoisers.protocol import Denoiser, ensemble_of
from molrg.jacobian.evaluation import CHECKPOINTED, evaluated

# Products in one pass, and entries of x_t in them: enough to fill a processor, few enough for its
# memory.
PRODUCTS_AT_ONCE = 16
ENTRIES_AT_ONCE = 2**17


class Linearised:
    r"""A denoiser at given points, as a linear map of changes of x_t: J and its transpose.

    The denoiser is run on copies of the points. A vector-Jacobian product is then a backward
    pass, one copy a product. :math:`u \mapsto J^T u` is linear, so its own derivative, a second
    backward pass, is a product with J. (Forward-mode derivatives give the same, but slowly: their
    rules for normalisation and attention are made of many small steps.) The denoiser is taken as
    it is evaluated, see `molrg.jacobian.evaluation`, and left as it was.

    Args:
        denoiser: any denoiser; every point of a batch on its own.
        x_t: points (B, \\*event), or (E, B, \\*event) for an ensemble; n entries an event. In
            what follows P = B or E B.
        t: in [0, 1], a scalar or what broadcasts to the leading axes of x_t.

    Raises:
        ValueError: where x_t is not finite, t does not fit, what the denoiser returns has not the
            shape of x_t, is not finite, or does not depend on it differentiably, or where the
            denoiser cannot be put into evaluation mode.
    """

    def __init__(self, denoiser: Denoiser, x_t: Tensor, t: float | Tensor) -> None:
        if not callable(denoiser):
            allowed = "what is called with (x_t, t)"
            raise ValueError(f"denoiser = {type(denoiser).__name__}: allowed is {allowed}")
        checks.finite("x_t", x_t)
        lead = len(ensemble_of(denoiser)) + 1
        shape = tuple(x_t.shape)
        if x_t.dim() <= lead or x_t.numel() == 0:
            raise ValueError(
                f"x_t.shape = {shape}: allowed is {lead} leading axes and an event, none empty"
            )
        self.denoiser = denoiser
        with torch.inference_mode(False):
            self.x = x_t.clone() if x_t.is_inference() else x_t.detach()
        self.lead = shape[:lead]
        self.t = self._time(t)
        self.points = math.prod(self.lead)
        self.n = math.prod(shape[lead:])
        self.most = max(1, min(PRODUCTS_AT_ONCE // self.points, ENTRIES_AT_ONCE // x_t.numel()))
        self._run(1)
        self._check(self._output)

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

    @torch.inference_mode(False)
    def _check(self, value: Tensor) -> None:
        """What the denoiser returns can be differentiated, and is what a denoiser returns."""
        if value.shape != self.x.shape:
            raise ValueError(
                f"denoiser(x_t, t).shape = {tuple(value.shape)}: allowed is that of x_t,"
                f" {tuple(self.x.shape)}"
            )
        checks.finite("denoiser(x_t, t)", value.detach())
        graph = _graph(value)
        if any("CheckpointFunction" in node.name() for node in graph):
            raise ValueError(CHECKPOINTED)
        if get_gradient_edge(self._inputs).node not in graph:
            raise ValueError(
                "denoiser(x_t, t) = a constant to autograd: allowed is a differentiable function"
                " of x_t"
            )

    def _run(self, copies: int) -> None:
        """Estimate x_0 from copies of the points, next to one another, to be differentiated."""
        last = len(self.lead) - 1
        t = self.t
        if isinstance(t, Tensor) and t.dim():
            t = t.repeat_interleave(copies, last)
        with evaluated(self.denoiser):
            self._inputs = self.x.repeat_interleave(copies, last).requires_grad_()
            self._output = self.denoiser(self._inputs, t)
        self.copies = copies
        self._pullback: tuple[Tensor, Tensor] | None = None

    def _prepare(self, vectors: Tensor) -> None:
        """Run the denoiser on as many copies as the vectors can use, unless that has been done."""
        wanted = (self.points, self.n)
        if vectors.dim() != 3 or tuple(vectors.shape[:2]) != wanted:
            raise ValueError(
                f"vectors.shape = {tuple(vectors.shape)}: allowed is ({self.points}, {self.n}, k)"
            )
        copies = min(vectors.shape[-1], self.most)
        if self.copies < copies:
            self._run(copies)

    def _products(self, value: Tensor, variable: Tensor, vectors: Tensor) -> Tensor:
        """The transposed derivative of `value` by `variable`, times each vector."""
        products = []
        for part in vectors.to(self.x.dtype).split(self.copies, dim=-1):
            padded = functional.pad(part, (0, self.copies - part.shape[-1]))
            moved = padded.mT.reshape(value.shape)
            if value.requires_grad:
                (moved,) = torch.autograd.grad(
                    value, variable, moved, retain_graph=True, materialize_grads=True
                )
            else:  # J^T u does not depend on u: a step function
                moved = torch.zeros_like(moved)
            moved = moved.reshape(self.points, self.copies, self.n)
            products.append(moved[:, : part.shape[-1]].mT)
        return torch.cat(products, -1).to(vectors.dtype)

    @torch.inference_mode(False)
    def jvp(self, vectors: Tensor) -> Tensor:
        """Jacobian-vector products: J V for V (P, n, k).

        Raises:
            ValueError: where the vectors have another shape.
        """
        self._prepare(vectors)
        if self._pullback is None:
            u = torch.zeros_like(self._output, requires_grad=True)
            (pulled,) = torch.autograd.grad(self._output, self._inputs, u, create_graph=True)
            self._pullback = (pulled, u)
        return self._products(*self._pullback, vectors)

    @torch.inference_mode(False)
    def vjp(self, vectors: Tensor) -> Tensor:
        """Vector-Jacobian products: J^T U for U (P, n, k).

        Raises:
            ValueError: where the vectors have another shape.
        """
        self._prepare(vectors)
        return self._products(self._output, self._inputs, vectors)


def _graph(value: Tensor) -> set[Node]:
    """All steps that autograd would go back through from a value."""
    met: set[Node] = set()
    waiting = [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in met:
            met.add(node)
            waiting += [earlier for earlier, _ in node.next_functions]
    return met


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
    identity = torch.eye(linear.n, dtype=linear.x.dtype, device=linear.x.device)
    rows = linear.vjp(identity.expand(linear.points, -1, -1)).mT
    return rows.reshape(*linear.lead, linear.n, linear.n).contiguous()


def asymmetry(J: Tensor) -> Tensor:
    r"""How far J is from symmetric: :math:`\|J - J^T\|_F / (2 \|J\|_F)`.

    From 0, symmetric, to 1, antisymmetric.

    Args:
        J: (..., n, n). Independent random entries give about 0.71; zero is symmetric.

    Returns:
        (...), in single precision where J is in half.

    Raises:
        ValueError: where J is not square or not finite.
    """
    checks.finite("J", J)
    if J.dim() < 2 or J.shape[-1] != J.shape[-2]:
        raise ValueError(f"J.shape = {tuple(J.shape)}: allowed is (..., n, n)")
    J = checks.scaled(J, (-2, -1))
    norm = torch.linalg.matrix_norm(J).clamp_min(torch.finfo(J.dtype).tiny)
    return torch.linalg.matrix_norm(J - J.mT) / (2 * norm)
