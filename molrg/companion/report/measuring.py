"""Measuring part by part: what is there is kept, what is missing is measured, within the time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from molrg.companion.report.measured import Measured
from molrg.companion.report.steps import Step
from molrg.companion.report.store import Store


def measure(
    steps: Sequence[Step], measured: Measured, store: Store, seconds: float, console: Console
) -> None:
    """Take all parts from the store; then measure what is missing, then what was done with less.

    Args:
        steps: the parts, in order.
        measured: where they are added.
        store: where they are kept.
        seconds: for all, those of earlier runs too.
        console: where progress goes.

    Raises:
        OSError: where a part cannot be kept.
    """
    for step in steps:
        stored = store.get(step.name)
        if stored is not None:
            measured.take(step.name, stored, step.predicted)
    missing = [step for step in steps if step.name not in measured.parts]
    better = [step for step in steps if _deserves_more(step, measured)]
    with _progress(console) as progress:
        task = progress.add_task("", total=sum(step.predicted for step in missing + better))
        for step in missing + better:
            progress.update(task, description=step.spoken)
            if _is_measured(step, measured, store, seconds):
                progress.advance(task, step.predicted)
    measured.sort([step.name for step in steps])


def _deserves_more(step: Step, measured: Measured) -> bool:
    earlier = measured.settings.get(step.name)
    return earlier is not None and step.is_worth_more_than(earlier)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
    )


def _is_measured(step: Step, measured: Measured, store: Store, seconds: float) -> bool:
    """Measure one part, or say why it is left out."""
    earlier = measured.timing.get(step.name, {"seconds": 0.0})["seconds"]
    if measured.parts and step.predicted > seconds - measured.seconds + earlier:
        again = " with more images or samples" if step.name in measured.parts else ""
        what = f"{step.spoken}{again}"
        measured.left_out.append(f"{what}: the minutes were over")
        measured.unfinished[what] = step.kind
        return False
    start = time.perf_counter()
    try:
        value = step.work()
        taken = time.perf_counter() - start
        part = store.put(step.name, value, taken, step.settings)
    except ValueError as error:
        measured.left_out.append(f"{step.spoken}: {error}")
        measured.lost += time.perf_counter() - start
        return False
    measured.take(step.name, part, step.predicted)
    return True
