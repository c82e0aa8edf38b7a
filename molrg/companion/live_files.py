"""The files of the live figure: scripts that hand over text, and arrays as text."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molrg import files, zoo


def script(receiver: str, content: dict[str, Any]) -> str:
    """A script that hands `content` to ``molrgLive.<receiver>``; `content_of` reads it back."""
    return f"molrgLive.{receiver}({json.dumps(content, separators=(',', ':'), sort_keys=True)});\n"


def content_of(path: Path) -> dict[str, Any]:
    """What a script written by `script` hands over.

    Args:
        path: of the script.

    Raises:
        ValueError: where the file is no such script.
    """
    text = path.read_text(encoding="utf-8")
    if not text.startswith("molrgLive.") or not text.endswith(");\n"):
        raise ValueError(f"path = {path}: allowed is a script of the live figure")
    return json.loads(text[text.index("(") + 1 : -3])


def weights_of(name: str) -> str:
    """sha256 of the shipped weights of a model.

    Args:
        name: of the model.
    """
    (file,) = (zoo.shipped.MODELS / name).rglob("*.safetensors")
    return files.sha256(file)


def packed(raw: bytes) -> str:
    """Bytes as text: gzip, then base64; the same bytes always give the same text."""
    return base64.b64encode(gzip.compress(raw, 9, mtime=0)).decode("ascii")


def unpacked(text: str) -> bytes:
    """The bytes that `packed` was given."""
    return gzip.decompress(base64.b64decode(text))


def text_of(values: np.ndarray) -> str:
    """The bytes of an array as text."""
    return base64.b64encode(values.tobytes()).decode("ascii")


def array_of(text: str, kind: Any, shape: tuple[int, ...]) -> Tensor:
    """The array whose bytes `text_of` was given, in single precision.

    Args:
        text: the bytes.
        kind: numpy's dtype of an entry.
        shape: of the array.
    """
    values = np.frombuffer(base64.b64decode(text), kind).astype(np.float32)
    return torch.from_numpy(values).reshape(shape)


def stored(content: dict[str, Any]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The pictures of a scene.

    Args:
        content: of the scene's script.

    Yields:
        Pixels in [-1, 1], x_t, both (C, H, W), and the directions (k, C, H, W).
    """
    shape = tuple(content["shape"])
    for entry in content["pictures"]:
        pairs = zip(entry["directions"], entry["scales"], strict=True)
        directions = [scale * array_of(text, np.int8, shape) for text, scale in pairs]
        pixels = array_of(entry["pixels"], np.uint8, shape) / 127.5 - 1
        yield pixels, array_of(entry["x_t"], "<f2", shape), torch.stack(directions)
