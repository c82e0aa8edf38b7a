"""What the properties draw: points, bases, times, laws; and values just outside what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
import torch
from factories import SCHEDULES, normal, rng
from hypothesis import strategies as st
from torch import Tensor

from molrg.mixture import MoLRG
from molrg.subspaces import random_basis

Drawn = st.SearchStrategy
dtypes = st.sampled_from([torch.float64, torch.float32])
seeds = st.integers(0, 2**20)
schedules = st.sampled_from(sorted(SCHEDULES)).map(SCHEDULES.__getitem__)
times = st.floats(0.02, 1.0)
sigmas = st.floats(0.05, 20.0)  # noise levels that every schedule of `SCHEDULES` has
scales = st.sampled_from([1.0, 1e-3, 1e3])


def close(dtype: torch.dtype) -> float:
    """Relative tolerance of an identity of a few products: a thousand roundings."""
    return 1e3 * torch.finfo(dtype).eps


def same(a: Tensor, b: Tensor, tolerance: float | None = None) -> bool:
    """Whether two results agree: in shape, in dtype, and to rounding relative to the largest."""
    assert a.shape == b.shape, f"{tuple(a.shape)} against {tuple(b.shape)}"
    assert a.dtype == b.dtype, f"{a.dtype} against {b.dtype}"
    assert a.isfinite().all() and b.isfinite().all()
    if a.numel() == 0:
        return True
    largest = max(a.abs().max().item(), b.abs().max().item(), 1e-300)
    allowed = close(a.dtype) if tolerance is None else tolerance
    difference = (a - b).abs().max().item()
    assert difference <= allowed * largest, f"{difference} of {largest}"
    return True


@st.composite
def clouds(
    draw: st.DrawFn,
    N: tuple[int, int] = (1, 8),
    n: tuple[int, int] = (2, 6),
    dtype: torch.dtype | None = None,
    lead: tuple[int, ...] = (),
) -> Tensor:
    """Points (*lead, N, n), normal, of three scales, around zero or another centre."""
    shape = (*lead, draw(st.integers(*N)), draw(st.integers(*n)))
    centre = draw(st.sampled_from([0.0, 2.0]))
    points = draw(scales) * (normal(*shape, seed=draw(seeds)) + centre)
    return points.to(dtype or draw(dtypes))


@st.composite
def bases(
    draw: st.DrawFn, n: int, dims: Sequence[int], dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    """Random orthonormal bases (n, d_k)."""
    generator = rng(draw(seeds))
    return [random_basis(n, d, generator=generator).to(dtype) for d in dims]


@st.composite
def rotations(draw: st.DrawFn, n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """An orthogonal matrix (n, n)."""
    return random_basis(n, n, generator=rng(draw(seeds))).to(dtype)


@st.composite
def permutations(draw: st.DrawFn, N: int) -> Tensor:
    """An order of N rows."""
    return torch.tensor(draw(st.permutations(range(N))))


@st.composite
def laws(
    draw: st.DrawFn, noise: Sequence[float] = (0.0, 0.1), dtype: torch.dtype | None = None
) -> MoLRG:
    """A mixture with unequal dimensions, weights, means and spectra."""
    n = draw(st.integers(3, 6))
    dims = draw(st.lists(st.integers(1, n - 1), min_size=1, max_size=3))
    kind = dtype or draw(dtypes)
    K, generator = len(dims), rng(draw(seeds))
    weights = 0.1 + torch.rand(K, generator=generator, dtype=torch.float64)
    return MoLRG(
        draw(bases(n, dims, kind)),
        weights / weights.sum(),
        [torch.randn(n, generator=generator, dtype=torch.float64).to(kind) for _ in dims],
        [0.2 + torch.rand(d, generator=generator, dtype=torch.float64).to(kind) for d in dims],
        draw(st.sampled_from(noise)),
    )


def turned(law: MoLRG, Q: Tensor) -> MoLRG:
    """The law of Q x."""
    return MoLRG(
        [Q @ basis for basis in law.bases],
        law.weights,
        [Q @ mean for mean in law.means],
        list(law.variances),
        law.noise,
    )


# Outside the domain


def no_count(low: int = 1, high: float = math.inf) -> Drawn[Any]:
    """What is no whole number in [low, high]."""
    values = [st.integers(max_value=low - 1), st.sampled_from([low + 0.5, math.nan, math.inf])]
    if not math.isinf(high):
        values.append(st.integers(min_value=int(high) + 1))
    return st.one_of(*values)


def no_real(low: float = -math.inf, high: float = math.inf, *, open_low: bool = False) -> Drawn:
    """What is no finite number in [low, high]; nor `low` itself where the interval is open."""
    values: list[Drawn] = [st.sampled_from([math.nan, math.inf, -math.inf])]
    if not math.isinf(low):
        values.append(st.floats(max_value=low, exclude_max=not open_low, allow_infinity=False))
    if not math.isinf(high):
        values.append(st.floats(min_value=high, exclude_min=True, allow_infinity=False))
    return st.one_of(*values)


def no_share() -> Drawn:
    """What is not in the open interval (0, 1)."""
    return st.one_of(no_real(0.0, 1.0, open_low=True), st.just(1.0))


@st.composite
def spoiled(draw: st.DrawFn, x: Tensor) -> Tensor:
    """The same numbers with one that is not finite, or rounded to whole numbers."""
    if draw(st.booleans()):
        return x.round().long()
    flat = x.clone().flatten()
    flat[draw(st.integers(0, flat.numel() - 1))] = draw(st.sampled_from([math.nan, math.inf]))
    return flat.reshape(x.shape)


class Border(NamedTuple):
    """A call inside the domain, and values for one argument each that are outside."""

    function: Callable[..., Any]
    inside: Callable[[], Mapping[str, Any]]
    outside: Mapping[str, Drawn]
    said: Mapping[str, str] = {}  # what the message names where that is not the argument itself

    @property
    def name(self) -> str:
        named = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        return f"{self.function.__module__}.{named}"


def pairs(borders: Sequence[Border]) -> list[Any]:
    """One test for each function and argument."""
    return [
        pytest.param(border, argument, id=f"{border.name}-{argument}")
        for border in borders
        for argument in border.outside
    ]


def refuses(border: Border, argument: str, data: st.DataObject) -> None:
    """A ValueError of one line that names the argument and says what is allowed."""
    value = data.draw(border.outside[argument])
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared below
        exhausted(border.function(**(dict(border.inside()) | {argument: value})))
    text, argument = str(caught.value), border.said.get(argument, argument)
    assert re.match(rf"[^=]*\b{argument}\b.* = .*: allowed is .+", text), f"{argument}: {text}"
    assert "\n" not in text, text


def accepts(border: Border) -> None:
    """The call inside the domain gives finite numbers."""
    result = border.function(**border.inside())
    for tensor in tensors(exhausted(result)):
        if tensor.is_floating_point():
            assert tensor.isfinite().all(), border.name


def exhausted(result: Any) -> Any:
    """The result, or all that an iterator yields."""
    return list(result) if hasattr(result, "__next__") else result


def tensors(result: Any) -> list[Tensor]:
    """The tensors of a result, also those in tuples, lists and dicts."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, Mapping):
        return [tensor for value in result.values() for tensor in tensors(value)]
    if isinstance(result, (list, tuple)):
        return [tensor for value in result for tensor in tensors(value)]
    return []
