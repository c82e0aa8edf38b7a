"""How good a denoiser of faces is, by their known law: no eye is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molrg import checks, draws, images, memorization, sampling
from molrg.denoisers import Denoiser
from molrg.denoisers.networks import UNet
from molrg.images import faces
from molrg.mixture import PosteriorMean

SIGMAS = (0.1, 0.2, 0.4, 0.7, 1.2, 2.0, 3.4, 6.0, 12.0, 30.0)
NEAR = 1.6  # distance in [-1, 1] units that the two most alike kinds are apart
SAMPLES = 1000
STEPS = 18  # of Heun's method
CLEAR = 0.5  # margin between two kinds: nearer to one than half of the way to the middle
AT_ONCE = 64  # noisy faces denoised together


@torch.no_grad()
def excess_error(
    denoiser: Denoiser,
    pictures: Tensor,
    sigmas: Sequence[float] = SIGMAS,
    *,
    exact: PosteriorMean | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Denoising errors of a model and of the exact posterior mean on the same noisy faces.

    The exact denoiser has the least error. By orthogonality the excess of another equals, on
    average, its squared distance to the exact one, which is measured with far less scatter.

    Source: ours.

    Args:
        denoiser: of faces without a pose.
        pictures: clean ones, (N, 3, size, size), that the denoiser has not been trained on.
        sigmas: noise levels, each within the range of the denoiser's schedule.
        exact: the reference; that of all kinds where omitted.
        seed: of the noise.

    Returns:
        A row per noise level: `sigma` (that of the schedule), `exact` and `model`, squared errors
        of a face, `distance`, squared between the two, and `excess`, distance over exact.

    Raises:
        ValueError: where pictures are not finite or a noise level is out of range.
    """
    clean = checks.finite("pictures", pictures)
    schedule = denoiser.schedule
    if exact is None:
        law = faces.mixture(size=clean.shape[-1], noise=0.0, dtype=clean.dtype)
        exact = law.to(clean.device).denoiser(schedule)
    rows = []
    for level, wanted in enumerate(sigmas):
        t = schedule.t_of_sigma(wanted).item()
        noise = draws.normal_like(clean, generator=draws.source(seed, level))
        noisy = schedule.add_noise(clean, t, noise)
        best = torch.cat([exact(part, t) for part in noisy.split(AT_ONCE)])
        own = torch.cat([denoiser(part, t) for part in noisy.split(AT_ONCE)])
        row = {
            "sigma": schedule.sigma(t).item(),
            "exact": _mean_square(best - clean),
            "model": _mean_square(own - clean),
            "distance": _mean_square(own - best),
        }
        rows.append(row | {"excess": row["distance"] / row["exact"]})
    return pd.DataFrame(rows)


def _mean_square(difference: Tensor) -> float:
    return difference.flatten(1).square().sum(1).double().mean().item()


def describe_samples(samples: Tensor, training: Tensor) -> dict[str, Any]:
    """Whether samples follow the law: are they faces, of all kinds alike, rightly coloured, new?

    Args:
        samples: (N, 3, size, size), N >= 2, not clipped.
        training: the faces that the model has seen, of the same size.

    Returns:
        `distance`: quartiles of the distance to the nearest kind; `near`: share of the samples
        nearer than half of `NEAR`; `clear`: share whose margin against the second nearest kind is
        above `CLEAR`; `frequencies`: {attribute: share of each value}; `unevenness`:
        {attribute: half the sum of their differences from even}; `kinds`: how many there are, and
        `kinds_expected` of as many faces of the law; `colour_means`, `colour_deviations`: of the
        factors of the near ones, 0 and 1 under the law; `colour_correlation`: the largest between
        two, in size; `copies`: share of samples that copy a training face.

    Raises:
        ValueError: where shapes do not fit or entries are not finite.
    """
    found = faces.nearest(samples)
    near = found.distances < NEAR / 2
    table = faces.kinds().iloc[found.kinds.cpu().numpy()]
    shares = {name: _shares(table[name], values) for name, values in faces.ATTRIBUTES.items()}
    colours = found.colours[near] if int(near.sum()) > 7 else found.colours
    correlations = torch.corrcoef(colours.mT) - torch.eye(
        7, dtype=colours.dtype, device=colours.device
    ).to(colours)
    N, K = len(samples), faces.KINDS
    return {
        "distance": np.quantile(found.distances.cpu().numpy(), [0.25, 0.5, 0.75]).tolist(),
        "near": near.double().mean().item(),
        "clear": (found.margins > CLEAR).double().mean().item(),
        "frequencies": shares,
        "unevenness": {name: _unevenness(share) for name, share in shares.items()},
        "kinds": len(found.kinds.unique()),
        "kinds_expected": K * (1 - (1 - 1 / K) ** N),
        "colour_means": dict(zip(faces.COLOURS, colours.mean(0).tolist(), strict=True)),
        "colour_deviations": dict(zip(faces.COLOURS, colours.std(0).tolist(), strict=True)),
        "colour_correlation": correlations.abs().max().item(),
        "copies": memorization.memorised(samples, training).double().mean().item(),
    }


def judge(denoiser: UNet, data: str, *, N: int = SAMPLES) -> dict[str, Any]:
    """What a card says of a model of faces: its `excess_error`, and its samples described.

    Args:
        denoiser: a model of faces without a pose.
        data: the set that it was trained on.
        N: number of samples; a quarter as many held-out faces.

    Raises:
        ValueError: where N is not >= 8.
    """
    N = checks.count("N", N, 8)
    held_out, _ = images.load(data, "test", n=N // 4)
    errors = excess_error(denoiser, held_out)
    generator = draws.source(1)
    start = sampling.prior(
        (N, *held_out.shape[1:]), denoiser.schedule, generator=generator, dtype=held_out.dtype
    )
    times = sampling.time_grid(denoiser.schedule, STEPS)
    with torch.no_grad():
        parts = [
            sampling.finish(sampling.heun(denoiser, part, times)) for part in start.split(AT_ONCE)
        ]
    samples = describe_samples(torch.cat(parts), images.load(data)[0])
    return {"errors": errors.to_dict("list"), "samples_drawn": N, "samples": samples}


def section(law: dict[str, Any]) -> str:
    """What `judge` returns, as a section of a card."""
    samples = law["samples"]
    low, middle, high = samples["distance"]
    about_samples = [
        f"Of {law['samples_drawn']} samples (Heun's method, {STEPS} steps):",
        f"- distance to the nearest kind {middle:.2f}, quartiles {low:.2f} and {high:.2f};"
        f" {samples['near']:.3f} are nearer than half of the distance of the two most alike kinds;",
        f"- {samples['clear']:.3f} are clearly of one kind (margin to the second {CLEAR} of 1);",
        f"- {samples['kinds']} kinds ({samples['kinds_expected']:.0f} expected); unevenness of"
        f" attributes (half the sum of differences from even) {_listed(samples['unevenness'])};",
        f"- means of colours, 0 under the law: {_listed(samples['colour_means'])};",
        f"- standard deviations, 1 under the law: {_listed(samples['colour_deviations'])};",
        f"- largest correlation of colours {samples['colour_correlation']:.2f}, 0 under the law;",
        f"- copies of training faces: {samples['copies']:.4f}.",
    ]
    about_errors = (
        "Squared denoising error of a held-out face: of the exact posterior mean and of this model;"
        " squared distance between the two, which on average is the excess; and it over the exact."
    )
    table = _markdown(pd.DataFrame(law["errors"]))
    return "\n".join(["## By the known law", "", about_errors, "", table, "", *about_samples])


def _markdown(table: pd.DataFrame) -> str:
    rows = [[f"{value:.3g}" for value in row] for row in table.to_numpy()]
    lines = [[str(name) for name in table], ["---"] * table.shape[1], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _listed(numbers: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())


def _shares(column: pd.Series, values: Sequence[str]) -> dict[str, float]:
    return {value: float((column == value).mean()) for value in values}


def _unevenness(shares: dict[str, float]) -> float:
    return 0.5 * sum(abs(share - 1 / len(shares)) for share in shares.values())
