"""Intrinsic dimension: estimators with intervals, a report on own data, and tangent spaces."""

from molrg.dimension.estimators import DISCARD, METHODS, TIES, Estimate, estimate, readings
from molrg.dimension.gaussians import calibration, gaussian_twin
from molrg.dimension.neighbours import Cloud, as_cloud, nearest_neighbours
from molrg.dimension.report import CALIBRATED_AT, Report, describe
from molrg.dimension.tangents import Gap, TangentPairs, tangent_affinity, tangent_pairs

__all__ = [
    "CALIBRATED_AT",
    "DISCARD",
    "METHODS",
    "TIES",
    "Cloud",
    "Estimate",
    "Gap",
    "Report",
    "TangentPairs",
    "as_cloud",
    "calibration",
    "describe",
    "estimate",
    "gaussian_twin",
    "nearest_neighbours",
    "readings",
    "tangent_affinity",
    "tangent_pairs",
]
