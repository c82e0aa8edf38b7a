"""How a report was measured: model, device, settings, cost and origin."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import torch

import molrg
from molrg import provenance
from molrg.companion.report.cost import Cost
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.levels import DIMENSION, SPECTRUM
from molrg.companion.report.measured import Measured
from molrg.companion.report.plan import STEPS

VARIES = (
    "The numbers of images, probes and samples come from times measured on this machine: another"
    " run may have others."
)
_PREDICTIONS = {"eps": "the noise", "x0": "the clean image", "v": "v"}


def facts(
    inputs: Inputs, cost: Cost, options: Mapping[str, Any], measured: Measured
) -> dict[str, str]:
    """All of it, by name.

    Args:
        inputs: the network and its images.
        cost: of its passes.
        options: that were chosen.
        measured: the parts and what each was measured with.
    """
    return {
        "model": _model(inputs),
        **dict(_measured_with(measured)),
        **costs(inputs, cost),
        "time": f"{measured.seconds / 60:.1f} of {options['minutes']:g} minutes",
        "peak memory, last run": f"{peak(inputs):,.0f} MB",
        "device": f"{inputs.points.device}, {platform.machine()}",
        "seed": str(options["seed"]),
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
        "command": options["command"],
        "made by": f"molrg {molrg.__version__}, torch {torch.__version__}",
    }


def _model(inputs: Inputs) -> str:
    denoiser = inputs.denoiser
    parameters = sum(value.numel() for value in denoiser.parameters())
    schedule = type(denoiser.schedule).__name__
    steps = getattr(denoiser.schedule, "steps", None)
    counted = f" of {steps:,} steps" if isinstance(steps, int) else ""
    return (
        f"{inputs.name}, {parameters:,} parameters; predicts"
        f" {_PREDICTIONS[denoiser.prediction]}; schedule {schedule}{counted}"
    )


def _measured_with(measured: Measured) -> Iterator[tuple[str, str]]:
    """A row for each kind of part: images, probes and samples, as they were."""
    dimension = _of_kind(measured, DIMENSION)
    if dimension:
        yield (
            "dimension",
            f"error at {_range(dimension, 'images')} images; trace at"
            f" {_range(dimension, 'images traced')} of them, with"
            f" {_range(dimension, 'probes')} random probes each",
        )
    references = _of_kind(measured, "references")
    if references:
        yield "references", f"compared at {_range(references, 'images')} images"
    spectra = _of_kind(measured, SPECTRUM)
    if spectra:
        yield "Jacobians", f"images at each noise level: {_range(spectra, 'images')}"
    copies = _of_kind(measured, "copies")
    if copies:
        yield "samples", f"{_range(copies, 'samples')}, each by {STEPS} steps of DDIM"


def _of_kind(measured: Measured, kind: str) -> list[Mapping[str, int]]:
    return [part for name, part in measured.settings.items() if name.split("-")[0] == kind]


def _range(parts: Iterable[Mapping[str, int]], name: str) -> str:
    """A number, or from the least to the most where parts differ."""
    numbers = sorted({part[name] for part in parts})
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def costs(inputs: Inputs, cost: Cost) -> dict[str, str]:
    """Of one pass, a product and a matrix, and the memory.

    Args:
        inputs: the network and its images.
        cost: as measured.
    """
    n = inputs.points[0].numel()
    return {
        "forward pass": f"{1e3 * cost.forward:.1f} ms an image",
        "product with the Jacobian": f"{1e3 * cost.product:.1f} ms",
        "whole Jacobian": f"{n:,} x {n:,} numbers, about {cost.jacobian(n):.2g} s each",
        "memory": f"about {cost.bytes / 1e9:.1f} GB, predicted",
    }


def peak(inputs: Inputs) -> float:
    """Memory of this process, or of the GPU where there is one; in MB.

    Args:
        inputs: on the device.
    """
    device = inputs.points.device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return provenance.cost()["peak_memory_mb"]
