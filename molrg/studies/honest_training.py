r"""Clustering by training a denoiser with the honest loss, by its variants, and by K-subspaces.

Every study returns one row for each start on each data set, with the accuracy of its clusters and
the objective that the method itself minimises, so that `chosen` can pick a start without looking at
labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from molrg import training
from molrg.denoisers import LowRank
from molrg.draws import normal_like
from molrg.mixture import MoLRG
from molrg.schedules import VP
from molrg.subspaces import clustering_accuracy, k_subspaces, random_basis, spectral_labels

SCHEDULE = VP()
SOLVED = 0.95  # accuracy from which on a start counts as successful


@dataclass(frozen=True)
class Problem:
    """Points on orthogonal subspaces, to be clustered.

    Attributes:
        n: ambient dimension.
        K: number of subspaces.
        d: dimension of each.
        N_k: points of each.
        structured: False for isotropic points of the same energy, which have no subspaces.
    """

    n: int = 48
    K: int = 2
    d: int = 4
    N_k: int = 40
    structured: bool = True

    def draw(self, seed: int) -> tuple[Tensor, Tensor]:
        """The data set of a seed: points (K N_k, n) and labels (K N_k,)."""
        generator = torch.Generator().manual_seed(seed)
        mixture = MoLRG.random(self.n, [self.d] * self.K, generator=generator)
        x, labels = mixture.sample([self.N_k] * self.K, generator=generator)
        if not self.structured:
            x = normal_like(x, generator=generator) * (self.d / self.n) ** 0.5
        return x, labels


class _Starts:
    """Random starts on the data sets of many seeds, as one ensemble in single precision."""

    def __init__(
        self, problem: Problem, seeds: Sequence[int], starts: int, start_seed: int
    ) -> None:
        self.generator = torch.Generator().manual_seed(start_seed)
        sets = [problem.draw(seed) for seed in seeds]
        self.jobs = [(seed, start) for seed in seeds for start in range(starts)]
        self.labels = [labels for _, labels in sets for _ in range(starts)]
        self.x = torch.stack([x for x, _ in sets]).float().repeat_interleave(starts, dim=0)
        lead = (len(self.jobs),)
        bases = [
            random_basis(problem.n, problem.d, generator=self.generator, ensemble=lead)
            for _ in range(problem.K)
        ]
        self.model = LowRank([basis.float() for basis in bases], SCHEDULE)

    def table(self, objective: Tensor) -> pd.DataFrame:
        """The model as it is now, with the objective (starts,) that it reached."""
        labels_hat = self.model.hard_weights(self.x).argmax(-1)
        pairs = zip(labels_hat, self.labels, strict=True)
        scores = [clustering_accuracy(*pair) for pair in pairs]
        return _rows(self.jobs, scores, objective.tolist())


def _rows(
    jobs: Sequence[tuple[int, int]], accuracy: Sequence[float], objective: Sequence[float]
) -> pd.DataFrame:
    table = pd.DataFrame(jobs, columns=["seed", "start"])
    return table.assign(accuracy=accuracy, objective=objective)


def by_training(
    problem: Problem,
    seeds: Sequence[int],
    *,
    starts: int,
    steps: int,
    ranges: Sequence[tuple[float, float]] = ((0.1, 1.0),),
    assign_on: str = "x_t",
    start_seed: int,
) -> pd.DataFrame:
    """Denoisers with soft-max weights, trained by the denoising loss.

    One row: a seed (data set) and a start; "accuracy" of its clusters, and "objective", its loss.

    Args:
        problem: what is drawn.
        seeds: of the data sets.
        starts: random ones on each.
        steps: of training, in all ranges together.
        ranges: of noise levels, trained one after the other.
        assign_on: "x_t", or "x0" for hard weights by the clean point.
        start_seed: of starts and noise, one for all; every method gets the same starts from it.
    """
    runs = _Starts(problem, seeds, starts, start_seed)
    generator = runs.generator
    for sigma in ranges:
        training.fit(
            runs.model,
            runs.x,
            steps=steps // len(ranges),
            sigma=sigma,
            assign_on=assign_on,
            generator=generator,
        )
    return runs.table(training.evaluate(runs.model, runs.x, generator=generator))


def by_ascent(
    problem: Problem,
    seeds: Sequence[int],
    *,
    starts: int,
    steps: int,
    lr: float = 0.05,
    start_seed: int,
) -> pd.DataFrame:
    """Gradient ascent on the K-subspaces objective, without noise, with the step sizes of training.

    The gradient is projected to the tangent space of the bases. Without that its part along a
    basis, which Adam scales entry by entry, turns the basis, and the end is no optimum.

    One row: a seed (data set) and a start; "accuracy" of its clusters, and "objective", minus the
    energy captured.

    Args:
        problem: what is drawn.
        seeds: of the data sets.
        starts: random ones on each.
        steps: of ascent.
        lr: largest step size.
        start_seed: of the starts, one for all.
    """
    runs = _Starts(problem, seeds, starts, start_seed)
    model = runs.model
    model.columns.register_hook(lambda gradient: _tangent(model.columns, gradient, problem.d))
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        captured = model.latent(runs.x).square().sum(-1).amax(-1).mean(-1)
        (-captured.sum()).backward()
        optimiser.step()
        decay.step()
        model.retract_()
    return runs.table(-captured.detach())


def _tangent(columns: Tensor, gradient: Tensor, d: int) -> Tensor:
    """The gradient (E, n, K d) without its part along each of the K bases."""
    blocks = zip(columns.detach().split(d, -1), gradient.split(d, -1), strict=True)
    return torch.cat([part - U @ (U.mT @ part) for U, part in blocks], -1)


def by_alternation(problem: Problem, seeds: Sequence[int], *, starts: int) -> pd.DataFrame:
    """K-subspaces.

    One row: a seed (data set) and a start; "accuracy" of its clusters, and "objective", minus the
    energy captured.
    """
    rows = []
    for seed in seeds:
        x, labels = problem.draw(seed)
        generator = torch.Generator().manual_seed(10_000 + seed)
        for start in range(starts):
            run = k_subspaces(x, problem.K, problem.d, restarts=1, generator=generator)
            accuracy = clustering_accuracy(run.labels, labels)
            rows.append((seed, start, accuracy, -run.objective))
    return pd.DataFrame(rows, columns=["seed", "start", "accuracy", "objective"])


def by_spectrum(problem: Problem, seeds: Sequence[int]) -> pd.Series:
    """Accuracy of spectral clustering, which needs no start, by seed."""
    sets = {seed: problem.draw(seed) for seed in seeds}
    accuracy = {
        seed: clustering_accuracy(spectral_labels(x, problem.K, seed=0), labels)
        for seed, (x, labels) in sets.items()
    }
    return pd.Series(accuracy, name="accuracy")


def chosen(table: pd.DataFrame) -> pd.Series:
    """Accuracy of the start with the lowest objective, by seed."""
    best = table.groupby("seed").objective.idxmin()
    return table.loc[best].set_index("seed").accuracy


def worst(table: pd.DataFrame) -> pd.Series:
    """Accuracy of the start with the highest objective, by seed."""
    last = table.groupby("seed").objective.idxmax()
    return table.loc[last].set_index("seed").accuracy


def success_rates(table: pd.DataFrame) -> pd.Series:
    """Share of single starts that are `SOLVED`, by seed."""
    return (table.accuracy >= SOLVED).groupby(table.seed).mean()
