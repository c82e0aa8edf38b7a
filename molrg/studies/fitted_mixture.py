r"""A mixture of low-rank Gaussians fitted to images, against a network trained on such images.

The references know nothing of the network: a mixture fitted by EM, one Gaussian, the training
images themselves, and as a control the mixture of random groups of the same images.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molrg import MoLRG, draws, images, sampling, sweeps
from molrg.denoisers import Denoiser, Empirical, Gaussian
from molrg.schedules import Schedule
from molrg.studies import editing_setting, jacobian_rank, references

LEVELS = (0.34, 0.72, 1.2, 2.5, 3.4, 6.1, 17.0)
JUDGED = (2.5, 3.4)
CHOSEN_AT = 2.9  # K and d: by the likelihood of held-out images at this noise level
SETS = ("test images", "digits", "means of two", "rolled")
REFERENCES = ("mixture", "Gaussian", "training images", "random groups")
SPAN_TIME = 0.3
_FIT, _GROUPS, _POINTS, _NOISE = 1, 2, 3, 4  # purposes of random numbers
_DIRECTIONS = 10
_ITERATIONS = 20


def data(split: str = "train") -> Tensor:
    """Garments of the shipped slice, (N, 1, 28, 28)."""
    return images.load("fashion-mnist-slice", split)[0]


def points(N: int, *, seed: int) -> dict[str, Tensor]:
    """The four sets on which denoisers are compared, N images each, named before the run.

    Test garments; digits, from quite another law; means of two test garments; and test garments
    rolled by five pixels down and one to the left.
    """
    garments, digits = data("test"), images.load("mnist-slice", "test")[0]
    generator = draws.source(_POINTS, seed)
    rows = torch.randperm(len(garments), generator=generator, device="cpu")
    first, second = garments[rows[:N]], garments[rows[N : 2 * N]]
    others = torch.randperm(len(digits), generator=generator, device="cpu")[:N]
    sets = (first, digits[others], (first + second) / 2, first.roll((5, -1), (2, 3)))
    return dict(zip(SETS, sets, strict=True))


@functools.lru_cache(maxsize=1)
def mixture(K: int, d: int, seed: int) -> MoLRG:
    """The mixture fitted to the training slice."""
    x = data().flatten(1)
    generator = draws.source(_FIT, seed)
    return MoLRG.fit(x, K, d, starts=1, iterations=_ITERATIONS, generator=generator)


@functools.lru_cache(maxsize=1)
def random_groups(K: int, d: int, seed: int) -> MoLRG:
    """The control: the mixture of K random groups of the same images, without EM."""
    x = data().flatten(1)
    labels = torch.randint(K, (len(x),), generator=draws.source(_GROUPS, seed), device="cpu")
    return MoLRG.of_labels(x, labels, d)


def fitted(schedule: Schedule, K: int, d: int, seed: int) -> dict[str, Denoiser]:
    """The four references of a seed, all of the same images."""
    made = (
        mixture(K, d, seed).denoiser(schedule),
        _gaussian(schedule),
        Empirical(data(), schedule),
        random_groups(K, d, seed).denoiser(schedule),
    )
    return dict(zip(REFERENCES, made, strict=True))


@functools.lru_cache(maxsize=1)
def _gaussian(schedule: Schedule) -> Gaussian:
    return Gaussian(data(), schedule)


def trial(
    seed: int, model: str, K: int, d: int, N: int, pictures: int, weights: float
) -> dict[str, Any]:
    """One fit of the references, compared with the network on images of its own.

    Args:
        seed: of the fit, the images and the noise.
        model: a network of garments: its name in the zoo, or a folder.
        K: components.
        d: their dimension.
        N: images of each set.
        pictures: test images at which subspaces are compared.
        weights: tells networks of one name apart in a store.

    Returns:
        "distance" and "error", nested lists (sets, levels, references), in the order of `SETS`,
        `LEVELS`, `REFERENCES`; "own" and "others", shares of the network's leading directions, see
        `shares`, means over images; the same "of random groups".
    """
    network = editing_setting.network(model)
    made = fitted(network.schedule, K, d, seed)
    sets = points(N, seed=seed)
    table = references.compare(network, made, sets, LEVELS, mean=data().mean(0), seed=seed)
    shape = (len(SETS), len(LEVELS), len(REFERENCES))
    ratios = references.ratios(table)
    measured = {
        name: ratios[name].to_numpy().reshape(shape).tolist() for name in ("distance", "error")
    }
    x = sets["test images"][:pictures]
    noise = draws.normal_like(x, generator=draws.source(_NOISE, seed))
    x_t = network.schedule.add_noise(x, SPAN_TIME, noise)
    spans = [
        jacobian_rank.leading_span(network, point[None], SPAN_TIME, _DIRECTIONS) for point in x_t
    ]
    laws = {"": mixture(K, d, seed), " of random groups": random_groups(K, d, seed)}
    for name, law in laws.items():
        pairs = [shares(span, law, x, network) for span, x in zip(spans, x_t, strict=True)]
        measured["own" + name], measured["others" + name] = np.mean(pairs, axis=0).tolist()
    return measured


def shares(span: Tensor, law: MoLRG, x_t: Tensor, network: Denoiser) -> tuple[float, float]:
    """Share of a span in the subspace of the most responsible component, and in the others.

    Args:
        span: orthonormal directions (n, k) of the network at x_t.
        law: a mixture of at least two components.
        x_t: one point (C, H, W) at `SPAN_TIME`.
        network: whose schedule it is.

    Returns:
        Mean squared norm of the directions' projections: on the subspace of the most responsible
        component, and on those of the others, averaged.
    """
    bases = torch.stack([basis.double() for basis in law.bases])
    inside = (bases.mT @ span).square().sum((1, 2)) / span.shape[1]
    posterior = law.responsibilities(x_t[None], SPAN_TIME, network.schedule)
    own = inside[int(posterior.argmax())].item()
    return own, (inside.sum().item() - own) / (len(bases) - 1)


def trials(
    seeds: Sequence[int],
    model: str,
    *,
    K: int,
    d: int,
    N: int,
    pictures: int,
    profile: str = "quick",
) -> pd.DataFrame:
    """A row of `trial` for each seed, kept between runs in the paper profile."""
    weights = editing_setting.weight_sum(editing_setting.network(model))
    cell = {"model": model, "K": K, "d": d, "N": N, "pictures": pictures, "weights": weights}
    return sweeps.run(trial, [cell], seeds=seeds, store=sweeps.kept("c19_trials", profile))


def measured(table: pd.DataFrame, name: str, of: str, reference: str) -> np.ndarray:
    """ "distance" or "error" of a reference on one of `SETS`: (seeds, levels)."""
    values = np.array(table[name].tolist(), dtype=float)
    return values[:, SETS.index(of), :, REFERENCES.index(reference)]


def advantage(table: pd.DataFrame, of: str, reference: str = "mixture") -> np.ndarray:
    """Distance of a reference over the lesser of the Gaussian's and the training images'.

    Args:
        table: as `trials` returns it.
        of: one of `SETS`.
        reference: one of `REFERENCES`.

    Returns:
        (seeds, levels), in the order of `LEVELS`.
    """
    rivals = [measured(table, "distance", of, name) for name in ("Gaussian", "training images")]
    return measured(table, "distance", of, reference) / np.minimum(*rivals)


def samples(
    network: Denoiser, made: Sequence[Denoiser], N: int, *, steps: int, seed: int = 0
) -> list[Tensor]:
    """Samples of the network and of references, from the same noise.

    Args:
        network: the trained denoiser.
        made: references of the same schedule.
        N: samples of each.
        steps: of DDIM.
        seed: of the noise.

    Returns:
        Images (N, 1, 28, 28) of the network, then of each reference.
    """
    times = sampling.time_grid(network.schedule, steps)
    noise = draws.normal((N, 1, 28, 28), generator=draws.source(_NOISE, seed))
    x_1 = network.schedule.gamma(1.0).to(noise) * noise
    ended = []
    with torch.no_grad():
        for denoiser in (network, *made):
            *_, last = sampling.ddim(denoiser, x_1, times, denoise_last=True)
            ended.append(last.x_t)
    return ended
