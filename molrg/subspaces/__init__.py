"""Subspaces: their geometry, and clustering points by the subspace they lie near."""

from molrg.subspaces.geometry import (
    Bases,
    KSubspaces,
    clustering_accuracy,
    energies,
    k_subspaces,
    match,
    orthonormalise,
    pca,
    principal_angles,
    projector_distance,
    random_bases,
    random_basis,
    spectral_labels,
    subspace_error,
    subspace_errors,
    whitened,
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
