"""What things cost before they start: the memory of a product with J, and measured seconds."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor

from molrg import draws
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.laws import ITERATIONS, WINDOWS, sizes
from molrg.denoisers import Patches
from molrg.jacobian import Linearised

DENSE = 1024  # pixels up to which a whole matrix and its singular values are affordable
_GRAPHS = 4  # a pass that can be differentiated twice holds about so many times what one saves
_PRODUCTS_AT_ONCE = 32  # as `molrg.jacobian.Linearised`, and the entries in them
_ENTRIES_AT_ONCE = 2**17
_SIDE = 400  # of the matrix that is timed
_PRODUCTS_A_STEP = 5  # of matrices, in a step of EM


@dataclass(frozen=True)
class Cost:
    """Seconds and bytes for one image.

    Attributes:
        forward: seconds of a forward pass.
        product: seconds of a product with the Jacobian.
        spectrum: seconds of the singular values of a whole Jacobian, from those of a smaller one.
        window: seconds of a reference of windows.
        fit: seconds of fitting the mixture, from those of a product of matrices.
        bytes: memory of products with the Jacobian, predicted.
    """

    forward: float
    product: float
    spectrum: float
    window: float
    fit: float
    bytes: int

    def jacobian(self, n: int) -> float:
        """Seconds of a whole Jacobian of n pixels with its singular values.

        Args:
            n: pixels, with all channels.
        """
        return n * self.product + self.spectrum


def measure(inputs: Inputs) -> Cost:
    """Predict the memory, then time the passes.

    Args:
        inputs: the network and its images.

    Raises:
        ValueError: where a product with the Jacobian does not fit into memory.
    """
    needed = _require_memory(inputs)
    x = inputs.points[:1]
    copies = _at_once(x)
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
        fit=_fit(inputs),
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


def _fit(inputs: Inputs) -> float:
    K, d = sizes(len(inputs.chosen))
    flat = inputs.chosen.flatten(1)
    axes = flat.new_ones(flat.shape[1], K * d)
    return ITERATIONS * _PRODUCTS_A_STEP * _seconds(lambda: flat @ axes)


def _at_once(x: Tensor) -> int:
    """Products in one pass at one point, as in `Linearised`."""
    return max(1, min(_PRODUCTS_AT_ONCE, _ENTRIES_AT_ONCE // x.numel()))


def _seconds(work: Callable[[], Tensor]) -> float:
    """Of the second call: the first is slower. Reading a number waits for the device."""
    work().sum().item()
    start = time.perf_counter()
    work().sum().item()
    return time.perf_counter() - start


def saved_bytes(inputs: Inputs) -> int:
    """What a forward pass on one image keeps for its derivative, without taking it.

    The network runs on torch's meta device, where tensors have shapes and no memory.

    Args:
        inputs: the network and its images.
    """
    ghost = copy.deepcopy(inputs.denoiser).to("meta")
    x = torch.empty_like(inputs.points[:1], device="meta").requires_grad_()
    kept: dict[int, Tensor] = {}

    def keep(value: Tensor) -> Tensor:
        kept[id(value)] = value
        return value

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        ghost(x, 0.5)
    return sum(value.numel() * value.element_size() for value in kept.values())


def _require_memory(inputs: Inputs) -> int:
    device = inputs.points.device
    cuda = device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if cuda else psutil.virtual_memory().available
    needed = _GRAPHS * _at_once(inputs.points[:1]) * saved_bytes(inputs)
    if needed > free:
        raise ValueError(
            f"memory of products with J = {needed / 1e9:.1f} GB for images of"
            f" {tuple(inputs.points.shape[1:])}: allowed is what is free, {free / 1e9:.1f} GB;"
            " choose a machine or a --device with more, or a network of smaller images"
        )
    return needed
