"""Intrinsic dimension: estimators with intervals, and tangent spaces."""

from molrg.dimension.estimators import (
    CALIBRATED_AT,
    DISCARD,
    METHODS,
    Estimate,
    Floats,
    Report,
    as_points,
    calibration,
    describe,
    estimate,
    gaussian_twin,
    nearest,
    readings,
)
from molrg.dimension.tangents import Gap, TangentPairs, tangent_affinity, tangent_pairs

__all__ = [
    "CALIBRATED_AT",
    "DISCARD",
    "METHODS",
    "Estimate",
    "Floats",
    "Gap",
    "Report",
    "TangentPairs",
    "as_points",
    "calibration",
    "describe",
    "estimate",
    "gaussian_twin",
    "nearest",
    "readings",
    "tangent_affinity",
    "tangent_pairs",
]
