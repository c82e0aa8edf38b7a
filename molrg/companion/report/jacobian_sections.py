"""The sections on the Jacobian: largest singular values or rank, and asymmetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molrg.companion.report import drawings, findings, lists
from molrg.companion.report.section import Section, Shown

_JACOBIAN = "notebooks/11_jacobian_is_low_rank.ipynb"


def leading(parts: list[Mapping[str, Any]]) -> Section:
    """The largest singular values, where the matrix is not formed.

    Args:
        parts: of `spectra.spectrum` without matrices, one a noise level.
    """
    return Section(
        "Largest singular values of the Jacobian",
        findings.leading(parts),
        (
            Shown(
                drawings.leading(parts),
                "Leading singular values of the network's Jacobian, as points, and the largest one"
                " of reference denoisers, as lines, against the noise level.",
                "Points: the three largest of the network, at each image. Lines: the largest of the"
                " references.",
            ),
        ),
        "A singular value says how far the denoised image moves when the noisy one moves by one"
        " along that direction; above 1 the network amplifies. The rank needs all singular values,"
        " and a matrix of this size is not formed in the time given.",
        _JACOBIAN,
    )


def rank(parts: list[Mapping[str, Any]]) -> Section:
    """The rank, where it is.

    Args:
        parts: of `spectra.spectrum` with matrices, one a noise level.
    """
    return Section(
        "Rank of the Jacobian",
        findings.rank(parts),
        (
            Shown(
                drawings.rank(parts),
                "Rank of the network's Jacobian at several images, as points, and of reference"
                " denoisers, as lines, against the noise level.",
                "Points: the network, at each image. Lines: the references.",
            ),
        ),
        "The rank is the number of singular values that hold 98 % of the sum of squares, out of as"
        " many as an image has numbers. Near the line of one Gaussian it tells no more than the"
        " covariance of the images does; near the line of the training images, the network depends"
        " on few of them, as one that memorises.",
        _JACOBIAN,
    )


def asymmetry(parts: list[Mapping[str, Any]]) -> Section:
    """How far the network is from any posterior mean.

    Args:
        parts: of `spectra.spectrum`, one a noise level.
    """
    return Section(
        "Is it the best denoiser of any data?",
        findings.asymmetry(parts),
        (
            Shown(
                drawings.asymmetry(parts),
                "Asymmetry of the network's Jacobian against the noise level; zero is symmetric.",
                "A point for each image.",
            ),
        ),
        "The best denoiser of some law of images, a posterior mean, has a symmetric Jacobian"
        " without negative eigenvalues: its asymmetry is 0 and its trace positive. What is above 0"
        " is how far the network is from that, whatever the data.",
        _JACOBIAN,
        _negative(parts),
    )


def _negative(parts: list[Mapping[str, Any]]) -> tuple[str, ...]:
    rows = [(part["sigma"], row) for part in parts for row in part.get("network", [])]
    if not rows:
        return ("The asymmetry is estimated from random vectors.",)
    among = sorted({sigma for sigma, _ in rows})
    shares: dict[str, list[float]] = {}
    for sigma in among:
        traces = [row["trace"] for level, row in rows if level == sigma]
        negative = sum(trace < 0 for trace in traces)
        if negative:
            images = "image" if len(traces) == 1 else "images"
            shares.setdefault(f"{negative} of {len(traces)} {images}", []).append(sigma)
    if not shares:
        return (f"No trace is negative, at {len(rows)} noisy images.",)
    named = "; ".join(
        f"in {share} at noise level {lists.levels(some, among)}" for share, some in shares.items()
    )
    return (f"The trace is negative, which no posterior mean allows, {named}.",)
