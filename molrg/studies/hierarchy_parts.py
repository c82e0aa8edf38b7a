r"""Parts that survive their class: posterior samples of hierarchical data, level by level.

And a check that drawing from the posterior in one go is what reverse diffusion does in many steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from molrg import checks, draws, hierarchy, sampling
from molrg.hierarchy import RHM
from molrg.schedules import VP


def changed_symbols(
    model: RHM, tree: Sequence[Tensor], sigmas: Sequence[float], *, seed: int
) -> list[list[Tensor]]:
    """Which symbols of a tree change when its leaves are noised and a posterior sample is drawn.

    The noise and the random numbers of the draw are the same at every noise level.

    Args:
        model: random hierarchy model.
        tree: levels (1, ...) from the leaves to the class, as of `RHM.sample`.
        sigmas: standard deviations of the Gaussian noise, > 0.
        seed: of the noise and the draw.

    Returns:
        For each noise level, booleans in the shape of the tree's levels.

    Raises:
        ValueError: where a noise level is not positive.
    """
    changed = []
    for sigma in sigmas:
        generator = torch.Generator().manual_seed(seed)
        drawn = _returned(model, tree[0], sigma, generator)
        changed.append([old != new for old, new in zip(tree, drawn, strict=True)])
    return changed


def _returned(
    model: RHM, leaves: Tensor, sigma: float, generator: torch.Generator
) -> Sequence[Tensor]:
    """Trees drawn from the posterior of those whose leaves are seen through Gaussian noise."""
    one_hot = torch.nn.functional.one_hot(leaves, model.v).double()
    x = one_hot + sigma * draws.normal_like(one_hot, generator=generator)
    return model.posterior_sample(hierarchy.gaussian_evidence(x, sigma), generator=generator)


def unchanged_levels(
    epsilons: Sequence[float], seeds: Sequence[int], *, trees: int
) -> pd.DataFrame:
    """Symbols that are unchanged under a changed class, level by level.

    One row is one level of the trees (0 the leaves, 6 the class) at one noise of the
    epsilon-process for one seed, which draws the rules, the trees and the samples. v = 16, m = 4.

    Args:
        epsilons: noises of the epsilon-process.
        seeds: of rules, trees and samples.
        trees: that are sampled again; those that keep their class do not count.

    Returns:
        Columns epsilon, seed, level; "posterior" and "unrelated", shares of unchanged symbols in
        posterior samples and in unrelated trees.

    Raises:
        ValueError: where a number is out of range.
    """
    trees = checks.count("trees", trees)
    tables = []
    for epsilon in epsilons:
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            model = RHM.random(6, 2, 16, 4, generator=generator)
            tree = model.sample(trees, generator=generator)
            evidence = hierarchy.epsilon_evidence(tree[0], epsilon, model.v)
            drawn = model.posterior_sample(evidence, generator=generator)
            unrelated = model.sample(trees, generator=generator)
            about = {"epsilon": epsilon, "seed": seed, "level": range(7)}
            shares = {
                "posterior": _under_another_class(hierarchy.overlap(tree, drawn)),
                "unrelated": _under_another_class(hierarchy.overlap(tree, unrelated)),
            }
            tables.append(pd.DataFrame(about | shares))
    return pd.concat(tables, ignore_index=True)


def least_rise(table: pd.DataFrame) -> pd.DataFrame:
    """How much the unchanged share rises at least from one level to the next one down.

    One row is one seed. The class, which has changed, is left out.

    Args:
        table: of `unchanged_levels`, at one noise.

    Returns:
        Indexed by seed; columns "posterior" and "unrelated".
    """
    below = table[table["level"] < table["level"].max()].sort_values("level")
    steps = -below.groupby("seed")[["posterior", "unrelated"]].diff()
    return steps.groupby(below["seed"]).min()


def _under_another_class(same: Tensor) -> list[float]:
    return same[same[:, -1] == 0].mean(0).tolist()


def reverse_process_excess(
    counts: Sequence[int], seeds: Sequence[int], *, starts: int, sigma: float = 0.625
) -> pd.DataFrame:
    """How much more of the original the reverse process keeps than the exact posterior.

    One row is one number of steps and one part, "class" or "leaves", for one seed. Both start from
    the same noisy leaves of a tree of depth 3 with v = 8 and m = 3. The end of
    `sampling.ancestral` is parsed back to its class. The steps are even in the square root of the
    noise level; the numbers of steps of a seed are drawn one after the other from one source.

    Args:
        counts: numbers of steps.
        seeds: of rules, trees, noise and samples.
        starts: noisy trees.
        sigma: noise level at the start.

    Returns:
        Columns seed, steps, part; "excess", of the share unchanged, and "z", the same over its
        standard error.

    Raises:
        ValueError: where a number is out of range.
    """
    starts = checks.count("starts", starts, 2)
    schedule = VP()
    t = float(schedule.t_of_sigma(sigma))
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        model = RHM.random(3, 2, 8, 3, generator=generator)
        tree = model.sample(starts, generator=generator)
        one_hot = torch.nn.functional.one_hot(tree[0], model.v)
        x = one_hot + sigma * draws.normal(one_hot.shape, generator=generator)
        evidence = hierarchy.gaussian_evidence(x, sigma)
        at_once = hierarchy.overlap(tree, model.posterior_sample(evidence, generator=generator))
        denoiser = model.denoiser(schedule)
        for steps in counts:
            times = sampling.time_grid(schedule, steps, start=t, rho=2)
            x_t = float(schedule.s(t)) * x
            end = sampling.finish(sampling.ancestral(denoiser, x_t, times, generator=generator))
            in_steps = hierarchy.overlap(tree, model.parse(end.argmax(-1)))
            rows += _excess(in_steps - at_once, seed, steps)
    return pd.DataFrame(rows)


def _excess(difference: Tensor, seed: int, steps: int) -> list[dict[str, Any]]:
    rows = []
    for part, column in (("class", -1), ("leaves", 0)):
        excess = difference[:, column].mean()
        error = difference[:, column].std() / math.sqrt(len(difference))
        about: dict[str, Any] = {"seed": seed, "steps": steps, "part": part}
        rows.append(about | {"excess": excess.item(), "z": (excess / error).item()})
    return rows
