"""Self-checks of Part II: training a denoiser is subspace clustering."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from molrg import draws
from molrg.course.compare import (
    Off,
    as_array,
    as_number,
    basis,
    function,
    judge_function,
    number,
    read_off,
)
from molrg.course.registry import self_check
from molrg.denoisers import LowRank
from molrg.schedules import EDM
from molrg.studies import hard_max
from molrg.subspaces import energies, random_bases, random_basis, subspace_error
from molrg.training import exact_loss, sphere_points

_RIGHT_ANGLES = [90.0, 90.0, 90.0, 90.0]


def _points(seed: int, N: int, n: int) -> tuple[Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    return draws.normal((N, n), generator=generator, dtype=torch.float64), generator


@self_check("ex-02-slope")
def _slope(answer: Any) -> None:
    x, generator = _points(0, 20, 6)
    schedule = EDM(sigma_min=1e-4, sigma_max=1.0)
    pair = [random_basis(6, 2, generator=generator) for _ in range(2)]
    t = float(schedule.t_of_sigma(1e-4))
    losses = [exact_loss(LowRank([U], schedule), x, t).item() for U in pair]
    captured = [float(energies(x, [U]).mean()) for U in pair]
    number(answer, (losses[1] - losses[0]) / (captured[1] - captured[0]), rtol=1e-3)


@self_check("ex-02-scale")
def _scale(answer: Any) -> None:
    cases = {"with c = 1": (1.0, 0.5), "with a small c": (0.3, 0.8), "with a large c": (3.0, 0.9)}
    judge_function(answer, cases, _slope_with_scale)


def _slope_with_scale(c: float, s: float) -> float:
    """How the loss of c U U^T x_t falls with the energy that U captures, measured."""
    x, generator = _points(1, 12, 5)
    noise = 0.7 * sphere_points(5)
    x_t = s * x.unsqueeze(1) + noise
    pair = [random_basis(5, 2, generator=generator) for _ in range(2)]
    losses = [(c * x_t @ U @ U.T - x.unsqueeze(1)).square().sum(-1).mean() for U in pair]
    captured = [energies(x, [U]).mean() for U in pair]
    return float((losses[1] - losses[0]) / (captured[1] - captured[0]))


@self_check("ex-02-mean")
def _mean(answer: Any) -> None:
    x, generator = _points(2, 40, 6)
    x = x * torch.linspace(0.5, 2.0, 6, dtype=x.dtype, device=x.device) + 3.0
    found = function(answer, x, 2)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise Off("the function should return two things: the shift (n,) and the basis (n, d)")
    shift, columns = as_array(found[0], (6,)), basis(found[1], 6, 2)
    variable = shift.clone().requires_grad_()
    (slope,) = torch.autograd.grad(_shifted_loss(x, variable, columns), variable)
    if slope.norm() > 1e-4:
        raise Off("the shift is off: the loss falls where it is moved")
    tried = [random_basis(6, 2, generator=generator) for _ in range(50)]
    near = [torch.linalg.qr(columns + 0.01 * U).Q for U in tried]
    best = _shifted_loss(x, shift, columns)
    if min(float(_shifted_loss(x, shift, U)) for U in [*tried, *near]) < best - 1e-9:
        raise Off("the shift is right, the basis is off: another one has a lower loss")


def _shifted_loss(x: Tensor, shift: Tensor, columns: Tensor) -> Tensor:
    """The loss of the shifted denoiser at s = 1 and sigma = 1/2, by quadrature over the noise."""
    centred = (x - shift).unsqueeze(1) + 0.5 * sphere_points(x.shape[1])
    x0_hat = shift + 0.8 * centred @ columns @ columns.T
    return (x0_hat - x.unsqueeze(1)).square().sum(-1).mean()


@self_check("ex-03-bump")
def _bump(answer: Any) -> None:
    read_off("ex-03-bump", answer, "ee4f5ebdd369ddcd6adb", "a noise level")


@self_check("ex-04-tilt")
def _tilt(answer: Any) -> None:
    cases = {"at low noise": (0.1,), "at middle noise": (0.5,), "at high noise": (2.0,)}
    judge_function(answer, cases, _change_of_coefficient)


def _change_of_coefficient(sigma: float) -> float:
    tilted = hard_max.coefficient([5.0, *_RIGHT_ANGLES[1:]], sigma)
    return tilted / hard_max.coefficient(_RIGHT_ANGLES, sigma)


@self_check("ex-05-failures")
def _failures(answer: Any) -> None:
    cases = {"one of four exchanged": (1, 4), "two of six": (2, 6), "three of three": (3, 3)}
    judge_function(answer, cases, _error_with_exchange)


def _error_with_exchange(j: int, d: int) -> float:
    """Error of two orthogonal bases of which j directions are exchanged, the labels kept."""
    generator = torch.Generator().manual_seed(3)
    first, second = random_bases(2 * d, [d, d], generator=generator)
    exchanged = torch.cat([second[:, :j], first[:, j:]], dim=1)
    return subspace_error(exchanged, first)


@self_check("ex-05-k3")
def _starts(answer: Any) -> None:
    for p in (0.1, 0.3, 0.6):
        R = as_number(function(answer, p))
        if R < 1 or not R.is_integer():
            raise Off(f"p = {p}: the number of starts is a whole number from 1 on, this is {R:g}")
        missed = (1 - p) ** R
        if missed > 0.1:
            raise Off(f"p = {p}: too few, a data set is missed with probability {missed:.2f}")
        if (1 - p) ** (0.75 * R - 1) < 0.1:
            raise Off(f"p = {p}: too many, fewer starts would do")
