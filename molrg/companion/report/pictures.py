"""The parts with pictures: copies among samples, and strips of edits."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from molrg import draws, editing, sampling
from molrg.companion import sample_copies
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.plan import (
    ALPHAS,
    DIRECTIONS,
    SHOWN_SAMPLES,
    STEPS,
    STRIP_STEPS,
    Plan,
)
from molrg.plots import GAP

STRIP_SIGMA = 1.0
_BATCH = 32
_REACH = 0.3  # of the noise's length, by which the longest step of a strip moves a point
_ZOOMED_TO = 56  # pixels that a shown picture has at least
_SAMPLES = 47  # purpose of random numbers


def copies(inputs: Inputs, plan: Plan, dimension: float, seed: int) -> dict[str, Any]:
    """Samples of the network beside all training images.

    Args:
        inputs: the network and its images.
        plan: how many samples, and whether pictures are kept.
        dimension: of the training images, the lowest reading.
        seed: of the samples.

    Returns:
        "statements", "samples", "copies", the "ratios", and the "picture", a PNG in base64: one row
        for each of the samples nearest to copies, with two training images, and another,
        "random", of as many samples as they came; or None.
    """
    samples = _samples(inputs, plan.samples, seed).cpu()
    found = sample_copies.compare(samples, inputs.training, d=dimension)
    order = found.ratio.argsort()[:SHOWN_SAMPLES]
    rows = torch.stack([samples[order], *inputs.training[found.nearest[order]].unbind(1)], 1)
    return {
        "statements": found.statements(),
        "samples": len(samples),
        "copies": int(found.copied.sum()),
        "ratios": found.ratio.tolist(),
        "picture": png(rows) if plan.pictures else None,
        "random": png(samples[None, :SHOWN_SAMPLES]) if plan.pictures else None,
    }


@torch.no_grad()
def _samples(inputs: Inputs, count: int, seed: int) -> Tensor:
    denoiser = inputs.denoiser
    times = sampling.time_grid(denoiser.schedule, STEPS)
    noise = sampling.prior(
        (count, *inputs.points.shape[1:]),
        denoiser.schedule,
        generator=draws.source(_SAMPLES, seed),
        dtype=inputs.points.dtype,
        device=inputs.points.device,
    )
    ends = [
        sampling.finish(sampling.ddim(denoiser, part, times, clip=denoiser.clip, denoise_last=True))
        for part in noise.split(_BATCH)
    ]
    return torch.cat(ends).clamp(-1, 1)


def strip(inputs: Inputs, row: int) -> dict[str, Any]:
    """Edits of one image along the leading directions of the Jacobian.

    Args:
        inputs: the network and its images.
        row: of the image.

    Returns:
        "sigma", singular "values", the "error" of coming back without an edit, and the "picture",
        a PNG in base64 with a row for each direction.
    """
    schedule = inputs.denoiser.schedule
    low, high = schedule.sigma(0.0).item(), schedule.sigma(1.0).item()
    sigma = min(max(STRIP_SIGMA, low), high)
    t = schedule.t_of_sigma(sigma).item()
    image = inputs.points[row]
    reach = _REACH * schedule.gamma(t).item() * image.numel() ** 0.5
    alphas = [reach * (2 * step / (ALPHAS - 1) - 1) for step in range(ALPHAS)]
    edits = editing.strip(
        inputs.denoiser, image[None], t, k=DIRECTIONS, alphas=alphas, steps=STRIP_STEPS
    )
    values = edits.directions.values[0].tolist()
    return {"sigma": sigma, "values": values, "error": edits.error, "picture": png(edits.images)}


def png(pictures: Tensor) -> str:
    """Rows of pictures as a PNG in base64, on a transparent ground.

    Args:
        pictures: (rows, columns, C, H, W) in [-1, 1], clipped; C is 1 or 3.
    """
    rows, columns, channels, height, width = pictures.shape
    levels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
    opaque = torch.full_like(levels[:, :, :1], 255)
    colours = levels.expand(-1, -1, 3, -1, -1) if channels == 1 else levels[:, :, :3]
    framed = torch.nn.functional.pad(torch.cat([colours, opaque], 2), (0, GAP, 0, GAP))
    whole = framed.permute(0, 3, 1, 4, 2).reshape(rows * (height + GAP), columns * (width + GAP), 4)
    zoom = max(1, -(-_ZOOMED_TO // height))
    image = Image.fromarray(whole.numpy(), "RGBA")
    size = (image.width * zoom, image.height * zoom)
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.NEAREST).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
