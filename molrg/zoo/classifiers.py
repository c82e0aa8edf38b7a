"""A small convolutional classifier of images: the eye that samples are measured with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from molrg import checks

FEATURES = 64


class Classifier(nn.Module):
    """Three convolutional blocks, a mean over positions, 64 features, and a linear layer on top.

    Source: ours.

    Args:
        shape: (C, H, W) of the images; H and W >= 8.
        classes: number of classes, >= 2.
        seed: of the first weights.

    Raises:
        ValueError: where an argument is not as above.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int = 10, *, seed: int = 0) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.classes = checks.count("classes", classes, 2)
        if len(shape) != 3 or min(shape[1:]) < 8:
            raise ValueError(f"shape = {self.shape}: allowed is (C, H, W) with H, W >= 8")
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # of the CPU alone
            self.body = nn.Sequential(
                *_block(shape[0], 16),
                nn.MaxPool2d(2),
                *_block(16, 32),
                nn.MaxPool2d(2),
                *_block(32, FEATURES),
            )
            self.head = nn.Linear(FEATURES, self.classes)

    def features(self, x: Tensor) -> Tensor:
        """The 64 numbers that the last layer sees, (B, 64), for images (B, C, H, W) in [-1, 1].

        Raises:
            ValueError: where the images have another shape.
        """
        return self.body(self._images(x)).mean((2, 3))

    def layers(self, x: Tensor) -> list[Tensor]:
        """What each layer sees: six convolutions after their ReLU, `features` and the logits.

        Args:
            x: images (B, C, H, W).

        Raises:
            ValueError: where the images have another shape.
        """
        h = self._images(x)
        layers = []
        for module in self.body:
            h = module(h)
            if isinstance(module, nn.ReLU):
                layers.append(h)
        features = h.mean((2, 3))
        return [*layers, features, self.head(features)]

    def _images(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or tuple(x.shape[1:]) != self.shape:
            sizes = ", ".join(map(str, self.shape))
            raise ValueError(f"x.shape = {tuple(x.shape)}: allowed is (B, {sizes})")
        return x.to(self.head.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        return self.head(self.features(x))


def _block(inward: int, outward: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inward, outward, 3, padding=1, bias=False),
        nn.BatchNorm2d(outward),
        nn.ReLU(),
        nn.Conv2d(outward, outward, 3, padding=1, bias=False),
        nn.BatchNorm2d(outward),
        nn.ReLU(),
    ]


class Training:
    """Cross-entropy by Adam with a half cosine, stoppable at any step.

    Args:
        model: the classifier, changed in place.
        images: (N, C, H, W) in [-1, 1].
        labels: (N,) in 0 ... classes - 1.
        steps: number of steps, >= 1.
        batch: images in a step, drawn with replacement.
        lr: first step size, > 0.
        shift: move each batch by up to so many pixels at random, the border repeated.
        flip: mirror half of the batches.
        generator: source of the choice, the shifts and the mirrors.

    Raises:
        ValueError: where an argument is not as above.
    """

    def __init__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        *,
        steps: int,
        batch: int = 64,
        lr: float = 3e-3,
        shift: int = 0,
        flip: bool = False,
        generator: torch.Generator,
    ) -> None:
        self.model = model
        self.images = checks.finite("images", images)
        self.labels = labels
        if len(labels) != len(images):
            given = len(labels)
            raise ValueError(f"len(labels) = {given}: allowed is {len(images)}, one per image")
        self.steps = checks.count("steps", steps)
        self.batch = checks.count("batch", batch)
        self.shift = checks.count("shift", shift, 0)
        self.flip = flip
        self.generator = generator
        self.done = 0
        self.optimiser = torch.optim.Adam(model.parameters(), lr=checks.real("lr", lr, 1e-12))
        self.decay = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, self.steps)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Images and labels, drawn on the CPU whatever the device."""
        rows = self._draw(len(self.images), self.batch).to(self.images.device)
        down, right = self._draw(2 * self.shift + 1, 2).tolist()
        mirrored = bool(self._draw(2))
        x = self.images[rows]
        height, width = x.shape[2:]
        x = nn.functional.pad(x, (self.shift,) * 4, mode="replicate")
        x = x[:, :, down : down + height, right : right + width]
        return x.flip(3) if self.flip and mirrored else x, self.labels[rows]

    def _draw(self, end: int, *shape: int) -> Tensor:
        """Whole numbers below `end`."""
        return torch.randint(end, shape, generator=self.generator, device="cpu")

    def step(self) -> Tensor:
        """Take one step; returns the loss before it."""
        x, labels = self._batch()
        self.model.train()
        self.optimiser.zero_grad()
        value = nn.functional.cross_entropy(self.model(x), labels, label_smoothing=0.05)
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
        return {name: part.state_dict() for name, part in parts.items()} | {
            "done": self.done,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state of a training with the same arguments."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.decay.load_state_dict(state["decay"])
        self.generator.set_state(state["generator"])
        self.done = state["done"]


@torch.no_grad()
def in_batches(function: Callable[[Tensor], Tensor], x: Tensor, batch: int = 500) -> Tensor:
    """A function of images on many of them, a batch at a time, without gradients.

    Args:
        function: of (B, C, H, W).
        x: images (N, C, H, W).
        batch: images at once, >= 1.
    """
    return torch.cat([function(part) for part in x.split(batch)])


def accuracy(model: Classifier, images: Tensor, labels: Tensor) -> float:
    """Share of the images that get their own label.

    Args:
        model: the classifier; it is put into evaluation mode.
        images: (N, C, H, W), moved to its device a whole.
        labels: (N,).
    """
    device = model.head.weight.device
    guesses = in_batches(model.eval(), images.to(device)).argmax(1)
    return (guesses == labels.to(device)).double().mean().item()
