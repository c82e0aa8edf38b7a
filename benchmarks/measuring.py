"""One piece of work, timed in a process of its own: seconds of the processor, memory, the result.

A process is forked for each, so that memory is its own; one thread. Ours and the other way are
measured one after the other in the same run, and a time counts only where their results agree.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

Work = Callable[[], Tensor]
REPEATS, ENOUGH = 5, 2.0  # at most so many times, until so many seconds are spent


@dataclass(frozen=True)
class Cost:
    """What one way took: the least seconds of its repeats, and MB that the process grew by.

    No memory is said of work that is done in many processes.
    """

    seconds: float
    memory: float | None


class Differ(RuntimeError):
    """Two ways do not give the same, so that their times mean nothing."""


@dataclass(frozen=True)
class Comparison:
    """Two ways to the same result.

    Attributes:
        name: what is computed.
        size: of the problem, in words.
        ours: makes the work of this package; making it is not timed.
        other: makes the work of the other way; None where it cannot be run.
        against: what the other way is.
        tolerance: relative to the largest entry of the result.
        part: share of the work that the other way is timed on, the first rows of the result.
        note: more to say.
        repeats: at most so many times; one where the work goes on from where it was.
    """

    name: str
    size: str
    ours: Callable[[], Work]
    other: Callable[[], Work] | None
    against: str
    tolerance: float
    part: float = 1.0
    note: str = ""
    repeats: int = REPEATS


@dataclass(frozen=True)
class Row:
    """A comparison that was measured."""

    name: str
    size: str
    against: str
    ours: Cost
    other: Cost | None
    apart: float | None
    note: str = field(default="")


def measured(prepare: Callable[[], Work], repeats: int = REPEATS) -> tuple[Cost, np.ndarray]:
    """Cost and result of a piece of work, in a process of its own.

    Raises:
        RuntimeError: where that process ends without an answer.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(prepare, repeats, sender.send))
    process.start()
    sender.close()  # so that a process that ends without an answer is noticed
    try:
        cost, result = receiver.recv()
    except EOFError:
        raise RuntimeError("a process of a benchmark ended without an answer") from None
    process.join()
    return cost, result


def _work(prepare: Callable[[], Work], repeats: int, answer: Callable[[object], None]) -> None:
    torch.set_num_threads(1)
    work = prepare()
    before, seconds, spent = _peak(), math.inf, 0.0
    for _ in range(repeats):
        began = time.process_time()
        result = work()
        last = time.process_time() - began
        seconds, spent = min(seconds, last), spent + last
        if spent > ENOUGH:
            break
    answer((Cost(seconds, _peak() - before), result.detach().double().numpy()))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(comparison: Comparison) -> Row:
    """Measure both ways, and require that they agree.

    Raises:
        Differ: where they do not, to the tolerance.
    """
    named = (comparison.name, comparison.size, comparison.against)
    ours, result = measured(comparison.ours, comparison.repeats)
    if comparison.other is None:
        return Row(*named, ours, None, None, comparison.note)
    part, reference = measured(comparison.other, comparison.repeats)
    apart = float(np.abs(result[: len(reference)] - reference).max() / np.abs(reference).max())
    if not apart <= comparison.tolerance:
        allowed = f"allowed is {comparison.tolerance:g}"
        raise Differ(f"{comparison.name}, {comparison.size}: apart = {apart:.2g}: {allowed}")
    other = Cost(part.seconds / comparison.part, part.memory)
    return Row(*named, ours, other, apart, comparison.note)
