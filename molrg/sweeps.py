"""Sweeps: a function over cells and seeds to a tidy table, on any executor, stored as it goes.

A store is a text file with one line of JSON for every finished task. A killed run loses the tasks
it was at; the next one goes on from there, and its table is the same.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np
import pandas as pd
import psutil
import torch
from loky import get_reusable_executor
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from molrg import checks
from molrg.fingerprints import fingerprint
from molrg.provenance import root

Job = tuple[dict[str, Any], int]
_BATCH = 128  # jobs in a task of a batched function: minutes of work at most, and enough to fill a tensor
_FIELDS = {"fn", "code", "cells", "seeds", "results", "seconds", "cpu_seconds"}


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

    Calls ``fn(seed=seed, **cell)``, which returns a dict; or, where `fn` has an attribute ``batched``,
    ``fn.batched(cells, seeds)`` with two lists of equal length, one entry a job, which returns a list of
    dicts in the same order. What is returned may hold numbers, strings, None and lists of them, arrays
    and tensors; NaN and infinity are kept.

    The jobs are cut into tasks before anything runs. With a store, a task's results are appended when it
    ends, and jobs found there are not computed again. Resumed on the same executor with the same number
    of threads, the table is the same to the last bit; otherwise it is the same up to rounding.
    Several runs may work on one store at once: the first goes forwards, others backwards.

    Args:
        fn: a named function (or a ``functools.partial`` of one, which hides its ``batched``); it draws
            from nothing but its seed. See `molrg.fingerprints` for what makes it another.
        cells: dicts of numbers, strings, booleans or None, all with the same keys; "seed" is not one.
        seeds: different whole numbers.
        executor: where tasks run, as ``client.get_executor()`` of a Dask client. Where omitted, in this
            process if torch has one thread or there is one task, else in as many processes as torch has
            threads, with one thread each.
        store: file of finished tasks, made with its folder where it does not exist.
        chunk: jobs in a task; 1 where omitted, and for batched functions whole cells, about 128 jobs.
        progress: whether a bar is drawn on the standard error; where omitted, if that is a terminal.

    Returns:
        Columns: the keys of the cells, "seed", the keys of what `fn` returned; cells outer, seeds inner.

    Raises:
        ValueError: where an argument, what the store holds, or what `fn` returned is not as above.
        OSError: where the store cannot be written.
        JobFailed: where `fn` raises. Tasks that have begun are finished and kept, the others cancelled.
    """
    checks.require(callable(fn) and getattr(fn, "__name__", "") != "<lambda>", "fn", fn, "a function with a name")
    told = "a concurrent.futures.Executor; of a Dask client, client.get_executor()"
    checks.require(executor is None or isinstance(executor, Executor), "executor", executor, told)
    grid, draws = _cells(cells), _seeds(seeds)
    usual = len(draws) * max(1, _BATCH // len(draws)) if hasattr(fn, "batched") else 1
    size = checks.count("chunk", usual if chunk is None else chunk)
    jobs = [(cell, seed) for cell in grid for seed in draws]
    tasks = [jobs[start : start + size] for start in range(0, len(jobs), size)]
    finished = _Store(None if store is None else Path(store), fn)
    with finished.at_work() as forwards, _bar(progress, len(jobs)) as advance, _pool(executor, len(tasks)) as pool:
        compute = _in_process if pool is None else partial(_on_executor, pool)
        compute(fn, tasks if forwards else tasks[::-1], finished, advance)
    return _table(jobs, finished)


def kept(name: str, profile: str) -> Path | None:
    """Where a notebook keeps a sweep: ``_build/sweeps/<name>.jsonl`` in the paper profile, nowhere in quick.

    Raises:
        ValueError: where the profile is unknown, or the name is more than letters, digits, "-", "_".
    """
    checks.one_of("profile", profile, ("quick", "paper"))
    checks.require(re.fullmatch(r"[\w-]+", name) is not None, "name", repr(name), "letters, digits, - and _")
    return root() / "_build" / "sweeps" / f"{name}.jsonl" if profile == "paper" else None


def lines(store: str | os.PathLike) -> list[dict[str, Any]]:
    """The finished tasks of a store as they were written, with their seconds and CPU seconds.

    Raises:
        FileNotFoundError: where there is no store.
        ValueError: where a line is not of a store. A last line without an end is left out.
    """
    whole, _, _ = Path(store).read_bytes().rpartition(b"\n")
    return [_entry(line, Path(store), number) for number, line in enumerate(whole.split(b"\n"), 1) if line]


# cells, seeds, results


def _cells(cells: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    given = list(cells)
    checks.require(bool(given) and all(isinstance(c, Mapping) for c in given), "cells", given[:3], "one dict or more")
    keys = list(given[0])
    named = all(isinstance(key, str) and key != "seed" for key in keys)
    checks.require(named, "keys of cells", keys, 'strings other than "seed"')
    first: dict[str, int] = {}
    for number, cell in enumerate(given):
        checks.require(set(cell) == set(keys), f"cells[{number}]", dict(cell), f"a dict with the keys of the first, {keys}")
        for key, value in cell.items():
            scalar = value is None or isinstance(value, (str, int, float, np.generic))
            told = "a number, string, boolean or None"
            checks.require(scalar and value == value, f"cells[{number}][{key!r}]", repr(value), told)
        given[number] = {key: _plain(cell[key]) for key in keys}
        again = first.setdefault(_key(given[number], 0), number)
        checks.require(again == number, f"cells[{number}]", given[number], f"every cell once; it is cells[{again}], too")
    return given


def _seeds(seeds: Iterable[int]) -> list[int]:
    given = [checks.count(f"seeds[{number}]", seed, 0) for number, seed in enumerate(seeds)]
    checks.require(0 < len(given) == len(set(given)), "seeds", given, "one whole number or more, each once")
    return given


def _plain(value: Any) -> Any:
    """The value as JSON gives it back, arrays and tensors as lists: what is fresh is as if read from a store."""

    def listed(array: Any) -> Any:
        if isinstance(array, (np.generic, np.ndarray, torch.Tensor)):
            return array.tolist()
        raise TypeError(f"{type(array).__name__} is none")

    return json.loads(json.dumps(value, default=listed))


def _results(found: Any, jobs: Sequence[Job], name: str) -> list[dict[str, Any]]:
    """What a task returned, checked and made plain."""
    plain: list[dict[str, Any]] = []
    listed = isinstance(found, Sequence) and len(found) == len(jobs)
    size = f"{len(found)} results" if isinstance(found, Sequence) else type(found).__name__
    checks.require(listed, f"what {name}.batched returned from {jobs[0]} on", size, f"a list of {len(jobs)} dicts, one a job")
    for result, (cell, seed) in zip(found, jobs, strict=True):
        what = f"what {name} returned at {cell}, seed {seed}"
        named = isinstance(result, Mapping) and all(isinstance(key, str) for key in result)
        checks.require(named, what, repr(result), "a dict with strings as keys")
        both = sorted(set(result) & {*cell, "seed"})
        checks.require(not both, what, sorted(result), f'keys other than "seed" and those of the cell, such as {both}')
        try:
            plain.append(_plain(dict(result)))
        except (TypeError, ValueError) as error:
            told = "a dict of numbers, strings, None, lists, arrays and tensors"
            raise ValueError(f"{what} = {dict(result)!r} ({error}): allowed is {told}") from None
    return plain


def _table(jobs: Sequence[Job], kept: _Store) -> pd.DataFrame:
    rows = [{**cell, "seed": seed, **kept.done[_key(cell, seed)]} for cell, seed in jobs]
    for row, (cell, seed) in zip(rows, jobs, strict=True):
        what = f"what {kept.name} returned at {cell}, seed {seed}"
        checks.require(set(row) == set(rows[0]), what, sorted(set(row) - {*cell, "seed"}), "the same keys for every cell and seed")
    return pd.DataFrame(rows, columns=list(rows[0]))


# the store


def _key(cell: Mapping[str, Any], seed: int) -> str:
    return json.dumps([cell, seed], sort_keys=True)


def _entry(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    ours = isinstance(entry, dict) and set(entry) >= _FIELDS
    checks.require(ours, f"store {path}, line {number}", repr(line[:60]), "a finished task, as sweeps.run writes it")
    return entry


class _Store:
    """Finished jobs of one function: in memory, and appended to a file where there is one."""

    def __init__(self, path: Path | None, fn: Callable[..., Any]) -> None:
        self.path, self.name = path, _name(fn)
        self.code = fingerprint(fn) if path else ""
        self.done: dict[str, dict[str, Any]] = {}
        self.read_to = self.lines = 0
        if path:
            checks.require(not path.is_dir(), "store", path, "a file, or a name for one")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(f"{path}.lock")
            self.refresh()

    def missing(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs that are not done."""
        return [job for job in jobs if _key(*job) not in self.done]

    @contextmanager
    def at_work(self) -> Iterator[bool]:
        """Whether this is the first of those at work on the store: it goes forwards, the others backwards."""
        if self.path is None:
            yield True
            return
        first = filelock.FileLock(f"{self.path}.first")
        with suppress(filelock.Timeout):
            first.acquire(timeout=0)
        try:
            yield first.is_locked
        finally:
            first.release()

    def refresh(self) -> None:
        """Take over what was appended since the last look."""
        if self.path:
            with self._lock, self.path.open("a+b") as file:
                self._read(file)

    def _read(self, file: BinaryIO) -> None:
        if file.seek(0, os.SEEK_END) < self.read_to:
            self.read_to = self.lines = 0  # somebody has made the file anew
        file.seek(self.read_to)
        whole, end, _ = file.read().rpartition(b"\n")
        for line in whole.split(b"\n") if end else ():
            self.lines += 1
            entry = _entry(line, self.path, self.lines)
            if entry["code"] == self.code:
                self._take(entry)
        self.read_to += len(whole) + len(end)

    def _take(self, entry: Mapping[str, Any]) -> None:
        for cell, seed, result in zip(entry["cells"], entry["seeds"], entry["results"], strict=True):
            self.done.setdefault(_key(cell, seed), result)

    def append(self, jobs: Sequence[Job], outcome: tuple[Any, float, float]) -> None:
        """Keep what a task returned, as one line, after what others have written meanwhile."""
        found, seconds, cpu_seconds = outcome
        results = _results(found, jobs, self.name)
        entry = {
            "fn": self.name, "code": self.code, "cells": [cell for cell, _ in jobs], "seeds": [seed for _, seed in jobs],
            "results": results, "seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3),
        }  # fmt: skip
        if self.path:
            with self._lock, self.path.open("a+b") as file:
                self._read(file)
                file.truncate(self.read_to)  # the torn last line of a run that was killed
                file.write(json.dumps(entry).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                self._read(file)
        else:
            self._take(entry)


# computing


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", None) or getattr(getattr(fn, "func", None), "__name__", type(fn).__name__)


def _task(fn: Callable[..., Any], jobs: Sequence[Job]) -> tuple[Any, float, float]:
    """Results of some jobs with the seconds and the CPU seconds that they took; runs where the executor wants."""
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
        raise JobFailed(f"{_name(fn)} at {cell}, seed {seed}{more}: {type(error).__name__}: {error}") from error


def _in_process(
    fn: Callable[..., Any], tasks: Sequence[Sequence[Job]], kept: _Store, advance: Callable[[int], None]
) -> None:
    for task in tasks:
        kept.refresh()
        if jobs := kept.missing(task):
            kept.append(jobs, _task(fn, jobs))
        advance(len(task))


def _on_executor(
    executor: Executor, fn: Callable[..., Any], tasks: Sequence[Sequence[Job]], kept: _Store,
    advance: Callable[[int], None],
) -> None:  # fmt: skip
    """Submit what is missing and keep it as it ends; on an error, cancel what has not begun and keep the rest."""
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


def _keep(future: Future, waiting: dict[Future, Sequence[Job]], kept: _Store) -> list[Sequence[Job]]:
    """Keep what a task returned; the tasks that another run has done meanwhile are cancelled and returned."""
    jobs = waiting.pop(future)
    try:
        outcome = future.result()
    except JobFailed:
        raise
    except Exception as error:  # the worker was lost, or the function cannot be sent to it
        cell, seed = jobs[0]
        raise JobFailed(f"{kept.name} at {cell}, seed {seed}: {type(error).__name__}: {error}") from error
    known = len(kept.done)
    kept.append(jobs, outcome)
    if len(kept.done) <= known + len(jobs):
        return []
    elsewhere = [f for f, its in waiting.items() if not kept.missing(its) and f.cancel()]
    return [waiting.pop(f) for f in elsewhere]


def _settle() -> None:
    """Prepare a worker process: one thread, and an end when the run that started it is killed."""
    torch.set_num_threads(1)

    def follow(parent: psutil.Process) -> None:
        parent.wait()
        os._exit(1)

    threading.Thread(target=follow, args=(psutil.Process(os.getppid()),), daemon=True).start()


@contextmanager
def _pool(executor: Executor | None, tasks: int) -> Iterator[Executor | None]:
    """The executor given; or, where none is, processes with one thread each, or None for this process."""
    threads = torch.get_num_threads()
    if executor is not None or threads == 1 or tasks == 1:
        yield executor
        return
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    own = get_reusable_executor(max_workers=threads, initializer=_settle, env=single)
    try:
        yield own
    except KeyboardInterrupt:
        own.shutdown(wait=True, kill_workers=True)
        raise


@contextmanager
def _bar(progress: bool | None, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with the time left, on the standard error, and nothing in notebooks and files."""
    shown = sys.stderr.isatty() if progress is None else progress
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        line = bar.add_task("sweep", total=total)
        yield lambda settled: bar.advance(line, settled)
