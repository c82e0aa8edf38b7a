"""The Jacobian of a denoiser: products, leading singular vectors, rank."""

from molrg.jacobian.operator import (
    Linearised,
    Rank,
    asymmetry,
    dense,
    numerical_rank,
    rank,
    top_singular,
)

__all__ = ["Linearised", "Rank", "asymmetry", "dense", "numerical_rank", "rank", "top_singular"]
