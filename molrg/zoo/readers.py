"""Readers of faces: one small network that reads all attributes, colours and the pose."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from molrg import checks, files
from molrg.images import faces

CHANNELS = (16, 32, 64)
HIDDEN = 128
EVENT = (3, 32, 32)
FACTORS = (*faces.COLOURS, *faces.POSE)
WEIGHTS = "readers.safetensors"
SIZES = [*(len(values) for values in faces.ATTRIBUTES.values()), len(FACTORS)]


class Readers(nn.Module):
    """Convolutions at three resolutions, a hidden layer that sees where things are, and 34 numbers.

    Source: ours.

    Args:
        seed: of the first weights.
    """

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            widths = (EVENT[0], *CHANNELS)
            blocks = [_block(*pair) for pair in itertools.pairwise(widths)]
            self.body = nn.Sequential(*[layer for block in blocks for layer in block])
            side = EVENT[1] // 2 ** len(CHANNELS)
            self.hidden = nn.Linear(CHANNELS[-1] * side**2, HIDDEN)
            self.head = nn.Linear(HIDDEN, sum(SIZES))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """What is read from pictures (B, 3, 32, 32), which may leave [-1, 1].

        Returns:
            Logits (B, values) for each of `molrg.images.faces.ATTRIBUTES`, and a number (B,) for
            each of its `COLOURS` and `POSE`, in their units.

        Raises:
            ValueError: where the pictures have another shape.
        """
        if x.dim() != 4 or tuple(x.shape[1:]) != EVENT:
            raise ValueError(f"x.shape = {tuple(x.shape)}: allowed is (B, 3, 32, 32)")
        features = self.body(x.to(self.head.weight.dtype)).flatten(1)
        *logits, numbers = self.head(self.hidden(features).relu()).split(SIZES, dim=1)
        read = dict(zip(faces.ATTRIBUTES, logits, strict=True))
        return read | dict(zip(FACTORS, numbers.unbind(1), strict=True))


def _block(inward: int, outward: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inward, outward, 3, padding=1, bias=False),
        nn.BatchNorm2d(outward),
        nn.ReLU(),
        nn.Conv2d(outward, outward, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outward),
        nn.ReLU(),
    ]


@torch.no_grad()
def read(model: Readers, x: Tensor, batch: int = 500) -> dict[str, Tensor]:
    """What the readers say of many pictures, a batch at a time, without gradients.

    Raises:
        ValueError: where the pictures are not (B, 3, 32, 32).
    """
    model.eval()
    parts = [model(part) for part in x.split(batch)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def held_out(model: Readers, *, N: int = 4000) -> dict[str, dict[str, float]]:
    """Accuracy of each attribute and R2 of each factor on the first N held-out faces.

    Returns:
        {"faces": {attribute or factor: score}, "faces-pose": ...}.

    Raises:
        ValueError: where N is not in 2 ... 4,000.
    """
    N = checks.count("N", N, 2, faces.COUNTS["test"])
    scores = {}
    for name in faces.SETS:
        pictures, table = faces.fixed(name, "test", rows=range(N))
        said = read(model, pictures)
        scores[name] = {
            **{attribute: _accuracy(said, table, attribute) for attribute in faces.ATTRIBUTES},
            **{factor: _r2(said, table, factor) for factor in FACTORS if factor in table},
        }
    return scores


def _accuracy(said: dict[str, Tensor], table: pd.DataFrame, attribute: str) -> float:
    right = said[attribute].argmax(1) == places(table, attribute)
    return right.double().mean().item()


def _r2(said: dict[str, Tensor], table: pd.DataFrame, factor: str) -> float:
    truth = numbers(table, factor)
    return 1 - ((said[factor] - truth).square().mean() / truth.var(correction=0)).item()


def places(table: pd.DataFrame, attribute: str) -> Tensor:
    """The place of each row's value in the attribute's list, (N,)."""
    values = faces.ATTRIBUTES[attribute]
    return torch.tensor([values.index(value) for value in table[attribute]], device="cpu")


def numbers(table: pd.DataFrame, factor: str) -> Tensor:
    """A factor's column, (N,), float32; zero where the table has no such column (no pose)."""
    if factor not in table:
        return torch.zeros(len(table), device="cpu")
    return torch.tensor(table[factor].to_numpy(copy=True), dtype=torch.float32, device="cpu")


def section(scores: dict[str, dict[str, float]]) -> str:
    """What `held_out` returns, as a section of a card."""
    names = list(scores[faces.SETS[-1]])
    rows = [
        f"| {name} | {' | '.join(_cell(scores[s], name) for s in faces.SETS)} |" for name in names
    ]
    told = "On 4,000 held-out faces: accuracy of attributes, R2 of colours and of the pose."
    head = [f"| | {' | '.join(faces.SETS)} |", "|---|---|---|"]
    return "\n".join(["## Held-out faces", "", told, "", *head, *rows])


def _cell(scores: dict[str, float], name: str) -> str:
    return f"{scores[name]:.4f}" if name in scores else ""


def save(model: Readers, folder: Path) -> None:
    """Write the weights, and what they read."""
    with files.replacing(folder / WEIGHTS) as aside:
        save_file(model.state_dict(), aside)
    about = {"attributes": {k: list(v) for k, v in faces.ATTRIBUTES.items()}, "factors": FACTORS}
    (folder / "config.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


def load(folder: Path) -> Readers:
    """Read what `save` has written.

    Raises:
        ValueError: where the weights are damaged or do not fit.
    """

    model = Readers()
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"weights of {folder} = unreadable ({reason}): allowed is those of the readers"
        ) from error
    return model.eval().requires_grad_(False)
