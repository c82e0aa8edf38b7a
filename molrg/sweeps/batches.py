"""Functions of a whole batch of cells, as functions of one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Batch = Callable[[Sequence[Mapping[str, Any]], Sequence[int]], list[dict[str, Any]]]


def batched(fn: Batch) -> Callable[..., dict[str, Any]]:
    """Make ``f(seed=..., **cell)`` of ``fn(cells, seeds)``; `sweeps.run` calls `fn` on whole tasks.

    Args:
        fn: takes two lists of equal length, one entry a job; returns a list of dicts in the same
            order. A job may depend on those beside it by rounding only.

    Returns:
        A function of one seed and one cell, with `fn` as its attribute ``batched``.
    """

    @functools.wraps(fn)
    def one(seed: int, **cell: Any) -> dict[str, Any]:
        return fn([cell], [seed])[0]

    setattr(one, "batched", fn)  # noqa: B010 - no attribute that a type checker knows
    return one
