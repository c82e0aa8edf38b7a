r"""One subspace of dimension d from N samples: PCA and a trained denoiser, around the edge N = d.

A trial is a seed: a subspace and a sequence of samples of it. The cell (d, N) uses the first N of
them, so that PCA, training and the laws below the edge are judged on the same data.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor

from molrg import checks, stats, sweeps, training
from molrg.draws import normal
from molrg.schedules import VP
from molrg.subspaces import orthonormalise, pca, projector_distance, random_basis

SAMPLES = 32  # drawn for every trial, and so the largest N
SCHEDULE = VP()

Cells = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Trial:
    """A subspace and samples of it.

    Attributes:
        truth: basis of the subspace, (n, d).
        samples: (`SAMPLES`, n).
        start: a random basis for training to start from, (n, d).
    """

    truth: Tensor
    samples: Tensor
    start: Tensor


def draw(seed: int, d: int, n: int, noise: float = 0.0) -> Trial:
    """The trial of a seed; its latents are the same for every n and noise.

    Args:
        seed: of the trial.
        d: dimension of the subspace, below 1000.
        n: ambient dimension, >= d.
        noise: standard deviation of the errors of the samples, in every coordinate.
    """
    generator = torch.Generator().manual_seed(1000 * seed + d)
    latents = normal((SAMPLES, d), generator=generator, dtype=torch.float64)
    truth, start = (random_basis(n, d, generator=generator) for _ in range(2))
    errors = normal((SAMPLES, n), generator=generator, dtype=torch.float64)
    return Trial(truth, latents @ truth.T + noise * errors, start)


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column "success": whether the error is below the tolerance."""
    return table.assign(success=stats.succeeded(table.error))


def pca_errors(
    cells: Cells, seeds: Sequence[int], *, store: str | os.PathLike | None = None
) -> pd.DataFrame:
    """PCA on the first N samples, for N from 1 to `SAMPLES`.

    One row: a cell, a seed and an N; "error" of the fitted subspace, and "success".

    Args:
        cells: with keys d, n and noise.
        seeds: of the trials.
        store: where finished trials are kept.
    """
    table = sweeps.run(errors_by_pca, cells, seeds=seeds, store=store)
    counts: list[Any] = [list(range(1, SAMPLES + 1))] * len(table)
    rows = table.assign(N=counts).explode(["N", "error"])
    return judged(rows.astype({"N": int, "error": float}).reset_index(drop=True))


def errors_by_pca(seed: int, d: int, n: int, noise: float) -> dict[str, Tensor]:
    """Errors of PCA on the first 1 to `SAMPLES` samples of a trial.

    Computed in the span of samples and truth. That is exact for N >= d. Below, the directions that
    are missing are completed at random within that span, of SAMPLES + d dimensions, not in R^n.
    """
    trial = draw(seed, d, n, noise)
    frame, _ = torch.linalg.qr(torch.cat([trial.samples.T, trial.truth], dim=1))
    first = torch.ones(SAMPLES, SAMPLES, dtype=frame.dtype, device=frame.device).tril()
    nested = first.unsqueeze(-1) * (trial.samples @ frame)  # rows of zeros change no PCA
    generator = torch.Generator().manual_seed(seed)
    bases = pca(nested, d, completion="random", generator=generator)
    return {"error": projector_distance(bases, frame.T @ trial.truth)}


def random_errors(
    dims: Iterable[int], counts: Iterable[int], seeds: Sequence[int], *, n: int
) -> pd.DataFrame:
    """Random subspaces, which do not look at the samples.

    One row: d, N, seed; "error" and "success", the same for every N.
    """
    counts = list(counts)
    rows = []
    for d in dims:
        for seed in seeds:
            trial = draw(seed, d, n)
            error = float(projector_distance(trial.start, trial.truth))
            rows += [{"d": d, "N": N, "seed": seed, "error": error} for N in counts]
    return judged(pd.DataFrame(rows))


def training_errors(
    dims: Iterable[int],
    counts: Iterable[int],
    seeds: Sequence[int],
    *,
    n: int,
    steps: int,
    noise: float = 0.0,
    sigma: tuple[float, float] = (0.001, 0.01),
    draws: int = 1,
    lr: float = 0.8,
    store: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Denoisers trained by gradient steps on the first N samples, in single precision.

    One row: d, N, seed and the settings; "error" of the trained subspace, and "success".

    Args:
        dims: the d.
        counts: the N, at most `SAMPLES`.
        seeds: of the trials.
        n: ambient dimension.
        steps: of training.
        noise: standard deviation of the errors of the samples.
        sigma: range of noise levels of training.
        draws: draws of noise that are averaged in a step, for each sample.
        lr: largest step size.
        store: where finished trials are kept.

    Raises:
        ValueError: where a count is out of range.
    """
    dims, counts = list(dims), [checks.count("counts", N, 1, SAMPLES) for N in counts]
    settings = {"n": n, "noise": noise, "low": sigma[0], "high": sigma[1]}
    settings |= {"draws": draws, "steps": steps, "lr": lr}
    cells = [settings | {"d": d, "N": N} for N in counts for d in dims]
    return judged(sweeps.run(errors_by_training, cells, seeds=seeds, chunk=1000, store=store))


@sweeps.batched
def errors_by_training(cells: Cells, seeds: Sequence[int]) -> list[dict[str, float]]:
    """Errors of trained denoisers, one a job; n, noise range, steps and lr are the same in all.

    Args:
        cells: with keys d, N, n, noise, low, high, draws, steps, lr.
        seeds: one per cell.
    """
    shared, jobs = cells[0], list(zip(cells, seeds, strict=True))
    trials = [draw(seed, cell["d"], cell["n"], cell["noise"]) for cell, seed in jobs]
    bases = training.train_cells(
        [_repeated(trial, cell) for cell, trial in zip(cells, trials, strict=True)],
        [trial.start.float() for trial in trials],
        SCHEDULE,
        generators=[_noise_of(cell, seed) for cell, seed in jobs],
        sigma=(shared["low"], shared["high"]),
        steps=shared["steps"],
        lr=shared["lr"],
    )
    pairs = zip(cast(list[Tensor], bases), trials, strict=True)
    return [{"error": float(projector_distance(U.double(), trial.truth))} for U, trial in pairs]


def _repeated(trial: Trial, cell: Mapping[str, Any]) -> Tensor:
    """The first N samples, again for every draw of noise, (draws N, n)."""
    return trial.samples[: cell["N"]].float().repeat(cell["draws"], 1)


def _noise_of(cell: Mapping[str, Any], seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(10**6 + 100 * seed + cell["N"])


def completions(
    dims: Iterable[int], seeds: Sequence[int], *, n: int, draws: int = 80
) -> pd.DataFrame:
    """Squared errors below the edge, where samples leave d - N directions open, and their laws.

    One row: a seed, d and N < d; "worst", that of the completion orthogonal to the truth, and
    "worst_law"; "random", the mean over random completions, with its "variance" over draws, and
    "random_law".

    Args:
        dims: the d.
        seeds: of the trials.
        n: ambient dimension.
        draws: random completions of each.
    """
    dims = list(dims)
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        for d in dims:
            trial = draw(seed, d, n)
            for N in range(1, d):
                squares = _completed(trial, N, draws, generator)
                rows.append({"seed": seed, "d": d, "N": N, **squares, **laws(d, N, n)})
    return pd.DataFrame(rows)


def _completed(trial: Trial, N: int, draws: int, generator: torch.Generator) -> dict[str, float]:
    """Squared errors of the worst and of random completions of the span of N samples."""
    n, d = trial.truth.shape
    x = trial.samples[:N]
    outside = normal((n, d - N), generator=generator, dtype=x.dtype)
    outside = orthonormalise(outside - trial.truth @ (trial.truth.T @ outside))
    worst = torch.cat([pca(x, N), outside], dim=1)
    drawn = pca(x.expand(draws, N, n), d, completion="random", generator=generator)
    squares = projector_distance(drawn, trial.truth).square()
    return {
        "worst": float(projector_distance(worst, trial.truth).square()),
        "random": float(squares.mean()),
        "variance": float(squares.var() / draws),
    }


def laws(d: Any, N: Any, n: int) -> dict[str, Any]:
    """Squared error of the worst completion of N <= d samples in R^n, and the mean of random ones.

    Source: ours, from the counting of directions.

    Args:
        d: dimension of the subspace, a number or an array.
        N: samples, likewise.
        n: ambient dimension.
    """
    worst = (d - N) / d
    return {"worst_law": worst, "random_law": worst * (1 - (d - N) / (n - N))}


def offsets(table: pd.DataFrame, by: str = "n") -> pd.DataFrame:
    """How many samples more than d each trial needs: N*(d) - d, mean over d.

    One row: a seed, with a column for each ambient dimension. A d without success in the grid
    counts with the smallest value it can have.

    Args:
        table: of errors, with columns d, N, seed, success and `by`.
        by: the column whose values become columns.
    """
    means = {}
    for value, part in table.groupby(by):
        cells = stats.SuccessMap.of(part)
        first = cells.boundaries.clip(max=cells.beyond)
        means[value] = pd.Series((first - cells.y).mean(1), index=cells.seeds)
    return pd.DataFrame(means).rename_axis("seed")


def weakest_direction(seeds: Sequence[int], *, d: int, n: int) -> pd.Series:
    """Smallest singular value of the first d samples of each trial, by seed."""
    values = {seed: torch.linalg.svdvals(draw(seed, d, n).samples[:d])[-1] for seed in seeds}
    return pd.Series({seed: float(value) for seed, value in values.items()}, name="weakest")
