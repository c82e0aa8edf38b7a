r"""Denoisers: everything that turns a noisy x_t into an estimate of E[x_0 | x_t].

All follow one protocol, ``x0_hat = denoiser(x_t, t)`` with a ``schedule``; the exact one of the
mixture is `molrg.MoLRG.denoiser`. What consumes a denoiser knows nothing else about it.
"""

from molrg.denoisers.checkpoints import from_pretrained
from molrg.denoisers.exact import Denoiser, Empirical, Gaussian, LinearMixture, LowRank
from molrg.denoisers.networks import MLP, FreeMixture, UNet, network_time, to_x0

__all__ = [
    "MLP",
    "Denoiser",
    "Empirical",
    "FreeMixture",
    "Gaussian",
    "LinearMixture",
    "LowRank",
    "UNet",
    "from_pretrained",
    "network_time",
    "to_x0",
]
