"""Run what has not been run: other seeds, then parameters; of each the cheap claims first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import filelock
from loky import get_reusable_executor
from rich.console import Console

from molrg import checks, claims, interrupts
from molrg.companion.jobs import RunStopped
from molrg.companion.layout import Layout
from molrg.companion.notebooks import Notebook, select
from molrg.companion.robustness import records, trials
from molrg.companion.robustness.moves import (
    AS_REGISTERED,
    OTHER_SEEDS,
    Move,
    plan,
)

LIMIT = 1800.0
_GUESS = 60.0  # seconds of a trial of a claim that has never been timed
_Done = tuple[Move, Mapping[str, Any]]


def run(
    wanted: Sequence[str] = (),
    *,
    jobs: int = 1,
    executor: Executor | None = None,
    limit: float = LIMIT,
    anew: bool = False,
    console: Console | None = None,
) -> dict[str, dict[str, Any]]:
    """Move each claim, and keep what became of its verdict in book/results/robustness.

    What is kept there of the same code is not run again. Each trial is kept as it ends.

    Args:
        wanted: numbers, claims or names of notebooks; all where empty.
        jobs: trials at once, each with one thread.
        executor: where trials run, instead of `jobs` processes here.
        limit: seconds after which a trial is ended, and kept as such.
        anew: whether to forget what is kept of these claims.
        console: where progress is shown.

    Returns:
        The records by claim.

    Raises:
        ValueError: where an argument is not allowed, or what is kept was made from other code.
        RunStopped: where another such run is at work.
        KeyboardInterrupt: where it was asked for; what is done is kept.
    """
    jobs = checks.count("jobs", jobs)
    if not limit > 0:
        raise ValueError(f"limit = {limit}: allowed is a number of seconds above 0")
    chosen = select(wanted)
    for notebook in chosen:
        notebook.accept({})
    with _alone():
        kept = {n.claim: records.resume(n, anew=anew) for n in chosen}
        _run(chosen, kept, jobs, executor, limit, console or Console())
    return kept


def _run(
    chosen: Sequence[Notebook],
    kept: dict[str, dict[str, Any]],
    jobs: int,
    executor: Executor | None,
    limit: float,
    console: Console,
) -> None:
    paths = {notebook.claim: notebook.path for notebook in chosen}
    usual = _usual_seconds(chosen)
    planned = [move for notebook in chosen for move in plan(notebook)]
    with _workers(jobs, executor) as workers:
        for stage in _stages(planned):
            stage = [move for move in stage if records.of(kept[move.claim], move) is None]
            stage.sort(key=lambda move: (_seconds(move.claim, kept, usual), move.claim))
            for move, outcome in _outcomes(stage, paths, limit, workers, executor is not None):
                records.add(kept[move.claim], move, outcome)
                records.write(kept[move.claim])
                waiting = {
                    later: _seconds(later.claim, kept, usual) / jobs
                    for later in planned
                    if records.of(kept[later.claim], later) is None
                }
                _tell(move, outcome, planned, waiting, console)


def _stages(planned: Sequence[Move]) -> list[list[Move]]:
    """Other seeds; parameters with which a verdict should stay; all others."""
    seeds = [move for move in planned if move.kind in (AS_REGISTERED, OTHER_SEEDS)]
    parameters = [move for move in planned if move not in seeds]
    should_hold = [move for move in parameters if move.should_hold]
    beyond = [move for move in parameters if not move.should_hold]
    return [seeds, should_hold, beyond]


def _outcomes(
    stage: Sequence[Move],
    paths: Mapping[str, Path],
    limit: float,
    workers: Executor | None,
    given: bool,
) -> Iterator[_Done]:
    """Trials as they end: here one after the other, or in the workers.

    Where a given executor is left early, what has not begun is cancelled; our own is killed.
    """
    if workers is None:
        for move in stage:
            yield move, trials.trial(paths[move.claim], {move.parameter: move.value}, limit)
        return
    waiting: dict[Future, Move] = {}
    try:
        for move in stage:
            what = (paths[move.claim], {move.parameter: move.value}, limit)
            waiting[workers.submit(trials.trial, *what)] = move
        with interrupts.held_back() as asked:
            while waiting:
                ended, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in ended:
                    yield waiting.pop(future), _result(future)
                if asked.is_set():
                    raise KeyboardInterrupt
    finally:
        for future in waiting if given else ():
            future.cancel()


def _result(future: Future) -> Mapping[str, Any]:
    try:
        return future.result()
    except Exception as error:  # the worker was lost; a trial itself never raises
        raise RunStopped(f"a worker was lost: {type(error).__name__}: {error}") from error


@contextmanager
def _workers(jobs: int, executor: Executor | None) -> Iterator[Executor | None]:
    """The executor given; else processes with one thread each, or None for this process."""
    if executor is not None or jobs == 1:
        yield executor
        return
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    own = get_reusable_executor(max_workers=jobs, env=single)
    try:
        yield own
    finally:
        own.shutdown(wait=True, kill_workers=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the records, so that no other run writes them meanwhile."""
    folder = claims.root() / "_build" / "robustness"
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RunStopped("another run of `robustness` is at work here") from None
    try:
        yield
    finally:
        lock.release()


def _usual_seconds(chosen: Sequence[Notebook]) -> dict[str, float]:
    """What the quick run of each claim has cost here."""
    own = claims.records(Layout.of({}).records)
    known = {id: record["cpu_seconds"] for id, record in own.items()}
    return {notebook.claim: known.get(notebook.claim, _GUESS) for notebook in chosen}


def _seconds(
    claim: str, kept: Mapping[str, Mapping[str, Any]], usual: Mapping[str, float]
) -> float:
    """What a trial takes: the mean of those made, else what the claim cost the book."""
    if times := [trial["seconds"] for trial in kept[claim]["trials"]]:
        return sum(times) / len(times)
    return usual[claim]


def _tell(
    move: Move,
    outcome: Mapping[str, Any],
    planned: Sequence[Move],
    waiting: Mapping[Move, float],
    console: Console,
) -> None:
    """A line for each trial: what it gave, how many are left, and about how long they take."""
    left = timedelta(seconds=round(sum(waiting.values())))
    what = f"{move.claim} {move.kind}: {move.parameter} = {move.value}"
    done = f"{len(planned) - len(waiting)} of {len(planned)}, {left} left"
    line = f"{what:40s} {outcome['verdict']:15s} {outcome['seconds']:6.0f} s   {done}"
    console.print(line, highlight=False, soft_wrap=True, markup=False)
