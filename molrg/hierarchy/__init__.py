"""The random hierarchy model, with exact inference."""

from molrg.hierarchy.model import (
    RHM,
    Tree,
    TreeDenoiser,
    density_evolution,
    epsilon_evidence,
    epsilon_threshold,
    fixed_point,
    gaussian_evidence,
    mean_field_map,
    overlap,
    random_rules,
)

__all__ = [
    "RHM",
    "Tree",
    "TreeDenoiser",
    "density_evolution",
    "epsilon_evidence",
    "epsilon_threshold",
    "fixed_point",
    "gaussian_evidence",
    "mean_field_map",
    "overlap",
    "random_rules",
]
