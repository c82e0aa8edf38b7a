"""Devices by name, and what they are good at; everything else follows the tensors it is given."""

from __future__ import annotations

import torch


def chosen(device: str | torch.device) -> torch.device:
    """The device of a name; "auto" is a CUDA device where there is one, else the processor.

    Args:
        device: "cpu", "auto", or another name that torch knows, such as "cuda:1".

    Raises:
        ValueError: where torch knows no such device, this machine has none, or it has no double
            precision, in which schedules are computed.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.zeros(1, dtype=torch.float64, device=place)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:150]
        raise ValueError(
            f"device = {device!r}: allowed is 'auto', 'cpu' or another device of this machine with"
            f" double precision ({reason})"
        ) from error
    return place


def fast_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16, and not by way of float32, which would be slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(there for name, there in capabilities.items() if name.endswith("bf16"))
