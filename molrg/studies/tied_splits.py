r"""Samples of several subspaces, split into groups without loss: how many ways, and which is found.

A grouping has zero loss where each of its groups lies in a subspace of dimension d. With d samples
of each of K subspaces every balanced one has, and the truth is one among `balanced_splits`.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molrg import sweeps, training
from molrg.denoisers import LowRank
from molrg.draws import normal
from molrg.schedules import VP
from molrg.studies.several_subspaces import draw
from molrg.subspaces import k_subspaces, pca, random_basis, whitened

SCHEDULE = VP()
SIGMAS = tuple(np.geomspace(0.02, 3, 10).tolist())  # noise levels at which losses are compared


def balanced_splits(K: int, d: int) -> int:
    """Number of ways to split K d points into K groups of d: (K d)! / (K! (d!)^K)."""
    return math.factorial(K * d) // math.factorial(K) // math.factorial(d) ** K


def groupings(points: int, K: int) -> Tensor:
    """All ways to give points to at most K unordered groups, as labels (L, points)."""
    labels: list[tuple[int, ...]] = [(0,)]
    for _ in range(points - 1):
        labels = [(*given, k) for given in labels for k in range(min(max(given) + 2, K))]
    return torch.tensor(labels, device="cpu")


def zero_loss(x: Tensor, K: int, d: int) -> Tensor:
    """The groupings of which each group lies in a subspace of dimension d.

    Args:
        x: points (N, n).
        K: number of groups, of which some may be empty.
        d: dimension.

    Returns:
        Labels (L, N).
    """
    labels = groupings(len(x), K).to(x.device)
    member = torch.nn.functional.one_hot(labels, K).mT.unsqueeze(-1)  # (L, K, N, 1)
    inside = x @ torch.linalg.svd(x, full_matrices=False).Vh.T
    beyond = torch.linalg.svdvals(member * inside)[..., d:].square().sum((-2, -1))
    return labels[beyond < 1e-16 * x.square().sum()]


def orthogonal(x: Tensor, labels: Tensor, K: int, d: int) -> int:
    """How many of the groupings (L, N) have groups with spans orthogonal to one another."""
    pairs = list(itertools.combinations(range(K), 2))

    def apart(grouping: Tensor) -> bool:
        spans = [pca(x[grouping == k], d) for k in range(K)]
        return all((spans[a].T @ spans[b]).abs().max() < 1e-8 for a, b in pairs)

    return sum(apart(grouping) for grouping in labels)


def counts(
    cells: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
    *,
    n: int,
    store: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Groupings without loss, all tried, balanced or not.

    One row: K, d, seed; "law", the number of balanced splits, and the number of zero-loss groupings
    of d samples of each subspace ("N_k = d"), of subspaces at 45 degrees, of isotropic points, of
    those that a joint constraint allows ("jointly", at 90 and 45 degrees), and of d + 1 samples.

    Args:
        cells: with keys K and d; K^(K (d + 1)) / K! groupings are tried.
        seeds: of the trials.
        n: ambient dimension.
        store: where finished trials are kept.
    """
    cells = [{**cell, "n": n} for cell in cells]
    return sweeps.run(enumerated, cells, seeds=seeds, store=store).drop(columns="n")


def enumerated(seed: int, K: int, d: int, n: int) -> dict[str, int]:
    """One row of `counts`."""
    generator = torch.Generator().manual_seed(seed)
    isotropic = normal((K * (d + 1), n), generator=generator, dtype=torch.float64)
    edge, above, tilted = (
        draw(seed, K, d, N, n=n, angle=angle)[0]
        for N, angle in ((d, 90.0), (d + 1, 90.0), (d, 45.0))
    )
    tied, tied_tilted = zero_loss(edge, K, d), zero_loss(tilted, K, d)
    return {
        "law": balanced_splits(K, d),
        "N_k = d": len(tied),
        "45 degrees": len(tied_tilted),
        "isotropic": len(zero_loss(isotropic[: K * d], K, d)),
        "jointly": orthogonal(edge, tied, K, d),
        "jointly, 45 degrees": orthogonal(tilted, tied_tilted, K, d),
        "N_k = d + 1": len(zero_loss(above, K, d)),
        "isotropic, d + 1": len(zero_loss(isotropic, K, d)),
    }


def broken_ties(
    dims: Iterable[int],
    seeds: Sequence[int],
    *,
    n: int,
    draws: int = 400,
    store: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Two subspaces, N = d: at which of the tied solutions K-subspaces ends, from random starts.

    One row: d, "white" (samples whitened and rotated at random, or as they are), seed; "hits", how
    many starts reach zero loss, "true", how many of these the truth, and "expected", hits / law.

    Args:
        dims: the d.
        seeds: of the trials.
        n: ambient dimension.
        draws: random starts.
        store: where finished trials are kept.
    """
    dims = list(dims)
    settings = {"n": n, "draws": draws}
    cells = [{"d": d, "white": white, **settings} for white in (True, False) for d in dims]
    return sweeps.run(tie_broken, cells, seeds=seeds, store=store)


def tie_broken(seed: int, d: int, white: bool, n: int, draws: int) -> dict[str, float]:
    """One row of `broken_ties`."""
    x, _ = draw(seed, 2, d, d, n=n)
    generator = torch.Generator().manual_seed(seed)
    if white:
        x = whitened(x) @ random_basis(2 * d, 2 * d, generator=generator)
    run = k_subspaces(x, 2, d, restarts=draws, generator=generator)
    zero = run.objectives > x.square().sum(-1).mean() * (1 - 1e-9)
    first, second = run.start_labels.split(d, -1)
    right = (first == first[:, :1]).all(-1) & (second == 1 - first[:, :1]).all(-1)
    hits, true = int(zero.sum()), int((zero & right).sum())
    return {"hits": hits, "true": true, "expected": hits / balanced_splits(2, d)}


def tie_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """How often the truth is found, divided by what uniform tie-breaking expects.

    One row: a seed, over all d together, with a column for whitened samples (True) and one for
    samples as they are (False).
    """
    summed = table.groupby(["white", "seed"])[["true", "expected"]].sum()
    return (summed.true / summed.expected).unstack("white")


def soft_ranks(
    dims: Iterable[int],
    seeds: Sequence[int],
    *,
    n: int,
    angle: float = 90.0,
    draws: int = 64,
    store: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Two subspaces, N = d: where the truth ranks among all tied solutions by its soft-max loss.

    One row: d, seed; "below", the share of wrong solutions with a smaller loss, at all `SIGMAS`.

    Args:
        dims: the d.
        seeds: of the trials.
        n: ambient dimension.
        angle: between the subspaces, in degrees.
        draws: of noise for every sample, the same for all solutions.
        store: where finished trials are kept.
    """
    cells = [{"d": d, "n": n, "angle": angle, "draws": draws} for d in dims]
    return sweeps.run(soft_rank, cells, seeds=seeds, store=store)


def soft_rank(seed: int, d: int, n: int, angle: float, draws: int) -> dict[str, list[float]]:
    """One row of `soft_ranks`."""
    x, _ = draw(seed, 2, d, d, n=n, angle=angle)
    labels = zero_loss(x, 2, d)  # the first is the truth
    bases = [torch.stack([pca(x[grouping == k], d) for grouping in labels]) for k in range(2)]
    model = LowRank(bases, SCHEDULE)
    generator = torch.Generator().manual_seed(seed)
    noise = normal((draws * len(x), n), generator=generator, dtype=x.dtype)
    points, noise = (part.expand(len(labels), -1, -1) for part in (x.repeat(draws, 1), noise))
    times = SCHEDULE.t_of_sigma(x.new_tensor(SIGMAS)).tolist()
    with torch.no_grad():
        losses = [training.loss(model, points, t, noise=noise) for t in times]
    return {"below": [float((loss[1:] < loss[0]).double().mean()) for loss in losses]}
