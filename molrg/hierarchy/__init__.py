"""The random hierarchy model, with exact inference, and its mean field."""

from molrg.hierarchy.evidence import epsilon_evidence, gaussian_evidence
from molrg.hierarchy.mean_field import (
    density_evolution,
    epsilon_threshold,
    fixed_point,
    mean_field_map,
)
from molrg.hierarchy.model import RHM, Tree, TreeDenoiser, overlap
from molrg.hierarchy.rules import random_rules

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
