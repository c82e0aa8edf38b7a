"""A report from beginning to end: read, plan, measure part by part, write."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

import molrg
from molrg import checks
from molrg.companion import asked
from molrg.companion.report import cost, earlier, measuring, plan, result
from molrg.companion.report.cost import Cost
from molrg.companion.report.earlier import Earlier
from molrg.companion.report.inputs import Inputs, read
from molrg.companion.report.measured import Measured
from molrg.companion.report.plan import Plan
from molrg.companion.report.steps import steps
from molrg.companion.report.store import Store, naming

_FORMAT = 3  # of the parts that are kept
_TRIES = 20  # minutes that are looked at, each a quarter more


@dataclass(frozen=True)
class Options:
    """What a reader chooses.

    Attributes:
        minutes: for all of it, > 0.
        pictures: whether pictures may be shown and kept.
        seed: of every choice and all noise, >= 0.
    """

    minutes: float = 10.0
    pictures: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        asked.require_minutes(self.minutes)
        object.__setattr__(self, "seed", checks.count("seed", self.seed, 0))


def write(
    model: str,
    source: str,
    out: Path,
    options: Options,
    *,
    device: str = "cpu",
    size: int | None = None,
    beside: Path | None = None,
    console: Console,
) -> tuple[Path, Path]:
    """Report on a denoiser and the images that it was trained on.

    Args:
        model: a zoo name, a diffusers folder or a hub id.
        source: a folder of pictures, or the name of an image set.
        out: the page to write, .html.
        options: what to measure.
        device: where to compute.
        size: pixels along a side to which the pictures of a folder are cut and resized.
        beside: JSON of another report, to be shown beside this one.
        console: where progress goes, and at the end the names of the files and what is missing.

    Returns:
        The page, and the JSON beside it. Parts are kept in a folder beside them.

    Raises:
        ValueError: where an argument, the model or the images are not as asked for, or memory does
            not suffice, or another report is being written there; before any measurement.
        OSError: where something cannot be read or written.
    """
    with naming(out.parent):
        asked.require_out(out)
    other = None if beside is None else earlier.read(beside)
    inputs = read(model, source, device=device, size=size, seed=options.seed)
    store = Store(out.with_suffix(".parts"), _fingerprint(inputs, options))
    command = _command(model, source, out, options, device, size, beside)
    with store.alone():
        return _written(out, inputs, store, options, command, other, console)


def _written(
    out: Path,
    inputs: Inputs,
    store: Store,
    options: Options,
    command: str,
    other: Earlier | None,
    console: Console,
) -> tuple[Path, Path]:
    """The report, measured and written where no other one is."""
    for line in _removed(store, options):
        _say(console, line)
    costs, planned = _planned(inputs, options, store)
    for line in result.beforehand(inputs, costs, planned, options.minutes):
        _say(console, line)
    measured = Measured(left_out=list(planned.left_out))
    parts = list(steps(inputs, planned, options.seed, measured.parts))
    measuring.measure(parts, measured, store, 60 * options.minutes, console)
    if measured.unfinished:
        measured.minutes = _enough(inputs, costs, options, measured)
    chosen = asdict(options) | {"command": command}
    with naming(out.parent):
        written = result.write(out, inputs, costs, planned, chosen, measured, other)
    for line in (*map(str, written), *result.afterwards(measured)):
        _say(console, line)
    return written


def _command(
    model: str,
    source: str,
    out: Path,
    options: Options,
    device: str,
    size: int | None,
    beside: Path | None,
) -> str:
    """The command line that asks for the same."""
    words = ["python", "-m", "molrg", "report", model, "--images", source, "--out", str(out)]
    words += ["--minutes", f"{options.minutes:g}", "--seed", str(options.seed), "--device", device]
    words += [] if options.pictures else ["--no-images"]
    words += [] if size is None else ["--size", str(size)]
    words += [] if beside is None else ["--beside", str(beside)]
    return shlex.join(words)


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _removed(store: Store, options: Options) -> Iterator[str]:
    """Remove the pictures of an earlier run where none may be kept, and say so."""
    removed = [] if options.pictures else store.remove_pictures()
    if removed:
        yield f"removed from {store.folder}, for its pictures: {', '.join(removed)}"


def _fingerprint(inputs: Inputs, options: Options) -> str:
    """Of all that a part depends on, beside its settings."""
    device = inputs.points.device.type
    text = json.dumps([_FORMAT, inputs.fingerprint, options.seed, device, molrg.__version__])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _planned(inputs: Inputs, options: Options, store: Store) -> tuple[Cost, Plan]:
    """What fits into the minutes, by the cost that was measured in the first run.

    Fewer minutes than in an earlier run shorten the time and not the plan: its parts are shown.
    """
    stored = store.get("plan")
    if stored is None:
        costs = cost.measure(inputs)
        minutes = options.minutes
    else:
        costs = Cost(**stored["value"]["cost"])
        minutes = max(options.minutes, stored["value"]["minutes"])
    planned = plan.make(inputs, costs, minutes, pictures=options.pictures)
    store.put("plan", {"cost": asdict(costs), "minutes": minutes}, 0.0, {})
    return costs, planned


def _enough(inputs: Inputs, costs: Cost, options: Options, measured: Measured) -> float:
    """Minutes that should do for what is unfinished, with half as much again for it."""
    minutes = options.minutes
    for _ in range(_TRIES):
        minutes *= 1.25
        seconds = plan.make(inputs, costs, minutes, pictures=options.pictures).seconds
        missing = sum(seconds[kind] for kind in measured.unfinished.values())
        if measured.seconds + 1.5 * missing <= 60 * minutes:
            break
    return float(math.ceil(minutes)) if minutes > 2 else math.ceil(10 * minutes) / 10
