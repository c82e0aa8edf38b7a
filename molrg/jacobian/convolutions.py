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

_Pair = int | tuple[int, int]


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
        return _transposed(u, weight, shape, *settings)

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


def _transposed(
    u: Tensor,
    weight: Tensor,
    shape: torch.Size,
    stride: _Pair = 1,
    padding: _Pair = 0,
    dilation: _Pair = 1,
    groups: int = 1,
) -> Tensor:
    """The transpose, applied to u; without strides it is a convolution with flipped kernels.

    That is faster than torch's derivative of a convolution.
    """
    plain = _two(stride) == _two(dilation) == (1, 1) and groups == 1
    rest = [size - 1 - pad for size, pad in zip(weight.shape[2:], _two(padding), strict=True)]
    if not plain or min(rest) < 0:
        return conv2d_input(shape, weight, u, stride, padding, dilation, groups)
    return functional.conv2d(u, weight.flip(2, 3).transpose(0, 1), None, 1, rest)


def _two(setting: _Pair) -> tuple[int, int]:
    """A setting for height and width."""
    return (setting, setting) if isinstance(setting, int) else setting


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
