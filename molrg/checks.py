"""Checks of arguments at the border: one line names the argument, its value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor


def require(ok: bool, name: str, value: Any, allowed: str) -> None:
    """Raise ``ValueError`` unless `ok`, naming the argument, its value and what is allowed."""
    if not ok:
        raise ValueError(f"{name} = {value}: allowed is {allowed}")


def count(name: str, value: Any, low: int = 1, high: float = math.inf) -> int:
    """Return `value` as an int where it is a whole number in [low, high].

    Raises:
        ValueError: where it is not.
    """
    bounds = f">= {low}" if math.isinf(high) else f"between {low} and {high}"
    single = isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)
    whole = single and not isinstance(value, bool) and math.isfinite(value) and int(value) == value
    require(whole and low <= value <= high, name, value, f"a whole number {bounds}")
    return int(value)


def real(name: str, value: float, low: float = -math.inf, high: float = math.inf) -> float:
    """Return `value` as a float where it is finite and in [low, high].

    Raises:
        ValueError: where it is not.
    """
    ok = math.isfinite(value) and low <= value <= high
    require(ok, name, value, f"a finite number in [{low:g}, {high:g}]")
    return float(value)


def finite(name: str, x: Tensor) -> Tensor:
    """Return `x` where all its entries are finite floating-point numbers.

    Raises:
        ValueError: where it is not a floating tensor, or holds NaN or infinity.
    """
    floating = isinstance(x, Tensor) and x.is_floating_point()
    require(floating, name, getattr(x, "dtype", type(x).__name__), "a floating-point torch tensor")
    bad = int((~torch.isfinite(x)).sum())
    require(
        bad == 0,
        name,
        f"tensor of shape {tuple(x.shape)} with {bad} non-finite entries",
        "finite entries only",
    )
    return x


def points(name: str, x: Tensor, low: int = 1) -> Tensor:
    """Return `x` where it is a finite data array (..., N, n) with N >= `low`.

    Raises:
        ValueError: where it is not.
    """
    finite(name, x)
    shape = tuple(x.shape)
    require(
        x.dim() >= 2 and shape[-2] >= low and shape[-1] >= 1,
        f"{name}.shape",
        shape,
        f"(..., N, n) with N >= {low}",
    )
    return x


def orthonormal(name: str, basis: Tensor) -> Tensor:
    """Return `basis` where its columns are orthonormal, to 1e-6 or 100 roundings of its dtype.

    Raises:
        ValueError: where they are not, or where the basis spans the whole space (d >= n).
    """
    finite(name, basis)
    if basis.dim() < 2 or not 1 <= basis.shape[-1] < basis.shape[-2]:
        raise ValueError(f"{name}.shape = {tuple(basis.shape)}: allowed is (n, d) with 1 <= d < n")
    deviation, allowed = deviation_from_orthonormal(basis).max().item(), _slack(basis)
    if deviation > allowed:
        raise ValueError(_not_orthonormal(name, deviation, allowed))
    return basis


def orthonormal_each(name: str, bases: Sequence[Tensor]) -> None:
    """Check K bases (n, d_k) as `orthonormal` does, those of one d at once.

    Raises:
        ValueError: where there are none, one is not orthonormal, or n, dtype or device differ.
    """
    if len(bases) == 0:
        raise ValueError(f"len({name}) = 0: allowed is at least one basis")
    members: dict[int, list[int]] = {}
    for k, basis in enumerate(bases):
        if not isinstance(basis, Tensor) or not basis.is_floating_point():
            found = getattr(basis, "dtype", type(basis).__name__)
            raise ValueError(f"{name}[{k}] = {found}: allowed is a floating-point torch tensor")
        if basis.dim() != 2 or not 1 <= basis.shape[1] < basis.shape[0]:
            allowed = "(n, d) with 1 <= d < n"
            raise ValueError(f"{name}[{k}].shape = {tuple(basis.shape)}: allowed is {allowed}")
        members.setdefault(basis.shape[1], []).append(k)
    kinds = {(basis.shape[0], basis.dtype, basis.device) for basis in bases}
    if len(kinds) > 1:
        found = " and ".join(str(kind) for kind in sorted(kinds, key=str))
        raise ValueError(f"{name} = {found}: allowed is one n, one dtype and one device")
    for indices in members.values():
        stacked = torch.stack([bases[k] for k in indices])
        deviations, allowed = deviation_from_orthonormal(stacked), _slack(stacked)
        if not (deviations <= allowed).all():
            place = int((deviations <= allowed).int().argmin())
            label = f"{name}[{indices[place]}]"
            finite(label, stacked[place])
            raise ValueError(_not_orthonormal(label, deviations[place].item(), allowed))


def deviation_from_orthonormal(basis: Tensor) -> Tensor:
    """The largest entry of |U^T U - I| of bases (..., n, d), (...); NaN where a basis holds one."""
    identity = torch.eye(basis.shape[-1], dtype=basis.dtype, device=basis.device)
    return (basis.mT @ basis - identity).abs().amax((-2, -1))


def _slack(basis: Tensor) -> float:
    return max(1e-6, 100 * torch.finfo(basis.dtype).eps * math.sqrt(basis.shape[-2]))


def _not_orthonormal(name: str, deviation: float, allowed: float) -> str:
    value = f"basis with max|U^T U - I| = {deviation:.2g}"
    return f"{name} = {value}: allowed is orthonormal columns (<= {allowed:.1g})"


def one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """Return `value` where it is one of `allowed`.

    Raises:
        ValueError: where it is not.
    """
    require(value in allowed, name, repr(value), " or ".join(map(repr, allowed)))
    return value
