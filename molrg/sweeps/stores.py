"""Stores: a text file with one line of JSON for every finished task of a sweep.

Lines are appended whole, under a lock, and forced to disk. A last line without an end is what a
killed run has left: it does not count, and is cut off before the next one is written. NaN and
infinity are written as Python's json module writes and reads them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np
import torch

from molrg import checks
from molrg.sweeps.fingerprints import fingerprint

Job = tuple[dict[str, Any], int]  # cell and seed
_COUNTED: dict[
    tuple[str, str], set[str]
] = {}  # by store and code: jobs whose cost this process knows
_FIELDS = {"fn", "code", "cells", "seeds", "results", "seconds", "cpu_seconds"}


def lines(store: str | os.PathLike) -> list[dict[str, Any]]:
    """The finished tasks of a store as they were written, with their seconds and CPU seconds.

    Raises:
        FileNotFoundError: where there is no store.
        ValueError: where a line is not of a store. A last line without an end is left out.
    """
    whole, _, _ = Path(store).read_bytes().rpartition(b"\n")
    return [
        _entry(line, Path(store), number)
        for number, line in enumerate(whole.split(b"\n"), 1)
        if line
    ]


def name_of(fn: Callable[..., Any]) -> str:
    """The name of a function, of what a partial was made from, or of an object's class."""
    wrapped = getattr(fn, "func", None)
    return str(getattr(fn, "__name__", None) or getattr(wrapped, "__name__", type(fn).__name__))


def key_of(cell: Mapping[str, Any], seed: int) -> str:
    """The job as a string; 2 and 2.0 are two."""
    return json.dumps([cell, seed], sort_keys=True)


def plain(value: Any) -> Any:
    """The value as JSON gives it back, arrays and tensors as lists, as if read from a store.

    Raises:
        TypeError: where it holds something else.
    """

    def listed(array: Any) -> Any:
        if isinstance(array, (np.generic, np.ndarray, torch.Tensor)):
            return array.tolist()
        raise TypeError(f"{type(array).__name__} cannot be written as JSON")

    return json.loads(json.dumps(value, default=listed))


def _short(value: Any) -> str:
    """At most a line of what a value shows of itself."""
    return " ".join(repr(value).split())[:100]


def _entry(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    ours = isinstance(entry, dict) and set(entry) >= _FIELDS
    checks.require(
        ours,
        f"store {path}, line {number}",
        repr(line[:60]),
        "a finished task, as sweeps.run writes it",
    )
    return entry


class Store:
    """Finished jobs of one function: in memory, and in a file where a path is given.

    Args:
        path: the file, made with its folder where it does not exist; None for memory only.
        fn: the function; only what it has computed as it is now is read.

    Raises:
        ValueError: where the path is a folder or a file of another kind.
        OSError: where it cannot be written.
    """

    def __init__(self, path: Path | None, fn: Callable[..., Any]) -> None:
        self.path, self.name = path, name_of(fn)
        self.done: dict[str, dict[str, Any]] = {}
        self._spent: dict[str, float] = {}  # CPU seconds of jobs that other runs have done
        self._code = fingerprint(fn) if path else ""
        self._read_to = self._lines = 0
        if path:
            checks.require(not path.is_dir(), "store", path, "a file, or a name for one")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(f"{path}.lock")
            self.refresh()

    def missing(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs that are not done."""
        return [job for job in jobs if key_of(*job) not in self.done]

    @contextmanager
    def at_work(self) -> Iterator[bool]:
        """Whether this is the first on the store: it goes forwards, the others backwards."""
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
        assert self.path is not None, "a store without a path has no file"
        if file.seek(0, os.SEEK_END) < self._read_to:
            self._read_to = self._lines = 0  # somebody has made the file anew
        file.seek(self._read_to)
        whole, end, _ = file.read().rpartition(b"\n")
        for line in whole.split(b"\n") if end else ():
            self._lines += 1
            entry = _entry(line, self.path, self._lines)
            if entry["code"] == self._code:
                self._take(entry)
        self._read_to += len(whole) + len(end)

    def _take(self, entry: Mapping[str, Any], ours: bool = False) -> None:
        for cell, seed, result in zip(
            entry["cells"], entry["seeds"], entry["results"], strict=True
        ):
            key = key_of(cell, seed)
            if key not in self.done:
                self.done[key], self._spent[key] = (
                    result,
                    0.0 if ours else entry["cpu_seconds"] / len(entry["seeds"]),
                )

    def taken_over(self, jobs: Sequence[Job]) -> float:
        """CPU seconds that other runs have spent on these jobs, unless asked for before."""
        keys = {key_of(*job) for job in jobs} - _COUNTED.setdefault(
            (str(self.path), self._code), set()
        )
        _COUNTED[str(self.path), self._code] |= keys
        return sum(self._spent[key] for key in keys) if self.path else 0.0

    def append(self, jobs: Sequence[Job], outcome: tuple[Any, float, float]) -> None:
        """Keep what a task returned, as one line, after what others have written meanwhile."""
        found, seconds, cpu_seconds = outcome
        results = self._checked(found, jobs)
        entry = {
            "fn": self.name,
            "code": self._code,
            "cells": [cell for cell, _ in jobs],
            "seeds": [seed for _, seed in jobs],
            "results": results,
            "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu_seconds, 3),
        }
        if self.path:
            with self._lock, self.path.open("a+b") as file:
                self._read(file)
                file.truncate(self._read_to)  # the torn last line of a run that was killed
                self._take(entry, ours=True)
                file.write(json.dumps(entry).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                self._read(file)
        else:
            self._take(entry, ours=True)

    def _checked(self, found: Any, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """What a task returned, as plain rows."""
        rows: list[dict[str, Any]] = []
        listed = isinstance(found, Sequence) and len(found) == len(jobs)
        size = f"{len(found)} results" if isinstance(found, Sequence) else type(found).__name__
        checks.require(
            listed,
            f"what {self.name}.batched returned from {jobs[0]} on",
            size,
            f"a list of {len(jobs)} dicts, one a job",
        )
        for result, (cell, seed) in zip(found, jobs, strict=True):
            what = f"what {self.name} returned at {cell}, seed {seed}"
            named = isinstance(result, Mapping) and all(isinstance(key, str) for key in result)
            checks.require(named, what, _short(result), "a dict with strings as keys")
            both = sorted(set(result) & {*cell, "seed"})
            checks.require(
                not both,
                what,
                sorted(result),
                f'keys other than "seed" and those of the cell, such as {both}',
            )
            try:
                rows.append(plain(dict(result)))
            except (TypeError, ValueError) as error:
                told = "a dict of numbers, strings, None, lists, arrays and tensors"
                raise ValueError(
                    f"{what} = {_short(result)} ({error}): allowed is {told}"
                ) from None
            first = next(iter(self.done.values()), rows[0])
            checks.require(
                set(rows[-1]) == set(first),
                what,
                sorted(result),
                f"the same keys for every cell and seed, {sorted(first)}",
            )
        return rows
