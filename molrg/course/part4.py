"""Self-checks of Part IV: images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from molrg import dimension, draws, jacobian
from molrg.course.compare import Off, number, read_off, short, within
from molrg.course.registry import self_check
from molrg.images import faces
from molrg.mixture import MoLRG
from molrg.schedules import VP
from molrg.subspaces import random_bases


@self_check("ex-c10-1")
def _flat(answer: Any) -> None:
    d = round(within(answer, 1, 784, "the dimension of a set of such images"))
    generator = torch.Generator().manual_seed(0)
    points = draws.normal((3000, d), generator=generator, dtype=torch.float64)
    reading = dimension.readings(points, ks=(20,))["MLE k=20"]
    if abs(reading - 60) > 4:
        way = "many" if reading > 60 else "few"
        raise Off(f"too {way}: 3,000 points of a Gaussian of that dimension read {reading:.0f}")


@self_check("ex-11-rule")
def _rule(answer: Any) -> None:
    n, K, d = 60, 3, 17
    value = within(answer, d, n, "a rank between that of one component and all coordinates")
    equal = torch.ones(K * d, dtype=torch.float64, device="cpu")
    number(value, jacobian.numerical_rank(equal), rtol=1e-9)


@self_check("ex-11-cancel")
def _cancel(answer: Any) -> None:
    value = within(answer, 0, 1, "a time")
    number(value, _time_of_rise(1e-3), rtol=0.08)


def _time_of_rise(delta: float) -> float:
    """Time at which the rank of a network with an error leaves K d, by bisection."""
    schedule, generator = VP(), torch.Generator().manual_seed(0)
    bases = random_bases(48, [6, 6], generator=generator)
    mixture = MoLRG([U.double() for U in bases])
    x0, _ = mixture.sample(1, generator=generator)
    noise = draws.normal(tuple(x0.shape), generator=generator, dtype=x0.dtype)
    identity = torch.eye(48, dtype=x0.dtype, device=x0.device)
    low, high = 0.3, 1.0
    for _ in range(7):
        t = (low + high) / 2
        s, gamma = schedule.s(t).item(), schedule.gamma(t).item()
        exact = jacobian.dense(mixture.denoiser(schedule), s * x0 + gamma * noise, t)[0]
        risen = _rank(exact - gamma * delta / s * identity) > 12
        low, high = (low, t) if risen else (t, high)
    return high


def _rank(matrix: Tensor) -> int:
    return int(jacobian.numerical_rank(torch.linalg.svdvals(matrix)))


@self_check("ex-c13-1")
def _no_copies(answer: Any) -> None:
    hints = {
        "d28fde6319cf20ec9cc3": "too small: there nearly every sample is a copy",
        "e8a736e3f11782c59723": "too small: there some of the samples are copies",
        "8b17c2955bb7df1e2770": "too large: at a smaller number already none is a copy",
    }
    asked = "a number of training images of the figure,"
    short("ex-c13-1", answer, "48c32ce9d0a99ec37e9d", hints, asked)


@self_check("ex-c14-1")
def _by_the_gap(answer: Any) -> None:
    read_off("ex-c14-1", answer, "bffda8421f28dda71fb6", "a number of samples")


@self_check("ex-c25-3")
def _known(answer: Any) -> None:
    value = within(answer, 0, 160, "a noise level")
    number(value, _half_known("hair_lightness"), rtol=0.15)


def _half_known(colour: str) -> float:
    """Noise level of one half, by bisection."""
    kind = torch.zeros(1, dtype=torch.long, device="cpu")
    A = faces.columns(kind, 32)[0].flatten(1).T
    _, singular, directions = torch.linalg.svd(A, full_matrices=False)
    shares = directions[:, list(faces.COLOURS).index(colour)].square()
    low, high = 0.01, 160.0
    for _ in range(60):
        middle = (low * high) ** 0.5
        known = (shares * singular.square() / (singular.square() + middle**2)).sum()
        low, high = (middle, high) if known > 0.5 else (low, middle)
    return low
