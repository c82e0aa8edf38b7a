"""What a report says before it starts, and the two files that it ends with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch

import molrg
from molrg import files, provenance
from molrg.companion.report.cost import Cost
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.page import page
from molrg.companion.report.plan import Plan
from molrg.companion.report.sections import sections

VERSION = 1  # of the JSON


class Found(Protocol):
    """What was measured, and what was not."""

    parts: dict[str, dict[str, Any]]
    left_out: list[str]
    seconds: float
    timing: list[dict[str, Any]]


def beforehand(inputs: Inputs, cost: Cost, plan: Plan, minutes: float) -> Iterator[str]:
    """Lines on cost and plan, before anything is measured.

    Args:
        inputs: the network and its images.
        cost: of its passes.
        plan: what is measured.
        minutes: for all.
    """
    yield from (f"note: {note}" for note in inputs.notes)
    yield from (f"{name}: {value}" for name, value in _costs(inputs, cost).items())
    matrices = "whole Jacobians" if plan.dense else "leading singular values"
    yield (
        f"plan for {minutes:g} minutes: {len(plan.sigmas)} noise levels, {matrices} at"
        f" {plan.points} images and {len(plan.spectrum_sigmas)} levels, {plan.samples} samples,"
        f" {plan.strips} strips; about {plan.total / 60:.1f} minutes"
    )
    yield from (f"left out: {line}" for line in plan.left_out)


def _costs(inputs: Inputs, cost: Cost) -> dict[str, str]:
    n = inputs.points[0].numel()
    return {
        "forward pass": f"{1e3 * cost.forward:.1f} ms an image",
        "product with the Jacobian": f"{1e3 * cost.product:.1f} ms",
        "Jacobian": f"{n:,} x {n:,}, {cost.jacobian(n):.1f} s",
        "memory": f"about {cost.bytes / 1e9:.1f} GB, predicted",
    }


def write(
    out: Path,
    inputs: Inputs,
    cost: Cost,
    plan: Plan,
    options: Mapping[str, Any],
    found: Found,
) -> tuple[Path, Path]:
    """Write the page and the JSON beside it.

    Args:
        out: the page.
        inputs: the network and its images.
        cost: of its passes.
        plan: what was to be measured.
        options: that were chosen.
        found: what was measured.

    Returns:
        Both files.

    Raises:
        OSError: where one cannot be written.
    """
    facts = _facts(inputs, cost, options, found)
    text = page(
        f"Report on {inputs.name}",
        facts,
        inputs.notes,
        sections(found.parts, unseen=inputs.unseen),
        found.left_out,
    )
    record = {
        "version": VERSION,
        "molrg": molrg.__version__,
        "model": inputs.name,
        "images": inputs.source,
        "shape": list(inputs.points.shape[1:]),
        "N": len(inputs.training),
        "device": str(inputs.points.device),
        "unseen": inputs.unseen,
        "notes": list(inputs.notes),
        "options": dict(options),
        "cost": asdict(cost),
        "plan": asdict(plan),
        "parts": found.parts,
        "left_out": found.left_out,
        "seconds": found.seconds,
        "timing": found.timing,
        "peak_memory_mb": _peak(inputs),
    }
    numbers = out.with_suffix(".json")
    with files.replacing(out) as aside:
        aside.write_text(text, encoding="utf-8")
    with files.replacing(numbers) as aside:
        aside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return out, numbers


def _facts(inputs: Inputs, cost: Cost, options: Mapping[str, Any], found: Found) -> dict[str, str]:
    parameters = sum(value.numel() for value in inputs.denoiser.parameters())
    shape = " x ".join(map(str, inputs.points.shape[1:]))
    return {
        "model": f"{inputs.name}, {parameters:,} parameters",
        "images": f"{inputs.source}, {len(inputs.training):,} different ones of {shape}",
        **_costs(inputs, cost),
        "time": f"{found.seconds / 60:.1f} of {options['minutes']:g} minutes",
        "peak memory": f"{_peak(inputs):,.0f} MB",
        "seed": str(options["seed"]),
        "made by": f"molrg {molrg.__version__}, torch {torch.__version__}",
    }


def _peak(inputs: Inputs) -> float:
    """Of this process, or of the GPU where there is one; in MB."""
    device = inputs.points.device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return provenance.cost()["peak_memory_mb"]
