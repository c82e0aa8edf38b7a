r"""Denoisers: everything that turns a noisy x_t into an estimate of E[x_0 | x_t].

All follow one protocol, ``x0_hat = denoiser(x_t, t)`` with a ``schedule``; the exact one of the
mixture is `molrg.MoLRG.denoiser`. What consumes a denoiser knows nothing else about it, but for
what `molrg.denoisers.protocol` names.
"""

from molrg.denoisers.checkpoints import from_pretrained
from molrg.denoisers.ensembles import Stacked
from molrg.denoisers.exact import Empirical, Gaussian, LinearMixture
from molrg.denoisers.free_mixture import FreeMixture
from molrg.denoisers.low_rank import LowRank
from molrg.denoisers.networks import UNet, network_time, to_x0
from molrg.denoisers.patches import Patches, Windowed
from molrg.denoisers.perceptron import MLP
from molrg.denoisers.protocol import (
    Assigning,
    Denoiser,
    Ensemble,
    ForEvents,
    Movable,
    Retractable,
    Selectable,
    Tangential,
    check_denoiser,
    ensemble_of,
)

__all__ = [
    "MLP",
    "Assigning",
    "Denoiser",
    "Empirical",
    "Ensemble",
    "ForEvents",
    "FreeMixture",
    "Gaussian",
    "LinearMixture",
    "LowRank",
    "Movable",
    "Patches",
    "Retractable",
    "Selectable",
    "Stacked",
    "Tangential",
    "UNet",
    "Windowed",
    "check_denoiser",
    "ensemble_of",
    "from_pretrained",
    "network_time",
    "to_x0",
]
