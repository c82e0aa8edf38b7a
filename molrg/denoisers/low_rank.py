r"""The low-rank mixture-of-experts denoiser of the theorems, with learnable bases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import one_hot, pad

from molrg import checks
from molrg.denoisers.ensembles import EnsembleModule
from molrg.schedules import Schedule, variance_floor
from molrg.subspaces import orthonormalise

Models = Sequence[Sequence[Tensor]]


class LowRank(EnsembleModule):
    r"""The low-rank mixture-of-experts denoiser of the theorems, with learnable bases.

    .. math:: x_\theta(x_t, t) = c_t \sum_k w_k(x_t)\, U_k U_k^T x_t,
              \qquad c_t = \frac{s_t}{s_t^2 + \gamma_t^2}

    With ``assignment="soft"`` the weights are the exact posterior of a MoLRG with zero means and
    unit spectra,

    .. math:: w_k \propto \pi_k (1 + s_t^2/\gamma_t^2)^{-d_k/2}
              \exp\frac{s_t^2 \|U_k^T x_t\|^2}{2\gamma_t^2 (s_t^2 + \gamma_t^2)},

    so it equals ``MoLRG(bases, weights).denoiser(schedule)``; with "hard" all weight goes to the
    basis with the largest :math:`\|U_k^T x_t\|`. (The hard-max of Theorem 3 looks at the clean x_0,
    which no denoiser sees: it lives in the training loss, ``assign_on="x0"``.)

    An ensemble of models has bases with a leading axis, and takes x_t of shape (E, B, \*event). Its
    models may have bases of unlike dimensions: then it is ragged.

    Source: 2409.02426, the parameterisation of Theorems 1 and 3.

    Args:
        bases: K orthonormal bases (n, d_k); K of shape (E, n, d_k) for an ensemble of E models; or
            for a ragged ensemble E lists of K bases (n, d_ek).
        schedule: the forward process.
        weights: pi, (K,), positive, summing to one; equal where omitted.
        assignment: "soft" or "hard", on x_t.
        joint: keep [U_1 ... U_K] orthonormal as a whole, not only each basis; the bases given must
            be so.
        tangent: take gradients along the tangent space of each basis only, as a QR decomposition in
            the forward pass would do. Retraction removes what is along U from plain gradient steps;
            Adam scales entry by entry and lets some of it turn the subspace, a bias that no
            averaging over noise removes. Not for joint bases, but for a single one.

    Attributes:
        dims: d_1 ... d_K; of a ragged ensemble, the largest of its models.
        ensemble: () or (E,).
        columns: the bases side by side, (\*E, n, K d_max), each padded with zero columns, which
            stay zero, for so is their gradient; of single precision at least.
        sizes: the dimensions, (K,), or (E, 1, K) of a ragged ensemble.

    Raises:
        ValueError: where a basis (with `joint`, all together) is not orthonormal, d_k >= n, shapes
            disagree, weights are improper, or `tangent` is asked of joint bases.
    """

    sizes: Tensor
    log_weights: Tensor

    def __init__(
        self,
        bases: Sequence[Tensor] | Models,
        schedule: Schedule,
        *,
        weights: Tensor | Sequence[float] | None = None,
        assignment: str = "soft",
        joint: bool = False,
        tangent: bool = False,
    ) -> None:
        super().__init__()
        if len(bases) == 0:
            raise ValueError("len(bases) = 0: allowed is at least one basis")
        ragged = not isinstance(bases[0], Tensor)
        columns, dims = _ragged(bases, joint) if ragged else _alike(bases, joint)
        columns = checks.at_least_single(columns)
        self.schedule, self.joint, self.tangent = schedule, joint, tangent
        self.assignment = checks.one_of("assignment", assignment, ("soft", "hard"))
        self.ensemble = tuple(columns.shape[:-2])
        self.n, self.K = columns.shape[-2], dims.shape[-1]
        self.dims: list[int] = dims.reshape(-1, self.K).amax(0).tolist()
        self.per_model = ("sizes",) if ragged else ()
        if tangent and joint and self.K > 1:
            raise ValueError("tangent = True with joint bases: allowed is with K = 1")
        self.columns = Parameter(columns)
        self.register_buffer(
            "sizes", dims.to(columns).unsqueeze(-2) if ragged else dims.to(columns)
        )
        pi = checks.probabilities("weights", weights, self.K)
        if not (pi > 0).all():
            raise ValueError(f"weights = {pi.tolist()}: allowed is positive numbers")
        self.register_buffer("log_weights", pi.to(columns).log())

    @property
    def bases(self) -> list[Tensor]:
        """The K bases as they are now, (\\*E, n, d_k), detached; a ragged ensemble's are padded."""
        blocks = self.columns.detach().split(max(self.dims), dim=-1)
        return [block[..., :d].clone() for block, d in zip(blocks, self.dims, strict=True)]

    def bases_of(self, model: int) -> list[Tensor]:
        """The K bases (n, d_k) of one model of an ensemble as they are now, detached."""
        sizes = self.sizes.expand(*self.ensemble, 1, self.K)[model, 0]
        blocks = self.columns.detach()[model].split(max(self.dims), dim=-1)
        return [block[:, : int(d)].clone() for block, d in zip(blocks, sizes, strict=True)]

    @torch.no_grad()
    def retract_(self) -> None:
        """Bring the bases back to orthonormal columns after a gradient step."""
        if self.joint:
            self.columns.copy_(orthonormalise(self.columns))
            return
        blocks = torch.stack(self.columns.split(max(self.dims), dim=-1))
        self.columns.copy_(torch.cat(tuple(orthonormalise(blocks)), dim=-1))

    @torch.no_grad()
    def project_gradient_(self) -> None:
        """Where `tangent` is asked for, remove from the gradient what lies in the span of U."""
        if not self.tangent or self.columns.grad is None:
            return
        width = max(self.dims)
        pairs = zip(self.columns.split(width, -1), self.columns.grad.split(width, -1), strict=True)
        for basis, gradient in pairs:
            gradient -= basis @ (basis.mT @ gradient)

    def latent(self, x: Tensor) -> Tensor:
        """Coordinates U_k^T x of every point on every basis, (\\*E, B, K, d_max)."""
        return (checks.at_least_single(x) @ self.columns).unflatten(-1, (self.K, -1))

    def _points(self, x: Tensor) -> Tensor:
        return checks.at_least_single(checks.flat_events("x_t", x, self.n, self.ensemble))

    def hard_weights(self, x: Tensor) -> Tensor:
        """One-hot weights (\\*E, B, K) on the basis with the largest projection; first of ties."""
        return self._hard_weights(self.latent(self._points(x))).to(x.dtype)

    def _hard_weights(self, latent: Tensor) -> Tensor:
        return one_hot(latent.square().sum(-1).argmax(-1), self.K).to(latent.dtype)

    def soft_weights(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Posterior weights w_k(x_t), (\\*E, B, K)."""
        points = self._points(x_t)
        return self._soft_weights(self.latent(points), *self.schedule.at(t, points)).to(x_t.dtype)

    def _own_weights(self, latent: Tensor, s: Tensor, gamma: Tensor) -> Tensor:
        if self.K == 1:
            return torch.ones_like(s)
        if self.assignment == "hard":
            return self._hard_weights(latent)
        return self._soft_weights(latent, s, gamma)

    def _soft_weights(self, latent: Tensor, s: Tensor, gamma: Tensor) -> Tensor:
        variance = gamma.square().clamp_min(variance_floor(latent.dtype))
        scale = s.square() / (2 * variance * (s.square() + variance))
        prior = self.log_weights - 0.5 * self.sizes * torch.log1p(s.square() / variance)
        return torch.softmax(prior + scale * latent.square().sum(-1), dim=-1)

    def forward(self, x_t: Tensor, t: float | Tensor, weights: Tensor | None = None) -> Tensor:
        """Estimate x_0; `weights` (\\*E, B, K) replaces the model's own (Theorem 3 in the loss)."""
        points = self._points(x_t)
        s, gamma = self.schedule.at(t, points)
        latent = self.latent(points)
        if weights is None:
            weights = self._own_weights(latent, s, gamma)
        # the scale applies to the few latents, not to the n coordinates
        scale = s / (s.square() + gamma.square())
        experts = ((scale * weights).unsqueeze(-1) * latent).flatten(-2)
        return (experts @ self.columns.mT).to(x_t.dtype).reshape(x_t.shape)


def _alike(bases: Sequence[Any], joint: bool) -> tuple[Tensor, Tensor]:
    """Columns (\\*E, n, K d_max) and dimensions (K,) from K bases (\\*E, n, d_k)."""
    first = bases[0]
    for k, basis in enumerate(bases):
        checks.orthonormal(f"bases[{k}]", basis)
        if basis.shape[:-1] != first.shape[:-1] or basis.dtype != first.dtype:
            allowed = f"{tuple(first.shape[:-1])} and one dtype"
            raise ValueError(f"bases[{k}].shape = {tuple(basis.shape)}: allowed is {allowed}")
    if first.dim() not in (2, 3):
        raise ValueError(f"bases[0].shape = {tuple(first.shape)}: allowed is (n, d) or (E, n, d)")
    if joint:
        checks.orthonormal("[U_1 ... U_K]", torch.cat(tuple(bases), dim=-1))
    dims = [basis.shape[-1] for basis in bases]
    return _side_by_side(bases, max(dims)), torch.tensor(dims, device=first.device)


def _ragged(models: Sequence[Any], joint: bool) -> tuple[Tensor, Tensor]:
    """Columns (E, n, K d_max) and dimensions (E, K) from E lists of K bases (n, d_ek)."""
    flat = [basis for bases in models for basis in bases]
    K = len(models[0])
    for e, bases in enumerate(models):
        if len(bases) != K or K == 0:
            raise ValueError(
                f"len(bases[{e}]) = {len(bases)}: allowed is {max(K, 1)}, as the first"
            )
    names = [f"bases[{e}][{k}]" for e in range(len(models)) for k in range(K)]
    checks.orthonormal_each("bases", flat, names)
    if joint:
        frames = [torch.cat(tuple(bases), dim=-1) for bases in models]
        checks.orthonormal_each("bases", frames)
    dims = torch.tensor([basis.shape[1] for basis in flat], device=flat[0].device).view(-1, K)
    width = int(dims.max())
    return torch.stack([_side_by_side(bases, width) for bases in models]), dims


def _side_by_side(bases: Sequence[Tensor], width: int) -> Tensor:
    return torch.cat([pad(basis, (0, width - basis.shape[-1])) for basis in bases], dim=-1)
