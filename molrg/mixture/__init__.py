"""MoLRG: the mixture of low-rank Gaussians, with its exact density, score and denoiser."""

from molrg.mixture.model import MoLRG, PosteriorMean
from molrg.mixture.selection import best, held_out

__all__ = ["MoLRG", "PosteriorMean", "best", "held_out"]
