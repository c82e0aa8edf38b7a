"""The part on Jacobians: rank, asymmetry and trace at one noise level, with references."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from molrg import jacobian
from molrg.companion.report.inputs import Inputs
from molrg.companion.report.laws import GAUSSIAN, MIXTURE, TRAINING, Laws
from molrg.companion.report.plan import LEADING, Plan
from molrg.denoisers import Denoiser
from molrg.studies import jacobian_rank

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
        "references", the mean rank of each by name; else "leading", singular values of each image.
    """
    t = inputs.denoiser.schedule.t_of_sigma(sigma).item()
    measured = (
        _matrices(inputs, plan, laws, t, seed) if plan.dense else _leading(inputs, plan, t, seed)
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


def _leading(inputs: Inputs, plan: Plan, t: float, seed: int) -> dict[str, Any]:
    values = []
    for row in range(plan.points):
        x_t = jacobian_rank.noised(
            inputs.denoiser.schedule, inputs.points[row : row + 1], t, seed + row
        )
        S = jacobian.top_singular(inputs.denoiser, x_t, t, LEADING, tolerance=0.1)[1]
        values.append(S[0].tolist())
    return {"leading": values}
