"""What a report found, in a sentence for each section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from molrg.companion.report import lists
from molrg.companion.report.laws import GAUSSIAN

Part = Mapping[str, Any]


def dimension(readings: Sequence[Part], images: Part | None) -> str:
    """Of the images, and of the denoiser at the lowest and the highest noise.

    Args:
        readings: of `comparing.denoiser_dimension`, in order of the noise.
        images: of `comparing.image_dimension`, or None.
    """
    sentences = []
    if images is not None:
        low, high = max(images["low"], 0), images["high"]
        sentences.append(
            f"The images have about {low:.0f} to {high:.0f} dimensions, of {images['n']:,} numbers"
            " an image."
        )
    if readings:
        sentences.append(_directions(readings))
    return " ".join(sentences)


def _directions(readings: Sequence[Part]) -> str:
    """The trace as a count of directions, where it is one."""
    levels = [part["sigma"] for part in readings]
    counts = [part for part in readings if part["trace"]["low"] > 0]
    if not counts:
        return (
            "The trace is no count of directions at any noise level: its interval includes zero or"
            " less."
        )
    first, last = counts[0], counts[-1]
    text = f"The network follows about {_counted(first)} directions at noise level"
    text += f" {first['sigma']:g}"
    if last is not first:
        text += f", {_counted(last)} at {last['sigma']:g}"
    none = [part["sigma"] for part in readings if part not in counts]
    if none:
        where = lists.levels(none, levels)
        text += f"; at {where} the trace is no count, for its interval includes zero or less"
    return f"{text}."


def _counted(part: Part) -> str:
    return _whole(part["trace"]["mean"])


def _whole(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}"


def rank(parts: Sequence[Part]) -> str:
    """The lowest rank, beside that of one Gaussian.

    Args:
        parts: of `spectra.spectrum` with matrices.
    """
    means = [(_mean(row["rank"] for row in part["network"]), part) for part in parts]
    lowest, part = min(means, key=lambda pair: pair[0])
    row = part["network"][0]
    size = round(row["rank"] / row["share"]) if row["share"] else 0
    sentence = f"Lowest at noise level {part['sigma']:g}: rank {lowest:.0f}"
    sentence += f" of {size:,}" if size else ""
    if GAUSSIAN in part["references"]:
        sentence += f"; one Gaussian has {part['references'][GAUSSIAN]:.0f} there"
    return f"{sentence}."


def leading(parts: Sequence[Part]) -> str:
    """The largest singular value over the noise.

    Args:
        parts: of `spectra.spectrum` without matrices.
    """
    means = [(_mean(values[0] for values in part["leading"]), part["sigma"]) for part in parts]
    largest, sigma = max(means)
    return f"The largest one is {largest:.2g} on average, at noise level {sigma:g}."


def asymmetry(parts: Sequence[Part]) -> str:
    """Between which values it lies.

    Args:
        parts: of `spectra.spectrum`.
    """
    values = [value for part in parts for value in asymmetries(part)]
    return (
        f"Not exactly: the asymmetry is {min(values):.2f} to {max(values):.2f}, where the best"
        " denoiser has 0 and random numbers have 0.71."
    )


def asymmetries(part: Part) -> list[float]:
    """Of the Jacobians at one noise level, a number for each image.

    Args:
        part: of `spectra.spectrum`.
    """
    if "asymmetries" in part:
        return list(part["asymmetries"])
    return [row["asymmetry"] for row in part["network"]]


def _mean(values: Any) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
