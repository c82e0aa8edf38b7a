"""What a report says before it starts, and the two files that it ends with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import molrg
from molrg import files
from molrg.companion.report import facts, levels, words
from molrg.companion.report.cost import Cost
from molrg.companion.report.earlier import VERSION, Earlier
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.measured import Measured
from molrg.companion.report.page import Contents, Table, page
from molrg.companion.report.plan import Plan
from molrg.companion.report.sections import sections
from molrg.companion.report.words import Compared


def beforehand(inputs: Inputs, cost: Cost, plan: Plan, minutes: float) -> Iterator[str]:
    """Lines on cost and plan, before anything is measured.

    Args:
        inputs: the network and its images.
        cost: of its passes.
        plan: what is measured.
        minutes: for all.
    """
    yield from (f"note: {note}" for note in inputs.notes)
    yield from (f"{name}: {value}" for name, value in facts.costs(inputs, cost).items())
    matrices = "whole Jacobians" if plan.dense else "largest singular values of Jacobians"
    yield (
        f"plan for {minutes:g} minutes: {len(plan.sigmas)} noise levels; {matrices} at"
        f" {len(plan.spectrum_sigmas)} of them, images at each: {plan.points}; {plan.samples}"
        f" samples; images edited: {plan.strips}; about {plan.total / 60:.1f} minutes in all"
    )
    yield from (f"left out: {line}" for line in plan.left_out)


def afterwards(measured: Measured) -> Iterator[str]:
    """Lines on what is missing because the minutes were over, after everything was written.

    Args:
        measured: the parts, and what was left out.
    """
    if not measured.unfinished:
        return
    yield f"{_count(measured)} left out because the minutes were over:"
    yield from (f"  {what}" for what in measured.unfinished)
    yield _finish(measured)


def _count(measured: Measured) -> str:
    count = len(measured.unfinished)
    return "one part was" if count == 1 else f"{count} parts were"


def _finish(measured: Measured) -> str:
    return (
        f"The same command with --minutes {measured.minutes:g} keeps what is there and measures the"
        " rest."
    )


def write(
    out: Path,
    inputs: Inputs,
    cost: Cost,
    plan: Plan,
    options: Mapping[str, Any],
    measured: Measured,
    beside: Earlier | None = None,
) -> tuple[Path, Path]:
    """Write the page and the JSON beside it.

    Args:
        out: the page.
        inputs: the network and its images.
        cost: of its passes.
        plan: what was to be measured.
        options: that were chosen.
        measured: the parts, and what was left out.
        beside: another report, to be shown beside this one.

    Returns:
        Both files.

    Raises:
        OSError: where one cannot be written.
    """
    rows = levels.table(measured.parts)
    text = page(
        Contents(
            title=f"Report on {inputs.name}",
            about=_about(inputs),
            words=words.WORDS,
            sections=list(sections(measured.parts, unseen=inputs.unseen)),
            tables=_tables(inputs, rows, beside),
            left_out=measured.left_out,
            advice=_finish(measured) if measured.unfinished else "",
            notes=[*inputs.notes, facts.VARIES],
            facts=facts.facts(inputs, cost, options, measured),
        )
    )
    record = _record(inputs, cost, plan, options, measured) | {"levels": rows}
    numbers = out.with_suffix(".json")
    with files.replacing(out) as aside:
        aside.write_text(text, encoding="utf-8")
    with files.replacing(numbers) as aside:
        aside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return out, numbers


def _tables(inputs: Inputs, rows: list[dict[str, Any]], beside: Earlier | None) -> list[Table]:
    """The table of all noise levels; with another report also that of both."""
    tables = [words.by_level(rows)] if rows else []
    if beside is not None:
        both = [
            Compared(inputs.name, inputs.source, rows),
            Compared(beside.model, beside.source, beside.rows),
        ]
        tables.append(words.beside(both, same_images=beside.images == inputs.images_digest))
    return tables


def _record(
    inputs: Inputs, cost: Cost, plan: Plan, options: Mapping[str, Any], measured: Measured
) -> dict[str, Any]:
    """What the JSON has, but for the rows by noise level."""
    return {
        "version": VERSION,
        "molrg": molrg.__version__,
        "model": inputs.name,
        "images": inputs.source,
        "images_digest": inputs.images_digest,
        "shape": list(inputs.points.shape[1:]),
        "N": len(inputs.training),
        "device": str(inputs.points.device),
        "unseen": inputs.unseen,
        "notes": list(inputs.notes),
        "options": dict(options),
        "cost": asdict(cost),
        "plan": asdict(plan),
        "parts": measured.parts,
        "left_out": measured.left_out,
        "seconds": measured.seconds,
        "timing": list(measured.timing.values()),
        "settings": measured.settings,
        "peak_memory_mb": facts.peak(inputs),
    }


def _about(inputs: Inputs) -> str:
    shape = " x ".join(map(str, inputs.points.shape[1:]))
    return (
        f"What the diffusion model {inputs.name} does with {len(inputs.training):,} different"
        f" training images of {shape} numbers, from {inputs.source}."
    )
