"""Functions of a whole batch of cells, as functions of one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from molrg.sweeps.stores import key_of

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

    As in a store, 2 and 2.0 are two.

    Args:
        of_cell: takes a cell and its seeds; returns a row for each seed.
        cells: one a job, of what JSON can hold.
        seeds: one a job.

    Raises:
        ValueError: where `of_cell` does not return a row for each seed.
    """
    groups: dict[str, list[int]] = {}
    for job, cell in enumerate(cells):
        groups.setdefault(key_of(cell, 0), []).append(job)
    rows: dict[int, dict[str, Any]] = {}
    for jobs in groups.values():
        found = of_cell(dict(cells[jobs[0]]), [seeds[job] for job in jobs])
        rows |= zip(jobs, found, strict=True)
    return [rows[job] for job in range(len(cells))]
