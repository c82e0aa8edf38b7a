"""Right and typical wrong answers to the exercises of Part I, for the tests of the self-checks."""

from __future__ import annotations

import torch

from molrg import jacobian


def right_jacobian(mixture, x_t, t, schedule):
    return jacobian.dense(mixture.denoiser(schedule), x_t[None], t)[0]


# label: (right answers, {part of what is said: wrong answer})
ANSWERS = {
    "ex-01-equal": (
        [0, 0.0, "0"],
        {
            "one too many": 1,
            "all of them": 3,
            "a whole number is asked": "none",
            "type is off": len,
        },
    ),
    "ex-01-jacobian": (
        [right_jacobian, lambda *case: right_jacobian(*case).numpy()],
        {
            "a function is asked for": torch.eye(8),
            "the sign is off": lambda *case: -right_jacobian(*case),
            "too large by a factor of 2": lambda *case: 2 * right_jacobian(*case),
            "the shape is off": lambda *case: right_jacobian(*case)[None],
            "entries are off": lambda mixture, x_t, t, schedule: torch.eye(8),
            "your function stops with TypeError": lambda x_t: x_t,
        },
    ),
}
