"""Subspaces: their geometry, and clustering points by the subspace they lie near."""

from molrg.subspaces.bases import orthonormalise, pca, random_bases, random_basis
from molrg.subspaces.clustering import (
    KSubspaces,
    clustering_accuracy,
    k_subspaces,
    spectral_labels,
    whitened,
)
from molrg.subspaces.geometry import (
    Bases,
    energies,
    match,
    principal_angles,
    projector_distance,
    subspace_error,
    subspace_errors,
)

__all__ = [
    "Bases",
    "KSubspaces",
    "clustering_accuracy",
    "energies",
    "k_subspaces",
    "match",
    "orthonormalise",
    "pca",
    "principal_angles",
    "projector_distance",
    "random_bases",
    "random_basis",
    "spectral_labels",
    "subspace_error",
    "subspace_errors",
    "whitened",
]
