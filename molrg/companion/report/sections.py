"""The sections of a report in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from molrg.companion.report import drawings, findings, jacobian_sections, reference_findings
from molrg.companion.report.levels import DIMENSION, SPECTRUM, STRIP, Parts, of_kind
from molrg.companion.report.plan import SHOWN_SAMPLES, STEPS
from molrg.companion.report.section import Section, Shown

_SEEN = 1e-3  # squared error of a pixel that may be seen
_ADVICE_SEEN = (
    "Where one Gaussian or the mixture is better, train more: the network has not yet learned what"
    " a simple fit knows. Where it is better than both, these images cannot say more: an error like"
    " that of windows or training images would be reached by learning them by heart. Only images"
    " that were not trained on could tell."
)
_ADVICE_UNSEEN = (
    "These images neither the network nor a reference has seen. A network below all references"
    " knows more of their kind than each of them; where a reference is better, more training, or"
    " more weight on that noise level, should help."
)


def sections(parts: Parts, *, unseen: bool) -> Iterator[Section]:
    """All sections for which there are parts.

    Args:
        parts: what was measured.
        unseen: whether the denoiser was measured on images that are no training images.
    """
    yield from _dimension(parts)
    spectra = of_kind(parts, SPECTRUM)
    if spectra:
        whole = [part for part in spectra if "leading" not in part]
        yield jacobian_sections.rank(whole) if whole else jacobian_sections.leading(spectra)
        yield jacobian_sections.asymmetry(spectra)
    if "references" in parts:
        yield _nearest(parts["references"])
        yield _errors(parts["references"], unseen)
    if "copies" in parts:
        yield _copies(parts["copies"])
    strips = of_kind(parts, STRIP)
    if strips:
        yield _strips(strips)


def _dimension(parts: Parts) -> Iterator[Section]:
    images = parts.get("images")
    readings = of_kind(parts, DIMENSION)
    if not readings and images is None:
        return
    yield Section(
        "Dimension",
        findings.dimension(readings, images),
        (_dimension_drawn(readings, images),) if readings else (),
        "The trace of the Jacobian counts the directions in which the network still follows the"
        " noisy image; the rest it takes for noise. For the best denoiser the squared error over"
        " σ² has the same mean, so where the curves part, the network is not the best. The band"
        " holds at the scale of the distances between images, so a curve may lie above it at low"
        " noise.",
        "notebooks/20_dimension_from_a_denoiser.ipynb",
        more=tuple(images["statements"]) if images else (),
    )


def _dimension_drawn(readings: list[Mapping[str, Any]], images: Mapping[str, Any] | None) -> Shown:
    return Shown(
        drawings.dimension(readings, images),
        "Dimension read from the denoiser's trace and from its error against the noise level,"
        " and the estimated dimension of the training images as a band.",
        "Two readings of the network, as curves with 95 % intervals over images; green, the"
        " dimension of the images themselves, from the distances between them. An interval that"
        " meets the lower edge goes on below it.",
    )


def _nearest(part: Mapping[str, Any]) -> Section:
    K, d = part["sizes"]
    return Section(
        "Nearest reference",
        reference_findings.nearest(part["nearest"], part["distances"]),
        (
            Shown(
                drawings.distances(part["distances"]),
                "Squared distance of reference denoisers to the network, relative to that of the"
                " mean image, against the noise level.",
                "The lowest line is the nearest reference. 0 is the same denoiser; 1 is as far as"
                " always answering with the mean image. Bands: 95 % intervals over images.",
            ),
        ),
        "The nearest reference says in what respect the network is simple at that noise: its"
        " covariance, a few flat pieces, local windows, or single training images. Nearest among a"
        " handful is not near: look at the distance.",
        "book/part6.md",
        (f"The mixture has {K} pieces of {d} dimensions, which were not tuned to these images.",),
    )


def _errors(part: Mapping[str, Any], unseen: bool) -> Section:
    advice = _ADVICE_UNSEEN if unseen else _ADVICE_SEEN
    return Section(
        "Denoising error",
        reference_findings.errors(part["errors"], unseen=unseen),
        (
            Shown(
                drawings.errors(part["errors"], unseen=unseen),
                "Mean squared error of the network and of reference denoisers against the noise"
                " level.",
                "Lower is better. The unit is that of the pixels: black is −1, white is 1."
                + ("" if unseen else " Faint: references that hold these very images."),
            ),
        ),
        advice,
        "notebooks/13_from_copying_to_generalising.ipynb",
    )


def _copies(part: Mapping[str, Any]) -> Section:
    first, *others = part["statements"]
    ratios = ", ".join(f"{ratio:.2f}" for ratio in sorted(part["ratios"])[:SHOWN_SAMPLES])
    nearest = Shown(
        part["picture"] or "",
        "Rows of a sample, its nearest and its second nearest training image, the nearest to a copy"
        " first.",
        "Each row, from the left: a sample, its nearest training image, its second nearest. The"
        f" samples nearest to a copy come first; the ratios of the two distances are {ratios}.",
    )
    random = Shown(
        part["random"] or "",
        "Samples of the network in a row, drawn at random.",
        f"Samples as they came, not chosen. Drawn with {STEPS} steps of DDIM; usually worse than"
        " your own sampler's.",
    )
    return Section(
        "Copies among samples",
        first,
        (random, nearest) if part["picture"] else (),
        "A sample counts as a copy where the nearest training image is less than a third as far as"
        " the second nearest: it then belongs to that one image rather than to their kind.",
        "notebooks/13_from_copying_to_generalising.ipynb",
        tuple(others),
    )


def _strips(parts: list[Mapping[str, Any]]) -> Section:
    return Section(
        "Edits",
        findings.edits(parts),
        tuple(_strip(part, number) for number, part in enumerate(parts)),
        "Each row moves the noisy image along one of the strongest directions of the Jacobian and"
        " denoises it again. The middle column is the image itself, there and back; what differs"
        " beside it is what the network lets change most at this noise. A direction that seems to"
        " have a meaning in one image is a reason to try it on many.",
        "notebooks/12_directions_with_meaning.ipynb",
    )


def _strip(part: Mapping[str, Any], number: int) -> Shown:
    values = ", ".join(f"{value:.1f}" for value in part["values"])
    back = part["error"]
    returned = f", which comes back with a squared error of {back:.1g}" if back > _SEEN else ""
    return Shown(
        part["picture"],
        "One image edited along three leading directions of the Jacobian, a row for each, from one"
        " side to the other, with no edit in the middle.",
        f"Image {number + 1}: a row for each of three directions, with singular values {values}."
        f" In the middle no edit{returned}; to both sides, steps along the direction.",
    )
