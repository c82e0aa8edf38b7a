"""Random numbers: drawn on the CPU from a given generator, then moved.

A seed gives the same numbers on every device. Nothing in the package draws from a global source.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from molrg import checks

Generators = torch.Generator | Sequence[torch.Generator]


def source(*key: int) -> torch.Generator:
    """A generator of its own for every key, such as (seed, purpose, model).

    Keys of one length are told apart. Zeros at the end of a key do not count: (3,) and (3, 0) are
    the same, so every purpose should have keys of one length.

    Source: numpy's ``SeedSequence``, which hashes the whole key to 32 bits.

    Args:
        *key: whole numbers >= 0, at least one.

    Raises:
        ValueError: where a number is negative or not whole, or there is none.
    """
    if not key:
        raise ValueError("key = (): allowed is one whole number or more")
    numbers = [checks.count(f"key[{i}]", number, 0) for i, number in enumerate(key)]
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


def spread(generator: Generators, models: int) -> list[torch.Generator]:
    """One generator for each model: the same again where a single one is given.

    Args:
        generator: one, or one for each model.
        models: how many.

    Raises:
        ValueError: where the number of generators is neither one nor `models`.
    """
    if isinstance(generator, torch.Generator):
        return [generator] * models
    if len(generator) != models:
        allowed = f"one, or one for each of {models}"
        raise ValueError(f"len(generator) = {len(generator)}: allowed is {allowed}")
    return list(generator)


def normal(
    shape: Sequence[int],
    *,
    generator: torch.Generator,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Standard normal numbers of a shape, drawn on the CPU and moved to the device."""
    return torch.randn(tuple(shape), generator=generator, dtype=dtype, device="cpu").to(device)


def normal_like(x: Tensor, *, generator: Generators) -> Tensor:
    """Standard normal numbers of the shape, dtype and device of `x`.

    Several generators draw equal parts of the rows, one after another, each as it would alone.

    Raises:
        ValueError: where there are several generators, and the rows are no multiple of them.
    """
    if isinstance(generator, torch.Generator):
        return normal(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    if not generator or len(x) % len(generator):
        allowed = f"one, or a number that divides {len(x)} rows"
        raise ValueError(f"len(generator) = {len(generator)}: allowed is {allowed}")
    parts = zip(x.chunk(len(generator)), generator, strict=True)
    return torch.cat([normal_like(part, generator=own) for part, own in parts])


def uniform(
    shape: Sequence[int],
    *,
    generator: torch.Generator,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Uniform numbers in [0, 1) of a shape, drawn on the CPU and moved to the device."""
    return torch.rand(tuple(shape), generator=generator, dtype=dtype, device="cpu").to(device)
