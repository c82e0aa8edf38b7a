"""The part on Jacobians: rank, asymmetry and trace at one noise level, with references."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from molrg import draws, jacobian
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.laws import GAUSSIAN, MIXTURE, TRAINING, Laws
from molrg.companion.report.plan import ASYMMETRY_PROBES, LEADING, Plan
from molrg.denoisers import Denoiser
from molrg.studies import jacobian_rank

_PROBES = 48  # purpose of random numbers
_KEPT = ("rank", "share", "asymmetry", "trace")


def spectrum(inputs: Inputs, plan: Plan, laws: Laws, sigma: float, seed: int) -> dict[str, Any]:
    """Jacobians of the network at one noise level, and of references where they are formed.

    Args:
        inputs: the network and its images.
        plan: how many images, and whether the matrix is formed.
        laws: the references.
        sigma: the noise level.
        seed: of the noise.

    Returns:
        "sigma", "t"; with matrices "network", rows with rank, share, asymmetry and trace, and
        "references", the mean rank of each by name; else "leading", the largest singular values at
        each image, "references", the mean largest one of each by name, and "asymmetries".
    """
    t = inputs.denoiser.schedule.t_of_sigma(sigma).item()
    measured = (
        _matrices(inputs, plan, laws, t, seed)
        if plan.dense
        else _leading(inputs, plan, laws, t, seed)
    )
    return {"sigma": sigma, "t": t, **measured}


def _matrices(inputs: Inputs, plan: Plan, laws: Laws, t: float, seed: int) -> dict[str, Any]:
    cells = [(seed + row, t) for row in range(plan.points)]

    def picture(number: int) -> Tensor:
        return inputs.points[number - seed][None]

    own = jacobian_rank.readings(inputs.denoiser, picture, cells)[list(_KEPT)]
    others: dict[str, Denoiser] = {TRAINING: laws.training, MIXTURE: laws.mixture}
    ranks = {
        name: float(jacobian_rank.readings(law, picture, cells)["rank"].mean())
        for name, law in others.items()
    }
    if laws.gaussian is not None:
        ranks[GAUSSIAN] = float(jacobian_rank.gaussian_ranks(laws.gaussian, [t])["rank"].iloc[0])
    return {"network": own.to_dict("records"), "references": ranks}


def _leading(inputs: Inputs, plan: Plan, laws: Laws, t: float, seed: int) -> dict[str, Any]:
    """Without the matrix: leading singular values, and the asymmetry by random vectors."""
    schedule = inputs.denoiser.schedule
    points = [
        jacobian_rank.noised(schedule, inputs.points[row : row + 1], t, seed + row)
        for row in range(plan.points)
    ]
    own = [_largest(inputs.denoiser, x_t, t, LEADING) for x_t in points]
    # Not of the training images: at low noise one of them is all, and the Jacobian nothing.
    of_mixture = [_largest(laws.mixture, x_t, t, 1)[0] for x_t in points]
    largest = {MIXTURE: float(np.mean(of_mixture))}
    if laws.gaussian is not None:
        exact = jacobian_rank.gaussian_singular_values(laws.gaussian, t)
        largest[GAUSSIAN] = float(exact.max())
    asymmetries = [_asymmetry(inputs.denoiser, x_t, t, seed) for x_t in points]
    return {"leading": own, "references": largest, "asymmetries": asymmetries}


def _largest(denoiser: Denoiser, x_t: Tensor, t: float, k: int) -> list[float]:
    return jacobian.top_singular(denoiser, x_t, t, k, tolerance=0.1)[1][0].tolist()


def _asymmetry(denoiser: Denoiser, x_t: Tensor, t: float, seed: int) -> float:
    """`molrg.jacobian.asymmetry`, its norms estimated by |J v|^2 for random v."""
    linear = jacobian.Linearised(denoiser, x_t, t)
    shape = (1, linear.n, ASYMMETRY_PROBES)
    generator = draws.source(_PROBES, seed)
    v = draws.normal(shape, generator=generator, dtype=x_t.dtype, device=x_t.device)
    forward = linear.jvp(v)
    backward = linear.vjp(v)
    length = ((forward.square().sum() + backward.square().sum()) / 2).sqrt()
    smallest = torch.finfo(x_t.dtype).tiny
    return float((forward - backward).norm() / (2 * length.clamp_min(smallest)))
