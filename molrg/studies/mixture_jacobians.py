r"""Rank of the Jacobian along the noise on a mixture of low-rank Gaussians, exact and trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrg import checks, jacobian, training
from molrg.denoisers import MLP, Denoiser
from molrg.mixture import MoLRG
from molrg.schedules import VP
from molrg.studies.jacobian_rank import matrix_rank, noised

POINTS = 8  # at which ranks are averaged
TRAINING = 600  # points of a training set


class _Problem(NamedTuple):
    """A mixture, one of its subspaces, the mixture with ambient noise; and points of each."""

    laws: dict[str, MoLRG]
    training: Tensor  # (600, n), of the mixture
    points: dict[str, Tensor]  # (8, n), of each law


def _problem(seed: int, n: int, d: int, K: int) -> _Problem:
    generator = torch.Generator().manual_seed(seed)
    mixture = MoLRG.random(n, [d] * K, generator=generator)
    laws = {
        "exact": mixture,
        "one subspace": MoLRG(list(mixture.bases[:1])),
        "ambient noise": MoLRG(list(mixture.bases), noise=0.1),
    }
    training_points, _ = mixture.sample(TRAINING, generator=generator)
    points = {name: law.sample(POINTS, generator=generator)[0] for name, law in laws.items()}
    return _Problem(laws, training_points, points)


def exact_ranks(
    seeds: Sequence[int], sigmas: Sequence[float], *, n: int, d: int, K: int
) -> pd.DataFrame:
    """Ranks of exact denoisers.

    One row is one law at one noise level for one seed, which draws the subspaces, the points and
    the noise: "exact", K orthogonal subspaces of dimension d; "one subspace" of them; "ambient
    noise", the mixture with noise in all directions.

    Args:
        seeds: of subspaces, points and noise.
        sigmas: noise levels.
        n: ambient dimension.
        d: dimension of a subspace.
        K: number of subspaces.

    Returns:
        Columns law, seed, sigma, and "rank", the mean over eight points.

    Raises:
        ValueError: where the subspaces do not fit.
    """
    schedule = VP()
    rows = []
    for seed in seeds:
        laws, _, points = _problem(seed, n, d, K)
        for name, law in laws.items():
            ranks = _mean_ranks(law.denoiser(schedule), points[name], sigmas, seed).tolist()
            for sigma, rank in zip(sigmas, ranks, strict=True):
                rows.append({"law": name, "seed": seed, "sigma": sigma, "rank": rank})
    return pd.DataFrame(rows)


def curves(table: pd.DataFrame) -> NDArray[np.float64]:
    """Ranks of one law or target, (seeds, noise levels)."""
    return table.pivot(index="seed", columns="sigma", values="rank").to_numpy()


def largest_fall(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest fall between neighbouring noise levels, (seeds, levels) to (seeds,)."""
    return (ranks[:, :-1] - ranks[:, 1:]).max(1)


def _mean_ranks(denoiser: Denoiser, x0: Tensor, sigmas: Sequence[float], seed: int) -> Tensor:
    """Mean rank over points (..., B, n) at every noise level, (levels, ...)."""
    levels = torch.tensor(sigmas, dtype=torch.float64, device="cpu")
    ranks = []
    for t in denoiser.schedule.t_of_sigma(levels):
        J = jacobian.dense(denoiser, noised(denoiser.schedule, x0, t, seed), t)
        ranks.append(matrix_rank(J).double().mean(-1))
    return torch.stack(ranks)


def trained_ranks(
    prediction: str,
    seeds: Sequence[int],
    sigmas: Sequence[float],
    *,
    n: int,
    d: int,
    K: int,
    steps: int,
    noise_seed: int = 0,
) -> pd.DataFrame:
    """Ranks of perceptrons trained on samples of the mixture, one for each seed.

    One row is one noise level for one seed. All are trained as one ensemble on the sets and
    measured at the points of `exact_ranks`, with noise of one source for all.

    Args:
        prediction: "x0", "eps" or "v", what the network puts out.
        seeds: of subspaces and points, and of weights and training.
        sigmas: noise levels.
        n: ambient dimension.
        d: dimension of a subspace.
        K: number of subspaces.
        steps: of training, 128 points each.
        noise_seed: of the noise at which ranks are measured.

    Returns:
        Columns prediction, seed, sigma, rank.

    Raises:
        ValueError: where an argument is out of range.
    """
    schedule = VP()
    scale = (d / n) ** 0.5  # standard deviation of a coordinate
    problems = [_problem(seed, n, d, K) for seed in seeds]
    initial, fresh = (
        [torch.Generator().manual_seed(1000 * purpose + seed) for seed in seeds]
        for purpose in (1, 2)
    )
    network = MLP(
        n,
        schedule,
        width=128,
        depth=2,
        prediction=prediction,
        data_scale=scale,
        ensemble=(len(seeds),),
        generator=initial,
    )
    trainer = training.Trainer(
        network,
        torch.stack([problem.training for problem in problems]).float(),
        steps=checks.count("steps", steps),
        lr=5e-3,
        sigma=(0.02, 40.0),
        weighting=training.output_weighting(prediction, schedule, scale),
        batch=128,
        warmup=30,
        generator=fresh,
    )
    for _ in range(trainer.steps):
        trainer.step()
    points = torch.stack([problem.points["exact"] for problem in problems]).float()
    by_level = _mean_ranks(network, points, sigmas, noise_seed)
    rows = []
    for sigma, ranks in zip(sigmas, by_level.tolist(), strict=True):
        for seed, rank in zip(seeds, ranks, strict=True):
            rows.append({"prediction": prediction, "seed": seed, "sigma": sigma, "rank": rank})
    return pd.DataFrame(rows)
