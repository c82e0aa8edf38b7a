"""Mixtures of many sizes, fitted to several sets of images: exploration that no claim judges.

For each number K of components and dimension d: how likely are images held out of the fit, and how
near does the mixture's denoiser come to the network of the set?
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from molrg import MoLRG, draws, images, schedules, sweeps
from molrg.denoisers import Denoiser, Empirical, Gaussian
from molrg.studies import editing_setting, references
from molrg.studies.fitted_mixture import CHOSEN_AT

SETS = ("fashion-mnist", "mnist", "cifar10")  # each with a network of that name in the zoo
PAIRS = tuple((K, d) for K in (1, 5, 20, 40, 80) for d in (5, 10, 20, 40))
_ITERATIONS = 20
_SPLIT, _START, _NOISE = 1, 2, 3  # purposes of random numbers


def table(
    sets: Sequence[str] = SETS,
    pairs: Sequence[tuple[int, int]] = PAIRS,
    *,
    N: int = 3000,
    held: int = 600,
    compared: int = 60,
    seed: int = 0,
    profile: str = "quick",
) -> pd.DataFrame:
    """A row of `trial` for each set and size that N images allow, kept in the paper profile.

    Args:
        sets: named sets of images that have a network of the same name.
        pairs: of K and d.
        N: images of a set.
        held: of these, held out of the fit.
        compared: of those held out, that the network denoises.
        seed: of split, start and noise.
        profile: "quick" or "paper".
    """
    cells = [
        {"data": data, "K": K, "d": d, "N": N, "held": held, "compared": compared}
        for data in sets
        for K, d in pairs
        if K * (d + 1) < N - held
    ]
    return sweeps.run(trial, cells, seeds=[seed], store=sweeps.kept("c19_sizes", profile))


def trial(seed: int, data: str, K: int, d: int, N: int, held: int, compared: int) -> dict[str, Any]:
    """One mixture, fitted to all but the held-out images, at noise level `CHOSEN_AT`.

    Returns:
        "clean" and "noisy", log-likelihoods per held-out image, of itself and with noise;
        "distance", the network's squared distance from the mixture over that from the nearer of
        one Gaussian and the training images; "error", the denoising error over the Gaussian's.
    """
    fitted_to, others = _split(data, N, held, seed)
    shape = others.shape[1:]
    start = draws.source(_START, seed)
    law = MoLRG.fit(fitted_to.flatten(1), K, d, starts=1, iterations=_ITERATIONS, generator=start)
    network = editing_setting.network(data)
    made: dict[str, Denoiser] = {
        "mixture": law.denoiser(network.schedule),
        "Gaussian": _gaussian(data, N, held, seed),
        "training images": Empirical(fitted_to, network.schedule),
    }
    seen = references.compare(
        network, made, {data: others[:compared]}, [CHOSEN_AT], mean=fitted_to.mean(0), seed=seed
    )
    ratios = references.ratios(seen).set_index("reference")
    distance, error = ratios["distance"], ratios["error"]
    schedule, x = schedules.EDM(), others.flatten(1)
    t = schedule.t_of_sigma(CHOSEN_AT).item()
    noise = draws.normal_like(others, generator=draws.source(_NOISE, seed)).view(-1, shape.numel())
    return {
        "clean": law.log_likelihood(x).mean().item(),
        "noisy": law.log_prob(schedule.add_noise(x, t, noise), t, schedule).mean().item(),
        "distance": distance["mixture"] / min(distance["Gaussian"], distance["training images"]),
        "error": error["mixture"] / error["Gaussian"],
    }


@functools.lru_cache(maxsize=1)
def _split(data: str, N: int, held: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images to fit, and images held out; of the shipped slice, where there is one."""
    name = f"{data}-slice" if f"{data}-slice" in images.names() else data
    x = images.load(name, "train")[0]
    rows = torch.randperm(len(x), generator=draws.source(_SPLIT, seed), device="cpu")[:N]
    return x[rows[held:]], x[rows[:held]]


@functools.lru_cache(maxsize=1)
def _gaussian(data: str, N: int, held: int, seed: int) -> Gaussian:
    return Gaussian(_split(data, N, held, seed)[0], editing_setting.network(data).schedule)
