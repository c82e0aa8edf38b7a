"""The self-checks by the label of their exercise, and `check`, which asks one of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from molrg.course.compare import Off

Judge = Callable[[Any], None]

_JUDGES: dict[str, Judge] = {}


@dataclass(frozen=True)
class Result:
    """What a self-check says; true where the answer is right, and shown as its words.

    Args:
        right: whether the answer is.
        words: "right", or what is off.
    """

    right: bool
    words: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.words


def self_check(label: str) -> Callable[[Judge], Judge]:
    """Register the decorated function as the self-check of an exercise.

    The function takes the answer, raises `Off` with a sentence on what is off, and returns
    nothing where the answer is right.

    Args:
        label: of the exercise, as its page has it.

    Raises:
        ValueError: where the label has a self-check already.
    """

    def register(judge: Judge) -> Judge:
        if label in _JUDGES:
            raise ValueError(f"label = {label!r}: allowed is one self-check for each exercise")
        _JUDGES[label] = judge
        return judge

    return register


@cache
def _load() -> None:
    for path in sorted(Path(__file__).parent.glob("part*.py")):
        import_module(f"molrg.course.{path.stem}")


def registered() -> tuple[str, ...]:
    """Labels of the exercises that have a self-check, in order."""
    _load()
    return tuple(sorted(_JUDGES))


def check(exercise: str, answer: Any) -> Result:
    """Say whether the answer to an exercise is right, or what is off.

    Args:
        exercise: its label, such as ``ex-01-jacobian``.
        answer: what the exercise asks for: a number, an array, a function, a word.

    Returns:
        the result, which a notebook shows as "right" or as a sentence on what is off.

    Raises:
        ValueError: where no exercise of this label has a self-check.
    """
    labels = registered()
    if exercise not in labels:
        near = difflib.get_close_matches(str(exercise), labels, n=3, cutoff=0.3) or labels[:3]
        allowed = f"the label of an exercise with a self-check, such as {', '.join(near)}"
        raise ValueError(f"exercise = {exercise!r}: allowed is {allowed}")
    if answer is None or answer is ...:
        return Result(False, "no answer yet: put yours in place of the dots")
    try:
        _JUDGES[exercise](answer)
    except Off as off:
        return Result(False, str(off))
    return Result(True, "right")
