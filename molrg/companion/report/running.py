"""A report from beginning to end: read, plan, measure part by part, write."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import molrg
from molrg import checks
from molrg.companion.report import comparing, cost, earlier, pictures, plan, result, spectra
from molrg.companion.report.inputs import Inputs, read
from molrg.companion.report.laws import Laws
from molrg.companion.report.levels import DIMENSION, SPECTRUM, STRIP
from molrg.companion.report.measured import Measured
from molrg.companion.report.plan import Plan
from molrg.companion.report.store import Store
from molrg.zoo import running


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
        checks.real("minutes", self.minutes, 0.01)
        checks.count("seed", self.seed, 0)


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
        console: where progress goes.

    Returns:
        The page, and the JSON beside it. Parts are kept in a folder beside them.

    Raises:
        ValueError: where an argument, the model or the images are not as asked for, or memory does
            not suffice; before any measurement.
        OSError: where something cannot be read or written.
    """
    if out.suffix != ".html":
        raise ValueError(f"out = {out}: allowed is a file that ends in .html")
    other = None if beside is None else earlier.read(beside)
    running.require_writable(out.parent)
    inputs = read(model, source, device=device, size=size, seed=options.seed)
    store = Store(out.with_suffix(".parts"), _fingerprint(inputs, options))
    costs, planned = _planned(inputs, options, store)
    for line in result.beforehand(inputs, costs, planned, options.minutes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    measured = _measure(inputs, planned, options, store, console)
    return result.write(out, inputs, costs, planned, asdict(options), measured, other)


def _fingerprint(inputs: Inputs, options: Options) -> str:
    """Of all that a part depends on."""
    device = inputs.points.device.type
    text = json.dumps([inputs.fingerprint, asdict(options), device, molrg.__version__])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _planned(inputs: Inputs, options: Options, store: Store) -> tuple[cost.Cost, Plan]:
    """The plan of an earlier run, for its parts to fit; else a new one."""
    stored = store.get("plan")
    if stored is not None:
        return cost.Cost(**stored["value"]["cost"]), Plan.of(stored["value"]["plan"])
    costs = cost.measure(inputs)
    planned = plan.make(inputs, costs, options.minutes, pictures=options.pictures)
    store.put("plan", {"cost": asdict(costs), "plan": asdict(planned)}, 0.0)
    return costs, planned


@dataclass(frozen=True)
class _Step:
    """A part to measure; its kind has a predicted time."""

    name: str
    kind: str
    work: Callable[[], dict[str, Any]]


def _steps(
    inputs: Inputs, planned: Plan, options: Options, parts: dict[str, dict[str, Any]]
) -> Iterator[_Step]:
    """The parts in the order in which they are measured, the most telling first."""
    laws = Laws(inputs, options.seed)
    seed = options.seed
    yield _Step("images", "images", partial(comparing.image_dimension, inputs, seed))
    for sigma in planned.sigmas:
        work = partial(comparing.denoiser_dimension, inputs, planned, sigma, seed)
        yield _Step(f"{DIMENSION}-{sigma:g}", DIMENSION, work)
    nearest = partial(comparing.nearest_reference, inputs, planned, laws, seed)
    yield _Step("references", "references", nearest)
    yield _Step("copies", "copies", partial(_copies, inputs, planned, options, parts))
    for sigma in planned.spectrum_sigmas:
        work = partial(spectra.spectrum, inputs, planned, laws, sigma, seed)
        yield _Step(f"{SPECTRUM}-{sigma:g}", SPECTRUM, work)
    for row in range(planned.strips):
        yield _Step(f"{STRIP}-{row + 1}", STRIP, partial(pictures.strip, inputs, row))


def _copies(
    inputs: Inputs, planned: Plan, options: Options, parts: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    if "images" not in parts:
        raise ValueError("dimension of the images = not measured: allowed is a number to expect by")
    low = parts["images"]["low"]
    return pictures.copies(inputs, planned, low, options.seed, pictures=options.pictures)


def _measure(
    inputs: Inputs, planned: Plan, options: Options, store: Store, console: Console
) -> Measured:
    """Measure what is not in the store, as long as there is time."""
    measured = Measured(left_out=list(planned.left_out))
    steps = list(_steps(inputs, planned, options, measured.parts))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=sum(_predicted(planned, step) for step in steps))
        for step in steps:
            progress.update(task, description=_spoken(step))
            _take(step, planned, 60 * options.minutes, store, measured)
            progress.advance(task, _predicted(planned, step))
    return measured


_SPOKEN = {
    "images": "dimension of the images",
    "references": "distances to references, and denoising errors",
    "copies": "copies among samples",
    DIMENSION: "dimension from the denoiser at noise level {}",
    SPECTRUM: "Jacobian at noise level {}",
    STRIP: "edits of image {}",
}


def _spoken(step: _Step) -> str:
    """What a part is, for a reader."""
    return _SPOKEN[step.kind].format(step.name.rpartition("-")[2])


def _predicted(planned: Plan, step: _Step) -> float:
    return planned.seconds[step.kind]


def _take(step: _Step, planned: Plan, seconds: float, store: Store, measured: Measured) -> None:
    """Measure one part, or say why it is left out."""
    stored = store.get(step.name)
    if stored is None:
        left = seconds - measured.seconds
        if measured.parts and _predicted(planned, step) > left:
            measured.left_out.append(f"{_spoken(step)}: the minutes were over")
            return
        start = time.perf_counter()
        try:
            value = step.work()
            store.put(step.name, value, time.perf_counter() - start)
        except ValueError as error:
            measured.left_out.append(f"{_spoken(step)}: {error}")
            measured.seconds += time.perf_counter() - start
            return
        stored = {"value": value, "seconds": time.perf_counter() - start}
    measured.parts[step.name] = stored["value"]
    measured.seconds += stored["seconds"]
    row = {"part": step.name, "predicted": _predicted(planned, step), "seconds": stored["seconds"]}
    measured.timing.append(row)
