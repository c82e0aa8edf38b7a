"""Sweeps: a function over cells and seeds to a tidy table, on any executor, stored as it goes.

A killed run loses the tasks it was at; the next one goes on from there, and its table is the same.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from loky import get_reusable_executor
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from molrg import checks
from molrg.interrupts import follow
from molrg.provenance import root, went_before
from molrg.sweeps.stores import Job, Store, key_of, lines, name_of, plain

__all__ = ["JobFailed", "kept", "lines", "run"]

# Jobs in a task of a batched function: minutes of work at most, and enough to fill a tensor.
_BATCH = 128


class JobFailed(RuntimeError):
    """A function that was swept over raised; the message names cell, seed and error."""


def run(
    fn: Callable[..., Mapping[str, Any]],
    cells: Iterable[Mapping[str, Any]],
    *,
    seeds: Iterable[int],
    executor: Executor | None = None,
    store: str | os.PathLike | None = None,
    chunk: int | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Evaluate `fn` for every cell and seed, and return one row for each.

    Calls ``fn(seed=seed, **cell)``, which returns a dict; or, where `fn` has an attribute
    ``batched``, ``fn.batched(cells, seeds)`` with two lists of equal length, one entry a job, which
    returns a list of dicts in the same order. What is returned may hold numbers, strings, None and
    lists of them, arrays and tensors; NaN and infinity are kept. In a batch, each job needs a
    source of random numbers of its own: it may depend on the others by rounding only, else a sweep
    that is enlarged is another one.

    The jobs are cut into tasks before anything runs. With a store, a task's results are appended
    when it ends, and jobs found there are not computed again; their cost counts as that of this
    process (:func:`molrg.provenance.cost`). Resumed on the same executor with the same number
    of threads, the table is the same to the last bit; otherwise it is the same up to rounding.
    Several runs may work on one store at once: the first goes forwards, others backwards.

    Args:
        fn: a named function (or a ``functools.partial`` of one, which hides its ``batched``); it
            draws from nothing but its seed. See `molrg.fingerprints` for what makes it another.
        cells: dicts of numbers, strings, booleans or None, all with the same keys; "seed" is not
            one.
        seeds: different whole numbers.
        executor: where tasks run, as ``client.get_executor()`` of a Dask client. Where omitted, in
            this process if torch has one thread or there is one task, else in as many processes as
            torch has threads, with one thread each.
        store: file of finished tasks, made with its folder where it does not exist.
        chunk: jobs in a task; 1 where omitted, and for batched functions whole cells, about 128
            jobs.
        progress: whether a bar is drawn on the standard error; where omitted, if that is a
            terminal.

    Returns:
        Columns: the keys of the cells, "seed", the keys of what `fn` returned; cells outer, seeds
            inner.

    Raises:
        ValueError: where an argument, what the store holds, or what `fn` returned is not as above.
        OSError: where the store cannot be written.
        JobFailed: where `fn` raises. Tasks that have begun are finished and kept, the others
            cancelled.
    """
    checks.require(
        callable(fn) and getattr(fn, "__name__", "") != "<lambda>",
        "fn",
        fn,
        "a function with a name",
    )
    told = "a concurrent.futures.Executor; of a Dask client, client.get_executor()"
    checks.require(executor is None or isinstance(executor, Executor), "executor", executor, told)
    grid, draws = _cells(cells), _seeds(seeds)
    usual = len(draws) * max(1, _BATCH // len(draws)) if hasattr(fn, "batched") else 1
    size = checks.count("chunk", usual if chunk is None else chunk)
    jobs = [(cell, seed) for cell in grid for seed in draws]
    tasks = [jobs[start : start + size] for start in range(0, len(jobs), size)]
    finished = Store(None if store is None else Path(store), fn)
    with (
        finished.at_work() as forwards,
        _bar(progress, len(jobs)) as advance,
        _pool(executor, len(tasks)) as pool,
    ):
        compute = _in_process if pool is None else partial(_on_executor, pool)
        compute(fn, tasks if forwards else tasks[::-1], finished, advance)
    went_before(finished.taken_over(jobs))
    rows = [{**cell, "seed": seed, **finished.done[key_of(cell, seed)]} for cell, seed in jobs]
    return pd.DataFrame(rows, columns=list(rows[0]))


def kept(name: str, profile: str) -> Path | None:
    """Where a notebook keeps a sweep: ``_build/sweeps/<name>.jsonl`` in the paper profile only.

    Raises:
        ValueError: where the profile is unknown, or the name is more than letters, digits, "-",
            "_".
    """
    checks.one_of("profile", profile, ("quick", "paper"))
    checks.require(
        re.fullmatch(r"[\w-]+", name) is not None, "name", repr(name), "letters, digits, - and _"
    )
    return root() / "_build" / "sweeps" / f"{name}.jsonl" if profile == "paper" else None


def _cells(cells: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    given: list[Any] = list(cells)
    checks.require(
        bool(given) and all(isinstance(c, Mapping) for c in given),
        "cells",
        given[:3],
        "one dict or more",
    )
    keys = list(given[0])
    named = all(isinstance(key, str) and key != "seed" for key in keys)
    checks.require(named, "keys of cells", keys, 'strings other than "seed"')
    first: dict[str, int] = {}
    for number, cell in enumerate(given):
        checks.require(
            set(cell) == set(keys),
            f"cells[{number}]",
            dict(cell),
            f"a dict with the keys of the first, {keys}",
        )
        for key, value in cell.items():
            scalar = value is None or isinstance(
                value, (str, int, float, np.integer, np.floating, np.bool_)
            )
            told = "a number, string, boolean or None"
            checks.require(
                scalar and value == value, f"cells[{number}][{key!r}]", repr(value), told
            )
        given[number] = {key: plain(cell[key]) for key in keys}
        again = first.setdefault(key_of(given[number], 0), number)
        checks.require(
            again == number,
            f"cells[{number}]",
            given[number],
            f"every cell once; it is cells[{again}], too",
        )
    return given


def _seeds(seeds: Iterable[int]) -> list[int]:
    given = [checks.count(f"seeds[{number}]", seed, 0) for number, seed in enumerate(seeds)]
    checks.require(
        0 < len(given) == len(set(given)), "seeds", given, "one whole number or more, each once"
    )
    return given


def _task(fn: Callable[..., Any], jobs: Sequence[Job]) -> tuple[Any, float, float]:
    """Results of some jobs with the seconds and CPU seconds that they took, in any process."""
    begun, cpu = time.perf_counter(), time.process_time()
    if hasattr(fn, "batched"):
        with _naming(fn, jobs):
            found = fn.batched([dict(cell) for cell, _ in jobs], [seed for _, seed in jobs])
    else:
        found = []
        for cell, seed in jobs:
            with _naming(fn, [(cell, seed)]):
                found.append(fn(seed=seed, **cell))
    return found, time.perf_counter() - begun, time.process_time() - cpu


@contextmanager
def _naming(fn: Callable[..., Any], jobs: Sequence[Job]) -> Iterator[None]:
    """Say in the error which cell and seed it was."""
    (cell, seed), *others = jobs
    try:
        yield
    except Exception as error:
        more = f" and {len(others)} more of its task" if others else ""
        raise JobFailed(
            f"{name_of(fn)} at {cell}, seed {seed}{more}: {type(error).__name__}: {error}"
        ) from error


def _in_process(
    fn: Callable[..., Any],
    tasks: Sequence[Sequence[Job]],
    kept: Store,
    advance: Callable[[int], None],
) -> None:
    for task in tasks:
        kept.refresh()
        if jobs := kept.missing(task):
            kept.append(jobs, _task(fn, jobs))
        advance(len(task))


def _on_executor(
    executor: Executor,
    fn: Callable[..., Any],
    tasks: Sequence[Sequence[Job]],
    kept: Store,
    advance: Callable[[int], None],
) -> None:
    """Submit what is missing and keep it as it ends.

    On an error, cancel what has not begun and keep the rest.
    """
    wanted = [jobs for task in tasks if (jobs := kept.missing(task))]
    advance(sum(map(len, tasks)) - sum(map(len, wanted)))
    waiting: dict[Future, Sequence[Job]] = {}
    try:
        for jobs in wanted:
            waiting[executor.submit(_task, fn, jobs)] = jobs
        for future in as_completed(list(waiting)):
            settled = [waiting[future], *_keep(future, waiting, kept)] if future in waiting else []
            advance(sum(map(len, settled)))
            if not waiting:  # as_completed would go on waiting for those that were cancelled
                break
    except BaseException as error:
        begun = [future for future in waiting if not future.cancel()]
        interrupted = not isinstance(error, Exception)
        for future in [f for f in begun if f.done()] if interrupted else as_completed(begun):
            with suppress(Exception):
                _keep(future, waiting, kept)
        raise


def _keep(future: Future, waiting: dict[Future, Sequence[Job]], kept: Store) -> list[Sequence[Job]]:
    """Keep what a task returned; cancel and return the tasks that another run has done."""
    jobs = waiting.pop(future)
    try:
        outcome = future.result()
    except JobFailed:
        raise
    except Exception as error:  # the worker was lost, or the function cannot be sent to it
        cell, seed = jobs[0]
        raise JobFailed(
            f"{kept.name}, in the task of {cell}, seed {seed}: {type(error).__name__}: {error}"
        ) from error
    known = len(kept.done)
    kept.append(jobs, outcome)
    if len(kept.done) <= known + len(jobs):
        return []
    elsewhere = [f for f, its in waiting.items() if not kept.missing(its) and f.cancel()]
    return [waiting.pop(f) for f in elsewhere]


def _settle(run: int) -> None:
    """Prepare a worker process: one thread, and an end when the process of the run is killed."""
    torch.set_num_threads(1)
    follow(run)


@contextmanager
def _pool(executor: Executor | None, tasks: int) -> Iterator[Executor | None]:
    """The executor given; else processes with one thread each, or None for this process."""
    threads = torch.get_num_threads()
    if executor is not None or threads == 1 or tasks == 1:
        yield executor
        return
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    own = get_reusable_executor(
        max_workers=threads, initializer=_settle, initargs=(os.getpid(),), env=single
    )
    try:
        yield own
    except KeyboardInterrupt:
        own.shutdown(wait=True, kill_workers=True)
        raise


@contextmanager
def _bar(progress: bool | None, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with the time left, on the standard error, and nothing in notebooks and files."""
    shown = sys.stderr.isatty() if progress is None else progress
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        line = bar.add_task("sweep", total=total)
        yield lambda settled: bar.advance(line, settled)
