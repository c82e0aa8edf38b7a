"""What things cost before they start: seconds of small pieces of work on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from molrg import draws
from molrg.companion import sample_copies
from molrg.companion.report import memory
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.laws import ITERATIONS, WINDOWS, sizes
from molrg.denoisers import Empirical, Patches
from molrg.jacobian import Linearised

DENSE = 1024  # pixels up to which a whole matrix and its singular values are affordable
_SIDE = 400  # of the matrix that is timed
_PRODUCTS_A_STEP = 5  # of matrices, in a step of EM
_LEADING_BLOCK = 5  # vectors at once, for a few leading singular values
_ROWS = 100  # images of which a part is timed
# The dimension of N images takes so many times a product of all pairs, and a sort of all pixels:
# by measurements from 64 to 200,000 pixels.
_PAIRS, _SORTS = 3, 6


@dataclass(frozen=True)
class Cost:
    """Seconds and bytes; seconds are for one image where nothing else is said.

    Attributes:
        forward: seconds of a forward pass.
        product: seconds of a product with the Jacobian.
        spectrum: seconds of the singular values of a whole Jacobian, from those of a smaller one.
        window: seconds of a reference of windows.
        law: seconds of a product with the Jacobian of a reference.
        fit: seconds of fitting the mixture, from those of a product of matrices.
        dimension: seconds of the dimension of all chosen images, from products and sorts of a few.
        search: seconds of the search for a sample among all training images, from one among a few.
        bytes: memory in all where most is needed, predicted; of the GPU where one computes.
    """

    forward: float
    product: float
    spectrum: float
    window: float
    law: float
    fit: float
    dimension: float
    search: float
    bytes: int

    def jacobian(self, n: int) -> float:
        """Seconds of a whole Jacobian of n pixels with its singular values.

        Args:
            n: pixels, with all channels.
        """
        return n * self.product + self.spectrum


def measure(inputs: Inputs) -> Cost:
    """Predict the memory, then time the pieces.

    Args:
        inputs: the network and its images.

    Raises:
        ValueError: where a part does not fit into memory.
    """
    needed = memory.require(inputs)
    x = inputs.points[:1]
    copies = memory.at_once(x)
    linear = Linearised(inputs.denoiser, x, 0.5)
    vectors = x.new_ones(1, linear.n, copies)
    with torch.no_grad():
        forward = _seconds(lambda: inputs.denoiser(x.expand(copies, -1, -1, -1), 0.5))
    product = _seconds(lambda: linear.vjp(vectors))
    return Cost(
        forward=forward / copies,
        product=product / copies,
        spectrum=_spectrum(x),
        window=_window(inputs),
        law=_law(inputs),
        fit=_fit(inputs),
        dimension=_dimension(inputs),
        search=_search(inputs),
        bytes=needed,
    )


def _spectrum(x: Tensor) -> float:
    """Of a matrix for one image, taken from a smaller one: it grows with the third power."""
    n = x.numel()
    side = min(n, _SIDE)
    matrix = draws.normal((side, side), generator=draws.source(0), device=x.device)
    return (n / side) ** 3 * _seconds(lambda: torch.linalg.svdvals(matrix))


def _window(inputs: Inputs) -> float:
    size = min(WINDOWS[0], *inputs.chosen.shape[-2:])
    windows = Patches(inputs.chosen, inputs.denoiser.schedule, size)
    return _seconds(lambda: windows(inputs.points[:1], 0.5))


def _law(inputs: Inputs) -> float:
    """From that of the training images, the largest of them."""
    x = inputs.points[:1]
    linear = Linearised(Empirical(inputs.chosen, inputs.denoiser.schedule), x, 0.5)
    vectors = x.new_ones(1, linear.n, _LEADING_BLOCK)
    return _seconds(lambda: linear.vjp(vectors)) / _LEADING_BLOCK


def _fit(inputs: Inputs) -> float:
    K, d = sizes(len(inputs.chosen))
    flat = inputs.chosen.flatten(1)
    axes = flat.new_ones(flat.shape[1], K * d)
    return ITERATIONS * _PRODUCTS_A_STEP * _seconds(lambda: flat @ axes)


def _dimension(inputs: Inputs) -> float:
    """On the processor, in double precision."""
    flat = inputs.chosen.flatten(1).cpu()
    some = flat[:_ROWS].double()
    share = len(flat) / len(some)
    pairs = share**2 * _seconds(lambda: some @ some.T)
    sort = share * _seconds(lambda: some.flatten().sort().values)
    return _PAIRS * pairs + _SORTS * sort


def _search(inputs: Inputs) -> float:
    """On the processor, where samples are compared."""
    some = inputs.training[:_ROWS]
    samples = inputs.points[:2].cpu()
    seconds = _seconds(lambda: sample_copies.search(samples, some)[0])
    return seconds / len(samples) * len(inputs.training) / len(some)


def _seconds(work: Callable[[], Tensor]) -> float:
    """The shorter of two, after a first that is slower. Reading a number waits for the device."""
    work().sum().item()
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        work().sum().item()
        taken.append(time.perf_counter() - start)
    return min(taken)
