"""Self-checks of Part V: neighbours."""

from __future__ import annotations

from typing import Any

from molrg import hierarchy
from molrg.course.compare import number, short, within
from molrg.course.registry import self_check


@self_check("ex-15-knee")
def _knee(answer: Any) -> None:
    hints = {
        "b3a4636cfd3aea6047a4": "too small: the thickness itself is not yet the noise level",
        "7cc70772f0745056da96": "too small: the squared ratio reaches the knee, not the inverse",
    }
    asked = "a noise level, rounded to one decimal,"
    short("ex-15-knee", answer, "304170af0ab81e92e60f", hints, asked)


@self_check("ex-17-unstable")
def _unstable(answer: Any) -> None:
    value = within(answer, 0, 1, "a belief")
    number(value, hierarchy.fixed_point(2, 16, 4) or 0.0, rtol=0.1)


@self_check("ex-17-rules")
def _rules(answer: Any) -> None:
    value = within(answer, 0, 1, "a share of noise")
    number(value, hierarchy.epsilon_threshold(2, 16, 8), rtol=0.01)
