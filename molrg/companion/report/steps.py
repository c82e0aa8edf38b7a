"""The parts of a report in the order in which they are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from molrg.companion.report import comparing, pictures, spectra
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.laws import Laws
from molrg.companion.report.levels import DIMENSION, SPECTRUM, STRIP
from molrg.companion.report.plan import Plan

_SPOKEN = {
    "images": "dimension of the images",
    "references": "distances to references, and denoising errors",
    "copies": "copies among samples",
    DIMENSION: "dimension from the denoiser at noise level {}",
    SPECTRUM: "Jacobian at noise level {}",
    STRIP: "edits of image {}",
}


@dataclass(frozen=True)
class Step:
    """A part to measure.

    Attributes:
        name: of the part.
        kind: which has a predicted time and settings.
        work: that measures it.
        settings: what it is measured with.
        predicted: seconds.
    """

    name: str
    kind: str
    work: Callable[[], dict[str, Any]]
    settings: Mapping[str, int]
    predicted: float

    @property
    def spoken(self) -> str:
        """What the part is, for a reader."""
        return _SPOKEN[self.kind].format(self.name.rpartition("-")[2])

    def is_worth_more_than(self, earlier: Mapping[str, int]) -> bool:
        """Whether one of the numbers at least doubles, so that measuring again pays.

        Args:
            earlier: settings with which it was measured before.
        """
        return any(
            value >= max(1, 2 * earlier.get(name, 0)) for name, value in self.settings.items()
        )


def steps(
    inputs: Inputs, planned: Plan, seed: int, parts: Mapping[str, Mapping[str, Any]]
) -> Iterator[Step]:
    """All parts, the most telling first.

    Args:
        inputs: the network and its images.
        planned: what is measured.
        seed: of every choice and all noise.
        parts: where the earlier ones are found when a later one is measured.
    """

    def step(name: str, kind: str, work: Callable[..., dict[str, Any]], *given: Any) -> Step:
        settings = planned.settings(kind)
        return Step(name, kind, partial(work, *given), settings, planned.seconds[kind])

    laws = Laws(inputs, seed)
    everything = (inputs, planned, laws)
    yield step("images", "images", comparing.image_dimension, inputs, seed)
    for sigma in planned.sigmas:
        name = f"{DIMENSION}-{sigma:g}"
        yield step(name, DIMENSION, comparing.denoiser_dimension, inputs, planned, sigma, seed)
    yield step("references", "references", comparing.nearest_reference, *everything, seed)
    yield step("copies", "copies", _copies, inputs, planned, seed, parts)
    for sigma in planned.spectrum_sigmas:
        name = f"{SPECTRUM}-{sigma:g}"
        yield step(name, SPECTRUM, spectra.spectrum, *everything, sigma, seed)
    for row in range(planned.strips):
        yield step(f"{STRIP}-{row + 1}", STRIP, pictures.strip, inputs, row)


def _copies(
    inputs: Inputs, planned: Plan, seed: int, parts: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    if "images" not in parts:
        raise ValueError("dimension of the images = not measured: allowed is a number to expect by")
    return pictures.copies(inputs, planned, parts["images"]["low"], seed)
