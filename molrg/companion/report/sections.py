"""The sections of a report: figure, description, two sentences, and the chapter that has more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from molrg.companion.report import drawings
from molrg.companion.report.drawings import Drawing

Parts = Mapping[str, Mapping[str, Any]]  # what was measured, by the name of the part
DIMENSION, SPECTRUM, STRIP = "dimension", "spectrum", "strip"  # of which there are several


@dataclass(frozen=True)
class Section:
    """One figure with what belongs to it.

    Attributes:
        title: of the section.
        figure: a drawing; a PNG in base64; or None.
        alt: what the figure shows, in words.
        meaning: two sentences.
        chapter: the file of the book that has more.
        lines: further sentences on what was found here.
    """

    title: str
    figure: Drawing | str | None
    alt: str
    meaning: str
    chapter: str
    lines: tuple[str, ...] = ()


def of_kind(parts: Parts, kind: str) -> list[Mapping[str, Any]]:
    """The parts of one kind, in order.

    Args:
        parts: all.
        kind: the beginning of their names.
    """
    return [part for name, part in parts.items() if name.startswith(f"{kind}-")]


def sections(parts: Parts, *, unseen: bool) -> Iterator[Section]:
    """All sections for which there are parts.

    Args:
        parts: what was measured.
        unseen: whether the denoiser was measured on images that are no training images.
    """
    yield from _dimension(parts)
    yield from _spectra(of_kind(parts, SPECTRUM))
    if "references" in parts:
        yield from _references(parts["references"], unseen)
    if "copies" in parts:
        yield _copies(parts["copies"])
    for number, part in enumerate(of_kind(parts, STRIP)):
        yield _strip(part, number)


def _dimension(parts: Parts) -> Iterator[Section]:
    images = parts.get("images")
    readings = of_kind(parts, DIMENSION)
    figure = drawings.dimension(readings, images) if readings else None
    if figure is None and images is None:
        return
    yield Section(
        "Dimension",
        figure,
        "Dimension read from the denoiser's trace and from its error against the noise level, and"
        " the estimated dimension of the training images as a band.",
        "For a posterior mean, the trace of the Jacobian and the squared error over σ² have the"
        " same mean, the number of directions that are still seen at that noise; where the curves"
        " part, the network is no posterior mean. The band is estimated from neighbours, at the"
        " scale of their distances, so a curve may well lie above it at low noise.",
        "notebooks/20_dimension_from_a_denoiser.ipynb",
        tuple(images["statements"]) if images else (),
    )


def _spectra(parts: list[Mapping[str, Any]]) -> Iterator[Section]:
    chapter = "notebooks/11_jacobian_is_low_rank.ipynb"
    if parts and "leading" in parts[0]:
        yield Section(
            "Leading singular values of the Jacobian",
            drawings.leading(parts),
            "Leading singular values of the network's Jacobian against the noise level.",
            "They say how much the denoised image moves when the noisy one moves along the"
            " directions that matter most. The rank needs all of them, and a matrix of this size is"
            " not formed here.",
            chapter,
        )
    elif parts:
        yield Section(
            "Rank of the Jacobian",
            drawings.rank(parts),
            "Rank of the network's Jacobian at several images, as points, and of reference"
            " denoisers, as lines, against the noise level.",
            "The rank is the number of singular values that hold 98 % of the energy, out of as many"
            " as there are pixels. Near the line of one Gaussian it tells no more than the"
            " covariance of the images does; near the line of the training images, the network"
            " depends on few of them, as a network that memorises.",
            chapter,
        )
        yield Section(
            "Is it a posterior mean?",
            drawings.asymmetry(parts),
            "Asymmetry of the network's Jacobian against the noise level; zero is symmetric.",
            "The Jacobian of a posterior mean is symmetric without negative eigenvalues, so its"
            " asymmetry is zero and its trace positive. What is above zero here (random entries"
            " give about 0.71) is how far the network is from any posterior mean.",
            chapter,
            (_negative(parts),),
        )


def _negative(parts: list[Mapping[str, Any]]) -> str:
    rows = [(part["sigma"], row) for part in parts for row in part["network"]]
    levels = sorted({sigma for sigma, row in rows if row["trace"] < 0})
    if not levels:
        return f"No trace is negative, at {len(rows)} images with noise."
    named = ", ".join(f"{sigma:g}" for sigma in levels)
    return f"The trace is negative, which no posterior mean allows, at noise level {named}."


def _references(part: Mapping[str, Any], unseen: bool) -> Iterator[Section]:
    K, d = part["sizes"]
    near = ", ".join(f"{row['reference']} at {row['sigma']:g}" for row in part["nearest"])
    yield Section(
        "Nearest reference",
        drawings.distances(part["distances"]),
        "Squared distance of reference denoisers to the network, relative to that of the mean"
        " image, against the noise level.",
        "One is as far as knowing nothing but the mean image, zero is the same denoiser. The"
        " nearest reference says in what respect the network is simple at that noise: its"
        " covariance, a few flat pieces, local windows, or single training images.",
        "book/part6.md",
        (
            f"Nearest by noise level: {near}.",
            f"The mixture has {K} pieces of {d} dimensions, which were not tuned to these images.",
        ),
    )
    where = (
        "Measured on test images, which neither the network nor a reference was made of."
        if unseen
        else "Measured on training images: the reference that consists of them knows the answer,"
        " and its low error is no merit."
    )
    yield Section(
        "Denoising error",
        drawings.errors(part["errors"]),
        "Mean squared error of the network and of reference denoisers against the noise level.",
        "A network below all references knows more of the images than each of them. One that is"
        " above the best reference at some noise level could be improved there by training.",
        "notebooks/13_from_copying_to_generalising.ipynb",
        (where,),
    )


def _copies(part: Mapping[str, Any]) -> Section:
    return Section(
        "Copies among samples",
        part["picture"],
        "Rows of a sample, its nearest and its second nearest training image, the nearest to a copy"
        " first.",
        "Each row is a sample, then the nearest and the second nearest training image. A sample"
        " counts as a copy where the first is less than a third as far as the second.",
        "notebooks/13_from_copying_to_generalising.ipynb",
        tuple(part["statements"]),
    )


def _strip(part: Mapping[str, Any], number: int) -> Section:
    values = ", ".join(f"{value:.2g}" for value in part["values"])
    return Section(
        f"Edits of image {number + 1}",
        part["picture"],
        "One image edited along three leading directions of the Jacobian, a row for each, from one"
        " side to the other, with no edit in the middle.",
        "Each row moves the noisy image along one of the strongest directions of the Jacobian and"
        " denoises it again. The middle column is the image itself, there and back; what differs"
        " beside it is what the network lets change most at this noise.",
        "notebooks/12_directions_with_meaning.ipynb",
        (
            f"Noise level {part['sigma']:g}; singular values {values}; mean squared difference of"
            f" the way there and back {part['error']:.2g}.",
        ),
    )
