"""Convolutions that may be differentiated twice at the cost of twice once.

Torch's second derivative of a convolution is with respect to the weights, too, asked for or not,
which doubles its cost. Products with a Jacobian need the one with respect to the input only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_input


class Convolution(torch.autograd.Function):
    """A convolution as a linear map of its input; its derivative is its transpose."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, *settings: Any) -> Tensor:
        """Convolve (B, C, H, W); the settings are stride, padding, dilation, groups."""
        return functional.conv2d(x, weight, None, *settings)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Keep what the transpose needs."""
        x, weight, *ctx.settings = inputs
        ctx.shape = x.shape
        ctx.save_for_backward(weight)

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple:
        """The transpose, applied to u."""
        (weight,) = ctx.saved_tensors
        pulled = Transposed.apply(u, weight, ctx.shape, *ctx.settings)
        return pulled, None, *(None for _ in ctx.settings)


class Transposed(torch.autograd.Function):
    """The transpose of `Convolution`, whose derivative is that convolution."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, weight: Tensor, shape: torch.Size, *settings: Any) -> Tensor:
        """Pull u back to the shape of the convolution's input."""
        return conv2d_input(shape, weight, u, *settings)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        """Keep what the convolution needs."""
        _, weight, _, *ctx.settings = inputs
        ctx.save_for_backward(weight)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple:
        """The convolution, applied to v."""
        (weight,) = ctx.saved_tensors
        return (
            Convolution.apply(v, weight, *ctx.settings),
            None,
            None,
            *(None for _ in ctx.settings),
        )


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *settings: Any, **named: Any
) -> Tensor:
    """``torch.nn.functional.conv2d`` by `Convolution`, where it is linear in its input alone.

    What depends on the point through the weight, runs under autocast, or names its settings is
    left to torch.

    Args:
        input: (B, C, H, W), named as torch names it.
        weight: the kernels.
        bias: one number per channel, or None.
        *settings: stride, padding, dilation, groups.
        **named: the same by name.
    """
    by_name = bool(named) or any(isinstance(value, str) for value in settings)
    if by_name or weight.grad_fn is not None or _autocast(input.device.type):
        return functional.conv2d(input, weight, bias, *settings, **named)
    moved = Convolution.apply(input, weight, *settings)
    return moved if bias is None else moved + bias.reshape(-1, 1, 1)


def _autocast(device: str) -> bool:
    """Whether torch chooses the precision of a convolution on this kind of device."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
