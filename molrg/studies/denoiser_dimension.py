r"""The dimension that denoisers of known laws and trained networks tell, and what breaks it.

Three readings at a noise level (`molrg.jacobian.local_dimension`): the error over the noise, the
trace of the Jacobian, and FLIPD. Draws are keyed by purpose, seed and the place of the noise level
in the call. So levels read in calls of their own share noise and probes, and so do two networks
read with the same seeds.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor

from molrg import MoLRG, draws, jacobian, schedules
from molrg.denoisers.protocol import Denoiser
from molrg.images import faces
from molrg.studies import image_dimension

SIGMAS = (0.05, 0.2, 0.5, 1.0, 5.0)
RANKED_AT = 0.05
FACES_DIMENSION = 7  # of one kind of drawn faces: skin 1, hair 3, shirt 3

# What random numbers are for: the first entry of every key.
_LAW, _POINTS, _NOISE, _PROBES, _FACES = 10, 11, 12, 13, 14


def read(
    denoiser: Denoiser,
    x0: Tensor,
    sigmas: Sequence[float] = SIGMAS,
    *,
    seed: int,
    repeats: int = 1,
    probes: int | None = None,
) -> pd.DataFrame:
    r"""Error over the noise and trace of the Jacobian at the same clean points.

    One row is one noise level: "sigma", that of the schedule; "error", the mean of
    :math:`\|x_0 - \hat x_0\|^2 / \sigma^2`; "trace", that of the Jacobian at noisy points; "ratio",
    error over trace.

    Args:
        denoiser: any denoiser.
        x0: clean points (N, \\*event).
        sigmas: noise levels.
        seed: of noise and probes.
        repeats: draws of noise per point for the error; the trace takes one.
        probes: as in `molrg.jacobian.trace`.
    """
    rows = []
    for level, wanted in enumerate(sigmas):
        t = denoiser.schedule.t_of_sigma(wanted).item()
        noises = draws.source(_NOISE, seed, level)
        errors = [
            jacobian.normalised_error(denoiser, x0, t, generator=noises).values
            for _ in range(repeats)
        ]
        noisy = denoiser.schedule.add_noise(x0, t, draws.normal_like(x0, generator=noises))
        source = draws.source(_PROBES, seed, level)
        traces = jacobian.trace(denoiser, noisy, t, probes=probes, generator=source)
        error, trace = torch.stack(errors).mean().item(), traces.values.mean().item()
        sigma = denoiser.schedule.sigma(t).item()
        rows.append({"sigma": sigma, "error": error, "trace": trace, "ratio": error / trace})
    return pd.DataFrame(rows)


def mixtures(
    seeds: Sequence[int],
    dims: Sequence[int] = (4, 7),
    sigmas: Sequence[float] = SIGMAS,
    *,
    n: int = 32,
    K: int = 3,
    N: int = 4000,
) -> pd.DataFrame:
    """`read` of exact mixtures of K subspaces of one dimension; "d" and "seed" say which.

    Args:
        seeds: of subspaces and points.
        dims: dimensions of the subspaces.
        sigmas: noise levels.
        n: ambient dimension.
        K: components.
        N: points for the error; the trace is exact at the first thirty-two.
    """
    tables = []
    for seed in seeds:
        for d in dims:
            law = MoLRG.random(n, [d] * K, generator=draws.source(_LAW, seed, d))
            x0, _ = law.sample(N, generator=draws.source(_POINTS, seed, d))
            denoiser = law.denoiser(schedules.EDM())
            errors = _errors(denoiser, x0, sigmas, seed)
            table = read(denoiser, x0[:32], sigmas, seed=seed)
            table = table.assign(error=errors, ratio=errors / table["trace"])
            tables.append(table.assign(d=d, seed=seed))
    return pd.concat(tables, ignore_index=True)


def _errors(denoiser: Denoiser, x0: Tensor, sigmas: Sequence[float], seed: int) -> np.ndarray:
    """Mean errors over the noise of many points, by noise level."""
    means = []
    for level, sigma in enumerate(sigmas):
        t = denoiser.schedule.t_of_sigma(sigma).item()
        noises = draws.source(_NOISE, seed, level)
        errors = jacobian.normalised_error(denoiser, x0, t, generator=noises)
        means.append(errors.values.mean().item())
    return np.array(means)


def network(
    denoiser: Denoiser,
    pictures: Tensor,
    seeds: Sequence[int],
    sigmas: Sequence[float] = SIGMAS,
    *,
    N: int,
    repeats: int = 4,
    probes: int = 2,
) -> pd.DataFrame:
    r"""`read` of a network on disjoint groups of images, one for each seed.

    Args:
        denoiser: of images.
        pictures: held-out ones (M, \\*event).
        seeds: one group each.
        sigmas: noise levels.
        N: images in a group, at most M over the number of seeds.
        repeats: as in `read`.
        probes: as in `read`.

    Raises:
        ValueError: where there are too few pictures.
    """
    tables = []
    for seed, x0 in _groups(pictures, seeds, N):
        table = read(denoiser, x0, sigmas, seed=seed, repeats=repeats, probes=probes)
        tables.append(table.assign(seed=seed))
    return pd.concat(tables, ignore_index=True)


def _groups(pictures: Tensor, seeds: Sequence[int], N: int) -> list[tuple[int, Tensor]]:
    most = len(pictures) // len(seeds)
    if not 1 <= N <= most:
        raise ValueError(f"N = {N}: allowed is 1 ... {most} of {len(pictures)} pictures")
    parts = image_dimension.parts(pictures, seeds)
    return [(seed, pictures[part[:N]]) for seed, part in zip(seeds, parts, strict=True)]


def rankings(
    denoiser: Denoiser, pictures: Tensor, seeds: Sequence[int], *, N: int, probes: int = 4
) -> pd.DataFrame:
    """Rank correlations, over images, of the readings with the bytes of the image as PNG.

    One row is one seed: Spearman's "trace" and "flipd", both at the noise level `RANKED_AT`, and
    "flipd value", the mean of FLIPD itself.

    Args:
        denoiser: of grey images.
        pictures: (M, 1, H, W) in [-1, 1].
        seeds: one disjoint group of images each.
        N: images in a group.
        probes: as in `molrg.jacobian.trace`.

    Raises:
        ValueError: where there are too few pictures.
    """
    t = denoiser.schedule.t_of_sigma(RANKED_AT).item()
    rows = []
    for seed, x0 in _groups(pictures, seeds, N):
        sizes = [png_bytes(picture) for picture in x0]
        noise = draws.normal_like(x0, generator=draws.source(_NOISE, seed, len(SIGMAS)))
        noisy = denoiser.schedule.add_noise(x0, t, noise)
        source = draws.source(_PROBES, seed, len(SIGMAS))
        traces = jacobian.trace(denoiser, noisy, t, probes=probes, generator=source).values
        local = jacobian.flipd(denoiser, x0, t, probes=probes, generator=source).values
        row = {"seed": seed, "flipd value": local.mean().item()}
        for name, values in {"trace": traces, "flipd": local}.items():
            row[name] = float(spearmanr(values.cpu().numpy(), sizes).statistic)
        rows.append(row)
    return pd.DataFrame(rows)


def png_bytes(picture: Tensor) -> int:
    """Bytes of a grey image (1, H, W) in [-1, 1] as an optimised PNG file."""
    levels = ((picture[0].clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG", optimize=True)
    return file.tell()


def spectrum_traces(x: Tensor, sigmas: Sequence[float] = SIGMAS) -> np.ndarray:
    r"""Traces of the best denoiser of one Gaussian: the sum of :math:`v / (v + \sigma^2)`.

    Args:
        x: points (N, \\*event), whose covariance has the eigenvalues v.
        sigmas: noise levels.
    """
    centred = x.flatten(1).double()
    centred = centred - centred.mean(0)
    few = len(centred) < centred.shape[1]
    gram = centred @ centred.T if few else centred.T @ centred
    variances = torch.linalg.eigvalsh(gram).clamp(min=0) / len(x)
    return np.array([(variances / (variances + sigma**2)).sum().item() for sigma in sigmas])


def exact_faces(
    seeds: Sequence[int], sigmas: Sequence[float] = SIGMAS, *, N: int, probes: int = 4
) -> pd.DataFrame:
    """`read` of the exact denoiser of drawn faces, whose dimension is `FACES_DIMENSION`.

    Args:
        seeds: of the faces.
        sigmas: noise levels.
        N: faces for each seed.
        probes: as in `read`.
    """
    denoiser = faces.mixture(noise=0.0, dtype=torch.float32).denoiser(schedules.EDM())
    tables = []
    for seed in seeds:
        x0, _ = faces.draw(N, generator=draws.source(_FACES, seed))
        table = read(denoiser, x0, sigmas, seed=seed, repeats=2, probes=probes)
        tables.append(table.assign(seed=seed))
    return pd.concat(tables, ignore_index=True)


def furthest(table: pd.DataFrame, column: str, d: float, highest: float) -> list[float]:
    """For each seed, the largest relative distance of a reading to d at noise up to `highest`.

    Args:
        table: with "seed", "sigma" and the column.
        column: the reading.
        d: the dimension.
        highest: noise level up to which the readings count, to one per cent.
    """
    low = table[table["sigma"] <= 1.01 * highest]
    distance = (low[column] / d - 1).abs()
    return distance.groupby(low["seed"], sort=False).max().tolist()
