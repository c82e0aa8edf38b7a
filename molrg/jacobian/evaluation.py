"""A denoiser as it is evaluated: a function of x_t that can be differentiated twice.

A Jacobian is that of a function of x_t. A network left in training mode is none: dropout draws,
and batch normalisation mixes the points and changes its running statistics. What is compiled, or
recomputed by gradient checkpointing, cannot be differentiated twice.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from molrg.jacobian import convolutions

CHECKPOINTED = (
    "denoiser = one with gradient checkpointing: allowed is one without, for products cannot"
    " recompute; diffusers' networks have disable_gradient_checkpointing()"
)


class _Replacing(TorchFunctionMode):
    """Calls of some of torch's functions go to others."""

    def __init__(self, replacements: dict[Any, Callable]) -> None:
        super().__init__()
        self.replacements = replacements

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return self.replacements.get(func, func)(*args, **(kwargs or {}))


def _unless_training(function: Callable) -> Callable:
    """The function, which refuses to draw at random or to take statistics of a batch."""
    signature = inspect.signature(function)

    def evaluate(*args: Any, **kwargs: Any) -> Tensor:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        if given.arguments["training"] and given.arguments.get("p", 1) > 0:
            raise ValueError(
                f"denoiser = one with {function.__name__} in training mode: allowed is one in"
                " evaluation mode, where no point depends on chance or on others; call .eval()"
            )
        return function(*args, **kwargs)

    return evaluate


_OF_TRAINING = (
    functional.batch_norm,
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    functional.alpha_dropout,
    functional.feature_alpha_dropout,
    functional.rrelu,
)


@cache
def _replacements() -> dict[Any, Callable]:
    """What is called in the place of which function of torch."""
    return {
        functional.conv2d: convolutions.conv2d,
        **{function: _unless_training(function) for function in _OF_TRAINING},
    }


def _uncompiled() -> AbstractContextManager[Any]:
    """A context in which what was compiled runs uncompiled.

    Nothing can have been compiled before the compiler is imported, which takes seconds.
    """
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


@contextmanager
def evaluated(denoiser: object) -> Iterator[None]:
    """Run a denoiser inside this as a function that may be differentiated twice.

    Modules in training mode are put into evaluation mode, gradient checkpointing is switched off,
    and both are put back at the end. What was compiled runs uncompiled, and attention in plain
    steps, for what is fused has no second derivative.

    Args:
        denoiser: any; what is found and put back are the modules of a ``torch.nn.Module``.

    Raises:
        ValueError: where a network that is no part of `denoiser` as a module is called in
            training mode, or recomputes its activations.
    """
    modules = list(denoiser.modules()) if isinstance(denoiser, nn.Module) else []
    training = [module for module in modules if module.training]
    recomputing = [module for module in modules if vars(module).get("gradient_checkpointing")]
    try:
        for module in training:
            module.training = False
        for module in recomputing:
            vars(module)["gradient_checkpointing"] = False
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            _uncompiled(),
            torch.autograd.graph.disable_saved_tensors_hooks(CHECKPOINTED),
            sdpa_kernel(SDPBackend.MATH),
            _Replacing(_replacements()),
        ):
            yield
    except RuntimeError as error:
        if str(error) != CHECKPOINTED:
            raise
        raise ValueError(CHECKPOINTED) from error
    finally:
        for module in training:
            module.training = True
        for module in recomputing:
            vars(module)["gradient_checkpointing"] = True
