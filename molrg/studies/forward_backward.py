r"""Forward and backward: noise a point up to a time, denoise it at random, and see what survives.

A score of survival is put on a scale from 1, identical, to 0, unrelated, so that the fall of a
class and the fall of a feature are curves of one kind; `width` says how abrupt each is. A width
belongs to a clock: in t it depends on the schedule, in :math:`\log\sigma_t` it does not. The
yardstick there is one Gaussian coordinate of variance :math:`\lambda`, whose correlation with its
past is :math:`\lambda/(\lambda + \sigma_t^2)`: a sigmoid in :math:`\log\sigma_t` with the width
1/2, exactly.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from molrg import checks, draws, sampling
from molrg.denoisers import Denoiser
from molrg.draws import Generators
from molrg.schedules import Schedule
from molrg.stats import fit_transition


def truncated_grid(schedule: Schedule, t: float, *, steps: int = 20, rho: float = 7.0) -> Tensor:
    """Times from t down to 0, those below t of one grid from 1 to 0: all starts share their way.

    Args:
        schedule: the forward process.
        t: the start, in (0, 1].
        steps: of the grid from 1 to 0; from a lower start fewer are left.
        rho: of `molrg.sampling.time_grid`.

    Returns:
        (1 + steps left,), strictly descending, float64.

    Raises:
        ValueError: where an argument is out of range.
    """
    if not 0 < t <= 1:
        raise ValueError(f"t = {t}: allowed is a time in (0, 1]")
    grid = sampling.time_grid(schedule, steps, rho=rho)
    return torch.cat([grid.new_tensor([t]), grid[grid < t]])


@torch.no_grad()
def run(
    denoiser: Denoiser,
    x0: Tensor,
    t: float,
    *,
    steps: int = 20,
    rho: float = 7.0,
    generator: Generators,
) -> Tensor:
    """Noise every point up to t, and denoise it by ancestral sampling along `truncated_grid`.

    For an exact denoiser and many steps this draws x_0 from its posterior given x_t: the law of the
    points is unchanged.

    Source: the experiment of 2402.16991.

    Args:
        denoiser: any denoiser.
        x0: points (B, \\*event).
        t: how far, in (0, 1].
        steps: of the grid from 1 to 0.
        rho: of `molrg.sampling.time_grid`.
        generator: source of both noises, or several for equal parts of the points.

    Returns:
        (B, \\*event), one draw for each point.

    Raises:
        ValueError: where an argument is out of range or x0 is not finite.
    """
    times = truncated_grid(denoiser.schedule, t, steps=steps, rho=rho)
    noise = draws.normal_like(checks.finite("x0", x0), generator=generator)
    x_t = denoiser.schedule.add_noise(x0, t, noise)
    return sampling.finish(sampling.ancestral(denoiser, x_t, times, generator=generator))


def directions(features: Tensor, *, centre: Tensor, name: str = "features") -> Tensor:
    """Features less their mean, flat and of unit length, (B, n).

    Args:
        features: (B, \\*event).
        centre: the mean over a large set, (\\*event).
        name: what the features are called in an error.

    Raises:
        ValueError: where shapes differ or entries are not finite.
    """
    shape = tuple(checks.finite(name, features).shape)
    if len(shape) < 2 or not features.numel():
        raise ValueError(f"{name}.shape = {shape}: allowed is (B, *event), not empty")
    if centre.numel() != features[0].numel():
        allowed = f"(B, *event) with {centre.numel()} entries each, as centre has"
        raise ValueError(f"{name}.shape = {shape}: allowed is {allowed}")
    return torch.nn.functional.normalize(features.flatten(1) - centre.flatten(), dim=-1)


def similarity(a: Tensor, b: Tensor, *, centre: Tensor) -> Tensor:
    """Cosine of centred features, row by row.

    Args:
        a: features (B, \\*event).
        b: features of the same shape.
        centre: the mean over a large set, (\\*event). Without it any two images would be alike,
            for they share their mean.

    Returns:
        (B,), in [-1, 1].

    Raises:
        ValueError: where shapes differ or entries are not finite.
    """
    if a.shape != b.shape:
        raise ValueError(f"b.shape = {tuple(b.shape)}: allowed is that of a, {tuple(a.shape)}")
    first = directions(a, centre=centre, name="a")
    return (first * directions(b, centre=centre, name="b")).sum(-1)


def mean_pairwise_similarity(features: Tensor, *, centre: Tensor) -> float:
    """The mean `similarity` over all pairs of different rows: what 0 has to mean.

    Args:
        features: (N, \\*event), N >= 2.
        centre: as in `similarity`.

    Raises:
        ValueError: where there are fewer than two rows, shapes differ or entries are not finite.
    """
    N = len(features)
    if N < 2:
        raise ValueError(f"len(features) = {N}: allowed is >= 2, a pair")
    unit = directions(features, centre=centre).double()
    own = unit.square().sum().item()  # N, but for rows equal to the centre
    return (unit.sum(0).square().sum().item() - own) / (N * (N - 1))


def pairwise_agreement(classes: Tensor) -> float:
    """The share of pairs of different images that agree in their class.

    What `mean_pairwise_similarity` is for a feature.

    Source: Simpson's index of diversity, without replacement.

    Args:
        classes: (N,) whole numbers >= 0, N >= 2.

    Raises:
        ValueError: where there are fewer than two.
    """
    whole = not classes.is_floating_point() and classes.dtype != torch.bool
    if classes.dim() != 1 or len(classes) < 2 or not whole or not bool((classes >= 0).all()):
        about = f"{classes.dtype} of shape {tuple(classes.shape)}"
        raise ValueError(f"classes = {about}: allowed is (N,) whole numbers >= 0, N >= 2")
    counts = torch.bincount(classes).double()
    N = len(classes)
    return (counts * (counts - 1)).sum().item() / (N * (N - 1))


def chance_corrected(score: ArrayLike, chance: ArrayLike) -> NDArray[np.float64]:
    """(score - chance) / (1 - chance): 1 stays 1, chance becomes 0.

    Source: the form of Cohen's kappa.

    Raises:
        ValueError: where chance is not below 1.
    """
    chance = np.asarray(chance, dtype=float)
    if not (chance < 1).all():
        raise ValueError(f"chance = {chance.tolist()}: allowed is numbers below 1")
    return (np.asarray(score, dtype=float) - chance) / (1 - chance)


def width(
    x: ArrayLike, score: ArrayLike, *, levels: tuple[float, float] | None = (0.0, 1.0)
) -> NDArray[np.float64]:
    """Width of the fall of every row, from the sigmoid of `molrg.stats.fit_transition`.

    From 88 to 12 per cent takes 4 widths. So a fall between two neighbouring abscissae may have any
    width up to a fourth of their distance, and none is called narrower than a fourth of the median
    one. A row that does not pass the middle of its levels within the range has no transition, and
    is given the length of the whole range: a flat curve does not count as abrupt.

    Args:
        x: abscissae (P,), ascending: times, or the logarithm of the noise level.
        score: (S, P), or (P,).
        levels: of the sigmoid, low and high; None to fit them, too.

    Returns:
        (S,).

    Raises:
        ValueError: where shapes disagree, entries are not finite, or x is not ascending.
    """
    rows = np.atleast_2d(np.asarray(score, dtype=float))
    fits = [fit_transition(x, row, levels=levels, falls=True, log2=False, draws=1) for row in rows]
    at = np.asarray(x, dtype=float)
    narrowest = float(np.median(np.diff(at))) / 4
    whole = float(np.ptp(at))
    passed = [fit.found and math.isfinite(fit.width) for fit in fits]
    return np.array(
        [
            max(abs(fit.width), narrowest) if ok else whole
            for fit, ok in zip(fits, passed, strict=True)
        ]
    )


def intraclass_correlation(outcomes: Tensor) -> float:
    """Share of the variance of an outcome that is between images rather than between draws.

    1 where all draws of an image agree, so that every image has its own abrupt threshold; 0, up to
    the error of the estimate, where draws of an image agree no more than those of different ones.

    Source: the one-way intraclass correlation, for zeros and ones.

    Args:
        outcomes: (B, R) zeros and ones, R >= 2 draws of each of B >= 2 images.

    Returns:
        The share; 0 where all outcomes are equal.

    Raises:
        ValueError: where the shape is not as above, or there are other entries.
    """
    shape = tuple(outcomes.shape)
    if len(shape) != 2 or min(shape) < 2:
        raise ValueError(f"outcomes.shape = {shape}: allowed is (B, R) with B, R >= 2")
    if not bool(((outcomes == 0) | (outcomes == 1)).all()):
        raise ValueError("outcomes = with other entries: allowed is zeros and ones")
    R = shape[1]
    share = outcomes.double().mean(1)
    within = (share * (1 - share)).mean().item() * R / (R - 1)
    total = (share.mean() * (1 - share.mean())).item()
    return 1 - within / total if total > 0 else 0.0
