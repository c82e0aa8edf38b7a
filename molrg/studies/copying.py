r"""From copying to generalising: denoisers fitted to disjoint halves of images, and what they draw.

Every purpose (the halves, the start, the training, the noise of samples and of errors) has a source
of random numbers of its own, keyed by purpose, seed and half (`molrg.draws.source`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from molrg import checks, draws, images, memorization, sampling, sweeps
from molrg.denoisers import MLP, Denoiser, Empirical, Gaussian, Stacked
from molrg.schedules import EDM
from molrg.training import fit, squared_errors

SIGMA = (0.2, 10.0)  # noise levels of training and sampling
SCHEDULE = EDM(sigma_min=SIGMA[0], sigma_max=SIGMA[1])
TIMES = sampling.time_grid(SCHEDULE, 16, rho=3.0)
LEVELS = (0.2, 0.4, 0.8, 1.6, 3.2)  # noise levels of the denoising error
CS = (0.2, 1 / 3, 0.5, 0.7)  # thresholds of the generalisation score
SOURCES = ("network", "Gaussian", "empirical")
MOST = 500  # images on which an error is measured

# What random numbers are for: the first entry of every key.
_HALVES, _START, _TRAINING, _SAMPLES, _OWN, _UNSEEN, _GUILTY = 0, 2, 3, 4, 5, 6, 7


@cache  # scikit-learn reads its digits from text
def pixels(name: str, split: str) -> Tensor:
    """Images of a set as points (B, n), those of 28 by 28 at half the resolution.

    Args:
        name: as in `molrg.images.load`.
        split: "train" or "test".
    """
    x, _ = images.load(name, split)
    return (x if x.shape[-1] < 28 else avg_pool2d(x, 2)).flatten(1)


def halves(pool: Tensor, N: int, seed: int) -> tuple[Tensor, Tensor]:
    """The two disjoint training sets of a seed, N images each.

    Args:
        pool: (M, n), at least 2 N.
        N: size of each.
        seed: of the choice; larger sets of one seed hold the smaller ones.
    """
    return memorization.halves(pool, N, generator=draws.source(_HALVES, seed))


@torch.no_grad()
def sample(denoiser: Denoiser, noise: Tensor) -> Tensor:
    """Heun's method down to the lowest noise level, and the denoised end.

    Args:
        denoiser: any denoiser with the schedule `SCHEDULE`.
        noise: x_t at the highest level.
    """
    return denoiser(sampling.finish(sampling.heun(denoiser, noise, TIMES)), 0.0)


@sweeps.batched
def train_and_sample(
    cells: Sequence[Mapping[str, Any]], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Denoisers of one kind fitted to both halves of every seed: what they draw, and how they err.

    One row is one seed and one training set size; all numbers are means over its two halves.
    "memorised", "ratio" and "gl" are scores of the samples (`molrg.memorization.scores`); "flagged"
    and "caught" the shares of held-out images and of hardly noised training images that count as
    copies; "paired" and "shuffled" the agreement of the halves' samples; "train" and "test" squared
    errors a pixel, one for each of `LEVELS`, on the own training images and on held-out ones;
    "drawn" the first four samples of each half.

    Args:
        cells: with "source", one of `SOURCES`; "images", the name of a set; "N" images in each
            half; and for a network "width" of its three hidden layers, "steps" of Adam, "batch"
            images in a step, "samples" to draw from each half.
        seeds: of halves, starts, training and noise.

    Raises:
        ValueError: where the source is none of the three, or the set has too few images.
    """
    return sweeps.by_cell(_of_cell, cells, seeds)


def _of_cell(cell: Mapping[str, Any], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of one cell, its networks trained as one ensemble."""
    checks.one_of("source", cell["source"], SOURCES)
    pool = pixels(cell["images"], "train")
    unseen = pixels(cell["images"], "test")[:MOST]
    pairs = [halves(pool, cell["N"], seed) for seed in seeds]
    data = torch.stack([half for pair in pairs for half in pair])
    model = _fitted(cell, data, [(seed, half) for seed in seeds for half in (0, 1)])

    highest = SCHEDULE.gamma(1.0).to(pool.dtype)
    noise = highest * _noise(_SAMPLES, seeds, (cell["samples"], pool.shape[1]))
    x = sample(model, noise).unflatten(0, (-1, 2))
    own = _errors(model, data[:, :MOST], _noise(_OWN, seeds, data[0, :MOST].shape))
    test = unseen.expand(len(data), *unseen.shape)
    other = _errors(model, test, _noise(_UNSEEN, seeds, unseen.shape))
    return [
        _scores(samples, pair, unseen) | {"train": train_error, "test": test_error}
        for samples, pair, train_error, test_error in zip(x, pairs, own, other, strict=True)
    ]


def _fitted(cell: Mapping[str, Any], data: Tensor, keys: Sequence[tuple[int, int]]) -> Any:
    """One denoiser for each training set of data (E, N, n)."""
    if cell["source"] != "network":
        kind: Any = Gaussian if cell["source"] == "Gaussian" else Empirical
        return Stacked([kind(half, SCHEDULE) for half in data])
    model = MLP(
        data.shape[-1],
        SCHEDULE,
        width=cell["width"],
        data_scale=0.1,
        ensemble=(len(data),),
        generator=[draws.source(_START, *key) for key in keys],
    )
    fit(
        model,
        data,
        steps=cell["steps"],
        batch=cell["batch"],
        lr=1 / cell["width"],
        sigma=SIGMA,
        weighting=lambda t: 1 / SCHEDULE.sigma(t),
        generator=[draws.source(_TRAINING, *key) for key in keys],
    )
    return model


def _noise(purpose: int, seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Noise that the two halves of a seed share, (2 S, *shape)."""
    drawn = [draws.normal(shape, generator=draws.source(purpose, seed)) for seed in seeds]
    return torch.stack(drawn).repeat_interleave(2, 0)


@torch.no_grad()
def _errors(model: Denoiser, x0: Tensor, noise: Tensor) -> Tensor:
    """Squared error per pixel, mean over the halves, (S, levels)."""
    times = [SCHEDULE.t_of_sigma(level) for level in LEVELS]
    squares = [squared_errors(model, x0, t, noise=noise) for t in times]
    errors = torch.stack(squares, -1).mean(1) / x0.shape[-1]
    return errors.unflatten(0, (-1, 2)).mean(1)


def _scores(x: Tensor, pair: tuple[Tensor, Tensor], unseen: Tensor) -> dict[str, Any]:
    """What the samples (2, B, n) of both halves say."""
    first, second = pair
    both = pd.DataFrame(
        [_of_half(x[0], first, second, unseen), _of_half(x[1], second, first, unseen)]
    )
    gl = np.mean(both.pop("gl").tolist(), axis=0)
    agreement = memorization.agreement(*x)
    return {str(name): mean for name, mean in both.mean().items()} | {
        "paired": agreement.paired,
        "shuffled": agreement.shuffled,
        "gl": gl,
        "drawn": x[:, :4],
    }


def _of_half(x: Tensor, own: Tensor, other: Tensor, unseen: Tensor) -> dict[str, Any]:
    """Scores of samples; shares of innocent and of guilty images that count as copies."""
    guilty = own + 0.1 * draws.normal_like(own, generator=draws.source(_GUILTY))
    share = partial(memorization.memorised, data=own)
    return memorization.scores(x, own, other, cs=CS) | {
        "flagged": share(unseen).double().mean().item(),
        "caught": share(guilty).double().mean().item(),
    }


def means(table: pd.DataFrame, level: float = 0.8) -> dict[str, dict[int, float]]:
    """Means over seeds of the main scores, as they are recorded: {score: {N: mean}}.

    Args:
        table: rows of `train_and_sample`, of one kind of denoiser.
        level: one of `LEVELS`, that of "error", the held-out one.
    """
    at = LEVELS.index(level)
    scores = table[["N", "ratio", "memorised", "paired", "flagged"]]
    by_size = scores.assign(error=table.test.str[at]).groupby("N").mean()
    return {
        str(name): {int(N): float(mean) for N, mean in zip(by_size.index, column, strict=True)}
        for name, column in by_size.items()
    }
