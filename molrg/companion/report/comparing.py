"""The parts without Jacobians of references: dimension, nearest reference, denoising error."""

from __future__ import annotations

from typing import Any

import pandas as pd

from molrg import dimension, draws, jacobian, stats
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.laws import Laws, sizes
from molrg.companion.report.plan import Plan
from molrg.studies import references

NETWORK = "the network"
_CLEARLY = 1.1  # times as far as the nearest reference, a reference is clearly further
_BATCH = 8  # images at a time
_NOISE, _PROBES, _RESAMPLING, _TWIN, _TIES = 43, 44, 45, 46, 49  # purposes of random numbers


def image_dimension(inputs: Inputs, seed: int) -> dict[str, Any]:
    """What the chosen training images say of their dimension.

    Args:
        inputs: with the images.
        seed: of the estimate's halvings.

    Returns:
        "N", "n", "low", "high", "twin", and the "statements".
    """
    report = dimension.describe(inputs.chosen.cpu(), generator=draws.source(_TWIN, seed))
    values = {"N": report.N, "n": report.n, "low": report.low, "high": report.high}
    return values | {"twin": report.twin, "statements": report.statements()}


def denoiser_dimension(inputs: Inputs, plan: Plan, sigma: float, seed: int) -> dict[str, Any]:
    """The dimension at a noise level, from the trace of the Jacobian and from the error.

    Args:
        inputs: the network and its images.
        plan: how many images and probes.
        sigma: the noise level.
        seed: of the noise.

    Returns:
        "sigma", and for "trace" and "error" the mean over images, "low" and "high" of its interval.
    """
    denoiser = inputs.denoiser
    t = denoiser.schedule.t_of_sigma(sigma).item()
    x = inputs.points[: plan.traced]
    noise = draws.normal_like(x, generator=draws.source(_NOISE, seed))
    x_t = denoiser.schedule.add_noise(x, t, noise)
    probes = draws.source(_PROBES, seed)
    traces = jacobian.trace(denoiser, x_t, t, probes=plan.probes, generator=probes)
    clean = inputs.points[: plan.compared]
    errors = jacobian.normalised_error(denoiser, clean, t, generator=draws.source(_NOISE, seed))
    return {"sigma": sigma, "trace": _interval(traces), "error": _interval(errors)}


def _interval(reading: jacobian.LocalDimension) -> dict[str, float]:
    summary = reading.summary()
    return {"mean": summary.mean, "low": summary.lower, "high": summary.upper}


def nearest_reference(inputs: Inputs, plan: Plan, laws: Laws, seed: int) -> dict[str, Any]:
    """Distances of the network to references, and the error of all, level by level.

    Args:
        inputs: the network and its images.
        plan: noise levels and how many images.
        laws: the references.
        seed: of the noise.

    Returns:
        "distances", rows with sigma, reference, distance, "distance low" and "distance high";
        "nearest", rows with sigma, reference and "tied", those not clearly further; "errors", mean
        squared errors of a pixel, rows with sigma, denoiser and error; "sizes" of the mixture.
    """
    table = references.compare(
        inputs.denoiser,
        laws.all(),
        {"images": inputs.points[: plan.compared]},
        plan.sigmas,
        mean=inputs.chosen.mean(0),
        seed=seed,
        batch=_BATCH,
    )
    generator = draws.source(_RESAMPLING, seed)
    ratios = references.intervals(table, generator=generator).drop(columns="set")
    nearest = references.nearest(references.ratios(table))[["sigma", "reference"]]
    return {
        "distances": ratios.to_dict("records"),
        "nearest": [
            {"sigma": sigma, "reference": name, "tied": _tied(table, sigma, name, seed)}
            for sigma, name in zip(nearest["sigma"], nearest["reference"], strict=True)
        ],
        "errors": _errors(table, inputs.points[0].numel()),
        "sizes": list(sizes(len(inputs.chosen))),
    }


def _tied(table: pd.DataFrame, sigma: float, nearest: str, seed: int) -> list[str]:
    """References that are not clearly further than the nearest.

    One is where it is more than a tenth further by the 95 % interval over the same images.
    """
    at_level = table[table["sigma"] == sigma].set_index("reference")["distance"]
    tied = []
    for name in at_level.index.unique().drop(nearest):
        further = at_level[name].to_numpy() - _CLEARLY * at_level[nearest].to_numpy()
        low, _ = stats.bootstrap(further, generator=draws.source(_TIES, seed))
        if low[0] <= 0:
            tied.append(str(name))
    return tied


def _errors(table: pd.DataFrame, n: int) -> list[dict[str, Any]]:
    """Mean squared error of a pixel, of every denoiser."""
    first = table["reference"] == table["reference"].iloc[0]
    own = table[first].assign(reference=NETWORK, error=table["own error"])
    both = pd.concat([own, table])
    means = both.groupby(["sigma", "reference"], sort=False)["error"].mean() / n
    named = means.reset_index().rename(columns={"reference": "denoiser"})
    return named.to_dict("records")
