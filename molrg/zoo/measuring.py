"""How good a trained denoiser is: its samples, their Frechet distance, their classes."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from molrg import sampling
from molrg.denoisers.networks import UNet
from molrg.images import quality
from molrg.zoo import recipes
from molrg.zoo.classifiers import Classifier, in_batches

SAMPLES = 1000
STEPS = 18  # of Heun's method


@torch.no_grad()
def generate(
    denoiser: UNet, n: int, *, steps: int = STEPS, seed: int = 0, batch: int = 250
) -> Tensor:
    """Draw n images with Heun's method, clipped to [-1, 1].

    The times are those of `molrg.sampling.time_grid`.

    Args:
        denoiser: an image model.
        n: number of images, >= 1.
        steps: of the sampler, two evaluations each (one where a step ends without noise).
        seed: of the noise.
        batch: images at once.
    """
    times = sampling.time_grid(denoiser.schedule, steps)
    noise = sampling.prior(
        (n, *denoiser.fixed_event),
        denoiser.schedule,
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.float32,
        device=next(denoiser.parameters()).device,
    )
    ends = [sampling.finish(sampling.heun(denoiser, part, times)) for part in noise.split(batch)]
    return torch.cat(ends).clamp(-1, 1)


def grid(pictures: Tensor, columns: int = 12, zoom: int = 2) -> Image.Image:
    """Images as one PIL picture.

    Args:
        pictures: (B, C, H, W) in [-1, 1]; those of an incomplete last row are left out.
        columns: images in a row.
        zoom: pixels along a side for each pixel.
    """
    rows = [torch.cat(tuple(row), dim=2) for row in pictures.split(columns) if len(row) == columns]
    levels = ((torch.cat(rows, dim=1) + 1) * 127.5).round().clamp(0, 255).byte()
    picture = Image.fromarray(levels.permute(1, 2, 0).squeeze(-1).cpu().numpy())
    return picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)


def measure_denoiser(
    denoiser: UNet, data: str, classifier: Classifier | None
) -> tuple[dict[str, Any], Tensor]:
    """Quality of a model's samples: Frechet distances with their scale, and the classes found.

    The reference are test images but for the last thousand (for a small set, half of them), which
    are the held-out ones.

    Args:
        denoiser: an image model.
        data: the named set that it was trained on.
        classifier: of these images; without one, nothing is measured.

    Returns:
        The figures, and the samples.
    """
    test = recipes.pictures(data, "test")
    test = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0), device="cpu")]
    count = min(SAMPLES, len(test) // 2)
    reference = test[:-count]
    held_out = test[-count:]
    samples = generate(denoiser, count)
    if classifier is None:
        return {"samples_drawn": count}, samples
    distances = quality.scale(
        lambda x: in_batches(classifier.features, x),
        samples,
        reference,
        held_out,
        generator=torch.Generator().manual_seed(1),
    )
    drawn = quality.histogram(in_batches(classifier, samples))
    real = quality.histogram(in_batches(classifier, held_out))
    figures = {
        "samples_drawn": count,
        "reference": len(reference),
        "frechet": distances,
        "classes": drawn.tolist(),
        "classes_of_held_out": real.tolist(),
        "histogram_distance": 0.5 * (drawn - real).abs().sum().item(),
    }
    return figures, samples
