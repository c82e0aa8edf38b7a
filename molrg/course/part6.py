"""Self-checks of Part VI: what a trained denoiser knows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from molrg.course.compare import judge_function, read_off, short
from molrg.course.registry import self_check
from molrg.subspaces import principal_angles, random_bases

_D = 4  # dimension of the subspaces of which found ones are counted


@self_check("ex-19-read")
def _crossing(answer: Any) -> None:
    read_off("ex-19-read", answer, "544c9cfd0d118c95232f", "a noise level")


@self_check("ex-19-faces")
def _count(answer: Any) -> None:
    generator = torch.Generator().manual_seed(19)
    U, V, W, other = random_bases(6 * _D, [_D] * 4, generator=generator)
    cases = {
        "all there, in another order": ([U, V, W], [W, U, V]),
        "one component like two": ([U, V], [U, _turned(U, other, 0.95)]),
        "one of three is a little off": ([U, V, W], [V, _turned(U, other, 0.95), other]),
        "one is more than a little off": ([U, V, W], [V, _turned(U, other, 0.85), W]),
        "none is there": ([U, V], [other, W]),
    }
    judge_function(answer, cases, _found)


def _turned(U: Tensor, other: Tensor, share: float) -> Tensor:
    """A basis of which U holds this share, orthogonal `other` the rest."""
    return share**0.5 * U + (1 - share) ** 0.5 * other


def _found(bases: list[Tensor], bases_hat: list[Tensor]) -> int:
    """How many of the bases some estimate meets, by the cosines of the principal angles."""
    shares = [
        max(principal_angles(U, U_hat).cos().square().mean() for U_hat in bases_hat) for U in bases
    ]
    return sum(bool(share >= 0.9) for share in shares)


@self_check("ex-c20-1")
def _trace(answer: Any) -> None:
    cases = {
        "all variances alike": ([2.0, 2.0, 2.0], 1.0),
        "a gap in the spectrum": ([9.0, 4.0, 0.01], 0.5),
        "a variance that is zero": ([1.0, 0.0], 3.0),
    }
    judge_function(answer, cases, _trace_of_shrinkage)


def _trace_of_shrinkage(variances: list[float], sigma: float) -> float:
    """Trace of C (C + sigma^2 I)^-1 for the covariance C."""
    C = torch.diag(torch.tensor(variances, dtype=torch.float64, device="cpu"))
    noisy = C + sigma**2 * torch.eye(len(variances), dtype=C.dtype, device=C.device)
    return torch.linalg.solve(noisy, C, left=False).trace().item()


@self_check("ex-c21-1")
def _levels(answer: Any) -> None:
    asked = "a list of two noise levels of the figure, the lower and the higher one,"
    hints = {
        "6ddf4dda09863e609031": "both are too low: there the widest window is still above",
        "ef1f7245fd34f257be8a": "both are too high: there the widest window is below already",
    }
    short("ex-c21-1", answer, "f865778770aced8d6b55", hints, asked)


@self_check("ex-c22-3")
def _rate(answer: Any) -> None:
    cases = {"little noise": (4.0, 0.1), "a small variance": (0.5, 1.0), "much noise": (1.0, 3.0)}
    judge_function(answer, cases, _rate_of_descent)


def _rate_of_descent(variance: float, sigma: float) -> float:
    """By how much the gradient grows with the distance of the coefficient from its limit."""
    a = torch.tensor(0.5, dtype=torch.float64, device="cpu", requires_grad=True)
    loss = (a - 1).square() * variance + (a * sigma).square()
    (gradient,) = torch.autograd.grad(loss, a, create_graph=True)
    return torch.autograd.grad(gradient, a)[0].item()


@self_check("ex-c23-1")
def _dimensions(answer: Any) -> None:
    asked = "a list of two dimensions of the figure, the lower and the higher one,"
    hints = {"cfcb386f9d41218e9fb1": "there the curve lies above the line already"}
    short("ex-c23-1", answer, "6517ca8122144edf0871", hints, asked)


@self_check("ex-c23-3")
def _least_error(answer: Any) -> None:
    cases = {
        "noise as large as the signal": (8, 3, 1.0),
        "another noise level": (8, 3, 2.0),
        "a network as wide as the space": (5, 5, 0.5),
    }
    judge_function(answer, cases, _energy_off)


def _energy_off(D: int, w: int, sigma: float) -> float:
    """Energy of noise of that level off w coordinates of D."""
    variances = torch.full((D,), float(sigma), dtype=torch.float64, device="cpu").square()
    return variances[w:].sum().item()
