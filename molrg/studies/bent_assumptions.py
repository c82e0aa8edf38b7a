r"""K-subspaces with bent assumptions: small angles, noise, unequal shares and dimensions, means.

The functions of one seed are for `molrg.sweeps.run`, which adds the cell and the seed to the row.
Errors are `molrg.subspaces.subspace_error` from the truth; `with_success` turns them into success.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from molrg import checks, stats
from molrg.denoisers import LowRank
from molrg.mixture import MoLRG
from molrg.schedules import VP
from molrg.subspaces import (
    KSubspaces,
    k_subspaces,
    pca,
    projector_distance,
    random_basis,
    subspace_error,
    whitened,
)
from molrg.training import evaluate, fit

LIFTS = (
    "",
    "+1",
    "ones",
)  # nothing, a dimension more, and that with a coordinate that is always one
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


def recover(
    seed: int,
    *,
    angle: float,
    dims: str,
    N: int = 0,
    noise: float = 0.0,
    mean: float = 0.0,
    lift: str = "",
    n: int = 48,
    starts: int = 48,
) -> dict[str, float]:
    """Errors of K-subspaces from several starts, and of PCA with labels that are given.

    One row is one data set. "random", "whitened" and "all" are the errors of the best of the random
    starts by its objective, of the start from whitened points, and of the better of the two;
    "oracle" and "shuffled" those of PCA with the true labels and with shuffled ones; "rms" that of
    "oracle" as a root mean square over the subspaces; "single" is the share of random starts that
    end at zero loss.

    Args:
        seed: of the mixture, the data and the starts.
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

    Raises:
        ValueError: where an argument is out of range.
    """
    checks.one_of("lift", lift, LIFTS)
    sizes = [int(size) for size in dims.split()]
    generator = torch.Generator().manual_seed(seed)
    truth = MoLRG.random(n, sizes, angle=angle, generator=generator).bases
    directions = torch.randn(len(sizes), n, generator=generator, dtype=torch.float64, device="cpu")
    mixture = MoLRG(truth, means=list(mean * normalize(directions)), noise=noise)
    x, labels = mixture.sample([N or d + 1 for d in sizes], generator=generator)

    points = torch.cat([x, torch.ones_like(x[:, :1])], 1) if lift == "ones" else x
    clustering = _cluster(points, [d + bool(lift) for d in sizes], starts, generator)
    bases = _starts(clustering)
    if lift:
        centred = _principal(x, clustering.labels, sizes, truth[::-1], centred=True)
        bases = dict.fromkeys(bases, centred)
    bases["oracle"] = _principal(x, labels, sizes, truth)
    mixed = labels[torch.randperm(len(labels), generator=generator, device="cpu")]
    bases["shuffled"] = _principal(x, mixed, sizes, truth)

    errors = {name: subspace_error(estimate, truth) for name, estimate in bases.items()}
    distances = map(projector_distance, bases["oracle"], truth)
    squares = torch.stack([distance**2 for distance in distances])
    at_zero_loss = clustering.objectives[:-1] > ZERO_LOSS * points.square().sum(-1).mean()
    errors["rms"] = float(squares.mean().sqrt())
    errors["single"] = float(at_zero_loss.double().mean())
    return errors


def recover_rare(
    seed: int, *, N: int, share: float, angle: float, n: int = 48, d: int = 4, starts: int = 48
) -> dict[str, float]:
    """Error of K-subspaces where one of two components is rarer than the other.

    One row is one data set; "all" is the error of the best of all starts by its objective.

    Args:
        seed: of the mixture, the data and the starts.
        N: samples in all, with random labels.
        share: of the rarer component.
        angle: between the two subspaces, degrees.
        n: ambient dimension.
        d: dimension of both subspaces.
        starts: of which all but one are random.
    """
    generator = torch.Generator().manual_seed(seed)
    truth = MoLRG.random(n, [d, d], angle=angle, generator=generator).bases
    mixture = MoLRG(truth, weights=[share, 1 - share])
    x, _ = mixture.sample(N, generator=generator)
    clustering = _cluster(x, [d, d], starts, generator)
    return {"all": subspace_error(_starts(clustering)["all"], truth)}


def _cluster(x: Tensor, dims: Sequence[int], starts: int, generator: torch.Generator) -> KSubspaces:
    """K-subspaces from random starts and, last, from spectral clustering of the whitened points."""
    return k_subspaces(
        x, len(dims), dims, restarts=starts - 1, init="random+whitened", generator=generator
    )


def _starts(clustering: KSubspaces) -> dict[str, list[Tensor]]:
    """Bases of the best random start, of the whitened one, and of the best of all."""
    objectives = clustering.objectives
    best = int(objectives[:-1].argmax())
    chosen = {"random": best, "whitened": -1, "all": int(objectives.argmax())}
    return {name: [basis[k] for basis in clustering.starts] for name, k in chosen.items()}


def _principal(
    x: Tensor,
    labels: Tensor,
    dims: Sequence[int],
    instead: Sequence[Tensor],
    centred: bool = False,
) -> list[Tensor]:
    """Principal subspace of each cluster, about its mean if `centred`; `instead` of empty ones."""
    bases = []
    for k, d in enumerate(dims):
        cluster = x[labels == k]
        if centred and len(cluster):
            cluster = cluster - cluster.mean(0)
        bases.append(pca(cluster, d) if len(cluster) else instead[k])
    return bases


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
