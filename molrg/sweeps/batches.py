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


def by_cell(
    of_cell: Callable[[Mapping[str, Any], Sequence[int]], list[dict[str, Any]]],
    cells: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
) -> list[dict[str, Any]]:
    """Rows of jobs, those of one cell together, in the order of the jobs.

    Args:
        of_cell: takes a cell and its seeds; returns a row for each seed.
        cells: one a job, with hashable values.
        seeds: one a job.

    Raises:
        ValueError: where `of_cell` does not return a row for each seed.
    """
    groups: dict[tuple, list[int]] = {}
    for job, cell in enumerate(cells):
        groups.setdefault(tuple(cell.items()), []).append(job)
    rows: dict[int, dict[str, Any]] = {}
    for alike, jobs in groups.items():
        rows |= zip(jobs, of_cell(dict(alike), [seeds[job] for job in jobs]), strict=True)
    return [rows[job] for job in range(len(cells))]
