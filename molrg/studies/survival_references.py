r"""What survives forward and backward where everything is known: a tree, a mixture, a Gaussian.

Each table has the form of `class_flips.survival`: a row for each time and seed, a column for each
quantity, on the scale from 1, identical, to 0, unrelated. The schedule is that of DDPM.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molrg import checks, draws, hierarchy
from molrg.mixture import MoLRG
from molrg.schedules import DDPM, Schedule
from molrg.studies import forward_backward
from molrg.studies.forward_backward import chance_corrected

SCHEDULE: Schedule = DDPM()
SYMBOLS = 8


def log_levels(times: Sequence[float]) -> np.ndarray:
    """The logarithm of the noise level at each time."""
    return SCHEDULE.sigma(torch.tensor(times, device="cpu")).log().numpy()


def of_tree(
    times: Sequence[float], seeds: Sequence[int], *, trees: int, depth: int = 6
) -> pd.DataFrame:
    """Survival of the symbols of a random hierarchy model by exact posterior draws.

    One row is one time for one seed, which draws the rules and the trees. v = 8, m = 3.

    Args:
        times: in (0, 1).
        seeds: of rules, trees and noise.
        trees: over which it is averaged.
        depth: levels above the leaves.

    Returns:
        Columns seed, t, "half of the leaves", "leaves", "level 1", ..., "class".

    Raises:
        ValueError: where a number is out of range.
    """
    trees = checks.count("trees", trees)
    sigmas = SCHEDULE.sigma(torch.tensor(times, device="cpu")).tolist()
    names = ["leaves", *(f"level {k}" for k in range(1, depth)), "class"]
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        model = hierarchy.RHM.random(depth, 2, SYMBOLS, 3, generator=generator)
        tree = model.sample(trees, generator=generator)
        one_hot = torch.nn.functional.one_hot(tree[0], SYMBOLS).double()
        for t, sigma in zip(times, sigmas, strict=True):
            x = one_hot + sigma * draws.normal_like(one_hot, generator=generator)
            evidence = hierarchy.gaussian_evidence(x, sigma)
            drawn = model.posterior_sample(evidence, generator=generator)
            half = (tree[0] == drawn[0])[:, : 2 ** (depth - 1)].double().mean().item()
            shares = hierarchy.overlap(tree, drawn).mean(0).tolist()
            kept = {"half of the leaves": half} | dict(zip(names, shares, strict=True))
            corrected = {name: chance_corrected(v, 1 / SYMBOLS).item() for name, v in kept.items()}
            rows.append({"seed": seed, "t": t} | corrected)
    return pd.DataFrame(rows)


def of_mixture(
    times: Sequence[float],
    seeds: Sequence[int],
    *,
    points: int,
    d: int = 20,
    K: int = 10,
    steps: int | None = None,
) -> pd.DataFrame:
    """Survival of class and coordinates in a flat mixture of orthogonal subspaces.

    One row is one time for one seed, which draws the subspaces and the points.

    Args:
        times: in (0, 1].
        seeds: of subspaces, points and noise.
        points: over which it is averaged.
        d: dimension of every subspace.
        K: number of classes.
        steps: of `forward_backward.run`; exact posterior draws where omitted.

    Returns:
        Columns seed, t, "coordinates", a cosine, and "class".

    Raises:
        ValueError: where a number is out of range.
    """
    points = checks.count("points", points)
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        mixture = MoLRG.random(K * d + 1, [d] * K, generator=generator)
        x0, labels = mixture.sample(points, generator=generator)
        for t in times:
            if steps is None:
                x = posterior_draw(mixture, x0, t, SCHEDULE, generator=generator)
            else:
                denoiser = mixture.denoiser(SCHEDULE)
                x = forward_backward.run(denoiser, x0, t, steps=steps, generator=generator)
            lengths = torch.stack([(x @ U).norm(dim=1) for U in mixture.bases], 1)
            kept = (lengths.argmax(1) == labels).double().mean().item()
            cosine = torch.nn.functional.cosine_similarity(x0, x).mean().item()
            row = {"seed": seed, "t": t, "coordinates": cosine}
            rows.append(row | {"class": chance_corrected(kept, 1 / K).item()})
    return pd.DataFrame(rows)


def posterior_draw(
    mixture: MoLRG, x0: Tensor, t: float, schedule: Schedule, *, generator: torch.Generator
) -> Tensor:
    """Exact draws from the posterior of x_0 given noise up to t, for unit variances.

    A class by its weight, then coordinates from a Gaussian of variance gamma_t^2.

    Args:
        mixture: without means or noise, dimensions and unit variances equal.
        x0: points (B, n).
        t: in (0, 1].
        schedule: variance-preserving.
        generator: source of both noises and the classes.

    Returns:
        (B, n).
    """
    s, gamma = schedule.at(t, x0)
    x_t = schedule.add_noise(x0, t, draws.normal_like(x0, generator=generator))
    weights = mixture.responsibilities(x_t, t, schedule)
    labels = torch.multinomial(weights.cpu(), 1, generator=generator)[:, 0].to(x0.device)
    bases = torch.stack(list(mixture.bases))[labels]  # (B, n, d)
    mean = s * torch.einsum("bn,bnd->bd", x_t, bases)
    coordinates = mean + gamma * draws.normal_like(mean, generator=generator)
    return torch.einsum("bnd,bd->bn", bases, coordinates)


def of_gaussian(x: Tensor, times: Sequence[float]) -> pd.DataFrame:
    """Similarity of pixels, had the images been one Gaussian with their covariance.

    One row is one time.

    Args:
        x: images (N, \\*event), N >= 2.
        times: in (0, 1].

    Returns:
        Columns t, pixels.
    """
    covariance = torch.cov(x.flatten(1).double().T)
    variances = torch.linalg.eigvalsh(covariance).clamp_min(0).cpu().numpy()
    levels = np.exp(2 * log_levels(times))[:, None]
    survival = (variances**2 / (variances + levels)).sum(1) / variances.sum()
    return pd.DataFrame({"t": times, "pixels": survival})
