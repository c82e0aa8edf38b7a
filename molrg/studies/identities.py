r"""The training loss of a low-rank denoiser against the line of the identities in Theorems 1 and 3.

.. math:: L_t = \tfrac1N \sum_i \|x^{(i)}\|^2
          + \bar d\, \frac{s_t^2\gamma_t^2}{(s_t^2+\gamma_t^2)^2}
          - a_t(2-a_t)\, \tfrac1N \sum_i \max_k \|U_k^T x^{(i)}\|^2,
          \qquad a_t = \frac{s_t^2}{s_t^2+\gamma_t^2}

with :math:`\bar d` the mean dimension of the chosen subspaces. With one subspace it is the
objective of principal component analysis up to a shift and a factor, with several that of
K-subspaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import pandas as pd
import torch
from torch import Tensor

from molrg.denoisers import LowRank
from molrg.draws import normal
from molrg.mixture import MoLRG
from molrg.schedules import VP
from molrg.subspaces import energies, random_basis
from molrg.training import exact_loss, loss

SCHEDULE = VP()
TIMES = (0.05, 0.2, 0.4, 0.7)  # noise levels at which the identities are measured
_AT_ONCE = 50  # draws for every point, so that they stay in the processor's cache

Loss = Callable[[Sequence[Tensor], float], Tensor]


def affine_loss(x: Tensor, bases: Sequence[Tensor], t: float) -> Tensor:
    """The right-hand side of the identity, a scalar.

    Source: 2409.02426, Theorems 1 and 3.

    Args:
        x: data (N, n).
        bases: K orthonormal bases (n, d_k).
        t: in [0, 1].
    """
    s2, g2 = SCHEDULE.s(t) ** 2, SCHEDULE.gamma(t) ** 2
    a = s2 / (s2 + g2)
    energy, chosen = energies(x, bases).max(-1)
    dims = torch.tensor([U.shape[1] for U in bases], dtype=x.dtype, device=x.device)
    constant = x.square().sum(-1).mean() + dims[chosen].mean() * s2 * g2 / (s2 + g2) ** 2
    return constant - a * (2 - a) * energy.mean()


def modified_loss(x: Tensor, bases: Sequence[Tensor], t: float) -> Tensor:
    """The loss of Theorem 3, exact: each point assigned by its clean version."""
    return exact_loss(LowRank(list(bases), SCHEDULE), x, t, assign_on="x0")


def original_loss(
    x: Tensor, bases: Sequence[Tensor], t: float, *, draws: int, generator: torch.Generator
) -> Tensor:
    """The loss with soft-max weights on the noisy point, averaged over draws of noise.

    Args:
        x: data (N, n).
        bases: K orthonormal bases (n, d_k).
        t: in [0, 1].
        draws: of noise for each point.
        generator: its source.
    """
    shape = (draws * len(x), x.shape[1])
    noise = normal(shape, generator=generator, dtype=x.dtype, device=x.device)
    denoiser, total = LowRank(list(bases), SCHEDULE), x.new_zeros(())
    for part in noise.split(_AT_ONCE * len(x)):
        points = x.repeat(len(part) // len(x), 1)
        total += len(part) * loss(denoiser, points, t, noise=part)
    return total / len(noise)


def deviation(x: Tensor, tried: Iterable[Sequence[Tensor]], measured: Loss) -> float:
    """Largest relative difference between a loss and the line, over bases and `TIMES`.

    Args:
        x: data (N, n).
        tried: several sets of K bases.
        measured: the loss, of bases and time.
    """
    losses = [(measured(bases, t), affine_loss(x, bases, t)) for bases in tried for t in TIMES]
    return max(float(abs(value - line) / value) for value, line in losses)


@torch.no_grad()
def with_one_subspace(
    data: Sequence[Tensor], tried: Sequence[Sequence[Tensor]], *, stretch: float = 0.1
) -> pd.DataFrame:
    """The exact loss of a denoiser with one subspace against the line.

    One row: a data set; largest relative deviation over the bases and `TIMES`, "orthonormal" for
    the bases as they are, "stretched" for bases whose columns are longer or shorter.

    Args:
        data: data sets (N, n).
        tried: for each the bases (n, d).
        stretch: the largest share by which a column is longer or shorter, in [0, 1).
    """
    rows = []
    for x, bases in zip(data, tried, strict=True):
        sets = [[U] for U in bases]
        exact = deviation(x, sets, partial(modified_loss, x))
        wrong = deviation(x, sets, partial(_stretched_loss, x, stretch))
        rows.append({"orthonormal": exact, "stretched": wrong})
    return pd.DataFrame(rows)


def _stretched_loss(x: Tensor, stretch: float, bases: Sequence[Tensor], t: float) -> Tensor:
    """The exact loss after the columns of the one basis were made longer or shorter."""
    denoiser = LowRank(list(bases), SCHEDULE)
    factors = torch.linspace(-1, 1, bases[0].shape[1], dtype=x.dtype, device=x.device)
    denoiser.columns.mul_(1 + stretch * factors)
    return exact_loss(denoiser, x, t)


@torch.no_grad()
def with_several_subspaces(
    dims: Sequence[int],
    seeds: Iterable[int],
    *,
    n: int,
    N: int,
    draws: int = 400,
    random_sets: int = 5,
) -> pd.DataFrame:
    """The modified and the original loss of a denoiser with several subspaces against the line.

    One row: a seed; largest relative deviation over random and the true bases and `TIMES`,
    "modified" for the loss with hard assignment by the clean point, "original" for that with
    soft-max weights.

    Args:
        dims: dimensions of the subspaces, which are at 60 degrees.
        seeds: of the data sets.
        n: ambient dimension.
        N: points.
        draws: of noise for the original loss.
        random_sets: sets of random bases.
    """
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        mixture = MoLRG.random(n, list(dims), angle=60, noise=0.1, generator=generator)
        x, _ = mixture.sample(N, generator=generator)
        tried = [
            [random_basis(n, d, generator=generator) for d in dims] for _ in range(random_sets)
        ]
        tried.append(list(mixture.bases))
        modified = partial(modified_loss, x)
        original = partial(original_loss, x, draws=draws, generator=generator)
        both = {"modified": modified, "original": original}
        off = {name: deviation(x, tried, measured) for name, measured in both.items()}
        rows.append({"seed": seed, **off})
    return pd.DataFrame(rows)


@torch.no_grad()
def gaps(
    x: Tensor,
    tried: Mapping[str, Sequence[Tensor]],
    times: Sequence[float],
    *,
    draws: int = 1000,
    generator: torch.Generator,
) -> pd.DataFrame:
    """The original loss minus the modified one, as a share of the latter.

    One row: one of the sets of bases ("bases"), "t" and "sigma"; "gap".

    Args:
        x: data (N, n).
        tried: named sets of K bases.
        times: in [0, 1].
        draws: of noise for every point.
        generator: its source.
    """
    rows = []
    for name, bases in tried.items():
        for t in times:
            line = affine_loss(x, bases, t)
            gap = (original_loss(x, bases, t, draws=draws, generator=generator) - line) / line
            sigma = float(SCHEDULE.sigma(t))
            rows.append({"bases": name, "t": t, "sigma": sigma, "gap": float(gap)})
    return pd.DataFrame(rows)
