r"""Which simple denoiser each model of the zoo is nearest to, noise level by noise level.

Every reference knows the same few images of the set that the model was trained on. Patches have one
width for each noise level, the same for all models.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molrg import MoLRG, checks, draws, images, stats, sweeps, zoo
from molrg.denoisers import Denoiser, Empirical, Gaussian, Patches
from molrg.images.faces import fixed_draws
from molrg.schedules import Schedule
from molrg.studies import editing_setting, references
from molrg.zoo import recipes

LEVELS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
WIDTHS = (3, 5, 9, 15, 21, 21)  # of a patch in pixels, one for each level
REFERENCES = ("Gaussian", "mixture", "patches", "training set")
_ROWS, _FIT, _RESAMPLES = 1, 2, 3  # purposes of random numbers


class PatchesByLevel:
    """Patches whose width grows with the noise, as `WIDTHS` says.

    Args:
        data: training images (N, C, H, W).
        schedule: the forward process.
    """

    def __init__(self, data: Tensor, schedule: Schedule) -> None:
        self.schedule = schedule
        self.by_width = {width: Patches(data, schedule, width) for width in WIDTHS}

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 by the patches of the level nearest to t."""
        sigma = float(self.schedule.sigma(t))
        place = np.argmin([abs(np.log(sigma / level)) for level in LEVELS])
        return self.by_width[WIDTHS[place]](x_t, t)


def models() -> list[str]:
    """Denoisers of the zoo whose images come with the package, by their set."""
    data = {name: zoo.record(name)["recipe"].get("data") for name in zoo.names()}
    denoising = [name for name in data if zoo.record(name)["kind"] == "denoising"]
    return sorted((name for name in denoising if _has_images(data[name])), key=data.__getitem__)


def _has_images(data: str) -> bool:
    return data == "white-noise" or data in fixed_draws.SETS or f"{data}-slice" in images.RECORDS


def pictures(data: str, split: str, N: int, *, seed: int = 0) -> Tensor:
    """N images of a set of `molrg.zoo`'s recipes, chosen at random where it has a shipped slice.

    Args:
        data: "white-noise", a set of faces, or a set with a slice.
        split: "train" or "test".
        N: how many.
        seed: of the choice.

    Raises:
        ValueError: where the set has no images in the package, or fewer.
    """
    if not _has_images(data):
        raise ValueError(f"data = {data!r}: allowed is a set whose images come with the package")
    if data in fixed_draws.SETS:
        return fixed_draws.fixed(data, split, rows=range(N))[0]
    if data == "white-noise":
        every = recipes.pictures(data, split)
    else:
        every = images.load(f"{data}-slice", split)[0]
    N = checks.count("N", N, 1, len(every))
    generator = draws.source(_ROWS, seed, images.SPLITS.index(split))
    return every[torch.randperm(len(every), generator=generator, device="cpu")[:N]]


@functools.lru_cache(maxsize=1)
def fitted(
    data: str, schedule: Schedule, N: int, K: int, d: int, seed: int
) -> tuple[dict[str, Denoiser], Tensor]:
    """The four references of a set, and the mean of the images that they know.

    Args:
        data: as in `pictures`.
        schedule: the forward process.
        N: images that they are fitted to.
        K: components of the mixture.
        d: their dimension.
        seed: of the images and the fit.
    """
    x = pictures(data, "train", N, seed=seed)
    generator = draws.source(_FIT, seed)
    law = MoLRG.fit(x.flatten(1), K, d, starts=1, iterations=10, generator=generator)
    made = (
        Gaussian(x, schedule),
        law.denoiser(schedule),
        PatchesByLevel(x, schedule),
        Empirical(x, schedule),
    )
    return dict(zip(REFERENCES, made, strict=True)), x.mean(0)


def trial(seed: int, model: str, N: int, K: int, d: int, M: int, weights: float) -> dict[str, Any]:
    """Distances of one model to the references, on test images.

    Args:
        seed: of images, fit and noise.
        model: its name in the zoo.
        N: images that the references know.
        K: components of the mixture.
        d: their dimension.
        M: test images.
        weights: tells networks of one name apart in a store.

    Returns:
        "distance" (levels, images, references) and "scale" (levels, images), as
        `molrg.studies.references.compare` has them.
    """
    network = editing_setting.network(model)
    data = zoo.record(model)["recipe"]["data"]
    known, mean = fitted(data, network.schedule, N, K, d, seed)
    points = {"test images": pictures(data, "test", M, seed=seed)}
    table = references.compare(network, known, points, LEVELS, mean=mean, seed=seed)
    shape = (len(LEVELS), len(REFERENCES), M)
    by_image = {key: table[key].to_numpy().reshape(shape) for key in ("distance", "scale")}
    return {
        "distance": by_image["distance"].swapaxes(1, 2).tolist(),
        "scale": by_image["scale"][:, 0].tolist(),
    }


def trials(
    names: Sequence[str],
    *,
    N: int = 1500,
    K: int = 20,
    d: int = 20,
    M: int = 12,
    seed: int = 0,
    store: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """A row of `trial` for each model.

    Args:
        names: of models in the zoo.
        N: images that the references know.
        K: components of the mixture.
        d: their dimension.
        M: test images.
        seed: of images, fit and noise.
        store: where results are kept, as for `molrg.sweeps.run`.
    """
    sizes = {"N": N, "K": K, "d": d, "M": M}
    cells = [
        {
            "model": name,
            **sizes,
            "weights": editing_setting.weight_sum(editing_setting.network(name)),
        }
        for name in names
    ]
    return sweeps.run(trial, cells, seeds=[seed], store=store)


def nearest(table: pd.DataFrame, *, resamples: int = 500, seed: int = 0) -> pd.DataFrame:
    """Distances with intervals over images, and whether the nearest reference is clearly so.

    Args:
        table: as `trials` returns it.
        resamples: bootstrap samples of the images.
        seed: of the resampling.

    Returns:
        A row for each model, level and reference: model, sigma, reference, "distance" (relative),
        "low", "high"; "lead low", the lower end of the interval of its distance less that of the
        nearest reference; "nearest"; and "clear", whether no other reference has a lead that may be
        zero.
    """
    parts = []
    for row in table.to_dict("records"):
        for level, sigma in enumerate(LEVELS):
            pairs = np.column_stack([row["scale"][level], row["distance"][level]])
            part = _at_level(pairs, resamples, draws.source(_RESAMPLES, seed, level))
            parts.append(part.assign(model=row["model"], sigma=sigma))
    return pd.concat(parts, ignore_index=True)


def _at_level(pairs: np.ndarray, resamples: int, generator: torch.Generator) -> pd.DataFrame:
    """The rows of one model and level, from scale and distances by image (M, 1 + references)."""

    def relative(rows: np.ndarray) -> np.ndarray:
        sums = rows.sum(-2)
        return sums[..., 1:] / sums[..., :1]

    distance = relative(pairs)
    best = int(distance.argmin())

    def with_leads(rows: np.ndarray) -> np.ndarray:
        ratios = relative(rows)
        return np.concatenate([ratios, ratios - ratios[..., best : best + 1]], -1)

    low, high = stats.bootstrap(pairs, with_leads, resamples=resamples, generator=generator)
    count = len(distance)
    leads = low[count:]
    others = np.arange(count) != best
    return pd.DataFrame(
        {
            "reference": REFERENCES,
            "distance": distance,
            "low": low[:count],
            "high": high[:count],
            "lead low": leads,
            "nearest": ~others,
            "clear": bool((leads[others] > 0).all()),
        }
    )
