r"""The class transition of hierarchical data: beliefs against noise, and where curves cross.

The random hierarchy model has L levels above its leaves, s children a node, v symbols a level and
m rules a symbol. Inference is exact; its evidence is that of the epsilon-process or of Gaussian
noise on one-hot leaves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from molrg import checks, draws, hierarchy
from molrg.hierarchy import RHM

PROCESSES = ("epsilon", "gaussian")
DEPTHS = (3, 6)  # whose curves are crossed
Shape = tuple[int, int, int, int]
Grammar = tuple[int, int]
FAMILIES: dict[str, tuple[Shape, Shape]] = {  # without a threshold; of 8 and of 64 leaves
    "m = v": ((3, 2, 16, 16), (6, 2, 16, 16)),
    "m = 1": ((3, 2, 16, 1), (6, 2, 16, 1)),
    "flat": ((1, 8, 16, 4), (1, 64, 16, 4)),
}


def beliefs(
    shape: Shape,
    noises: ArrayLike,
    seeds: Sequence[int],
    *,
    trees: int,
    process: str = "epsilon",
    leaves: bool = True,
    dtype: torch.dtype = torch.float32,
) -> pd.DataFrame:
    """Beliefs in the right class and in the right leaf, along the noise.

    One row is one noise level for one seed, which draws the rules, the trees and, for Gaussian
    noise, one noise that is scaled to every level.

    Args:
        shape: (L, s, v, m) of the model.
        noises: levels of the process: epsilon, or the standard deviation of a coordinate.
        seeds: of rules, trees and noise.
        trees: over which beliefs are averaged.
        process: "epsilon" or "gaussian".
        leaves: whether they are inferred, too, which is the longer half of inference.
        dtype: of the messages.

    Returns:
        Columns seed, noise; "class" and "leaves", mean beliefs in the right symbol.

    Raises:
        ValueError: where an argument is out of range.
    """
    checks.one_of("process", process, PROCESSES)
    trees = checks.count("trees", trees)
    levels = [float(noise) for noise in np.asarray(noises, dtype=float)]
    tables = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        model = RHM.random(*shape, generator=generator)
        tree = model.sample(trees, generator=generator)
        evidence = _evidence(tree[0], model.v, process, levels, dtype, generator)
        table: dict[str, Any] = {"seed": seed, "noise": levels}
        if leaves:
            marginals = [model.marginals(at_level) for at_level in evidence]
            table["class"] = [_belief(of_level[-1], tree[-1]) for of_level in marginals]
            table["leaves"] = [_belief(of_level[0], tree[0]) for of_level in marginals]
        else:  # of all levels at once
            posteriors = model.class_posterior(torch.cat(evidence)).unsqueeze(1).split(trees)
            table["class"] = [_belief(of_level, tree[-1]) for of_level in posteriors]
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def _evidence(
    leaves: Tensor,
    v: int,
    process: str,
    levels: Sequence[float],
    dtype: torch.dtype,
    generator: torch.Generator,
) -> list[Tensor]:
    """The evidence of the leaves at each noise level."""
    if process == "epsilon":
        return [hierarchy.epsilon_evidence(leaves, level, v, dtype=dtype) for level in levels]
    one_hot = torch.nn.functional.one_hot(leaves, v).to(dtype)
    noise = draws.normal_like(one_hot, generator=generator)
    return [hierarchy.gaussian_evidence(one_hot + level * noise, level) for level in levels]


def _belief(marginals: Tensor, symbols: Tensor) -> float:
    return marginals.gather(2, symbols.unsqueeze(-1)).mean().item()


def by_seed(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """A column of `beliefs` as curves, (seeds, noise levels)."""
    return table.pivot(index="seed", columns="noise", values=column).to_numpy()


def sharpening(shallow: pd.DataFrame, deep: pd.DataFrame) -> NDArray[np.float64]:
    r"""How much the class curve gains on the leaf curve from a shallow tree to a deep one.

    The steepness of a curve is its largest fall per unit of the logarithm of the noise: a curve
    that merely moves to less noise would also get steeper per unit of noise.

    Args:
        shallow: of `beliefs`.
        deep: of `beliefs`, on the same noise levels and seeds.

    Returns:
        (seeds,) the ratio of class to leaf steepness in the deep tree over that in the shallow one.
    """
    ratios = [_steepness(table, "class") / _steepness(table, "leaves") for table in (deep, shallow)]
    return ratios[0] / ratios[1]


def _steepness(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    noises = np.sort(table["noise"].unique())
    return (-np.diff(by_seed(table, column)) / np.diff(np.log(noises))).max(-1)


def crossing(noises: ArrayLike, shallow: ArrayLike, deep: ArrayLike) -> float:
    """The least noise at which the deeper tree has no lead, linear between levels.

    Args:
        noises: ascending levels (P,), two or more.
        shallow: class belief of the shallow tree, (P,).
        deep: that of the deep tree, (P,).

    Returns:
        The noise; the first level where there is no lead there, the last where there always is.

    Raises:
        ValueError: where the levels are not ascending or shapes differ.
    """
    levels = np.asarray(noises, dtype=float)
    if levels.ndim != 1 or len(levels) < 2 or not (np.diff(levels) > 0).all():
        raise ValueError(f"noises = {levels.tolist()}: allowed is two ascending levels or more")
    curves = {"shallow": np.asarray(shallow, float), "deep": np.asarray(deep, float)}
    for name, curve in curves.items():
        if curve.shape != levels.shape:
            allowed = f"that of noises, {levels.shape}"
            raise ValueError(f"{name}.shape = {curve.shape}: allowed is {allowed}")
    lead = curves["deep"] - curves["shallow"]
    lost = np.flatnonzero(lead <= 0)
    if len(lost) == 0:
        return float(levels[-1])
    k = lost[0]
    if k == 0:
        return float(levels[0])
    share = lead[k - 1] / (lead[k - 1] - lead[k])
    return float(levels[k - 1] + share * (levels[k] - levels[k - 1]))


def crossings(
    v: int,
    m: int,
    noises: ArrayLike,
    seeds: Sequence[int],
    *,
    trees: int,
    process: str = "epsilon",
) -> list[float]:
    """Where the class curves of depths 3 and 6 cross, a number for each seed.

    Args:
        v: symbols of a level.
        m: rules of a symbol.
        noises: ascending levels.
        seeds: of rules, trees and noise.
        trees: of depth 6; four times as many of depth 3.
        process: as in `beliefs`.
    """
    shallow, deep = (
        by_seed(
            beliefs((L, 2, v, m), noises, seeds, trees=count, process=process, leaves=False),
            "class",
        )
        for L, count in zip(DEPTHS, (4 * trees, trees), strict=True)
    )
    return [crossing(noises, *pair) for pair in zip(shallow, deep, strict=True)]


def epsilon_thresholds(
    grammars: Iterable[Grammar], seeds: Sequence[int], *, trees: int
) -> pd.DataFrame:
    """Crossings of the epsilon-process beside the threshold of mean field.

    One row is one grammar for one seed. The noise runs from 0.9 to 1.1 times the threshold.

    Args:
        grammars: pairs (v, m).
        seeds: of rules and trees.
        trees: as in `crossings`.

    Returns:
        Columns v, m, seed, crossing, mean_field, and "off_mean_field", the relative deviation.

    Raises:
        ValueError: where a grammar has no threshold, or a number is out of range.
    """
    tables = []
    for v, m in grammars:
        threshold = hierarchy.epsilon_threshold(2, v, m)
        noises = threshold * np.linspace(0.9, 1.1, 9)
        measured = crossings(v, m, noises, seeds, trees=trees)
        about = {"v": v, "m": m, "seed": list(seeds)}
        tables.append(pd.DataFrame(about | {"crossing": measured, "mean_field": threshold}))
    return _with_deviations(tables, "mean_field")


def gaussian_thresholds(
    grammars: Iterable[Grammar],
    seeds: Sequence[int],
    *,
    trees: int,
    population: int,
    theory_seed: int = 0,
) -> pd.DataFrame:
    """Crossings under Gaussian noise beside two predictions.

    One row is one grammar for one seed. Mean field asks where the mean belief of one leaf is its
    unstable fixed point; density evolution follows a population of messages. The noise runs from
    0.64 to 0.84 times what mean field says.

    Args:
        grammars: pairs (v, m).
        seeds: of rules, trees and noise.
        trees: as in `crossings`.
        population: messages of density evolution.
        theory_seed: of the draws of both predictions.

    Returns:
        Columns v, m, seed, crossing, mean_field, density_evolution, and the relative deviations
        "off_mean_field" and "off_density_evolution".

    Raises:
        ValueError: where a grammar has no threshold, or a number is out of range.
    """
    tables = []
    for v, m in grammars:
        mean_field = mean_field_noise(v, m, seed=theory_seed)
        sigmas = mean_field * np.linspace(0.64, 0.84, 6)
        row = {
            "v": v,
            "m": m,
            "seed": list(seeds),
            "crossing": crossings(v, m, sigmas, seeds, trees=trees, process="gaussian"),
            "mean_field": mean_field,
            "density_evolution": evolved_crossing(
                v, m, sigmas, population=population, seed=theory_seed
            ),
        }
        tables.append(pd.DataFrame(row))
    return _with_deviations(tables, "mean_field", "density_evolution")


def _with_deviations(tables: Sequence[pd.DataFrame], *theories: str) -> pd.DataFrame:
    table = pd.concat(tables, ignore_index=True)
    for theory in theories:
        table[f"off_{theory}"] = table["crossing"] / table[theory] - 1
    return table


def mean_field_noise(v: int, m: int, *, seed: int = 0) -> float:
    """Gaussian noise at which the mean belief of one leaf is the fixed point of mean field.

    Args:
        v: symbols of a level.
        m: rules of a symbol.
        seed: of 20,000 leaves.

    Raises:
        ValueError: where there is no fixed point.
    """
    fixed_point = hierarchy.fixed_point(2, v, m)
    if fixed_point is None:
        raise ValueError(f"m = {m}: allowed is a number of rules with a fixed point for v = {v}")
    sigmas = np.linspace(0.3, 1.2, 91)
    generator = torch.Generator().manual_seed(seed)
    noise = draws.normal((20_000, v), generator=generator)

    def lost(sigma: float) -> float:
        """Minus the mean belief, which rises with the noise."""
        return -_noisy_logits(noise, sigma).softmax(1)[:, 0].mean().item()

    place = bisect_left(sigmas, -fixed_point, key=lost)
    around = sigmas[max(place - 1, 0) : place + 1]
    return float(np.interp(-fixed_point, [lost(sigma) for sigma in around], around))


def _noisy_logits(noise: Tensor, sigma: float) -> Tensor:
    """Log-evidence of leaves whose true symbol is the first, up to a constant."""
    first = torch.zeros_like(noise[0])
    first[0] = 1 / sigma
    return (noise + first) / sigma


def evolved_crossing(v: int, m: int, sigmas: ArrayLike, *, population: int, seed: int = 0) -> float:
    """Where density evolution says that the class curves of depths 3 and 6 cross.

    Args:
        v: symbols of a level.
        m: rules of a symbol.
        sigmas: ascending Gaussian noise levels.
        population: messages that are carried from level to level.
        seed: of the population, the same for all noise levels.
    """

    levels = np.asarray(sigmas, dtype=float).tolist()

    def leaves(count: int, generator: torch.Generator) -> Tensor:
        noise = draws.normal((count, v), generator=generator)
        return torch.stack([_noisy_logits(noise, sigma) for sigma in levels])

    curves = hierarchy.density_evolution(
        leaves,
        max(DEPTHS),
        2,
        v,
        m,
        population=population,
        grammars=128,
        generator=torch.Generator().manual_seed(seed),
    )
    shallow, deep = curves[:, list(DEPTHS)].T.tolist()
    return crossing(sigmas, shallow, deep)


def without_threshold(noises: ArrayLike, seeds: Sequence[int], *, trees: int) -> pd.DataFrame:
    """Class beliefs of three data sets whose curves do not cross where those of a hierarchy do.

    One row is one noise of the epsilon-process for one data set, one number of leaves (8 or 64)
    and one seed. No structure, m = v; no freedom, m = 1; and a flat model, a class of four
    sentences with nothing between class and leaves.

    Args:
        noises: epsilon.
        seeds: of rules and trees.
        trees: over which beliefs are averaged.

    Returns:
        Columns family, size, seed, noise, class.

    Raises:
        ValueError: where a number is out of range.
    """
    tables = []
    for family, shapes in FAMILIES.items():
        for size, shape in zip((8, 64), shapes, strict=True):
            table = beliefs(shape, noises, seeds, trees=trees, leaves=False, dtype=torch.float64)
            tables.append(table.assign(family=family, size=size))
    return pd.concat(tables, ignore_index=True)


def family_crossings(table: pd.DataFrame) -> pd.DataFrame:
    """Where the curves of 8 and of 64 leaves cross, from a table of `without_threshold`.

    One row is one data set for one seed.

    Returns:
        Columns family, seed, crossing; an end of the noises where the curves do not cross.
    """
    rows = []
    for (family, seed), curves in table.groupby(["family", "seed"], sort=False):
        few, many = curves.pivot(index="size", columns="noise", values="class").to_numpy()
        noises = np.sort(curves["noise"].unique())
        rows.append({"family": family, "seed": seed, "crossing": crossing(noises, few, many)})
    return pd.DataFrame(rows)
