"""Checks of tensors: finite, of a shape, orthonormal, weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def finite(name: str, x: Tensor) -> Tensor:
    """Return `x` where all its entries are finite floating-point numbers.

    Raises:
        ValueError: where it is not a floating tensor, or holds NaN or infinity.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name} = {kind}: allowed is a floating-point torch tensor")
    if not x.isfinite().all():
        entries = f"{int((~x.isfinite()).sum())} non-finite entries"
        value = f"tensor of shape {tuple(x.shape)} with {entries}"
        raise ValueError(f"{name} = {value}: allowed is finite entries only")
    return x


def points(name: str, x: Tensor, low: int = 1) -> Tensor:
    """Return `x` where it is a finite data array (..., N, n) with N >= `low`.

    Raises:
        ValueError: where it is not.
    """
    finite(name, x)
    if x.dim() < 2 or x.shape[-2] < low or x.shape[-1] < 1:
        allowed = f"(..., N, n) with N >= {low}"
        raise ValueError(f"{name}.shape = {tuple(x.shape)}: allowed is {allowed}")
    return x


_MOST_SLACK = 0.05  # ten times what rounding to bfloat16 does to a column's length


def orthonormal(name: str, basis: Tensor) -> Tensor:
    """Return `basis` where its columns are orthonormal, to 1e-6 or 100 roundings of its dtype.

    A hundred roundings count as 0.05 at most, or zero would be orthonormal in half precision.

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


def orthonormal_each(name: str, bases: Sequence[Tensor], names: Sequence[str] = ()) -> None:
    """Check bases (n, d_k) as `orthonormal` does, those of one d at once.

    Args:
        name: of the argument.
        bases: one or more, of one n, dtype and device.
        names: of each basis; name[k] where omitted.

    Raises:
        ValueError: where there are none, one is not orthonormal, or n, dtype or device differ.
    """
    if len(bases) == 0:
        raise ValueError(f"len({name}) = 0: allowed is at least one basis")
    names = names or [f"{name}[{k}]" for k in range(len(bases))]
    members: dict[int, list[int]] = {}
    for k, basis in enumerate(bases):
        _basis_form(names[k], basis)
        members.setdefault(basis.shape[1], []).append(k)
    kinds = {(basis.shape[0], basis.dtype, basis.device) for basis in bases}
    if len(kinds) > 1:
        value = " and ".join(sorted(map(str, kinds)))
        raise ValueError(f"{name} = {value}: allowed is one n, one dtype and one device")
    for indices in members.values():
        stacked = torch.stack([bases[k] for k in indices])
        deviations, allowed = deviation_from_orthonormal(stacked), _slack(stacked)
        if not (deviations <= allowed).all():
            place = int((deviations <= allowed).int().argmin())
            finite(names[indices[place]], stacked[place])
            label, deviation = names[indices[place]], deviations[place].item()
            raise ValueError(_not_orthonormal(label, deviation, allowed))


def _basis_form(name: str, basis: Tensor) -> None:
    if not isinstance(basis, Tensor) or not basis.is_floating_point():
        kind = basis.dtype if isinstance(basis, Tensor) else type(basis).__name__
        raise ValueError(f"{name} = {kind}: allowed is a floating-point torch tensor")
    if basis.dim() != 2 or not 1 <= basis.shape[1] < basis.shape[0]:
        raise ValueError(f"{name}.shape = {tuple(basis.shape)}: allowed is (n, d) with 1 <= d < n")


def deviation_from_orthonormal(basis: Tensor) -> Tensor:
    """The largest entry of |U^T U - I| of bases (..., n, d), (...); NaN where a basis holds one.

    It is computed and given in single precision at least.
    """
    basis = at_least_single(basis)
    identity = torch.eye(basis.shape[-1], dtype=basis.dtype, device=basis.device)
    return (basis.mT @ basis - identity).abs().amax((-2, -1))


def _slack(basis: Tensor) -> float:
    rounding = 100 * torch.finfo(basis.dtype).eps * math.sqrt(basis.shape[-2])
    return min(max(1e-6, rounding), _MOST_SLACK)


def _not_orthonormal(name: str, deviation: float, allowed: float) -> str:
    value = f"basis with max|U^T U - I| = {deviation:.2g}"
    return f"{name} = {value}: allowed is orthonormal columns (<= {allowed:.1g})"


def at_least_single(x: Tensor) -> Tensor:
    """Numbers to compute with: `x` itself, and in float32 where it is of half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def magnitude(x: Tensor, axes: tuple[int, ...] = ()) -> Tensor:
    """A power of two p with p <= max|x| < 2 p over some axes; 1 where all entries are zero.

    Division by it is exact, and what is left can be squared: the largest square is in [1, 4).

    Args:
        x: finite, of single precision at least, not empty.
        axes: what the maximum is taken over; all where omitted.

    Returns:
        Of as many axes as x, those of the maximum with size 1; detached.
    """
    largest = x.detach().abs().amax(axes, keepdim=True)
    mantissa = torch.frexp(largest).mantissa  # in [1/2, 1)
    return torch.where(largest > 0, largest / (2 * mantissa), 1.0)


def scaled(x: Tensor, axes: tuple[int, ...] = ()) -> Tensor:
    """x over its `magnitude`, in single precision at least: for ratios that no scale changes."""
    x = at_least_single(x)
    return x / magnitude(x, axes)


def flat_events(name: str, x: Tensor, n: int, ensemble: tuple[int, ...] = ()) -> Tensor:
    """Points (\\*E, B, n) from events of any shape with n entries.

    Args:
        name: of the argument.
        x: (\\*E, B, \\*event).
        n: entries of an event.
        ensemble: \\*E, the axes of models.

    Raises:
        ValueError: where the shape is another, or x is of whole numbers.
    """
    if not x.is_floating_point():
        raise ValueError(f"{name} = {x.dtype}: allowed is a floating-point tensor")
    lead = len(ensemble) + 1
    models = tuple(x.shape[: lead - 1])
    if x.dim() <= lead or models != ensemble or math.prod(x.shape[lead:]) != n:
        axes = "".join(f"{size}, " for size in ensemble)
        allowed = f"({axes}B, *event) with {n} entries in an event"
        raise ValueError(f"{name}.shape = {tuple(x.shape)}: allowed is {allowed}")
    return x.flatten(lead)


def probabilities(name: str, weights: Tensor | Sequence[float] | None, K: int) -> Tensor:
    """The weights of K components in double precision, with a sum of exactly one; equal for None.

    Raises:
        ValueError: where they are not K numbers >= 0 with a sum of 1, to 1e-6.
    """
    if weights is None:
        return torch.full((K,), 1 / K, dtype=torch.float64, device="cpu")
    if not isinstance(weights, Tensor):
        weights = torch.tensor(weights, dtype=torch.float64, device="cpu")
    weights = weights.double()
    if weights.shape != (K,):
        raise ValueError(f"{name}.shape = {tuple(weights.shape)}: allowed is ({K},)")
    total = weights.sum().item()
    if not (weights >= 0).all() or abs(total - 1) >= 1e-6:
        value = f"{K} numbers in [{weights.min():g}, {weights.max():g}] with sum {total:.6g}"
        raise ValueError(f"{name} = {value}: allowed is >= 0 with a sum of 1")
    return weights / total
