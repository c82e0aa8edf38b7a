"""What a report found, in a sentence for each section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from molrg.companion.report import lists
from molrg.companion.report.laws import GAUSSIAN

Part = Mapping[str, Any]


def dimension(readings: Sequence[Part], images: Part | None) -> str:
    """Directions that the network follows at low noise, beside the dimension of the images.

    Args:
        readings: of `comparing.denoiser_dimension`, in order of the noise.
        images: of `comparing.image_dimension`, or None.
    """
    counts = [part for part in readings if part["trace"]["low"] > 0]
    sentences = []
    if images is not None:
        sentences.append(_of_images(images))
    if counts:
        sentences.append(_directions(counts, images))
    if len(counts) < len(readings):
        sentences.append(_no_count(readings, counts))
    return " ".join(sentences)


def _of_images(images: Part) -> str:
    low, high = max(images["low"], 0), images["high"]
    return f"The images have about {low:.0f} to {high:.0f} dimensions, of {images['n']:,} numbers."


def _directions(counts: Sequence[Part], images: Part | None) -> str:
    """By the trace at the lowest noise, beside the images, and at the highest where it counts."""
    first, *others = counts
    text = f"At noise level {first['sigma']:g} the network follows about {_counted(first)}"
    text += f" directions{_beside_images(first['trace'], images)}"
    return text + (
        f" At {others[-1]['sigma']:g} it follows {_counted(others[-1])}." if others else ""
    )


def _beside_images(trace: Mapping[str, float], images: Part | None) -> str:
    if images is None:
        return "."
    if trace["low"] > images["high"]:
        return (
            ", more than that. This is expected: dimension is read at the distances between images,"
            " which are far larger than such noise."
        )
    if trace["high"] < images["low"]:
        return ", fewer than that: it takes some of what the images do for noise."
    return ", about as many."


def _no_count(readings: Sequence[Part], counts: Sequence[Part]) -> str:
    levels = [part["sigma"] for part in readings]
    none = [part["sigma"] for part in readings if part not in counts]
    where = f"at {lists.levels(none, levels)}" if counts else "at any noise level"
    return f"The trace is no count of directions {where}: its interval includes zero or less."


def _counted(part: Part) -> str:
    return _whole(part["trace"]["mean"])


def _whole(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}"


def rank(parts: Sequence[Part]) -> str:
    """Whether the rank is low: below that of one Gaussian.

    Args:
        parts: of `spectra.spectrum` with matrices.
    """
    own = {part["sigma"]: _mean(row["rank"] for row in part["network"]) for part in parts}
    lowest = min(parts, key=lambda part: own[part["sigma"]])
    row = lowest["network"][0]
    size = round(row["rank"] / row["share"]) if row["share"] else 0
    of_all = f" of {size:,}" if size else ""
    where = f"{own[lowest['sigma']]:.0f}{of_all} at noise level {lowest['sigma']:g}"
    if any(GAUSSIAN not in part["references"] for part in parts):
        return f"Lowest, {where}. {_images(parts)}"
    below = [part for part in parts if own[part["sigma"]] < part["references"][GAUSSIAN]]
    if not below:
        return (
            "Not low: at every noise level as high as that of one Gaussian or higher,"
            f" {where} against {lowest['references'][GAUSSIAN]:.0f}. {_images(parts)}"
        )
    furthest = min(below, key=lambda part: own[part["sigma"]] / part["references"][GAUSSIAN])
    levels = lists.levels([part["sigma"] for part in below], list(own))
    return (
        f"Low at {levels}: below that of one Gaussian, {own[furthest['sigma']]:.0f}{of_all} against"
        f" {furthest['references'][GAUSSIAN]:.0f} at noise level {furthest['sigma']:g}."
        f" {_images(parts)}"
    )


def _images(parts: Sequence[Part]) -> str:
    count = min(len(part["network"]) for part in parts)
    return f"Mean of {count} images." if count > 1 else "At one image."


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


def edits(parts: Sequence[Part]) -> str:
    """What a step along the strongest direction does.

    Args:
        parts: of `pictures.strip`.
    """
    values = sorted(part["values"][0] for part in parts)
    ends = dict.fromkeys((f"{values[0]:.1f}", f"{values[-1]:.1f}"))
    images = f"{len(parts)} images" if len(parts) > 1 else "one image"
    return (
        f"At noise level {parts[0]['sigma']:g} a small step along the strongest direction comes out"
        f" {' to '.join(ends)} times as long, in {images}."
    )


def _mean(values: Any) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
