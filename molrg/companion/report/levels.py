"""What was measured at each noise level, as one table: in the JSON, and at the end of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from molrg.companion.report.comparing import NETWORK

Parts = Mapping[str, Mapping[str, Any]]  # what was measured, by the name of the part
Row = dict[str, Any]
DIMENSION, SPECTRUM, STRIP = "dimension", "spectrum", "strip"  # parts of which there are several
KEYS = (
    "sigma", "trace", "trace_low", "trace_high", "error_dimension", "error_dimension_low",
    "error_dimension_high", "rank", "largest_singular_value", "asymmetry", "error", "nearest",
    "nearest_distance", "tied",
)  # fmt: skip


def of_kind(parts: Parts, kind: str) -> list[Mapping[str, Any]]:
    """The parts of one kind, in order.

    Args:
        parts: all.
        kind: the beginning of their names.
    """
    return [part for name, part in parts.items() if name.startswith(f"{kind}-")]


def table(parts: Parts) -> list[Row]:
    """One row for each noise level, with the keys `KEYS`; None where nothing was measured.

    Args:
        parts: what was measured.
    """
    rows: dict[float, Row] = {}

    def at(sigma: float) -> Row:
        return rows.setdefault(sigma, dict.fromkeys(KEYS) | {"sigma": sigma})

    for part in of_kind(parts, DIMENSION):
        at(part["sigma"]).update(_dimension(part))
    for part in of_kind(parts, SPECTRUM):
        at(part["sigma"]).update(_spectrum(part))
    if "references" in parts:
        for near in parts["references"]["nearest"]:
            at(near["sigma"]).update(_references(parts["references"], near))
    return [rows[sigma] for sigma in sorted(rows)]


def _dimension(part: Mapping[str, Any]) -> Row:
    row = {}
    for key, name in (("trace", "trace"), ("error", "error_dimension")):
        row[name] = part[key]["mean"]
        row[f"{name}_low"] = part[key]["low"]
        row[f"{name}_high"] = part[key]["high"]
    return row


def _spectrum(part: Mapping[str, Any]) -> Row:
    if "leading" in part:
        largest = _mean(values[0] for values in part["leading"])
        return {"largest_singular_value": largest, "asymmetry": _mean(part["asymmetries"])}
    return {key: _mean(row[key] for row in part["network"]) for key in ("rank", "asymmetry")}


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def _references(part: Mapping[str, Any], near: Mapping[str, Any]) -> Row:
    sigma = near["sigma"]
    error = _at(part["errors"], sigma, denoiser=NETWORK)["error"]
    distance = _at(part["distances"], sigma, reference=near["reference"])["distance"]
    return {
        "error": error,
        "nearest": near["reference"],
        "nearest_distance": distance,
        "tied": list(near["tied"]),
    }


def _at(rows: Sequence[Mapping[str, Any]], sigma: float, **wanted: str) -> Mapping[str, Any]:
    fits = {"sigma": sigma} | wanted
    return next(row for row in rows if fits.items() <= row.items())
