"""Comparing an answer with what it should be: each function raises `Off` on what is off.

What an answer should be is computed with the package, so that a self-check holds no solution.
Short answers, which are words or small numbers, are compared by salted hashes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from molrg import checks

_FACTORS = {
    2.0: "2",
    3.0: "3",
    4.0: "4",
    10.0: "10",
    100.0: "100",
    math.pi: "pi",
    math.sqrt(2): "the square root of 2",
}

# Steps of ten per cent: those that are as good as the right one, and those that are looked at.
_AS_GOOD, _MOST_STEPS = 2, 20


class Off(Exception):
    """What is off about an answer, as one sentence for the student."""


def number(answer: Any, truth: float | Tensor, *, rtol: float = 1e-3, atol: float = 0.0) -> float:
    """Compare a number: its type, whether it is finite, its sign, a common factor, its size.

    Args:
        answer: of the student.
        truth: computed with the package.
        rtol: relative tolerance.
        atol: absolute tolerance.

    Returns:
        the answer as a float.

    Raises:
        Off: where the answer is another.
    """
    value = as_number(answer)
    _compare(_double(value), _double(float(truth)), rtol, atol)
    return value


def as_number(answer: Any) -> float:
    """The answer as a float.

    Args:
        answer: of the student: a number, or an array or tensor of one entry.

    Raises:
        Off: where it is no finite number.
    """
    try:
        value = float(answer)
    except (TypeError, ValueError, RuntimeError):
        raise Off(f"the type is off: a number is asked for, this is {_kind(answer)}") from None
    if isinstance(answer, (bool, str)):
        raise Off(f"the type is off: a number is asked for, this is {_kind(answer)}")
    if not math.isfinite(value):
        raise Off(f"the number is {value}: a finite one is asked for")
    return value


def within(answer: Any, low: float, high: float, what: str) -> float:
    """A number that has to lie in the range in which it has a meaning.

    Args:
        answer: of the student.
        low: the least value it can have.
        high: the largest value it can have.
        what: the quantity, in words.

    Returns:
        the answer as a float.

    Raises:
        Off: where it is no number or lies outside.
    """
    value = as_number(answer)
    if not low <= value <= high:
        raise Off(f"the range is off: {what} lies between {low:g} and {high:g}, this is {value:g}")
    return value


def array(answer: Any, truth: Tensor, *, rtol: float = 1e-4, atol: float = 1e-8) -> Tensor:
    """Compare an array: type, shape, sign, a common factor, values.

    Args:
        answer: of the student: a tensor, an array or nested lists.
        truth: computed with the package, of any shape.
        rtol: relative tolerance, of the norm.
        atol: absolute tolerance, of the norm.

    Returns:
        the answer as a float64 tensor.

    Raises:
        Off: where the answer is another.
    """
    value = as_array(answer, tuple(truth.shape))
    truth = truth.detach().double().cpu()
    square = value.dim() == 2 and value.shape[0] == value.shape[1]
    as_it_is = _close(value, truth, rtol, atol)
    if square and not as_it_is and _close(value.T, truth, rtol, atol):
        raise Off("the array is the transpose of what is asked for")
    _compare(value, truth, rtol, atol)
    return value


def as_array(answer: Any, shape: tuple[int, ...]) -> Tensor:
    """The answer as a float64 tensor of a shape, on the CPU.

    Args:
        answer: of the student: a tensor, an array or nested lists.
        shape: what is asked for.

    Raises:
        Off: where it is of another type or shape, or not finite.
    """
    try:
        value = torch.as_tensor(answer, device="cpu").detach().double()
    except (TypeError, ValueError, RuntimeError):
        raise Off(f"the type is off: an array is asked for, this is {_kind(answer)}") from None
    if tuple(value.shape) != shape:
        raise Off(f"the shape is off: {shape} is asked for, this is {tuple(value.shape)}")
    if not value.isfinite().all():
        raise Off(f"{int((~value.isfinite()).sum())} entries are not finite")
    return value


def basis(answer: Any, n: int, d: int) -> Tensor:
    """An orthonormal basis (n, d), in whatever order and orientation.

    Args:
        answer: of the student.
        n: ambient dimension.
        d: dimension of the subspace.

    Returns:
        the basis as a float64 tensor.

    Raises:
        Off: where the shape is another or the columns are not orthonormal.
    """
    columns = as_array(answer, (n, d))
    if checks.deviation_from_orthonormal(columns) > 1e-5:
        raise Off("the columns are not orthonormal")
    return columns


def function(answer: Any, *arguments: Any) -> Any:
    """What the student's function returns for these arguments.

    Args:
        answer: of the student, to be called.
        arguments: to call it with.

    Raises:
        Off: where the answer is no function, or the call fails.
    """
    if not callable(answer):
        raise Off(f"the type is off: a function is asked for, this is {_kind(answer)}")
    try:
        return answer(*arguments)
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise Off(f"your function stops with {said.rstrip(': ')}") from error


def short(
    exercise: str, answer: Any, right: str, hints: Mapping[str, str], asked: str = "a word"
) -> None:
    """Compare a short answer by salted hashes; `digest` makes them.

    Args:
        exercise: its label, which salts the hash.
        answer: of the student: a word, a whole number, or a list of them in any order.
        right: the hash of the right answer.
        hints: what is off about known wrong answers, by their hashes.
        asked: what is asked for, in words.

    Raises:
        Off: where the answer is another.
    """
    if callable(answer) or isinstance(answer, (bool, Mapping)):
        raise Off(f"the type is off: {asked} is asked for, this is {_kind(answer)}")
    found = digest(exercise, answer)
    if found != right:
        raise Off(hints.get(found, f"this is not it; {asked} is asked for"))


def read_off(exercise: str, answer: Any, right: str, asked: str) -> None:
    """Compare a positive number that is read off a figure, in steps of ten per cent by hashes.

    Args:
        exercise: its label, which salts the hash.
        answer: of the student; two steps up or down are as good.
        right: the hash of the right step: ``digest(exercise, step(number))``.
        asked: what is asked for, in words.

    Raises:
        Off: where the answer is another.
    """
    value = as_number(answer)
    if value <= 0:
        raise Off(f"the sign is off: {asked} is positive")
    for apart in range(_MOST_STEPS + 1):
        for side, way in ((apart, "small"), (-apart, "large")):
            if digest(exercise, step(value) + side) == right:
                if apart > _AS_GOOD:
                    raise Off(f"the number is too {way}")
                return
    raise Off(f"this is far from it; {asked} is asked for")


def step(number: float) -> int:
    """The place of a positive number on a scale of steps of ten per cent."""
    return round(math.log(number) / math.log(1.1))


def digest(exercise: str, answer: Any) -> str:
    """The salted hash of a short answer; case, spaces and the order of a list do not matter.

    Args:
        exercise: its label, the salt.
        answer: a word, a whole number, or a list of them.
    """
    items = answer if isinstance(answer, (list, tuple, set, frozenset)) else [answer]
    words = sorted(_normal(item) for item in items)
    text = f"{exercise}:{';'.join(words)}"
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"molrg", 20_000).hex()[:20]


def judge_function(answer: Any, cases: Mapping[str, tuple], truth: Callable[..., Any]) -> None:
    """Compare the student's function with ours on named cases.

    Args:
        answer: of the student, to be called.
        cases: arguments, by what a student is told of the case.
        truth: our function of the same arguments: a number or a tensor.

    Raises:
        Off: where it is no function, the call fails, or a case comes out otherwise.
    """
    for name, arguments in cases.items():
        value, expected = function(answer, *arguments), truth(*arguments)
        try:
            if isinstance(expected, Tensor) and expected.dim():
                array(value, expected)
            else:
                number(value, expected)
        except Off as off:
            raise Off(f"{name}: {off}") from None


def _normal(item: Any) -> str:
    if isinstance(item, (float, Tensor)) or hasattr(item, "item"):
        value = float(item)
        item = int(value) if value.is_integer() else value
    return "".join(str(item).lower().split())


def _double(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, device="cpu")


def _close(value: Tensor, truth: Tensor, rtol: float, atol: float) -> bool:
    return bool((value - truth).norm() <= atol + rtol * truth.norm())


def _compare(value: Tensor, truth: Tensor, rtol: float, atol: float) -> None:
    """Raise `Off` with the plainest thing that is off, unless both agree."""
    if _close(value, truth, rtol, atol):
        return
    if _close(-value, truth, rtol, atol):
        raise Off("the sign is off")
    for factor, name in _FACTORS.items():
        for scaled, side in ((value / factor, "large"), (value * factor, "small")):
            if _close(scaled, truth, rtol, atol):
                raise Off(f"too {side} by a factor of {name}")
            if _close(-scaled, truth, rtol, atol):
                raise Off(f"the sign is off, and it is too {side} by a factor of {name}")
    if value.dim() == 0:
        raise Off(f"the number is too {'large' if value > truth else 'small'}")
    raise Off(_where(value, truth, rtol, atol))


def _where(value: Tensor, truth: Tensor, rtol: float, atol: float) -> str:
    scale = (value * truth).sum() / truth.square().sum().clamp_min(1e-300)
    if scale != 0 and _close(value / scale, truth, rtol, atol):
        return "the values are right up to a common factor"
    wrong = (value - truth).abs() > atol + rtol * truth.abs().max()
    return f"the shape is right, {int(wrong.sum())} of {wrong.numel()} entries are off"


def _kind(answer: Any) -> str:
    return f"a {type(answer).__name__}"
