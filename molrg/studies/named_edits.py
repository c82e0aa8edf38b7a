r"""Edits of faces with names: who moves what, said before the edit is finished and read after it.

A seed is one face with a pose. Its singular vectors are compared with the tangents of its
attributes at one noise level, and named and followed to the finished picture at another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molrg import checks, draws, editing, sampling, sweeps
from molrg.denoisers import Denoiser
from molrg.images import faces
from molrg.studies import editing_setting, named_directions
from molrg.zoo import readers, shipped

LOW = 0.35  # noise level at which spans are compared
HIGH = 0.72  # noise level of the edits
K = 10  # directions, and attributes with a tangent
STEPS = 10  # of DDIM
FLIPPED = 0.5  # change of probability from which another value counts as taken
_KEPT = 8  # faces whose noisy point and directions are remembered
_FACE, _NOISE, _SMOOTH, _SHUFFLE, _REFERENCE = 1, 2, 3, 4, 5  # purposes of random numbers


@dataclass(frozen=True)
class _Start:
    """A face of a seed and what its edits begin with."""

    pictures: Tensor  # (2, 3, size, size): the face, and another
    factors: pd.DataFrame  # of both
    t: float
    x_t: Tensor  # the face at t, (1, 3, size, size)
    V: Tensor  # its singular vectors there, (K, 3, size, size)


@lru_cache(maxsize=_KEPT)
def _start(seed: int, model: str) -> _Start:
    network = editing_setting.network(model)
    pictures, factors = faces.draw(2, pose=True, generator=draws.source(_FACE, seed))
    face = pictures[:1]
    t = network.schedule.t_of_sigma(HIGH).item()
    x_t = editing.invert(network, face, t, steps=STEPS, corrections=4)
    V = named_directions.leading(network, x_t, t, K)[0].mT.unflatten(1, face.shape[1:])
    return _Start(pictures, factors, t, x_t, V)


def trial(seed: int, model: str, alpha: float, weights: float) -> dict[str, Any]:
    """Spans, names and finished edits of one face.

    Args:
        seed: of the face and of what is random.
        model: a network of faces with a pose: its name in the zoo, or a folder.
        alpha: length of a step.
        weights: tells networks of one name apart in a store.

    Returns:
        "own", "other", "principal": share of the singular vectors in the face's own tangents, in
        another face's, and in the first principal directions; "smooth", "smooth_other": share of
        smooth random directions in the two tangents. For singular vectors and, with ``smooth_`` in
        front, smooth directions of equal effect: "names" before and "confirmed" after, and
        "purity", "flips", as of `outcome`. "shuffled": the names in another order. "error": of the
        inversion, mean square of a pixel.
    """
    network = editing_setting.network(model)
    start = _start(seed, model)
    t, x_t, V = start.t, start.x_t, start.V
    face = start.pictures[:1]
    smooth = editing.smooth(reference(), K, generator=draws.source(_SMOOTH, seed))
    row = _spans(network, face, start.factors, smooth, seed)
    back = editing.finish(network, x_t, t, steps=STEPS)
    row["error"] = (back - face).square().mean().item()
    row |= outcome(network, x_t, t, alpha * V)
    lengths = matched_lengths(network, x_t, t, V, smooth, alpha)
    random = outcome(network, x_t, t, lengths * smooth)
    row |= {f"smooth_{name}": value for name, value in random.items()}
    shuffle = draws.source(_SHUFFLE, seed)
    order = torch.randperm(len(row["names"]), generator=shuffle, device="cpu")
    row["shuffled"] = [row["names"][k] for k in order.tolist()]
    return row


@cache
def reference() -> Tensor:
    """Faces from which smooth and principal directions are made."""
    return faces.draw(500, pose=True, generator=draws.source(_REFERENCE))[0]


@cache
def _principal() -> Tensor:
    """The first principal directions of these faces, (n, K)."""
    return editing.principal(reference(), K).flatten(1).mT


def _spans(
    network: Denoiser, face: Tensor, factors: pd.DataFrame, smooth: Tensor, seed: int
) -> dict[str, Any]:
    """Shares at the low noise level."""
    schedule = network.schedule
    t = schedule.t_of_sigma(LOW).item()
    noise = draws.normal_like(face, generator=draws.source(_NOISE, seed))
    right = named_directions.leading(network, schedule.add_noise(face, t, noise), t, K)
    own, other = faces.tangents(factors)[:, None]
    random = smooth.flatten(1).mT[None]
    share = named_directions.share
    return {
        "own": share(right, own).item(),
        "other": share(right, other).item(),
        "principal": share(right, _principal()).item(),
        "smooth": share(random, own).item(),
        "smooth_other": share(random, other).item(),
    }


@torch.no_grad()
def outcome(network: Denoiser, x_t: Tensor, t: float, shifts: Tensor) -> dict[str, Any]:
    """Names of edits before they are finished, and what the readers say after.

    Args:
        network: a model of faces.
        x_t: the noisy face, (1, 3, 32, 32).
        t: its time.
        shifts: (m, 3, 32, 32); each is taken both ways.

    Returns:
        Of 2 m edits: "names", the attribute that changes most in the estimate of one step;
        "confirmed", that of the finished picture; "purity", its change over the sum of all;
        "flips", how many attributes with a list of values take another one.
    """
    model = cast(readers.Readers, shipped.load("faces-readers"))
    points = torch.cat([x_t, x_t + shifts, x_t - shifts])
    times = sampling.time_grid(network.schedule, STEPS, start=t)
    steps = list(sampling.ddim(network, points, times))
    pairs = []
    for picture in (steps[0].x0_hat, steps[-1].x_t):
        before = picture[:1].expand_as(picture[1:])
        pairs.append(named_directions.changes(model, before, picture[1:]))
    first, finished = pairs
    discrete = finished[list(faces.ATTRIBUTES)]
    return {
        "names": named_directions.names(first),
        "confirmed": named_directions.names(finished),
        "purity": (finished.max(axis=1) / finished.sum(axis=1)).tolist(),
        "flips": (discrete > FLIPPED).sum(axis=1).tolist(),
    }


@torch.no_grad()
def matched_lengths(
    network: Denoiser, x_t: Tensor, t: float, V: Tensor, smooth: Tensor, alpha: float
) -> Tensor:
    """Lengths at which smooth directions change the estimate as much as singular vectors do.

    The root mean square change of the singular vectors' estimates is met by each smooth direction,
    in two steps of the secant rule through zero.

    Args:
        network: a model of faces.
        x_t: the noisy face, (1, 3, 32, 32).
        t: its time.
        V: singular vectors (m, 3, 32, 32).
        smooth: unit directions (m, 3, 32, 32).
        alpha: length of the steps along V.

    Returns:
        (m, 1, 1, 1).
    """
    base = network(x_t, t)

    def effect(shifts: Tensor) -> Tensor:
        change = (network(x_t + shifts, t) - base).flatten(1)
        return torch.linalg.vector_norm(change, dim=1)[:, None, None, None]

    wanted = effect(alpha * V).square().mean().sqrt()
    lengths = smooth.new_full((len(smooth), 1, 1, 1), alpha)
    for _ in range(2):
        lengths = lengths * wanted / effect(lengths * smooth)
    return lengths


def trials(
    seeds: Sequence[int], model: str, *, alpha: float, profile: str = "quick"
) -> pd.DataFrame:
    """A row of `trial` for each seed, kept between runs in the paper profile."""
    weights = editing_setting.weight_sum(editing_setting.network(model))
    cell = {"model": model, "alpha": alpha, "weights": weights}
    return sweeps.run(trial, [cell], seeds=seeds, store=sweeps.kept("c24_trials", profile))


def accuracies(table: pd.DataFrame, named: str, confirmed: str = "confirmed") -> list[float]:
    """Balanced accuracy of the names in a column, one a seed."""
    pairs = zip(table[named], table[confirmed], strict=True)
    return [named_directions.balanced_accuracy(names, truth) for names, truth in pairs]


def counted(table: pd.DataFrame, column: str = "confirmed") -> pd.Series:
    """How many edits of all seeds changed each attribute most."""
    every = np.concatenate(table[column].to_list())
    return pd.Series(every).value_counts()


def strips(
    seed: int, model: str, lengths: Sequence[float], *, alpha: float, k: int
) -> tuple[dict[str, Tensor], Tensor]:
    """Finished edits along the first directions of a seed's face, each with its names.

    Args:
        seed: of the face.
        model: as in `trial`.
        lengths: of the steps that are shown.
        alpha: length of the step for which a name is given.
        k: number of directions, at most K.

    Returns:
        {"1: name before the edit is finished (name after)": pictures (lengths, 3, 32, 32)}, and
        the face, (1, 3, 32, 32).

    Raises:
        ValueError: where k is out of range.
    """
    k = checks.count("k", k, 1, K)
    network = editing_setting.network(model)
    start = _start(seed, model)
    t, x_t, V = start.t, start.x_t, start.V[:k]
    told = outcome(network, x_t, t, alpha * V)
    shifts = V[:, None] * x_t.new_tensor(lengths)[:, None, None, None]
    edited = editing.edit(network, x_t, t, shifts.flatten(0, 1), steps=STEPS)[0]
    rows = {}
    for number, pictures in enumerate(edited.unflatten(0, (len(V), -1))):
        title = f"{number + 1}: {told['names'][number]} ({told['confirmed'][number]})"
        rows[title] = pictures
    return rows, start.pictures[:1]
