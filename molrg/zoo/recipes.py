"""Recipes: what is trained on what, with which settings; the keys of the table are commands."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from molrg import checks, devices, draws, images, training
from molrg.denoisers import checkpoints, networks
from molrg.schedules import DDPM
from molrg.zoo import classifiers, reading, shipped

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Denoising:
    """How an image denoiser is trained: a diffusers U-Net of three resolutions, on DDPM.

    Args:
        data: a named set of `molrg.images`, or "white-noise".
        seen: images that training looks at, with repetition.
        prediction: "x0", "eps" or "v".
        channels: of the three resolutions, multiples of 8.
        batch: images in a step.
        lr: largest step size of AdamW.
        warmup: steps in which it rises.
        settling: share of the images in which it falls to 0, along a half cosine; in between it
            is constant.
        weight_decay: of AdamW.
        clip: bound on the norm of the gradient of the mean squared error.
        ema: weight of the past in the moving average that is kept.
        seed: of the first weights, and of times, noise and choice of images.
    """

    data: str
    seen: int
    prediction: str = "v"
    channels: tuple[int, int, int] = (16, 32, 96)
    batch: int = 64
    lr: float = 1.2e-3
    warmup: int = 200
    settling: float = 0.4
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0

    @property
    def steps(self) -> int:
        """Number of gradient steps."""
        return self.seen // self.batch

    def arithmetic(self, device: torch.device = CPU) -> str:
        """What the layers are trained in: "bfloat16" where that is faster, else "float32".

        Args:
            device: where they are trained.
        """
        return "bfloat16" if devices.fast_bfloat16(device) else "float32"

    def trainer(
        self, device: torch.device = CPU, arithmetic: str | None = None
    ) -> training.Trainer:
        """The training, before its first step; it draws the same numbers on every device.

        Args:
            device: where to train.
            arithmetic: "bfloat16" or "float32"; what the device is good at where omitted.

        Raises:
            FileNotFoundError: where the data cannot be had.
        """
        data = pictures(self.data).to(device)
        colours, height, width = data.shape[1:]
        network = unet((colours, height, width), self.channels, seed=self.seed)
        denoiser = networks.UNet(network, DDPM(), prediction=self.prediction).to(device)
        half = (arithmetic or self.arithmetic(device)) == "bfloat16"
        return training.Trainer(
            denoiser,
            data,
            steps=self.steps,
            lr=self.lr,
            sigma=None,
            weighting=_mean_square(self.prediction, data[0].numel()),
            batch=self.batch,
            warmup=self.warmup,
            decay=round(self.settling * self.steps),
            weight_decay=self.weight_decay,
            clip=self.clip,
            ema=self.ema,
            autocast=torch.bfloat16 if half else None,
            generator=torch.Generator().manual_seed(self.seed),
        )

    def export(self, trainer: training.Trainer, folder: Path) -> None:
        """Write the average of the weights as it is now, in half precision."""
        checkpoints.save(cast(networks.UNet, trainer.average), folder, half=True)


def _mean_square(prediction: str, pixels: int) -> training.Weighting:
    """The weighting that makes the loss the mean squared error of a pixel of the output."""
    weighting = training.output_weighting(prediction, DDPM())
    return lambda t: weighting(t) / pixels


def unet(shape: tuple[int, int, int], channels: tuple[int, int, int], *, seed: int) -> Any:
    """A small diffusers U-Net: one block a resolution, attention at the lowest.

    Args:
        shape: (C, H, W) of the images; H and W multiples of 4.
        channels: of the three resolutions, multiples of 8.
        seed: of the weights.

    Raises:
        ValueError: where an argument is not as above.
        ModuleNotFoundError: without diffusers.
    """
    checks.installed("diffusers", "unet")
    from diffusers import UNet2DModel  # noqa: PLC0415 - an extra, and slow

    colours, height, width = shape
    if height % 4 or width % 4:
        raise ValueError(f"shape = {shape}: allowed is (C, H, W) with H and W multiples of 4")
    if any(c % 8 for c in channels):
        raise ValueError(f"channels = {channels}: allowed is multiples of 8")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # of the CPU alone
        return UNet2DModel(
            sample_size=height if height == width else (height, width),
            in_channels=colours,
            out_channels=colours,
            block_out_channels=channels,
            layers_per_block=1,
            norm_num_groups=8,
            attention_head_dim=channels[-1] // 6,
            down_block_types=("DownBlock2D",) * 3,
            up_block_types=("UpBlock2D",) * 3,
        )


@dataclass(frozen=True)
class Classifying:
    """How a classifier is trained.

    Args:
        data: a named set of `molrg.images`.
        seen: images that training looks at, with repetition.
        shift: pixels by which images are moved.
        flip: whether mirrored images belong to the same class.
        batch: images in a step.
        lr: first step size of Adam; it follows a half cosine to 0.
        seed: of the first weights, and of choice and shifts of images.
    """

    data: str
    seen: int
    shift: int = 0
    flip: bool = False
    batch: int = 64
    lr: float = 3e-3
    seed: int = 0

    @property
    def steps(self) -> int:
        """Number of gradient steps."""
        return self.seen // self.batch

    def arithmetic(self, device: torch.device = CPU) -> str:
        """What the layers are trained in: single precision on every device."""
        return "float32"

    def trainer(
        self, device: torch.device = CPU, arithmetic: str | None = None
    ) -> classifiers.Training:
        """The training, before its first step; it draws the same numbers on every device.

        Args:
            device: where to train.
            arithmetic: nothing but "float32".

        Raises:
            FileNotFoundError: where the data cannot be had.
        """
        data, labels = (part.to(device) for part in images.load(self.data))
        colours, height, width = data.shape[1:]
        model = classifiers.Classifier((colours, height, width), seed=self.seed).to(device)
        generator = torch.Generator().manual_seed(self.seed)
        return classifiers.Training(
            model,
            data,
            labels,
            steps=self.steps,
            batch=self.batch,
            lr=self.lr,
            shift=self.shift,
            flip=self.flip,
            generator=generator,
        )

    def export(self, trainer: classifiers.Training, folder: Path) -> None:
        """Write the model as it is now."""
        shipped.save_classifier(trainer.model, folder)


def pictures(data: str, split: str = "train") -> Tensor:
    """Images (N, C, H, W) of a named set of `molrg.images`.

    Args:
        data: its name; "white-noise" stands for 10,000 of 28 by 28 independent pixels.
        split: "train" or "test".

    Raises:
        FileNotFoundError: where the data cannot be had.
    """
    if data != "white-noise":
        return images.load(data, split)[0]
    generator = torch.Generator().manual_seed(images.SPLITS.index(split))
    return 0.5 * draws.normal((10_000, 1, 28, 28), generator=generator)


_SHORT = Denoising("fashion-mnist", seen=200_000)  # equal budgets, to compare what is predicted
RECIPES: dict[str, Denoising | Classifying | reading.Reading] = {
    "fashion-mnist": Denoising("fashion-mnist", seen=512_000),
    "fashion-mnist-short-v": _SHORT,
    "fashion-mnist-short-v-seed-1": replace(_SHORT, seed=1),
    "fashion-mnist-short-eps": replace(_SHORT, prediction="eps"),
    "fashion-mnist-short-x0": replace(_SHORT, prediction="x0"),
    "white-noise": Denoising("white-noise", seen=20_000),
    "fashion-mnist-classifier": Classifying("fashion-mnist", seen=300_000, flip=True),
    "mnist": Denoising("mnist", seen=448_000),
    "mnist-classifier": Classifying("mnist", seen=120_000, shift=2),
    "cifar10": Denoising("cifar10", seen=96_000),
    "cifar10-classifier": Classifying("cifar10", seen=240_000, shift=2, flip=True),
    "faces": Denoising("faces", seen=384_000),
    "faces-pose": Denoising("faces-pose", seen=192_000),
    "faces-readers": reading.Reading(),
    "digits": Denoising("digits", seen=100_000),
    "digits-classifier": Classifying("digits", seen=60_000, shift=1),
}


def plain(recipe: Any) -> dict[str, Any]:
    """The settings of a recipe as JSON has them."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(recipe).items()
    }
