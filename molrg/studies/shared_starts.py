r"""K-subspaces and training with the modified loss, from the same random starts.

Both have the same optimum. Whether they reach it from the same start is another question.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import torch

from molrg.denoisers import LowRank
from molrg.mixture import MoLRG
from molrg.schedules import VP
from molrg.subspaces import energies, k_subspaces, random_basis
from molrg.training import fit

SCHEDULE = VP()


def race(
    seeds: Iterable[int],
    *,
    starts: int,
    steps: int,
    n: int = 48,
    d: int = 4,
    N_k: int = 40,
    noise: float = 0.05,
) -> pd.DataFrame:
    """Two orthogonal subspaces, and where both methods end from each start.

    One row: a seed (data set) and a start; share of the energy captured "before", by K-subspaces
    ("clustered"), and by training with hard assignment of the clean points ("trained").

    Args:
        seeds: of the data sets.
        starts: random ones on each.
        steps: of training.
        n: ambient dimension.
        d: dimension of both subspaces.
        N_k: points of each.
        noise: standard deviation of the data in every coordinate.
    """
    parts = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(1000 + seed)
        mixture = MoLRG.random(n, [d, d], noise=noise, generator=generator)
        x, _ = mixture.sample([N_k, N_k], generator=generator)
        start = [random_basis(n, d, generator=generator, ensemble=(starts,)) for _ in range(2)]
        runs = [
            k_subspaces(x, 2, d, init=[U[r] for U in start], generator=generator)
            for r in range(starts)
        ]
        ensemble = LowRank(start, SCHEDULE)
        fit(ensemble, x, steps=steps, assign_on="x0", generator=generator)
        total = float(x.square().sum(-1).mean())
        captured = {
            "before": energies(x, start).amax(-1).mean(-1).tolist(),
            "clustered": [run.objective for run in runs],
            "trained": energies(x, ensemble.bases).amax(-1).mean(-1).tolist(),
        }
        part = pd.DataFrame(captured) / total
        parts.append(part.assign(seed=seed, start=range(starts)))
    return pd.concat(parts, ignore_index=True)
