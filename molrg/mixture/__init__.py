"""MoLRG: the mixture of low-rank Gaussians, with its exact density, score and denoiser."""

from molrg.mixture.model import MoLRG, PosteriorMean

__all__ = ["MoLRG", "PosteriorMean"]
