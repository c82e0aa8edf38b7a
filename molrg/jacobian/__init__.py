r"""The Jacobian of a denoiser: formed, or only multiplied with.

It is :math:`J = \partial \hat x_0 / \partial x_t`. For a posterior mean :math:`J = (s_t /
\gamma_t^2)\,\mathrm{Cov}[x_0 \mid x_t]`: symmetric, with no negative eigenvalue. Everything here
asks of a denoiser to be differentiable, and of one point not to act on the others.

    >>> from molrg import MoLRG, jacobian, schedules
    >>> mixture = MoLRG.random(48, [6, 6], generator=torch.Generator().manual_seed(0))
    >>> denoiser, t = mixture.denoiser(schedules.VP()), 0.9
    >>> x_t = torch.randn(4, 48, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    >>> J = jacobian.dense(denoiser, x_t, t)                           # (4, 48, 48)
    >>> U, S, Vh = jacobian.top_singular(denoiser, x_t, t, k=3)        # without forming J
    >>> jacobian.rank(denoiser, x_t, t).rank                           # nor here: the energy rank
    tensor([12, 12, 12, 12])
    >>> J_v = jacobian.Linearised(denoiser, x_t, t).jvp(Vh.mT)         # (4, 48, 3): J V
"""

from molrg.jacobian.krylov import top_singular
from molrg.jacobian.local_dimension import LocalDimension, flipd, normalised_error, trace
from molrg.jacobian.operator import Linearised, asymmetry, dense
from molrg.jacobian.ranks import Rank, numerical_rank, rank

__all__ = [
    "Linearised",
    "LocalDimension",
    "Rank",
    "asymmetry",
    "dense",
    "flipd",
    "normalised_error",
    "numerical_rank",
    "rank",
    "top_singular",
    "trace",
]
