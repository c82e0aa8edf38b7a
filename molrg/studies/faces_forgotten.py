r"""At which noise each attribute of a face is forgotten: exactly and by a network, seed by seed.

Four curves for each attribute, on the same faces: the exact posterior; a network that goes forward
and backward; the exact posterior mean that does so in the same steps, which shows what the sampler
and the readers add; and the network's faces compared with other faces, in which nothing is kept.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from molrg import draws, stats, sweeps
from molrg.denoisers import Denoiser
from molrg.images import faces
from molrg.mixture import MoLRG
from molrg.schedules import Schedule
from molrg.studies import editing_setting, faces_thresholds
from molrg.zoo import readers, shipped

LEVELS = (0.35, 0.6, 0.9, 1.3, 1.9, 2.8, 4.2, 6.5, 10.0, 16.0)
CURVES = ("exact", "sampler", "network", "unrelated")
_FACES, _EXACT, _SAMPLER, _NETWORK = 1, 2, 3, 4  # purposes of random numbers


@functools.cache
def exact_law() -> MoLRG:
    """The law of faces without a pose, made once in a process."""
    return faces.mixture(noise=0.0)


@sweeps.batched
def trial(cells: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The four curves of every attribute, means over the faces of one seed.

    One row is one seed: for each of `CURVES` chance-corrected shares (attributes, levels), at
    `LEVELS`.

    Args:
        cells: with "model", a network of faces without a pose: its name in the zoo, or a folder;
            "N" faces; "steps" of the grid from 1 to 0, on the way back; "weights", which tells
            networks of one name apart in a store.
        seeds: of the faces and of all noise.
    """
    return sweeps.by_cell(_of_cell, cells, seeds)


def _of_cell(cell: Mapping[str, Any], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of some seeds, whose faces go back together: the exact law is slow to read."""
    N = cell["N"]
    drawn = [faces.draw(N, generator=draws.source(_FACES, seed)) for seed in seeds]
    pictures = torch.cat([faces_of_seed for faces_of_seed, _ in drawn])
    factors = pd.concat([table for _, table in drawn], ignore_index=True)
    others = np.arange(len(factors)).reshape(-1, N)
    unrelated = factors.iloc[np.roll(others, 1, axis=1).flatten()]

    network = editing_setting.network(cell["model"])
    reader = cast(readers.Readers, shipped.load("faces-readers"))
    law = exact_law()

    def keys(purpose: int) -> list[int]:
        return [10 * seed + purpose for seed in seeds]

    def back(denoiser: Denoiser, purpose: int) -> dict[float, dict[str, Tensor]]:
        return faces_thresholds.come_back(
            denoiser, reader, pictures, LEVELS, steps=cell["steps"], seed=keys(purpose)
        )

    schedule = network.schedule
    exact = faces_thresholds.exact(pictures, factors, schedule, LEVELS, law=law, seed=keys(_EXACT))
    returned = back(network, _NETWORK)
    sampled = back(law.denoiser(schedule), _SAMPLER)
    tables = {
        "exact": exact,
        "sampler": faces_thresholds.kept_by(sampled, factors),
        "network": faces_thresholds.kept_by(returned, factors),
        "unrelated": faces_thresholds.kept_by(returned, unrelated),
    }
    by_name = {name: _curves(table, N) for name, table in tables.items()}
    return [{name: by_name[name][i] for name in CURVES} for i in range(len(seeds))]


def _curves(table: pd.DataFrame, N: int) -> list[NDArray[np.float64]]:
    """Means over every N faces, (attributes, levels) each."""
    return [
        rows.groupby(["attribute", "sigma"])["score"]
        .mean()
        .unstack()
        .loc[list(faces.ATTRIBUTES)]
        .to_numpy()
        for _, rows in table.groupby(table["face"] // N)
    ]


def trials(
    seeds: Sequence[int], model: str, *, N: int, steps: int, profile: str = "quick"
) -> pd.DataFrame:
    """A row of `trial` for each seed, kept between runs in the paper profile."""
    weights = editing_setting.weight_sum(editing_setting.network(model))
    cell = {"model": model, "N": N, "steps": steps, "weights": weights}
    store = sweeps.kept("c25_trials", profile)
    return sweeps.run(trial, [cell], seeds=seeds, store=store, chunk=5)


def curves(table: pd.DataFrame, name: str, attribute: str) -> NDArray[np.float64]:
    """One of `CURVES` of an attribute, (seeds, levels)."""
    row = list(faces.ATTRIBUTES).index(attribute)
    return np.array(table[name].tolist(), dtype=float)[:, row]


def threshold(scores: ArrayLike) -> float:
    """The noise level at which a curve over `LEVELS` passes one half, by a fitted sigmoid.

    A curve that does not pass one half has the end of the range that it points to.

    Raises:
        ValueError: as `molrg.stats.fit_transition`.
    """
    x = np.log(LEVELS)
    fit = stats.fit_transition(x, np.asarray(scores), falls=True, log2=False, draws=1)
    return math.exp(min(max(fit.centre, x[0]), x[-1]))


def thresholds(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The threshold of every attribute by one of `CURVES`: a row per seed, columns by attribute."""
    columns = {
        attribute: [threshold(row) for row in curves(table, name, attribute)]
        for attribute in faces.ATTRIBUTES
    }
    return pd.DataFrame(columns, index=table["seed"])


def pooled(table: pd.DataFrame, name: str, *, draws: int = 200) -> dict[str, stats.Transition]:
    """A sigmoid in ln sigma for every attribute, fitted to all seeds together.

    Args:
        table: as `trials` returns it.
        name: one of `CURVES`.
        draws: bootstrap samples of the seeds.
    """
    x = np.log(LEVELS)
    return {
        attribute: stats.fit_transition(
            x, curves(table, name, attribute), falls=True, log2=False, draws=draws
        )
        for attribute in faces.ATTRIBUTES
    }


def equidistant(values: int, sigmas: ArrayLike, *, points: int, seed: int = 0) -> list[float]:
    """Chance-corrected posterior probability of the true one of points one apart, by simulation.

    The least that an attribute can be: values at equal distances, everything else known.

    Args:
        values: number of points, all pairs at distance one.
        sigmas: noise levels, in units of the distance.
        points: draws at each level.
        seed: of the noise.

    Raises:
        ValueError: where values is not >= 2.
    """
    if values < 2:
        raise ValueError(f"values = {values}: allowed is >= 2")
    corners = torch.eye(values, dtype=torch.float64, device="cpu") / math.sqrt(2)
    noise = draws.normal((points, values), generator=draws.source(seed), dtype=torch.float64)
    kept = []
    for sigma in np.asarray(sigmas, dtype=float):
        noisy = corners[0] + sigma * noise
        posterior = (-torch.cdist(noisy, corners).square() / (2 * sigma**2)).softmax(1)
        kept.append((posterior[:, 0].mean().item() * values - 1) / (values - 1))
    return kept


def estimates(
    denoisers: Sequence[Denoiser],
    picture: Tensor,
    sigmas: Sequence[float],
    schedule: Schedule,
    *,
    seed: int = 0,
) -> list[Tensor]:
    """A face under growing noise, as it is seen, and what each denoiser makes of it.

    Args:
        denoisers: of faces.
        picture: (1, 3, size, size).
        sigmas: noise levels.
        schedule: of the denoisers.
        seed: of the noise, the same at all levels.

    Returns:
        Pictures (levels, 3, size, size): the noisy ones x_t, and those of each denoiser.
    """
    noise = draws.normal_like(picture, generator=draws.source(seed))
    times = [schedule.t_of_sigma(sigma).item() for sigma in sigmas]
    points = [schedule.add_noise(picture, t, noise) for t in times]
    with torch.no_grad():
        seen = [
            torch.cat([denoiser(x, t) for x, t in zip(points, times, strict=True)])
            for denoiser in denoisers
        ]
    return [torch.cat(points), *seen]
