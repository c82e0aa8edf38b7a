"""How the work grows with its size: exponents fitted to processor time, beside what theory says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import comparisons
import jacobians
import numpy as np
from measuring import Work, measured


@dataclass(frozen=True)
class Growth:
    """Seconds at several sizes, and the least-squares slope in a plot of logarithms.

    Attributes:
        name: what is computed.
        variable: what grows.
        sizes: ascending.
        seconds: of the processor, one for each.
        exponent: fitted.
        theory: the exponent for large sizes.
    """

    name: str
    variable: str
    sizes: list[int]
    seconds: list[float]
    exponent: float
    theory: float


def all_of_them() -> Iterator[Growth]:
    """Every measurement of this module."""
    mixture = comparisons.exact_mixture
    yield fitted(
        "exact denoiser of a mixture",
        "components",
        [250, 500, 1000, 2000],
        1,
        lambda K: mixture(K, 768).ours,
    )
    yield fitted(
        "exact denoiser of a mixture",
        "pixels",
        [768, 1536, 3072, 6144],
        1,
        lambda n: mixture(200, n).ours,
    )
    yield fitted(
        "exact denoiser of a training set",
        "training points",
        [4000, 8000, 16000],
        1,
        lambda N: comparisons.exact_empirical(N, 784).ours,
    )
    yield fitted("belief propagation", "leaves", [256, 512, 1024, 2048], 1, _beliefs)
    yield fitted(
        "training of low-rank denoisers",
        "models",
        [100, 200, 400],
        1,
        lambda E: comparisons.ensembles(E, 1, 50).ours,
    )
    yield fitted(
        "sweep over a diagram",
        "trials",
        [4, 8, 16],
        1,
        lambda trials: comparisons.diagrams(trials, 1).ours,
    )
    yield fitted(
        "training of a U-Net",
        "images of a batch",
        [16, 32, 64],
        1,
        lambda batch: comparisons.unet(2, batch).ours,
    )
    yield fitted(
        "all singular values",
        "pixels",
        [144, 256, 400, 784],
        2,
        functools.partial(_jacobian, jacobians.spectrum),
    )
    yield fitted(
        "ten largest singular values",
        "pixels",
        [784, 1600, 3136],
        1,
        functools.partial(_jacobian, jacobians.leading),
    )


def fitted(
    name: str,
    variable: str,
    sizes: Sequence[int],
    theory: float,
    prepare: Callable[[int], Callable[[], Work]],
) -> Growth:
    """Measure at every size, and fit the exponent."""
    seconds = [measured(prepare(size))[0].seconds for size in sizes]
    exponent = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    return Growth(name, variable, list(sizes), seconds, exponent, theory)


def _beliefs(leaves: int) -> Callable[[], Work]:
    return comparisons.beliefs(16, leaves.bit_length() - 1).ours


def _jacobian(way: Callable, pixels: int) -> Callable[[], Work]:
    return way(jacobians._point(round(pixels**0.5), 1), pixels).ours
