"""States of trainings as files: nested tensors and numbers, with a checksum, of no device.

A state is a safetensors file: the tensors, and in its header what is no tensor, what the state
belongs to, and a checksum of it all.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from molrg import files


def save(file: Path, state: dict[str, Any], about: dict[str, Any]) -> None:
    """Write a nested state and what it belongs to; complete, or not at all.

    Args:
        file: where to.
        state: dicts, lists and scalars, with tensors of any device as leaves.
        about: what the state belongs to, as JSON has it.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_without(state, tensors))
    header = {"tree": tree, "about": json.dumps(about, sort_keys=True)}
    with files.replacing(file) as aside:
        save_file(tensors, aside, header | {"sha256": _digest(tensors, header)})


def load(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a state, on the CPU, and what it belongs to.

    Args:
        file: as `save` has written it.

    Returns:
        The state, and its `about`.

    Raises:
        ValueError: where the file is damaged, be it by a single bit, or something else.
    """
    try:
        with safe_open(file, "pt") as opened:
            header = opened.metadata()
            names = list(opened.keys())
            tensors = {name: opened.get_tensor(name) for name in names}
        digest = header.pop("sha256")
        if digest != _digest(tensors, header):
            raise ValueError("its checksum is another")
        return _with(json.loads(header["tree"]), tensors), json.loads(header["about"])
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"resume file = {file}: allowed is a whole one, as written here ({error}); delete it to"
            " start again"
        ) from error


def _digest(tensors: dict[str, Tensor], header: dict[str, str]) -> str:
    """Checksum of the bytes of tensors, their kinds, and the rest of the header."""
    content = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        content.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        content.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return content.hexdigest()


def _without(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The tree without its tensors; a dict becomes pairs, because its keys may be numbers."""
    if isinstance(node, Tensor):
        tensors[str(len(tensors))] = node.detach().cpu().contiguous()
        return {"tensor": str(len(tensors) - 1)}
    if isinstance(node, dict):
        return {"pairs": [[key, _without(value, tensors)] for key, value in node.items()]}
    if isinstance(node, (list, tuple)):
        return [_without(value, tensors) for value in node]
    return node


def _with(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The tree with its tensors put back."""
    if isinstance(node, list):
        return [_with(value, tensors) for value in node]
    if not isinstance(node, dict):
        return node
    if "tensor" in node:
        return tensors[node["tensor"]]
    return {key: _with(value, tensors) for key, value in node["pairs"]}
