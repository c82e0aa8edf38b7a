"""What fits into the minutes: noise levels, points, samples, strips, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass

from molrg.companion.report.cost import DENSE, Cost
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.laws import LARGEST_GAUSSIAN, WINDOWS

SIGMAS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
STEPS = 20  # of a sampler
STRIP_STEPS = 10
DIRECTIONS = 3
ALPHAS = 5
SHOWN_SAMPLES = 6  # beside their nearest training images
LEADING = 3  # singular values that are found where the matrix is not formed
ASYMMETRY_PROBES = 8  # random vectors for its asymmetry
_STRIPS = 3
_SAMPLES = 256
_PROBES = 128  # random vectors for a trace
_POINTS = 3
_PRODUCTS = 80  # with J, for a few leading singular values
_SHARES = {"references": 0.1, "dimension": 0.1, "samples": 0.15, "spectrum": 0.35, "strips": 0.15}


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        sigmas: noise levels of the network's schedule.
        spectrum_sigmas: those at which Jacobians are looked at.
        points: images at which they are.
        dense: whether whole Jacobians are formed, or only leading singular values are found.
        compared: images at which denoisers are compared.
        traced: images at which the trace is estimated.
        probes: random vectors for each.
        samples: drawn.
        pictures: whether those nearest to copies are shown.
        strips: images that are edited.
        left_out: what is not measured, and why.
        seconds: predicted for each kind of part.
    """

    sigmas: tuple[float, ...]
    spectrum_sigmas: tuple[float, ...]
    points: int
    dense: bool
    compared: int
    traced: int
    probes: int
    samples: int
    pictures: bool
    strips: int
    left_out: tuple[str, ...]
    seconds: dict[str, float]

    @property
    def total(self) -> float:
        """Predicted seconds of all parts."""
        return sum(
            self.seconds[kind] * count
            for kind, count in (
                ("images", 1),
                ("references", 1),
                ("dimension", len(self.sigmas)),
                ("copies", 1),
                ("spectrum", len(self.spectrum_sigmas)),
                ("strip", self.strips),
            )
        )

    def settings(self, kind: str) -> dict[str, int]:
        """What a part of a kind is measured with: the more, the better.

        Args:
            kind: of the part.
        """
        of_kind = {
            "dimension": {
                "images": self.compared,
                "images traced": self.traced,
                "probes": self.probes,
            },
            "references": {"images": self.compared},
            "copies": {"samples": self.samples, "pictures": int(self.pictures)},
            "spectrum": {"images": self.points, "whole matrices": int(self.dense)},
        }
        return of_kind.get(kind, {})


def make(inputs: Inputs, cost: Cost, minutes: float, *, pictures: bool) -> Plan:
    """Divide the minutes among the parts.

    Args:
        inputs: the network and its images.
        cost: as measured.
        minutes: for all.
        pictures: whether pictures may be shown; strips are nothing else.
    """
    share = {name: 60 * minutes * part for name, part in _SHARES.items()}
    n = inputs.points[0].numel()
    sigmas = _levels(inputs)
    spectrum_sigmas, points, dense, each = _spectra(sigmas, n, cost, share["spectrum"])
    at_level = cost.forward + len(WINDOWS) * cost.window  # of one image
    compared = _within(share["references"] / (len(sigmas) * at_level), 4, len(inputs.points))
    traced = min(compared, 8)
    probes = _within(share["dimension"] / (len(sigmas) * traced * cost.product), 2, _PROBES)
    one_sample = STEPS * cost.forward + cost.search
    samples = _within(share["samples"] / one_sample, 16, _SAMPLES)
    one_strip = STRIP_STEPS * (DIRECTIONS * ALPHAS + 4) * cost.forward + _PRODUCTS * cost.product
    strips = _within(share["strips"] / one_strip, 0, _STRIPS) if pictures else 0
    return Plan(
        sigmas=sigmas,
        spectrum_sigmas=spectrum_sigmas,
        points=points,
        dense=dense,
        compared=compared,
        traced=traced,
        probes=probes,
        samples=samples,
        pictures=pictures,
        strips=strips,
        left_out=tuple(_left_out(inputs, cost, sigmas, spectrum_sigmas, dense, strips, pictures)),
        seconds={
            "images": cost.dimension,
            "references": cost.fit + cost.spectrum + len(sigmas) * compared * at_level,
            "dimension": traced * probes * cost.product + compared * cost.forward,
            "copies": samples * one_sample,
            "spectrum": points * each,
            "strip": one_strip,
        },
    )


def _within(value: float, low: int, high: int) -> int:
    return max(low, min(high, int(value)))


def _levels(inputs: Inputs) -> tuple[float, ...]:
    """Noise levels that the network's schedule has."""
    schedule = inputs.denoiser.schedule
    low = schedule.sigma(0.0).item()
    high = schedule.sigma(1.0).item()
    inside = tuple(sigma for sigma in SIGMAS if low <= sigma <= high)
    return inside or (low, (low * high) ** 0.5, high)


def _spectra(
    sigmas: tuple[float, ...], n: int, cost: Cost, budget: float
) -> tuple[tuple[float, ...], int, bool, float]:
    """Noise levels, points, whether J is formed, and the seconds of one Jacobian."""
    whole = cost.jacobian(n) + 3 * cost.spectrum  # and those of references
    for step in (1, 2, 3):  # fewer levels before no matrix at all
        levels = sigmas[::step]
        if n <= DENSE and whole * len(levels) <= budget:
            return levels, _within(budget / (whole * len(levels)), 1, _POINTS), True, whole
    each = (_PRODUCTS + 2 * ASYMMETRY_PROBES) * cost.product + _PRODUCTS * cost.law
    for step in (1, 2, 3):
        levels = sigmas[::step]
        if each * len(levels) <= budget:
            break
    return levels, _within(budget / (each * len(levels)), 1, _POINTS), False, each


def _left_out(
    inputs: Inputs,
    cost: Cost,
    sigmas: tuple[float, ...],
    spectrum_sigmas: tuple[float, ...],
    dense: bool,
    strips: int,
    pictures: bool,
) -> list[str]:
    n = inputs.points[0].numel()
    lines = []
    if not dense:
        lines.append(
            f"rank of the Jacobian: it needs the whole matrix of {n:,} x {n:,} numbers, about"
            f" {cost.jacobian(n):.0f} s at each image and noise level; the {LEADING} largest"
            " singular values are found instead, and the asymmetry is estimated"
        )
    if len(spectrum_sigmas) < len(sigmas):
        missing = len(sigmas) - len(spectrum_sigmas)
        lines.append(f"Jacobians at {missing} of {len(sigmas)} noise levels: they take too long")
    if n > LARGEST_GAUSSIAN:
        lines.append(
            f"one Gaussian as a reference: the covariance of images of {n:,} numbers is too large"
            f" (at most {LARGEST_GAUSSIAN:,})"
        )
    if not pictures:
        lines.append("pictures, as was asked for: strips of edits, and copies side by side")
    elif strips < _STRIPS:
        lines.append(f"{_STRIPS - strips} of {_STRIPS} strips of edits: they take too long")
    return lines
