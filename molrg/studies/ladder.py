r"""A ladder of denoisers of growing freedom: trained on the same mixtures, measured the same way.

The rungs are the tied low-rank denoiser, the free mixture, perceptrons of any width, and a small
U-Net on the points read as 3 x 4 x 4 images. Two denoisers that are not trained calibrate what is
measured: the exact one of the mixture, and the exact one of the training set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from molrg import checks, sweeps
from molrg.denoisers import MLP, Denoiser, Empirical, FreeMixture, LowRank, Stacked, UNet
from molrg.studies.ladder_measures import (
    CS,
    RESIDUALS,
    SCALE,
    SCHEDULE,
    SIGMA,
    K,
    Task,
    evaluate,
    fresh,
    n,
    problem,
    sample_scores,
)
from molrg.subspaces import random_basis
from molrg.training import Trainer, output_weighting

__all__ = [
    "CS",
    "REFERENCES",
    "RESIDUALS",
    "SHARES",
    "problem",
    "reference",
    "train",
    "unet",
    "unet_scores",
]

EVENT = (3, 4, 4)
REFERENCES = ("bayes", "empirical")
SHARES = (0.25, 0.5, 1.0)  # of the training of a U-Net, at which it is evaluated


_SETTINGS: dict[str, dict[str, Any]] = {
    "tied": {"lr": 0.05, "batch": 32, "sigma": (0.02, 0.2)},
    "free": {"lr": 0.05, "batch": 64, "sigma": SIGMA},
    "mlp": {"lr": 0.01, "batch": 64, "sigma": SIGMA, "warmup": 20, "ema": 0.99},
}
# Random starts, of which the training loss chooses one; the others need no choice.
_STARTS = {"tied": 8, "free": 1, "mlp": 1}


@sweeps.batched
def train(cells: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train one rung; in a sweep, all that are alike as one ensemble.

    Every rung minimises the denoising loss with weight one, at the noise levels `SIGMA`; the tied
    one at a tenth to a half of these, where it finds weak directions (C06). The perceptrons predict
    x_0, have two hidden layers, and are evaluated as their moving average.

    One row is one trained denoiser: "errors", as `molrg.studies.ladder_measures.evaluate` returns
    them, and what `molrg.studies.ladder_measures.sample_scores` says of its samples.

    Args:
        cells: with "kind": "tied" for `LowRank` with the true dimensions, the best of 8 starts by
            its training loss, "free" for `FreeMixture`, "mlp" for `MLP`; "width" of the hidden
            layers, no matter for the others; "d" of both subspaces; "N" training points of each;
            "steps" of Adam, at least 10, 64 noisy points each.
        seeds: of the problem, the start and the training.

    Raises:
        ValueError: where the kind is none of the three, or steps are too few.
    """
    groups: dict[tuple, list[int]] = {}
    for job, cell in enumerate(cells):
        checks.one_of("kind", cell["kind"], tuple(_SETTINGS))
        checks.count("steps", cell["steps"], 10)
        # bases of one ensemble have one shape; everything else does not see d
        alike = (cell["kind"], cell["width"], cell["steps"], cell["kind"] == "tied" and cell["d"])
        groups.setdefault(alike, []).append(job)
    rows: dict[int, dict[str, Any]] = {}
    for jobs in groups.values():
        together = _together([cells[job] for job in jobs], [seeds[job] for job in jobs])
        rows |= zip(jobs, together, strict=True)
    return [rows[job] for job in range(len(cells))]


def _together(cells: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train cells of one kind, width and number of steps as one ensemble."""
    kind, steps = cells[0]["kind"], int(cells[0]["steps"])
    starts = _STARTS[kind]
    tasks = [problem(seed, cell["d"], cell["N"]) for cell, seed in zip(cells, seeds, strict=True)]
    keys = [2**22 + 1000 * seed + start for seed in seeds for start in range(starts)]
    sources = [torch.Generator().manual_seed(key) for key in keys]
    denoiser = _start(cells[0], sources)
    sets = [x for _, x in tasks for _ in range(starts)]
    rows = max(map(len, sets))
    trainer = Trainer(
        denoiser,
        pad_sequence(sets, batch_first=True),
        steps=steps,
        present=torch.stack([torch.arange(rows, device=x.device) < len(x) for x in sets]),
        generator=sources,
        **_SETTINGS[kind],
    )
    history = torch.stack([trainer.step() for _ in range(steps)])
    late = history[-(steps // 10) :].mean(0).view(-1, starts)
    chosen = late.argmin(1) + starts * torch.arange(len(cells), device="cpu")
    trained: Any = trainer.average or denoiser
    return _rows(trained.select(chosen), tasks, seeds)


def _start(cell: Mapping[str, Any], sources: list[torch.Generator]) -> nn.Module:
    E = (len(sources),)
    if cell["kind"] == "free":
        return FreeMixture(n, SCHEDULE, K, data_scale=SCALE, ensemble=E, generator=sources)
    if cell["kind"] == "mlp":
        return MLP(
            n,
            SCHEDULE,
            width=cell["width"],
            depth=2,
            prediction="x0",
            data_scale=SCALE,
            ensemble=E,
            generator=sources,
        )
    drawn = [random_basis(n, cell["d"], generator=source, ensemble=(K,)) for source in sources]
    return LowRank(list(torch.stack(drawn).float().unbind(1)), SCHEDULE)


def _rows(
    denoiser: Denoiser, tasks: Sequence[Task], seeds: Sequence[int], points: int = 512
) -> list[dict[str, Any]]:
    """Errors and scores of every model of an ensemble."""
    errors, samples = evaluate(denoiser, tasks, seeds, points=points)
    rows = []
    for row, x, (mixture, data), seed in zip(errors, samples, tasks, seeds, strict=True):
        scores = sample_scores(x, mixture, data, fresh(mixture, seed, points))
        rows.append({"errors": row, **scores})
    return rows


def reference(seed: int, kind: str, d: int, N: int, points: int = 512) -> dict[str, Any]:
    """A denoiser that is not trained, measured like the rungs.

    One row is one such denoiser, as in `train`.

    Args:
        seed: of the problem.
        kind: "bayes", exact for the mixture, or "empirical", exact for its training set.
        d: dimension of both subspaces.
        N: training points of each.
        points: fresh points at each noise level.

    Raises:
        ValueError: where the kind is neither.
    """
    exact = checks.one_of("kind", kind, REFERENCES) == "bayes"
    mixture, data = problem(seed, d, N)
    denoiser: Any = mixture.denoiser(SCHEDULE) if exact else Empirical(data, SCHEDULE)
    return _rows(Stacked([denoiser]), [(mixture, data)], [seed], points)[0]


def unet(seed: int, d: int, N: int, images: int, batch: int, lr: float) -> dict[str, Any]:
    """A small U-Net trained by AdamW with a half-cosine decay, evaluated at `SHARES` of the way.

    Two levels of 32 channels, one residual block each, no attention, v-prediction, moving average;
    no augmentation.

    One row is one trained network; `unet_scores` makes a table of such rows.

    Args:
        seed: of the problem, the weights and the training.
        d: dimension of both subspaces.
        N: training points of each.
        images: noisy images seen in training.
        batch: images in a step.
        lr: largest step size.

    Returns:
        "errors" and "samples" as `evaluate` returns them, to four digits, for each of the times.

    Raises:
        ValueError: unless images make 20 steps or more.
    """
    batch = checks.count("batch", batch)
    steps = checks.count("images", images, 20 * batch) // batch
    task = problem(seed, d, N)
    trainer = Trainer(
        UNet(_network(seed), SCHEDULE, data_scale=SCALE),
        task[1].unflatten(-1, EVENT),
        steps=steps,
        lr=lr,
        sigma=SIGMA,
        batch=batch,
        weighting=output_weighting("v", SCHEDULE, SCALE),
        warmup=steps // 20,
        weight_decay=1e-4,
        ema=0.99,
        clip=100.0,
        generator=torch.Generator().manual_seed(2**22 + seed),
    )
    errors, samples = [], []
    for share in SHARES:
        while trainer.done < int(share * steps):
            trainer.step()
        average: Any = trainer.average
        error, x = evaluate(Stacked([average], EVENT), [task], [seed])
        errors.append(error)
        samples.append(x)
    return {"errors": torch.cat(errors), "samples": torch.cat(samples).double().round(decimals=4)}


def _network(seed: int) -> Any:
    from diffusers import UNet2DModel  # noqa: PLC0415 - an extra, and slow to import

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DModel(
            sample_size=EVENT[-1],
            in_channels=3,
            out_channels=3,
            block_out_channels=(32, 32),
            layers_per_block=1,
            norm_num_groups=8,
            down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
            add_attention=False,
        )


def unet_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Errors and scores of U-Nets along their training, as they are recorded, to four digits.

    One row is one network at one of `SHARES` of its training: "d", "N", "seed" and "images", the
    "share", the mean "error" over noise levels, and what `sample_scores` says of its samples.

    Args:
        table: a row for each network, as a sweep of `unet` returns it.
    """
    return pd.DataFrame(line for row in table.itertuples() for line in _stages(row))


def _stages(row: Any) -> Iterator[dict[str, Any]]:
    """The rows of one network."""
    mixture, data = problem(row.seed, row.d, row.N)
    unseen = fresh(mixture, row.seed, 512)
    network = {"d": row.d, "N": row.N, "seed": row.seed, "images": row.images}
    for share, errors, samples in zip(SHARES, row.errors, row.samples, strict=True):
        scores = sample_scores(torch.tensor(samples, device="cpu"), mixture, data, unseen)
        rounded = {
            name: np.round(np.asarray(value, dtype=float), 4).tolist()
            for name, value in scores.items()
        }
        yield network | {"share": share, "error": round(float(np.mean(errors)), 4)} | rounded
