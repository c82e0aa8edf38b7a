"""Right and typical wrong answers to the exercises of Part V, for the tests of the self-checks."""

from __future__ import annotations

import torch


def evidence(epsilon: float, count: int, v: int) -> torch.Tensor:
    """Log-messages of leaves whose right symbol is the first."""
    others = torch.full((count, v), epsilon / v)
    others[:, 0] = 1 - epsilon + epsilon / v
    return others.log()


# label: (right answers, {part of what is said: wrong answer})
ANSWERS = {
    "ex-15-knee": (
        [0.9, "0.9"],
        {"thickness itself": 0.4, "not the inverse": 0.2, "a noise level, rounded": 0.87},
    ),
    "ex-17-unstable": ([0.25, 0.24], {"too small": 1 / 16, "the range is off": 25}),
    "ex-17-rules": ([2 / 15, 0.1333], {"too large": 7 / 8, "the range is off": -0.1}),
    "ex-16-one": (
        [193.6, 197.0],
        {"too small": 2.5, "the sign is off": -193.6, "too large by a factor of 2": 387.2},
    ),
    "ex-17-evolution": (
        [evidence, lambda epsilon, count, v: evidence(epsilon, count, v) + 3],
        {
            "entries are off": lambda epsilon, count, v: evidence(epsilon, count, v).exp(),
            "a function is asked for": 0.8,
            "the shape is off: (5, 16)": lambda epsilon, count, v: evidence(epsilon, count, v).T,
        },
    ),
    "ex-c18-3": ([0.68, 0.66, 2 / 3], {"too small": 0.5, "too large": 1.0, "the range": -0.7}),
}
