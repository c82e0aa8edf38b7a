r"""Sampling in D dimensions: how the error at the end depends on D for three discretisations.

For a Gaussian on a subspace by closed form and by samples; on a curve by samples. The schedule is
variance-preserving throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from molrg import checks, sampling
from molrg.denoisers import LowRank
from molrg.schedules import VP
from molrg.studies.curves import Curve, KernelDensity
from molrg.studies.manifold_rates import endpoint, gaussian_kl, path_steps_needed, steps_needed
from molrg.studies.reverse_schemes import SCHEMES, level_grid, reverse
from molrg.subspaces import random_basis


def endpoints(dims: Sequence[int], *, d: int, steps: int, stop: float) -> pd.DataFrame:
    """The law at the end of every scheme for N(0, UU^T), in closed form.

    One row is one scheme and one dimension D; the further "scheme" called "full rank" is the
    posterior mean held fixed for data that fill the space, d = D.

    Args:
        dims: ambient dimensions D >= d.
        d: dimension of the subspace.
        steps: on `level_grid`.
        stop: last noise level.

    Returns:
        Columns scheme, D and the fields of `manifold_rates.Endpoint`.

    Raises:
        ValueError: where a number is out of range.
    """
    schedule = VP()
    grid = level_grid(schedule, steps, stop=stop)
    rows = []
    for D in dims:
        for scheme in SCHEMES:
            end = endpoint(scheme, schedule, grid, D=D, d=d)
            rows.append({"scheme": scheme, "D": D} | vars(end))
        end = endpoint("posterior mean", schedule, grid, D=D, d=D)
        rows.append({"scheme": "full rank", "D": D} | vars(end))
    return pd.DataFrame(rows).sort_values(["scheme", "D"], ignore_index=True)


def slopes_in_dimension(dims: Sequence[int], seeds: Sequence[int]) -> pd.DataFrame:
    """How KL and Wasserstein distance at the end grow with D, by closed form.

    One row is one seed, which draws the subspace's dimension (1 to 6), the number of steps (150 to
    400) and the last noise level (0.03 to 0.1). Slopes are of logarithms over all but the first of
    the dimensions; a spread is the largest value over the smallest, less one.

    Args:
        dims: ambient dimensions D >= 6, ascending, three or more.
        seeds: of the settings.

    Returns:
        Columns seed, d, steps, stop; "spread", of the KL with the posterior mean held fixed;
        "score", "euler" and "full", slopes of the KL with the score held fixed, by Euler-Maruyama,
        and with the posterior mean held fixed at full rank; "others", the least spread of these
        three; "w2", slope of the Wasserstein distance with the posterior mean held fixed.

    Raises:
        ValueError: where a number is out of range.
    """
    if len(dims) < 3:
        raise ValueError(f"dims = {list(dims)}: allowed is three ambient dimensions or more")
    rows = []
    for seed in seeds:
        setting = _setting(seed)
        table = endpoints(dims, **setting).set_index("D")
        kl = {name: ends["kl"].to_numpy() for name, ends in table.groupby("scheme")}
        w2 = table[table["scheme"] == "posterior mean"]["w2"].to_numpy()
        others = ("score", "euler", "full rank")
        row = {"spread": _spread(kl["posterior mean"])}
        row |= {name: _slope(dims, kl[name]) for name in ("score", "euler")}
        row["full"] = _slope(dims, kl["full rank"])
        row["others"] = min(_spread(kl[name]) for name in others)
        row["w2"] = _slope(dims, w2)
        rows.append({"seed": seed} | setting | row)
    return pd.DataFrame(rows)


def _setting(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    stop = math.exp(rng.uniform(math.log(0.03), math.log(0.1)))
    d = int(rng.integers(1, 7))
    return {"d": d, "steps": int(rng.integers(150, 401)), "stop": stop}


def _spread(values: np.ndarray) -> float:
    return float(values.max() / values.min() - 1)


def _slope(dims: Sequence[int], values: np.ndarray) -> float:
    return float(np.polyfit(np.log(dims[1:]), np.log(values[1:]), 1)[0])


def sampled_endpoints(
    dims: Sequence[int], seeds: Sequence[int], *, d: int, steps: int, stop: float, walkers: int
) -> pd.DataFrame:
    """KL at the end from the variances of points that walk through the real denoiser.

    One row is one scheme and one dimension D for one seed. The dimensions of a seed are drawn one
    after the other from one source, and one scheme after the other.

    Args:
        dims: ambient dimensions D > d.
        seeds: of the subspaces, the starts and the noise.
        d: dimension of the subspace.
        steps: on `level_grid`.
        stop: last noise level.
        walkers: points.

    Returns:
        Columns scheme, D, seed, kl, and "exact", the closed form of the same.

    Raises:
        ValueError: where a number is out of range.
    """
    schedule = VP()
    grid = level_grid(schedule, steps, stop=stop)
    left_over = schedule.gamma(grid[-1]).item() ** 2
    generators = {seed: torch.Generator().manual_seed(seed) for seed in seeds}

    @torch.no_grad()
    def sampled(scheme: str, D: int, generator: torch.Generator) -> float:
        U = random_basis(D, d, generator=generator)
        start = sampling.prior((walkers, D), schedule, generator=generator)
        denoiser = LowRank([U], schedule)
        end = sampling.finish(reverse(denoiser, start, grid, scheme=scheme, generator=generator))
        along = (end @ U).square().sum().item()
        across = (end.square().sum().item() - along) / (walkers * (D - d))
        kl_across = gaussian_kl(left_over, across)
        return d * gaussian_kl(1.0, along / (walkers * d)) + (D - d) * kl_across

    walkers = checks.count("walkers", walkers)
    rows = []
    for scheme in SCHEMES:
        exact = {D: endpoint(scheme, schedule, grid, D=D, d=d).kl for D in dims}
        for seed in seeds:
            for D in dims:
                row = {"scheme": scheme, "D": D, "seed": seed}
                row["kl"] = sampled(scheme, D, generators[seed])
                rows.append(row | {"exact": exact[D]})
    return pd.DataFrame(rows)


def steps_by_ambient(
    dims: Sequence[int], *, d: int, kl: float = 0.1, stop: float = 0.05
) -> pd.DataFrame:
    """Steps that a scheme needs for a KL, by closed form, against the ambient dimension.

    One row is one scheme and one dimension D.

    Args:
        dims: ambient dimensions D >= d.
        d: dimension of the subspace.
        kl: allowed at the end.
        stop: last noise level.

    Returns:
        Columns scheme, D, steps.

    Raises:
        ValueError: where a number is out of range.
    """
    rows = [
        {
            "scheme": scheme,
            "D": D,
            "steps": steps_needed(scheme, VP(), D=D, d=d, kl=kl, stop=stop),
        }
        for scheme in SCHEMES
        for D in dims
    ]
    return pd.DataFrame(rows)


def steps_by_intrinsic(
    dims: Sequence[int], *, D: int, kl: float = 0.1, stop: float = 0.05
) -> pd.DataFrame:
    """Steps needed with the posterior mean held fixed, against the dimension of the subspace.

    One row is one dimension d.

    Args:
        dims: dimensions d <= D of the subspace.
        D: ambient dimension; the KL of paths does not depend on it.
        kl: allowed, between laws at the end and between laws of paths.
        stop: last noise level.

    Returns:
        Columns d; "end" and "path", the steps for either KL.

    Raises:
        ValueError: where a number is out of range.
    """
    rows = [
        {
            "d": d,
            "end": steps_needed("posterior mean", VP(), D=D, d=d, kl=kl, stop=stop),
            "path": path_steps_needed(VP(), d=d, kl=kl, stop=stop),
        }
        for d in dims
    ]
    return pd.DataFrame(rows)


def noise_across_curve(
    dims: Sequence[int], seeds: Sequence[int], *, steps: int, stop: float, walkers: int
) -> pd.DataFrame:
    """Noise that is left across a curve at the end, over what should be left.

    One row is one scheme and one dimension D for one seed, which draws a curve. What is left is
    the mean of |x_t - s_t x0_hat|^2 over the points, what should be left (D - 1) gamma_t^2. The
    dimensions of a seed are drawn one after the other from one source, and one scheme after the
    other.

    Args:
        dims: ambient dimensions D, even.
        seeds: of the curves, the starts and the noise.
        steps: on `level_grid`.
        stop: last noise level.
        walkers: points.

    Returns:
        Columns scheme, D, seed, ratio.

    Raises:
        ValueError: where a number is out of range.
    """
    schedule = VP()
    grid = level_grid(schedule, steps, stop=stop)
    last = grid[-1].item()
    s, gamma = schedule.s(last).item(), schedule.gamma(last).item()
    generators = {seed: torch.Generator().manual_seed(seed) for seed in seeds}

    def ratio(scheme: str, D: int, generator: torch.Generator) -> float:
        curve = Curve.random(D, generator=generator)
        denoiser = KernelDensity(curve.nodes(256), schedule)
        start = sampling.prior((walkers, D), schedule, generator=generator)
        x_t = sampling.finish(reverse(denoiser, start, grid, scheme=scheme, generator=generator))
        noise = (x_t - s * denoiser(x_t, last)).square().sum(1).mean().item()
        return noise / ((D - 1) * gamma**2)

    walkers = checks.count("walkers", walkers)
    rows = []
    for scheme in SCHEMES:
        for seed in seeds:
            for D in dims:
                row = {"scheme": scheme, "D": D, "seed": seed}
                rows.append(row | {"ratio": ratio(scheme, D, generators[seed])})
    return pd.DataFrame(rows)
