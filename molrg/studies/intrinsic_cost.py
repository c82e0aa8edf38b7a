r"""What samples cost on images: perceptrons trained on more and more images of a known dimension.

A family is rendered (`molrg.images.rendered`) or a set by name; its images are centred and scaled
to the total variance d, so that noise is counted in units of what one factor does. The number of
samples needed, N_min, is where a sigmoid in log2 N fitted to a score passes one half.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from molrg import draws, images, memorization, sampling, stats, sweeps
from molrg.denoisers import MLP, Denoiser
from molrg.images.scenes import Scenes
from molrg.schedules import EDM
from molrg.training import fit, loss

SCHEDULE = EDM()
LOWEST = 0.1  # noise level of training
JUDGED = 0.4  # noise level at which errors are measured
HELD_OUT = 256  # images on which the test error is measured

# What random numbers are for: the first entry of every key.
_POOL, _START, _TRAINING, _ERROR, _SEEN, _SAMPLES, _SPAN = range(1, 8)
_FAMILY = ("source", "d", "size", "objects", "curvature", "kinds")


def pool(
    source: str,
    d: float,
    size: int,
    objects: int,
    curvature: float,
    N: int,
    seed: int,
    kinds: str = "x y",
) -> tuple[Tensor, Tensor]:
    """Training and test images of a family, centred, of total variance d.

    Args:
        source: "rendered", or the name of a set as in `molrg.images.load`.
        d: intrinsic dimension: free factors of a rendered scene, or an estimate.
        size: pixels a side; those of a set are averaged down to it.
        objects: of a rendered scene.
        curvature: of the rendered family, 0 for the linear one.
        N: training images.
        seed: of the scene and the factors, or of the choice of images.
        kinds: of the factors of every rendered object, from `molrg.images.KINDS`.

    Returns:
        (N, n) training images and (256, n) test images.
    """
    generator = draws.source(_POOL, seed)
    if source == "rendered":
        family = _scenes(int(d), size, objects, tuple(kinds.split()), seed).bent(curvature)
        x = family.sample(N + HELD_OUT, generator)[0]
    else:
        x, _ = images.load(source, n=N + HELD_OUT, generator=generator)
        x = avg_pool2d(x, x.shape[-1] // size)
    x = (x - x.mean(0)).flatten(1)
    x = x * math.sqrt(d / float(x.var(0).sum()))
    return x[:N], x[N:]


@cache
def _scenes(d: int, size: int, objects: int, kinds: Sequence[str], seed: int) -> Scenes:
    """A family, once: its tangent space costs more than a thousand of its images."""
    return Scenes(d, size, objects=objects, kinds=kinds, scene=seed)


@sweeps.batched
def train(cells: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Perceptrons trained on N images of a family; those that differ in N alone as one ensemble.

    One row is one network: "test" and "train", its error at the noise level `JUDGED` on held-out
    and on training images, over that of the mean image. Where "high" exceeds 1, all noise is
    trained on: then samples are drawn, and "gl" and "gl_fresh" are the shares of samples and of
    fresh images that are no copies of a training image.

    Args:
        cells: with "source", "d", "size", "objects", "curvature" and "kinds" as in `pool`; "N"
            training images, the first of "largest"; "width" of the two hidden layers; "steps" of
            Adam, "batch" images in a step, the largest step size "lr"; and "high", the highest
            noise level of training, from 0.1.
        seeds: of the pool, the start and the training.
    """
    groups: dict[tuple, list[int]] = {}
    for job, cell in enumerate(cells):
        alike = {key: value for key, value in cell.items() if key != "N"}
        groups.setdefault(tuple(alike.items()), []).append(job)
    rows: dict[int, dict[str, Any]] = {}
    for shared, jobs in groups.items():
        sizes = [cells[job]["N"] for job in jobs]
        found = _of_family(dict(shared), sizes, [seeds[job] for job in jobs])
        rows |= zip(jobs, found, strict=True)
    return [rows[job] for job in range(len(cells))]


def _of_family(
    cell: Mapping[str, Any], sizes: Sequence[int], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """The rows of networks of one family and one budget."""
    settings = {key: cell[key] for key in _FAMILY}
    pools = {seed: pool(**settings, N=cell["largest"], seed=seed) for seed in set(seeds)}
    sets = [pools[seed][0][:N] for N, seed in zip(sizes, seeds, strict=True)]
    rows = torch.arange(cell["largest"], device="cpu")
    data = torch.stack([x[rows % len(x)] for x in sets])  # all of one length
    network = _fitted(cell, data, list(zip(seeds, sizes, strict=True)))
    seen = torch.randperm(cell["largest"], generator=draws.source(_SEEN), device="cpu")[:HELD_OUT]
    unseen = torch.stack([pools[seed][1] for seed in seeds])
    found = [
        {"test": float(test), "train": float(train)}
        for test, train in zip(
            _errors(network, unseen, cell["d"]),
            _errors(network, data[:, seen], cell["d"]),
            strict=True,
        )
    ]
    if cell["high"] > 1:
        for row, samples, x, images_ in zip(
            found, _samples(network, cell), sets, unseen, strict=True
        ):
            row["gl"] = memorization.generalisation_score(samples, x)
            row["gl_fresh"] = memorization.generalisation_score(images_[: len(samples)], x)
    return found


def _fitted(cell: Mapping[str, Any], data: Tensor, keys: Sequence[tuple[int, int]]) -> MLP:
    """An ensemble, one network for each of the sets (E, N, n)."""
    n = data.shape[-1]
    network = MLP(
        n,
        SCHEDULE,
        width=cell["width"],
        depth=2,
        data_scale=math.sqrt(cell["d"] / n),
        prediction="x0",
        ensemble=(len(data),),
        generator=[draws.source(_START, *key) for key in keys],
    )
    fit(
        network,
        data,
        sigma=(LOWEST, cell["high"]),
        steps=cell["steps"],
        lr=cell["lr"],
        batch=cell["batch"],
        generator=[draws.source(_TRAINING, *key) for key in keys],
    )
    return network


@torch.no_grad()
def _errors(network: Denoiser, x: Tensor, d: float) -> Tensor:
    """Error at `JUDGED` over that of the mean image, one number per model; the noise is shared."""
    noise = draws.normal(x.shape[1:], generator=draws.source(_ERROR), dtype=x.dtype)
    return loss(network, x, SCHEDULE.t_of_sigma(JUDGED), noise=noise.expand(x.shape)) / d


@torch.no_grad()
def _samples(network: MLP, cell: Mapping[str, Any], count: int = 64) -> Tensor:
    """Samples of every model from the same noise: DDIM to the lowest level, a last denoising."""
    start, stop = (float(SCHEDULE.t_of_sigma(level)) for level in (cell["high"], LOWEST))
    times = sampling.time_grid(SCHEDULE, 18, start=start, stop=stop)
    noise = draws.normal((count, cell["size"] ** 2), generator=draws.source(_SAMPLES))
    first = cell["high"] * noise.expand(*network.ensemble, *noise.shape)
    return network(sampling.finish(sampling.ddim(network, first, times)), stop)


def scores(table: pd.DataFrame) -> tuple[NDArray, dict[str, NDArray]]:
    """Two scores from 0 to 1 of the networks of one family: how far the error came, and the gap.

    Args:
        table: rows of `train` for one family and budget, all N for every seed.

    Returns:
        N of the columns, (P,), and for each score an array (S, P): "error", how far the test error
        has come from that of the mean image to where it stands at the largest N; "gap", the
        training error over the test error.
    """
    wide = table.pivot(index="seed", columns="N")
    test, train_error = wide["test"].to_numpy(), wide["train"].to_numpy()
    error = (1 - test) / (1 - test[:, -1:])
    return wide["test"].columns.to_numpy(), {"error": error, "gap": train_error / test}


def samples_needed(table: pd.DataFrame) -> dict[str, NDArray]:
    """N_min by each of the `scores`, one number per seed.

    Args:
        table: as in `scores`.
    """
    N, found = scores(table)
    return {
        name: np.array([2.0 ** stats.fit_transition(N, row, draws=1).centre for row in rows])
        for name, rows in found.items()
    }


def slopes(needed: Sequence[Mapping[str, ArrayLike]], x: ArrayLike, score: str) -> NDArray:
    """Log-log slope of N_min in x, one number per seed.

    Args:
        needed: what `samples_needed` returns, for each entry of x.
        x: what N_min may grow with.
        score: "error" or "gap".
    """
    heights = np.log([np.asarray(each[score], dtype=float) for each in needed])
    return np.polyfit(np.log(np.asarray(x, dtype=float)), heights, 1)[0]


def linear_dimension(x: Tensor, share: float = 0.95) -> int:
    """Principal components that carry a share of the energy of centred images (N, n)."""
    energy = torch.linalg.svdvals(x).square().cumsum(0)
    return int((energy < share * energy[-1]).sum()) + 1


def span_residual(x: Tensor, N: int) -> float:
    """Largest relative distance of later images (B, \\*event) from the span of the first N."""
    centred = (x - x[0]).flatten(1)
    basis = torch.linalg.svd(centred[1:N], full_matrices=False).Vh
    rest = centred[N:] - centred[N:] @ basis.T @ basis
    return float((rest.norm(dim=1) / centred[N:].norm(dim=1)).max())


def linear_edge(
    seed: int, *, curvature: float, dims: Sequence[int] = (4, 8, 16), size: int = 16
) -> float:
    """Share of (d, N) at which the span of N images holds the others if and only if N >= d + 1.

    Args:
        seed: of the scenes and their factors.
        curvature: of the family; 1 in theory for the linear one, of curvature 0.
        dims: intrinsic dimensions, up to 32.
        size: pixels a side.
    """
    agreements = []
    for d in dims:
        family = _scenes(d, size, 16, ("x", "y"), seed).bent(curvature)
        x = family.sample(60, draws.source(_SPAN, seed), dtype=torch.float64)[0]
        for N in range(d - 1, d + 4):
            agreements.append((span_residual(x, N) < 1e-8) == (d + 1 <= N))
    return float(np.mean(agreements))
