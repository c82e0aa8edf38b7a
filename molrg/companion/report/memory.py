"""Whether a report fits into memory, found out before anything is measured."""

from __future__ import annotations

import copy

import psutil
import torch
from torch import Tensor

from molrg.companion.report.inputs import Inputs
from molrg.companion.report.laws import LARGEST_GAUSSIAN
from molrg.jacobian.operator import ENTRIES_AT_ONCE, PRODUCTS_AT_ONCE

_GRAPHS = 4  # a pass that can be differentiated twice holds about so many times what one saves
_CLOUDS = 8  # copies in double precision that the dimension of the images needs at once
_COVARIANCES = 4  # likewise, matrices of the Gaussian
_DIMENSION = "dimension of the images"


def at_once(x: Tensor) -> int:
    """Products with a Jacobian in one pass at one point, as in `molrg.jacobian.Linearised`.

    Args:
        x: one image (1, C, H, W).
    """
    return max(1, min(PRODUCTS_AT_ONCE, ENTRIES_AT_ONCE // x.numel()))


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


def predict(inputs: Inputs) -> dict[str, int]:
    """Bytes of the parts that need most, beyond what is held already.

    Args:
        inputs: the network and its images.

    Returns:
        "products with J" and "references", on the network's device, and "dimension of the images",
        on the processor.
    """
    N = len(inputs.chosen)
    n = inputs.points[0].numel()
    gaussian = _COVARIANCES * 8 * n * n if n <= LARGEST_GAUSSIAN else 0
    return {
        "products with J": _GRAPHS * at_once(inputs.points[:1]) * saved_bytes(inputs),
        "references": gaussian + 4 * N * n * inputs.chosen.element_size(),
        _DIMENSION: _CLOUDS * 8 * N * n,
    }


def require(inputs: Inputs) -> int:
    """The most that is held at once, in bytes: what is held already, and what a part needs.

    Args:
        inputs: the network and its images.

    Raises:
        ValueError: where a part does not fit into what is free.
    """
    needed = predict(inputs)
    place = inputs.points.device
    for name, amount in needed.items():
        on = _place(name, inputs)
        free = _free(on)
        if amount > free:
            raise ValueError(
                f"memory of {name} = {amount / 1e9:.1f} GB for images of"
                f" {tuple(inputs.points.shape[1:])}: allowed is what is free on {on.type},"
                f" {free / 1e9:.1f} GB; choose a machine or a --device with more, or a network of"
                " smaller images"
            )
    on_device = [amount for name, amount in needed.items() if _place(name, inputs) == place]
    return _held(place) + max(on_device)


def _place(name: str, inputs: Inputs) -> torch.device:
    return torch.device("cpu") if name == _DIMENSION else inputs.points.device


def _held(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return psutil.Process().memory_info().rss


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
