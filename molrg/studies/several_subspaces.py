r"""Several subspaces of dimension d from N samples of each: K-subspaces and the trained denoiser.

A trial is a seed: K subspaces and a sequence of samples of each. The cell (d, N) uses the first N
of them, unlabelled and without noise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from molrg import stats, sweeps, training
from molrg.denoisers import LowRank
from molrg.draws import normal
from molrg.schedules import VP
from molrg.subspaces import k_subspaces, random_bases, random_basis, subspace_errors

SAMPLES = 40  # drawn of each subspace for every trial, and so the largest N
SCHEDULE = VP()
STAGES = (  # of training: noise levels, one range after the other, and the largest step size
    ((0.1, 1.0), 0.1),
    ((0.02, 0.2), 0.1),
    ((0.003, 0.03), 0.4),
)

Cells = Sequence[Mapping[str, Any]]


def draw(
    seed: int, K: int, d: int, N: int, *, n: int, angle: float = 90.0
) -> tuple[Tensor, list[Tensor]]:
    """Samples of K subspaces and their bases; the latents are the same at all angles.

    Args:
        seed: of the trial.
        K: number of subspaces.
        d: dimension of each, below 100.
        N: samples of each, at most `SAMPLES`.
        n: ambient dimension.
        angle: all principal angles between two subspaces, in degrees.

    Returns:
        (K N, n), those of one subspace after those of another, and K bases (n, d).
    """
    generator = torch.Generator().manual_seed(10_000 * seed + 100 * K + d)
    latents = normal((K, SAMPLES, d), generator=generator, dtype=torch.float64)
    truth = random_bases(n, [d] * K, angle=angle, generator=generator)
    samples = [a[:N] @ U.T for a, U in zip(latents, truth, strict=True)]
    return torch.cat(samples), truth


def _trials(cell: Mapping[str, Any], seeds: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """Samples (S, K N, n) and the K true bases (S, n, d) of the trials of one cell."""
    setting = {key: cell[key] for key in ("K", "d", "N", "n", "angle")}
    drawn = [draw(seed, **setting) for seed in seeds]
    truth = zip(*(bases for _, bases in drawn), strict=True)
    return torch.stack([x for x, _ in drawn]), [torch.stack(U) for U in truth]


def _cells(
    K: int, dims: Iterable[int], counts: Iterable[int], **settings: Any
) -> list[dict[str, Any]]:
    counts = list(counts)
    return [{"K": K, "d": d, "N": N, **settings} for d in dims for N in counts]


def clustered(
    K: int,
    dims: Iterable[int],
    counts: Iterable[int],
    seeds: Sequence[int],
    *,
    n: int,
    starts: int,
    angle: float = 90.0,
    joint: bool = False,
    store: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """K-subspaces, the best of its starts by its own objective; of starts that tie, the worst.

    One row: d, N, seed; "error" of the choice and its "success", and "errors" of all starts: first
    `starts` from random bases, then an informed one, then `starts` from random balanced splits.
    The informed start is spectral clustering of the samples, or where the angle is not 90 of their
    whitened coordinates.

    Args:
        K: number of subspaces.
        dims: the d.
        counts: the N, samples of each subspace, at most `SAMPLES`.
        seeds: of the trials.
        n: ambient dimension.
        starts: random starts of each kind.
        angle: between the true subspaces, in degrees.
        joint: whether all bases together are to be orthonormal.
        store: where finished trials are kept.
    """
    cells = _cells(K, dims, counts, n=n, angle=angle, joint=joint, starts=starts)
    table = sweeps.run(by_clustering, cells, seeds=seeds, store=store, chunk=len(seeds))
    return table.assign(success=stats.succeeded(table.error, angle))


@sweeps.batched
def by_clustering(cells: Cells, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """K-subspaces on the trials of one cell: error of the choice, and errors of all starts.

    Args:
        cells: the same for all, with keys K, d, N, n, angle, joint, starts.
        seeds: one per trial.
    """
    cell = cells[0]
    x, truth = _trials(cell, seeds)
    generators = [torch.Generator().manual_seed(10**6 + seed) for seed in seeds]
    settings = {"restarts": cell["starts"], "joint": cell["joint"], "generator": generators}
    informed = "random+spectral" if cell["angle"] == 90 else "random+whitened"
    inits = (informed, "balanced")
    runs = [k_subspaces(x, cell["K"], cell["d"], init=init, **settings) for init in inits]
    wanted = [U.unsqueeze(1) for U in truth]
    errors = torch.cat([subspace_errors(run.starts, wanted) for run in runs], 1)
    objectives = torch.cat([run.objectives for run in runs], 1)
    tied = objectives >= objectives.amax(1, keepdim=True) * (1 - 1e-9)
    chosen = torch.where(tied, errors, 0).amax(1).tolist()
    return [{"error": error, "errors": each} for error, each in zip(chosen, errors, strict=True)]


def trained(
    K: int,
    dims: Iterable[int],
    counts: Iterable[int],
    seeds: Sequence[int],
    *,
    n: int,
    starts: int,
    steps: int,
    angle: float = 90.0,
    joint: bool = False,
    store: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Denoisers with soft-max weights, trained from high noise to low; the lowest loss is chosen.

    One row: d, N, seed; "error" of the choice and its "success", and "errors" of all starts.

    Args:
        K: number of subspaces.
        dims: the d.
        counts: the N, samples of each subspace, at most `SAMPLES`.
        seeds: of the trials.
        n: ambient dimension.
        starts: random ones.
        steps: of training, in all `STAGES` together.
        angle: between the true subspaces, in degrees.
        joint: whether all bases together are to be orthonormal.
        store: where finished trials are kept.
    """
    settings = {"n": n, "angle": angle, "joint": joint, "starts": starts, "steps": steps}
    cells = _cells(K, dims, counts, **settings)
    table = sweeps.run(by_training, cells, seeds=seeds, store=store, chunk=len(seeds))
    return table.assign(success=stats.succeeded(table.error, angle))


@sweeps.batched
def by_training(cells: Cells, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Soft-max denoisers on the trials of one cell, in single precision.

    Args:
        cells: the same for all, with keys K, d, N, n, angle, joint, starts, steps.
        seeds: one per trial.
    """
    cell = cells[0]
    runs = [(seed, start) for seed in seeds for start in range(cell["starts"])]
    x, truth = _trials(cell, [seed for seed, _ in runs])
    x = x.float()
    generators = [torch.Generator().manual_seed(10**7 + 100 * seed + r) for seed, r in runs]
    model = LowRank(_starts(cell, generators), SCHEDULE, joint=cell["joint"])
    for sigma, lr in STAGES:
        steps = cell["steps"] // len(STAGES)
        training.fit(model, x, steps=steps, lr=lr, sigma=sigma, generator=generators)
    noise = torch.Generator().manual_seed(0)
    losses = training.evaluate(model, x, sigma=STAGES[-1][0], generator=noise)
    errors = subspace_errors([U.double() for U in model.bases], truth).view(len(seeds), -1)
    best = losses.view(len(seeds), -1).argmin(1)
    return [{"error": float(e[r]), "errors": e} for e, r in zip(errors, best, strict=True)]


def _starts(cell: Mapping[str, Any], generators: Sequence[torch.Generator]) -> list[Tensor]:
    """Random bases of every run, K of (E, n, d), orthonormal together where the cell is joint."""
    K, d = cell["K"], cell["d"]
    sizes = [K * d] if cell["joint"] else [d] * K
    columns = [
        torch.cat([random_basis(cell["n"], m, generator=one) for m in sizes], 1)
        for one in generators
    ]
    return list(torch.stack(columns).float().split(d, -1))


def each_start(table: pd.DataFrame, starts: int) -> pd.DataFrame:
    """Each of the first starts of `clustered` or `trained` as a trial of its own.

    One row: d, N and a start, numbered by "seed" over all trials; its "error" and "success".
    """
    rows = table.assign(error=table.errors.str[:starts]).explode("error")
    rows["seed"] = rows.groupby(["d", "N"]).cumcount()
    return rows.assign(success=stats.succeeded(rows.error))


def share_of_starts(table: pd.DataFrame, starts: int) -> pd.Series:
    """Share of the first starts of each row of `clustered` or `trained` that succeed alone."""
    return table.errors.map(lambda errors: stats.succeeded(errors[:starts]).mean())


def beyond_edge(table: pd.DataFrame, extra: int, column: str = "success") -> pd.Series:
    """Mean of a column over the cells N = d + extra with d <= 4, by seed."""
    rows = table[(table.d + extra == table.N) & (table.d <= 4)]
    return rows.groupby("seed")[column].mean()
