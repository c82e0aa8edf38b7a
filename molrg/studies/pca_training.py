r"""Where training a denoiser with one subspace ends: near the basis of PCA, whatever the truth is.

All data sets are trained together, as one ensemble with a source of noise for each. Studies here
take these sources and go on drawing from them, so that the order of calls matters.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from molrg.denoisers import LowRank
from molrg.schedules import VP
from molrg.subspaces import pca, principal_angles, random_basis
from molrg.training import fit

SCHEDULE = VP()

Generators = Sequence[torch.Generator]


def trained(x: Tensor, d: int, steps: int, generators: Generators) -> Tensor:
    """Bases that training from a random start ends at, (S, n, d).

    Args:
        x: data sets (S, N, n).
        d: dimension of the subspace.
        steps: of training, noise levels from 0.1 to 1.
        generators: one for each data set, source of start and noise.
    """
    n = x.shape[-1]
    start = torch.stack([random_basis(n, d, generator=generator) for generator in generators])
    ensemble = LowRank([start.to(x)], SCHEDULE)
    fit(ensemble, x, steps=steps, sigma=(0.1, 1.0), generator=generators)
    return ensemble.bases[0]


def sine(first: Tensor, second: Tensor) -> Tensor:
    """Sine of the largest angle between subspaces with bases (..., n, d), (...)."""
    return torch.sin(principal_angles(first, second)[..., -1])


def distances(
    x: Tensor, truth: Tensor, budgets: Sequence[int], generators: Generators
) -> pd.DataFrame:
    """How far from PCA, and from the truth, training ends.

    One row: a data set ("trial", its place in x) and a number of "steps", each a training of its
    own; sine of the largest angle "to_pca", "to_truth", and "pca_to_truth".

    Args:
        x: data sets (S, N, n).
        truth: their true bases (S, n, d).
        budgets: numbers of steps.
        generators: one for each data set.
    """
    d = truth.shape[-1]
    best = pca(x, d)
    parts = []
    for steps in budgets:
        U = trained(x, d, steps, generators)
        sines = {
            "to_pca": sine(U, best).tolist(),
            "to_truth": sine(U, truth).tolist(),
            "pca_to_truth": sine(best, truth).tolist(),
        }
        parts.append(pd.DataFrame({"trial": range(len(x)), "steps": steps, **sines}))
    return pd.concat(parts, ignore_index=True)


def halves(x: Tensor, d: int, steps: int, generators: Generators) -> pd.Series:
    """Sine of the largest angle between trainings on the halves of each data set, by trial.

    Small where there is a subspace to be found, large where there is none.

    Args:
        x: data sets (S, N, n), N even.
        d: dimension of the subspace.
        steps: of training.
        generators: one for each data set.
    """
    first, second = (trained(half, d, steps, generators) for half in x.chunk(2, dim=1))
    return pd.Series(sine(first, second).tolist(), name="sine").rename_axis("trial")
