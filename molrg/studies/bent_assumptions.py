r"""K-subspaces with bent assumptions: small angles, noise, unequal shares and dimensions, means.

The functions of cells and seeds are for `molrg.sweeps.run`, which adds both to the row.
Errors are `molrg.subspaces.subspace_error` from the truth; `with_success` turns them into success.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from molrg import checks, draws, stats, sweeps
from molrg.denoisers import LowRank
from molrg.mixture import MoLRG
from molrg.schedules import VP
from molrg.subspaces import (
    KSubspaces,
    k_subspaces,
    pca,
    projector_distance,
    random_bases,
    random_basis,
    subspace_error,
    subspace_errors,
    whitened,
)
from molrg.training import evaluate, fit

LIFTS = (
    "",
    "+1",
    "ones",
)  # nothing, a dimension more, and that with a coordinate that is always one
Cells = Sequence[Mapping[str, Any]]
ZERO_LOSS = 1 - 1e-12  # share of the energy that a start has to catch to count as at zero loss


def whitening(seed: int, *, angle: float, n: int = 48, d: int = 4) -> dict[str, float]:
    """How much inner products of points change when 90 degrees become another angle.

    The latent coordinates are the same at both angles, so what changes knows the angle.

    One row is one data set, d + 1 points of each subspace: "whitened" and "plain" are the largest
    changes of an inner product, of whitened points and of the points themselves at unit length.

    Args:
        seed: of the data.
        angle: between the subspaces, degrees.
        n: ambient dimension.
        d: dimension of both subspaces.
    """

    def points(degrees: float) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        mixture = MoLRG.random(n, [d, d], angle=degrees, generator=generator)
        return mixture.sample([d + 1, d + 1], generator=generator)[0]

    upright, tilted = points(90.0), points(angle)
    plain = _gram(normalize(tilted)) - _gram(normalize(upright))
    white = _gram(whitened(tilted)) - _gram(whitened(upright))
    return {"whitened": float(white.abs().max()), "plain": float(plain.abs().max())}


def _gram(points: Tensor) -> Tensor:
    return points @ points.T


@sweeps.batched
def recover(cells: Cells, seeds: Sequence[int]) -> list[dict[str, float]]:
    """Errors of K-subspaces from several starts, and of PCA with labels that are given.

    One row is one data set. "random", "whitened" and "all" are the errors of the best of the random
    starts by its objective, of the start from whitened points, and of the better of the two;
    "oracle" and "shuffled" those of PCA with the true labels and with shuffled ones; "rms" that of
    "oracle" as a root mean square over the subspaces; "single" is the share of random starts that
    end at zero loss.

    Args:
        cells: with the keys of `Bent`.
        seeds: of the mixtures, the data and the starts.

    Raises:
        ValueError: where a value is out of range.
    """
    return sweeps.by_cell(_recovered, cells, seeds)


@dataclass(frozen=True)
class Bent:
    """A cell of `recover`.

    Attributes:
        angle: between all pairs of subspaces, degrees.
        dims: dimensions of the subspaces, such as "2 3 4".
        N: samples of each subspace; d_k + 1 of the k-th where it is 0.
        noise: standard deviation per coordinate.
        mean: length of the mean of every component, in a random direction.
        lift: one of `LIFTS`: "+1" clusters by subspaces of one dimension more, "ones" in addition
            appends a coordinate that is always one; both then take PCA about the mean of each
            cluster.
        n: ambient dimension.
        starts: of which all but one are random.
    """

    angle: float
    dims: str
    N: int = 0
    noise: float = 0.0
    mean: float = 0.0
    lift: str = ""
    n: int = 48
    starts: int = 48

    def __post_init__(self) -> None:
        checks.one_of("lift", self.lift, LIFTS)

    @property
    def sizes(self) -> list[int]:
        """The dimensions as numbers."""
        return [int(size) for size in self.dims.split()]

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Points (N, n), their labels, and the true bases."""
        truth = random_bases(self.n, self.sizes, angle=self.angle, generator=generator)
        directions = draws.normal((len(truth), self.n), generator=generator, dtype=torch.float64)
        means = list(self.mean * normalize(directions))
        mixture = MoLRG(truth, means=means, noise=self.noise)
        x, labels = mixture.sample([self.N or d + 1 for d in self.sizes], generator=generator)
        return x, labels, truth


def _recovered(cell: Mapping[str, Any], seeds: Sequence[int]) -> list[dict[str, float]]:
    """Rows of one cell, all data sets clustered as one ensemble."""
    setting = Bent(**cell)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    drawn = [setting.draw(generator) for generator in generators]
    x, labels = (torch.stack(part) for part in list(zip(*drawn, strict=True))[:2])
    truth = _stacked([bases for _, _, bases in drawn])

    ones = torch.ones_like(x[..., :1])
    points = torch.cat([x, ones], -1) if setting.lift == "ones" else x
    dims = [d + bool(setting.lift) for d in setting.sizes]
    clustering = _cluster(points, dims, setting.starts, generators)
    bases = _starts(clustering)
    if setting.lift:
        centred = _centred(x, clustering.labels, setting.sizes, truth[::-1])
        bases = dict.fromkeys(bases, centred)
    bases["oracle"] = _principal(x, labels, setting.sizes)
    bases["shuffled"] = _principal(x, _shuffled(labels, generators), setting.sizes)

    errors = {name: subspace_errors(estimate, truth) for name, estimate in bases.items()}
    distances = map(projector_distance, bases["oracle"], truth)
    squares = torch.stack([distance**2 for distance in distances])
    energies = points.square().sum(-1).mean(-1, keepdim=True)
    at_zero_loss = clustering.objectives[:, :-1] > ZERO_LOSS * energies
    errors["rms"] = squares.mean(0).sqrt()
    errors["single"] = at_zero_loss.double().mean(-1)
    return _rows(errors)


@sweeps.batched
def recover_rare(cells: Cells, seeds: Sequence[int]) -> list[dict[str, float]]:
    """Error of K-subspaces where one of two components is rarer than the other.

    One row is one data set; "all" is the error of the best of all starts by its objective.

    Args:
        cells: with keys share, that of the rarer component; angle between the two subspaces, in
            degrees; N, samples in all, with random labels; n; d, of both; starts, of which all but
            one are random.
        seeds: of the mixtures, the data and the starts.
    """
    return sweeps.by_cell(_rare, cells, seeds)


def _rare(cell: Mapping[str, Any], seeds: Sequence[int]) -> list[dict[str, float]]:
    dims = [cell["d"]] * 2
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    bases = [random_bases(cell["n"], dims, angle=cell["angle"], generator=g) for g in generators]
    weights = [cell["share"], 1 - cell["share"]]
    mixtures = [MoLRG(pair, weights=weights) for pair in bases]
    samples = [
        mixture.sample(cell["N"], generator=generator)[0]
        for mixture, generator in zip(mixtures, generators, strict=True)
    ]
    clustering = _cluster(torch.stack(samples), dims, cell["starts"], generators)
    return _rows({"all": subspace_errors(_starts(clustering)["all"], _stacked(bases))})


def _rows(columns: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """A row for each data set."""
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in values]


def _stacked(bases: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """K bases (S, n, d_k) from those of each of S data sets."""
    return [torch.stack(subspace) for subspace in zip(*bases, strict=True)]


def _shuffled(labels: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Labels (S, N), those of every data set in an order of its own."""
    N = labels.shape[-1]
    orders = [torch.randperm(N, generator=generator, device="cpu") for generator in generators]
    return labels.gather(-1, torch.stack(orders).to(labels.device))


def _cluster(
    x: Tensor, dims: Sequence[int], starts: int, generators: Sequence[torch.Generator]
) -> KSubspaces:
    """K-subspaces from random starts and, last, from spectral clustering of the whitened points."""
    return k_subspaces(
        x, len(dims), dims, restarts=starts - 1, init="random+whitened", generator=generators
    )


def _starts(clustering: KSubspaces) -> dict[str, list[Tensor]]:
    """Bases (S, n, d_k) of the best random start, of the whitened one, and of the best of all."""
    objectives = clustering.objectives
    last = torch.full_like(objectives[:, 0], objectives.shape[1] - 1, dtype=torch.int64)
    chosen = {
        "random": objectives[:, :-1].argmax(-1),
        "whitened": last,
        "all": objectives.argmax(-1),
    }
    rows = torch.arange(len(objectives), device=objectives.device)
    return {name: [U[rows, start] for U in clustering.starts] for name, start in chosen.items()}


def _principal(x: Tensor, labels: Tensor, dims: Sequence[int]) -> list[Tensor]:
    """Principal subspace of each cluster of (S, N, n); clusters are as large in all data sets."""
    order = labels.argsort(dim=-1, stable=True)
    sizes = labels[0].bincount(minlength=len(dims)).tolist()
    clusters = x.take_along_dim(order.unsqueeze(-1), 1).split(sizes, 1)
    return [pca(cluster, d) for cluster, d in zip(clusters, dims, strict=True)]


def _centred(
    x: Tensor, labels: Tensor, dims: Sequence[int], instead: Sequence[Tensor]
) -> list[Tensor]:
    """Principal subspace of each cluster about its mean; `instead` of empty ones."""

    def principal(points: Tensor, k: int, empty: Tensor) -> Tensor:
        return pca(points - points.mean(0), dims[k]) if len(points) else empty

    return [
        torch.stack(
            [
                principal(points[chosen == k], k, empty)
                for points, chosen, empty in zip(x, labels, instead[k], strict=True)
            ]
        )
        for k in range(len(dims))
    ]


def train(
    seeds: Sequence[int],
    *,
    angle: float,
    scale: float = 1.0,
    n: int = 48,
    d: int = 4,
    N: int = 40,
    starts: int = 4,
    steps: int = 300,
) -> pd.DataFrame:
    """The low-rank denoiser trained by gradients, from random starts and from the truth.

    One row is one data set without noise: "error" and "loss" of the start with the smallest loss,
    the loss divided by that of the truth; and "from_truth", the error after the same training from
    the truth. All data sets are trained as one ensemble and share the random numbers of the
    training, whose seed is the first.

    Args:
        seeds: of the data sets.
        angle: between the two subspaces, degrees.
        scale: of the noise levels, a tenth of it up to it, and of the step size.
        n: ambient dimension.
        d: dimension of both subspaces.
        N: samples of each.
        starts: random ones for each data set.
        steps: of Adam.
    """
    sources = [torch.Generator().manual_seed(seed) for seed in seeds]
    mixtures = [MoLRG.random(n, [d, d], angle=angle, generator=g) for g in sources]
    samples = [m.sample([N, N], generator=g)[0] for m, g in zip(mixtures, sources, strict=True)]
    data = torch.stack(samples).float()
    truth = [torch.stack([m.bases[k] for m in mixtures]).float() for k in range(2)]
    sigma = (0.1 * scale, scale)
    train_on = partial(fit, steps=steps, lr=0.05 * scale, sigma=sigma)

    def loss(denoiser: LowRank, points: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seeds[0])
        return evaluate(denoiser, points, sigma=sigma, generator=generator)

    generator = torch.Generator().manual_seed(seeds[0])
    bases = random_basis(n, d, generator=generator, ensemble=(2, len(data) * starts)).float()
    found, repeated = LowRank(list(bases), VP()), data.repeat_interleave(starts, 0)
    train_on(found, repeated, generator=generator)
    ratios = loss(found, repeated).view(-1, starts) / loss(LowRank(truth, VP()), data)[:, None]
    owners = [mixture for mixture in mixtures for _ in range(starts)]
    errors = _errors(found, owners).reshape(-1, starts)
    best = ratios.argmin(1).numpy()

    stayed = LowRank(truth, VP())
    train_on(stayed, data, generator=torch.Generator().manual_seed(seeds[0]))
    rows = {
        "seed": list(seeds),
        "error": errors[np.arange(len(best)), best],
        "loss": ratios.amin(1).numpy(),
        "from_truth": _errors(stayed, mixtures),
    }
    return pd.DataFrame(rows).assign(angle=angle, scale=scale)


def _errors(ensemble: LowRank, owners: Sequence[MoLRG]) -> np.ndarray:
    """Subspace error of each model from the mixture whose data it was trained on."""
    models = zip(*ensemble.bases, strict=True)
    pairs = zip(models, owners, strict=True)
    return np.array([subspace_error(list(bases), owner.bases) for bases, owner in pairs])


def with_success(table: pd.DataFrame, *methods: str) -> pd.DataFrame:
    """Replace the errors of these methods by success, 0 or 1, for the angle of each row.

    Args:
        table: with a column "angle" and one of errors for each method.
        *methods: names of columns.
    """
    limit = table.angle.map(stats.tolerance)
    return table.assign(**{name: (table[name] < limit).astype(float) for name in methods})
