"""Self-checks of Part I: the denoiser in closed form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from molrg import draws, jacobian
from molrg.course.compare import judge_function, short
from molrg.course.registry import self_check
from molrg.mixture import MoLRG
from molrg.schedules import VP, Schedule


@self_check("ex-01-equal")
def _equal(answer: Any) -> None:
    hints = {
        "6af52ec70e139a260dcf": "one too many: what do equal determinants do to a soft-max?",
        "d7a1fd169a8931cca1bf": "that is all of them: run it, and compare the determinants",
    }
    short("ex-01-equal", answer, "533b06d4a14fbf0dffaa", hints, "a whole number")


@self_check("ex-01-jacobian")
def _jacobian(answer: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    mixture = MoLRG.random(8, [2, 3], noise=0.1, generator=generator)
    x_t = draws.normal((8,), generator=generator, dtype=torch.float64)
    cases = {
        "at low noise": (mixture, x_t, 0.1, VP()),
        "at middle noise": (mixture, x_t, 0.4, VP()),
    }
    judge_function(answer, cases, _by_autograd)


def _by_autograd(mixture: MoLRG, x_t: Tensor, t: float, schedule: Schedule) -> Tensor:
    return jacobian.dense(mixture.denoiser(schedule), x_t.unsqueeze(0), t)[0]
