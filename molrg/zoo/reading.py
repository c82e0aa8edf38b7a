"""How the readers of faces are trained: fresh faces at every step, half of them with a pose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from molrg import draws
from molrg.images import faces
from molrg.zoo import readers


@dataclass(frozen=True)
class Reading:
    """How the readers are trained.

    Args:
        data: the set of `molrg.images` that they read.
        seen: faces that training looks at, none of them twice.
        noise: largest standard deviation of noise on a face; most have less, a quarter none.
        batch: faces in a step, >= 4.
        lr: first step size of Adam; it follows a half cosine to 0.
        seed: of the first weights, and of the faces.
    """

    data: str = "faces"
    seen: int = 192_000
    noise: float = 0.1
    batch: int = 64
    lr: float = 2e-3
    seed: int = 0

    arithmetic = "float32"  # a class attribute: it is no setting

    @property
    def steps(self) -> int:
        """Number of gradient steps."""
        return self.seen // self.batch

    def trainer(self) -> Training:
        """The training, before its first step."""
        return Training(self)

    def export(self, trainer: Training, folder: Path) -> None:
        """Write the model as it is now."""
        readers.save(trainer.model, folder)


class Training:
    """Cross-entropy of the attributes and squared error of the factors, stoppable at any step."""

    def __init__(self, recipe: Reading) -> None:
        self.recipe, self.steps, self.done = recipe, recipe.steps, 0
        self.model = readers.Readers(seed=recipe.seed)
        self.generator = draws.source(recipe.seed)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=recipe.lr)
        self.decay = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, self.steps)

    def batch(self) -> tuple[Tensor, pd.DataFrame]:
        """Fresh faces: half of them with a pose, a quarter without noise."""
        half = self.recipe.batch // 2
        drawn = [
            faces.draw(count, pose=pose, generator=self.generator)
            for count, pose in ((half, True), (self.recipe.batch - half, False))
        ]
        pictures, tables = zip(*drawn, strict=True)
        clean = torch.cat(pictures)
        share = draws.uniform((len(clean), 1, 1, 1), generator=self.generator)
        scale = self.recipe.noise * (share - 0.25).clamp_min(0) / 0.75
        noise = draws.normal_like(clean, generator=self.generator)
        return clean + scale * noise, pd.concat(tables, ignore_index=True).fillna(0.0)

    def step(self) -> Tensor:
        """Take one step; returns the loss before it."""
        pictures, table = self.batch()
        self.model.train()
        self.optimiser.zero_grad()
        value = loss(self.model(pictures), table)
        value.backward()
        self.optimiser.step()
        self.decay.step()
        self.done += 1
        return value.detach()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        parts: dict[str, Any] = {
            "model": self.model,
            "optimiser": self.optimiser,
            "decay": self.decay,
        }
        states = {name: part.state_dict() for name, part in parts.items()}
        return states | {"done": self.done, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state of the same recipe, exactly as if it had not stopped."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.decay.load_state_dict(state["decay"])
        self.generator.set_state(state["generator"])
        self.done = state["done"]


def loss(read: dict[str, Tensor], table: pd.DataFrame) -> Tensor:
    """Mean cross-entropy of the attributes, and mean squared error of the factors, added."""
    entropies = [
        nn.functional.cross_entropy(read[attribute], readers.places(table, attribute))
        for attribute in faces.ATTRIBUTES
    ]
    errors = [
        nn.functional.mse_loss(read[factor], readers.numbers(table, factor))
        for factor in readers.FACTORS
    ]
    return torch.stack(entropies).mean() + torch.stack(errors).mean()
