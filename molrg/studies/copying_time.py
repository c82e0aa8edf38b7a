r"""Time to copy and time to learn: small networks watched while they are trained on N points.

The points are drawn from a mixture of ten Gaussians, one for each class of digits. So a training
set may have any size, samples may be fresh at every step, and the least possible error is known.
Every purpose has a source of random numbers of its own (`molrg.draws.source`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from molrg import checks, draws, images, memorization, sweeps
from molrg.denoisers import MLP, LinearMixture, Stacked
from molrg.studies.copying import SCHEDULE, SIGMA, sample
from molrg.training import Trainer, squared_errors

LEVEL = 0.8  # noise level at which the error is measured
FIRST, RATIO = 15, 1.25  # the first step that is looked at, and how the steps grow
FRESH = 0  # in the column "N": no point is seen twice, but by chance
TOGETHER = 5  # networks that are trained at once where a store keeps them
Key = tuple[int, int]  # of a network: seed, N

# What random numbers are for: the first entry of every key.
_POINTS, _START, _TRAINING, _SAMPLES, _HELD_OUT, _NOISE = range(6)


def law() -> LinearMixture:
    """The law of the points: a Gaussian for each class of the digits, as its optimal denoiser."""
    pictures, labels = images.load("digits", "train")
    classes = [pictures[labels == label].flatten(1) for label in labels.unique()]
    return LinearMixture(
        labels.bincount() / len(labels),
        torch.stack([x.mean(0) for x in classes]),
        torch.stack([x.T.cov(correction=0) for x in classes]),
        SCHEDULE,
    )


def points(N: int, mixture: LinearMixture, *, generator: torch.Generator) -> Tensor:
    """Draw points (N, n) of a mixture of Gaussians.

    Args:
        N: how many.
        mixture: its optimal denoiser.
        generator: source of components and points.
    """
    weights = mixture.weights.cpu()
    N = checks.count("N", N)
    label = weights.multinomial(N, replacement=True, generator=generator)
    x = draws.normal((N, mixture.means.shape[1]), generator=generator, dtype=weights.dtype)
    x, label = x.to(mixture.means.device), label.to(mixture.means.device)
    components = zip(mixture.means, mixture.variances, mixture.axes, strict=True)
    for k, (mean, variances, axes) in enumerate(components):
        own = label == k
        x[own] = mean + (variances.sqrt() * x[own]) @ axes.T
    return x


def looks(steps: int) -> list[int]:
    """Steps after which a network is looked at, evenly spaced in their logarithm, and the last.

    Args:
        steps: of training, >= 1.
    """
    count = max(0, math.floor(math.log(max(steps, FIRST) / FIRST, RATIO)))
    grid = {round(FIRST * RATIO**k) for k in range(count + 1)}
    return sorted({step for step in grid if step < steps} | {checks.count("steps", steps)})


def courses(
    seeds: Sequence[int],
    sizes: Sequence[int],
    *,
    width: int = 128,
    steps: int = 3000,
    batch: int = 32,
    lr: float = 5e-3,
    rows: int = 48,
    store: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Networks for every N and seed, with one constant step size, and what each is like over time.

    One row is a seed, an N and a look: "copies" is the share of samples that copy a training point
    (`molrg.memorization.memorised`), for `FRESH` sets at the last look only; "error" the squared
    error on held-out points at noise level `LEVEL`, over that of the exact denoiser. All networks
    of a seed share the noise of the samples and of the error.

    Args:
        seeds: of points, starts, training and noise.
        sizes: numbers N of training points, >= 2; `FRESH` for as many as the training draws.
        width: units of each of three hidden layers.
        steps: of Adam.
        batch: points in a step.
        lr: step size of all steps.
        rows: samples; there are eight times as many held-out points.
        store: where finished networks are kept, as for `molrg.sweeps.run`; with one, `TOGETHER`
            networks are trained at once, else all.

    Raises:
        ValueError: where an argument is out of range.
    """
    setting = {
        "width": checks.count("width", width),
        "steps": checks.count("steps", steps),
        "batch": checks.count("batch", batch),
        "lr": checks.real("lr", lr, 1e-12),
        "rows": checks.count("rows", rows),
    }
    counts = [N if N == FRESH else checks.count("sizes", N, 2) for N in sizes]
    cells = [{"N": N} | setting for N in counts]
    together = len(cells) * len(seeds) if store is None else TOGETHER
    table = sweeps.run(course, cells, seeds=seeds, chunk=max(1, together), store=store)
    looked_at = ["step", "copies", "error"]
    long = table[["seed", "N", *looked_at]].explode(looked_at, ignore_index=True)
    return long.astype({"step": int, "copies": float, "error": float})


@sweeps.batched
def course(cells: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Networks and their measures over time; those that are alike but for N are one ensemble.

    One row is one network: "step", "copies" and "error" are lists with an entry for each look.

    Args:
        cells: with "N", "width", "steps", "batch", "lr" and "rows", as in `courses`.
        seeds: of points, starts, training and noise.
    """
    groups: dict[tuple, list[int]] = {}
    for job, cell in enumerate(cells):
        # apart from fresh sets, or padding would make all sets as large
        alike = (cell["N"] == FRESH, *(cell[name] for name in sorted(cell) if name != "N"))
        groups.setdefault(alike, []).append(job)
    rows: dict[int, dict[str, Any]] = {}
    for jobs in groups.values():
        keys = [(seeds[job], cells[job]["N"]) for job in jobs]
        rows |= zip(jobs, _together(cells[jobs[0]], keys), strict=True)
    return [rows[job] for job in range(len(cells))]


def _together(setting: Mapping[str, Any], keys: Sequence[Key]) -> list[dict[str, Any]]:
    """The rows of networks trained as one ensemble."""
    mixture = law()
    fresh = setting["steps"] * setting["batch"]
    sets = [
        points(N if N != FRESH else fresh, mixture, generator=draws.source(_POINTS, seed, N))
        for seed, N in keys
    ]
    training = {name: setting[name] for name in ("width", "steps", "batch", "lr")}
    return _watch(_trainer(sets, keys, **training), sets, keys, mixture, setting["rows"])


def _trainer(
    sets: Sequence[Tensor],
    keys: Sequence[Key],
    *,
    width: int,
    steps: int,
    batch: int,
    lr: float,
) -> Trainer:
    """One network for each set, trained as an ensemble; shorter sets are padded."""
    network = MLP(
        sets[0].shape[1],
        SCHEDULE,
        width=width,
        data_scale=0.1,
        ensemble=(len(keys),),
        generator=[draws.source(_START, *key) for key in keys],
    )
    lengths = torch.tensor([len(x) for x in sets], device=sets[0].device)
    data = torch.nn.utils.rnn.pad_sequence(list(sets), batch_first=True)
    rows = torch.arange(data.shape[1], device=data.device)
    present = rows < lengths.unsqueeze(1)
    return Trainer(
        network,
        data,
        steps=steps,
        lr=lr,
        decay=1,
        batch=batch,
        sigma=SIGMA,
        weighting=lambda t: 1 / SCHEDULE.sigma(t),
        present=None if present.all() else present,
        generator=[draws.source(_TRAINING, *key) for key in keys],
    )


@torch.no_grad()
def _watch(
    trainer: Trainer,
    sets: Sequence[Tensor],
    keys: Sequence[Key],
    mixture: LinearMixture,
    rows: int,
) -> list[dict[str, Any]]:
    """Train to the end, and look at all networks on the way."""
    held_out, noise, prior = _probes([seed for seed, _ in keys], mixture, rows)
    t = SCHEDULE.t_of_sigma(LEVEL)
    exact = Stacked([mixture] * len(keys))
    least = squared_errors(exact, held_out, t, noise=noise).mean(-1)
    network: Any = trainer.denoiser
    courses: list[dict[str, Any]] = [{"step": [], "copies": [], "error": []} for _ in keys]
    for step in looks(trainer.steps):
        with torch.enable_grad():
            while trainer.done < step:
                trainer.step()
        error = squared_errors(network, held_out, t, noise=noise).mean(-1) / least
        copies = [math.nan] * len(keys)
        if keys[0][1] != FRESH or step == trainer.steps:  # so many points take long
            samples = sample(network, prior)
            copies = [_share(x, own) for x, own in zip(samples, sets, strict=True)]
        for row, share, ratio in zip(courses, copies, error.tolist(), strict=True):
            row["step"].append(step)
            row["copies"].append(share)
            row["error"].append(ratio)
    return courses


def _share(samples: Tensor, training: Tensor) -> float:
    """Share of the samples that copy; one that has left the range of numbers is no copy."""
    finite = samples[samples.isfinite().all(-1)]
    copies = memorization.memorised(finite, training).sum().item() if len(finite) else 0
    return copies / len(samples)


def _probes(
    seeds: Sequence[int], mixture: LinearMixture, rows: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Held-out points and their noise (E, 8 rows, n), and where samples start, (E, rows, n)."""
    held_out, noise, prior = [], [], []
    for seed in seeds:
        x = points(8 * rows, mixture, generator=draws.source(_HELD_OUT, seed))
        held_out.append(x)
        noise.append(draws.normal_like(x, generator=draws.source(_NOISE, seed)))
        prior.append(draws.normal_like(x[:rows], generator=draws.source(_SAMPLES, seed)))
    highest = SCHEDULE.gamma(1.0).to(held_out[0])
    return torch.stack(held_out), torch.stack(noise), highest * torch.stack(prior)


def error_of_mean() -> float:
    """Error of the mean image, over that of the exact denoiser at `LEVEL`: nothing is learned."""
    mixture = law()
    x = points(4096, mixture, generator=draws.source(_HELD_OUT))
    noise = draws.normal_like(x, generator=draws.source(_NOISE))
    t = SCHEDULE.t_of_sigma(LEVEL)
    least = squared_errors(mixture, x, t, noise=noise).mean()
    spread = (x - mixture.weights @ mixture.means).square().sum(-1).mean()
    return float(spread / least)


def first(steps: ArrayLike, values: ArrayLike, level: float) -> float:
    """The step at which a course first comes up to a level, linear in log step between looks.

    Args:
        steps: of the looks, ascending.
        values: at the looks.
        level: to be reached; negate both for a course that comes down.

    Returns:
        The step, or NaN where the level is not reached.
    """
    at, y = np.log(np.asarray(steps, dtype=float)), np.asarray(values, dtype=float) - level
    reached = np.flatnonzero(y >= 0)
    if len(reached) == 0:
        return math.nan
    k = reached[0]
    if k == 0:
        return float(np.exp(at[0]))
    share = y[k - 1] / (y[k - 1] - y[k])
    return float(np.exp(at[k - 1] + share * (at[k] - at[k - 1])))


def times(table: pd.DataFrame) -> pd.DataFrame:
    """Times of every seed and N, NaN where a level is not reached: censored.

    "copy" is the step at which half of the samples are copies. Of what can be learned at all, from
    the mean image's error down to the exact denoiser's, "quarter" is the step at which a quarter is
    learned and "half" that for one half; "best" the step at which the error is within a tenth of
    the network's own least.

    Args:
        table: as from `courses`.
    """
    mean = error_of_mean()
    rows = []
    for (seed, N), course in table.sort_values("step").groupby(["seed", "N"]):
        step, error = course.step.to_numpy(), course.error.to_numpy()
        levels = {"quarter": 0.75 * mean + 0.25, "half": 0.5 * mean + 0.5}
        levels["best"] = 1.1 * error.min()
        row = {name: first(step, -error, -level) for name, level in levels.items()}
        row["copy"] = first(step, course.copies.to_numpy(), 0.5)
        rows.append({"seed": seed, "N": N} | row)
    return pd.DataFrame(rows)


def slopes(moments: pd.DataFrame, name: str) -> np.ndarray:
    """Slope of log time in log N for every seed, over the N whose time is not censored.

    Args:
        moments: as from `times`.
        name: of a time.

    Returns:
        (seeds,), in the order of the seeds; NaN where fewer than two N are left.
    """
    fits = []
    for _, rows in moments[moments.N != FRESH].sort_values("seed").groupby("seed"):
        kept = rows[rows[name].notna()]
        x, y = np.log(kept.N.to_numpy(dtype=float)), np.log(kept[name].to_numpy(dtype=float))
        fits.append(float(np.polyfit(x, y, 1)[0]) if len(kept) > 1 else math.nan)
    return np.array(fits)
