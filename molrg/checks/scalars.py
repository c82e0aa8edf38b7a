"""Checks that need no torch: a number in its range, one of a few words, a package that is there."""

from __future__ import annotations

import math
import sys
from importlib.util import find_spec
from numbers import Real
from typing import Any


def require(ok: bool, name: str, value: Any, allowed: str) -> None:
    """Raise ``ValueError`` unless `ok`, naming the argument, its value and what is allowed.

    The message is built by the caller whether it is needed or not: where that costs something, such
    as reading a tensor, write ``if ...: raise ValueError(...)`` instead.
    """
    if not ok:
        raise ValueError(f"{name} = {value}: allowed is {allowed}")


def installed(package: str, extra: str) -> None:
    """Check that a package of one of the project's extras is there.

    Args:
        package: what is imported.
        extra: of the project's extras, the one with the package.

    Raises:
        ModuleNotFoundError: where it is not, with the command that installs it.
    """
    if find_spec(package) is None:
        raise ModuleNotFoundError(
            f"No module named {package!r}: it comes with `make env`,"
            f" or pip install 'molrg[{extra}]'",
            name=package,
        )


def count(name: str, value: Any, low: int = 1, high: float = math.inf) -> int:
    """Return `value` as an int where it is a whole number in [low, high].

    Raises:
        ValueError: where it is not.
    """
    single = isinstance(value, Real) or _is_scalar_tensor(value)
    whole = single and not isinstance(value, bool) and math.isfinite(value) and int(value) == value
    if not whole or not low <= value <= high:
        bounds = f">= {low}" if math.isinf(high) else f"between {low} and {high}"
        raise ValueError(f"{name} = {value}: allowed is a whole number {bounds}")
    return int(value)


def real(name: str, value: float, low: float = -math.inf, high: float = math.inf) -> float:
    """Return `value` as a float where it is finite and in [low, high].

    Raises:
        ValueError: where it is not.
    """
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name} = {value}: allowed is a finite number in [{low:g}, {high:g}]")
    return float(value)


def one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """Return `value` where it is one of `allowed`.

    Raises:
        ValueError: where it is not.
    """
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}: allowed is {' or '.join(map(repr, allowed))}")
    return value


def _is_scalar_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # where it was never imported, nothing is a tensor
    return torch is not None and isinstance(value, torch.Tensor) and value.numel() == 1
