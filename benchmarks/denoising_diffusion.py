"""Training of the U-Net of the package denoising-diffusion-pytorch: here, and by its own trainer.

The network, its first weights, the batches, times and noise are the same in both ways; so are the
optimiser and the bound on the gradient, which are what that trainer uses unless told otherwise.
The package is the extra `bench`; without it there is nothing to compare.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from measuring import Comparison, Work
from torch import Tensor, nn

from molrg import images, training
from molrg.denoisers.networks import network_time, to_x0
from molrg.schedules import DDPM
from molrg.training.batches import Batches

NAME = "training of another library's U-Net"
PACKAGE = "denoising-diffusion-pytorch"
BATCH, LR, BETAS, CLIP, EMA = 64, 1e-4, (0.9, 0.99), 1.0, 0.995


def installed() -> bool:
    """Whether the other library is there."""
    return importlib.util.find_spec("denoising_diffusion_pytorch") is not None


def version() -> dict[str, str]:
    """Of the other library, where it is there."""
    return {PACKAGE: importlib.metadata.version(PACKAGE)} if installed() else {}


def left_out() -> list[dict[str, str]]:
    """The comparison and why it cannot be made, where the other library is missing."""
    return [] if installed() else [{"name": NAME, "why": f"as {PACKAGE} was not installed"}]


def comparison(steps: int) -> Comparison:
    """Steps of `training.Trainer`, against those of the other library's Trainer."""
    parameters = sum(p.numel() for p in _network().parameters())
    size = f"28 x 28, {parameters:,} parameters, batches of {BATCH}, {steps} steps"
    note = (
        "same network, weights, batches, noise and optimiser; the losses of all steps are compared"
    )
    ours, other = functools.partial(_ours, steps), functools.partial(_theirs, steps)
    return Comparison(NAME, size, ours, other, f"Trainer of {PACKAGE}", 1e-4, note=note, repeats=1)


def _data() -> Tensor:
    return images.load("fashion-mnist-slice")[0]


def _network() -> Any:
    """Of the channels 16, 32 and 96, as the recipes of `molrg.zoo` have them."""
    from denoising_diffusion_pytorch import Unet  # noqa: PLC0415 - an extra, and slow

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Unet(dim=16, dim_mults=(1, 2, 6), channels=1)


class Denoiser(nn.Module):
    """The other library's network by the protocol of this package; it predicts v."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.schedule = network, DDPM()

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0."""
        output = self.network(x_t, network_time(self.schedule, t).expand(len(x_t)))
        s, gamma = self.schedule.at(t, x_t)
        return to_x0(output, x_t, s, gamma, "v")


def _ours(steps: int) -> Work:
    # its loss for v is weighted by s^2, which makes it the error of the noise
    weighting = training.output_weighting("eps", DDPM())
    trainer = training.Trainer(
        Denoiser(_network()),
        _data(),
        steps=10**6,  # so that the step size stays what it is
        sigma=None,
        weighting=lambda t: weighting(t) / 784,
        optimiser=functools.partial(torch.optim.Adam, betas=BETAS, fused=True),
        lr=LR,
        batch=BATCH,
        clip=CLIP,
        ema=EMA,
        generator=torch.Generator().manual_seed(0),
    )
    return lambda: torch.stack([trainer.step() for _ in range(steps)])


def _theirs(steps: int) -> Work:
    os.environ["ACCELERATE_USE_CPU"] = "true"  # of this process; ours is on the processor, too
    from denoising_diffusion_pytorch import GaussianDiffusion, Trainer  # noqa: PLC0415 - an extra

    diffusion = GaussianDiffusion(
        _network(),
        image_size=28,
        objective="pred_v",
        beta_schedule="linear",
        auto_normalize=False,
    )
    losses: list[Tensor] = []
    drawn: dict[str, Tensor] = {}
    diffusion.register_forward_pre_hook(lambda _, args, __: (args, drawn), with_kwargs=True)
    diffusion.register_forward_hook(lambda _, __, loss: losses.append(loss.detach()))
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(Trainer, diffusion, Path(folder), steps)
    trainer.dl = _batches(drawn)

    def train() -> Tensor:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            trainer.train()
        return torch.stack(losses)

    return train


def _trainer(make: Any, diffusion: nn.Module, folder: Path, steps: int) -> Any:
    """Their trainer, on a folder of pictures that it counts and never opens."""
    for i in range(100):
        (folder / f"{i}.png").touch()
    return make(
        diffusion,
        folder,
        train_batch_size=BATCH,
        train_lr=LR,
        train_num_steps=steps,
        adam_betas=BETAS,
        max_grad_norm=CLIP,
        ema_decay=EMA,
        save_and_sample_every=10**6,
        results_folder=folder / "results",
        calculate_fid=False,
    )


def _batches(drawn: dict[str, Tensor]) -> Iterator[Tensor]:
    """The pictures of every step; its times and noise are left in `drawn`."""
    batches = Batches(_data(), (), torch.Generator().manual_seed(0), BATCH)
    while True:
        x0, u, noise, _ = batches.draw()
        drawn.update(times=DDPM().step(u.double()), noise=noise)
        yield x0
