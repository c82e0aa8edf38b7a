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

    @property
    def steps(self) -> int:
        """Number of gradient steps."""
        return self.seen // self.batch

    def arithmetic(self, device: torch.device | None = None) -> str:
        """What the layers are trained in: single precision on every device."""
        return "float32"

    def trainer(
        self, device: torch.device | str = "cpu", arithmetic: str | None = None
    ) -> Training:
        """The training, before its first step; it draws the same numbers on every device.

        Args:
            device: where to train.
            arithmetic: nothing but "float32".
        """
        return Training(self, device)

    def export(self, trainer: Training, folder: Path) -> None:
        """Write the model as it is now."""
        readers.save(trainer.model, folder)


class Training:
    """Cross-entropy of the attributes and squared error of the factors, stoppable at any step."""

    def __init__(self, recipe: Reading, device: torch.device | str = "cpu") -> None:
        self.recipe = recipe
        self.steps = recipe.steps
        self.done = 0
        self.device = device
        self.model = readers.Readers(seed=recipe.seed).to(device)
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
        value = loss(self.model(pictures.to(self.device)), table)
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
    entropies = []
    for attribute in faces.ATTRIBUTES:
        places = readers.places(table, attribute).to(read[attribute].device)
        entropies.append(nn.functional.cross_entropy(read[attribute], places))
    errors = []
    for factor in readers.FACTORS:
        numbers = readers.numbers(table, factor).to(read[factor].device)
        errors.append(nn.functional.mse_loss(read[factor], numbers))
    return torch.stack(entropies).mean() + torch.stack(errors).mean()
