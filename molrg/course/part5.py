"""Self-checks of Part V: neighbours."""

from __future__ import annotations

import math
from typing import Any

import torch

from molrg import hierarchy
from molrg.course.compare import array, as_array, function, number, short, within
from molrg.course.registry import self_check
from molrg.schedules import VP
from molrg.stats import fit_transition
from molrg.studies import manifold_rates, reverse_schemes


@self_check("ex-15-knee")
def _knee(answer: Any) -> None:
    hints = {
        "b3a4636cfd3aea6047a4": "too small: the thickness itself is not yet the noise level",
        "7cc70772f0745056da96": "too small: the squared ratio reaches the knee, not the inverse",
    }
    asked = "a noise level, rounded to one decimal,"
    short("ex-15-knee", answer, "304170af0ab81e92e60f", hints, asked)


@self_check("ex-16-one")
def _one_step(answer: Any) -> None:
    schedule = VP()
    times = reverse_schemes.level_grid(schedule, 1, stop=0.05)
    number(
        answer, manifold_rates.endpoint("posterior mean", schedule, times, D=1, d=1).kl, rtol=0.05
    )


@self_check("ex-17-unstable")
def _unstable(answer: Any) -> None:
    value = within(answer, 0, 1, "a belief")
    number(value, hierarchy.fixed_point(2, 16, 4) or 0.0, rtol=0.1)


@self_check("ex-17-rules")
def _rules(answer: Any) -> None:
    value = within(answer, 0, 1, "a share of noise")
    number(value, hierarchy.epsilon_threshold(2, 16, 8), rtol=0.01)


@self_check("ex-17-evolution")
def _leaves(answer: Any) -> None:
    for epsilon, v in ((0.8, 16), (0.3, 4)):
        given = as_array(function(answer, epsilon, 5, v), (5, v))
        right = hierarchy.epsilon_evidence(
            torch.zeros(5, 1, dtype=torch.long, device="cpu"), epsilon, v
        )
        array(given.log_softmax(-1), right[:, 0].log_softmax(-1))


@self_check("ex-c18-3")
def _second_component(answer: Any) -> None:
    value = within(answer, 0, 10, "a width in the logarithm of the noise level")
    levels = torch.linspace(-5, 5, 101, dtype=torch.float64, device="cpu")
    correlation = torch.sigmoid(-2 * levels)
    same_side = 2 * correlation.asin() / math.pi
    width = fit_transition(levels, same_side, falls=True, log2=False, draws=2).width
    number(value, abs(width), rtol=0.07)
