r"""Widths of survival curves and their ratios, in t and in the logarithm of the noise level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from molrg import checks
from molrg.stats import fit_transition, positive
from molrg.studies.forward_backward import width
from molrg.studies.survival_references import log_levels

CLOCKS = ("t", "ln sigma")
Comparison = tuple[pd.DataFrame, str, str]


def curves(table: pd.DataFrame, quantity: str) -> NDArray[np.float64]:
    """A quantity of a table of survival as curves, (seeds, times)."""
    return table.pivot(index="seed", columns="t", values=quantity).to_numpy()


def abscissae(table: pd.DataFrame, clock: str) -> NDArray[np.float64]:
    """The times of a table of survival on a clock, ascending.

    Args:
        table: with a column t.
        clock: "t" or "ln sigma".
    """
    times = np.sort(table["t"].unique())
    return times if checks.one_of("clock", clock, CLOCKS) == "t" else log_levels(times.tolist())


def widths(table: pd.DataFrame, quantity: str, clock: str = "t") -> NDArray[np.float64]:
    """Width of a quantity's curve for every seed, (seeds,).

    Args:
        table: of survival, as of `class_flips.survival`.
        quantity: one of its columns.
        clock: "t" or "ln sigma".
    """
    return width(abscissae(table, clock), curves(table, quantity))


def ratio(
    table: pd.DataFrame, quantity: str, reference: str, clock: str = "t"
) -> NDArray[np.float64]:
    """Width of a quantity over that of a reference, for every seed, (seeds,).

    Args:
        table: of survival.
        quantity: one of its columns, such as "class".
        reference: another, such as "1", the first layer.
        clock: "t" or "ln sigma".
    """
    return widths(table, quantity, clock) / widths(table, reference, clock)


def compare(comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """Places and widths of two quantities, and the ratio of the widths.

    One row is one comparison on one clock. Places and widths are of the mean curves.

    Args:
        comparisons: by name, a table of survival, a quantity and its reference.

    Returns:
        Columns comparison, clock, place, width, reference_place, reference_width; "ratio", mean
        over seeds; "typical", geometric mean over seeds, with its interval "lower" and "upper",
        both positive; "pooled", ratio of the widths of the mean curves, none narrower than the grid
        can tell.
    """
    rows = []
    for name, (table, quantity, reference) in comparisons.items():
        for clock in CLOCKS:
            x = abscissae(table, clock)
            curve, other = curves(table, quantity), curves(table, reference)
            fit, reference_fit = (
                fit_transition(x, c, falls=True, log2=False, draws=1) for c in (curve, other)
            )
            ratios = ratio(table, quantity, reference, clock)
            lower, upper = positive(ratios)
            pooled = width(x, curve.mean(0)) / width(x, other.mean(0))
            rows.append(
                {
                    "comparison": name,
                    "clock": clock,
                    "place": fit.centre,
                    "width": -fit.width,
                    "reference_place": reference_fit.centre,
                    "reference_width": -reference_fit.width,
                    "ratio": ratios.mean(),
                    "typical": np.exp(np.log(ratios).mean()),
                    "lower": lower,
                    "upper": upper,
                    "pooled": pooled.item(),
                }
            )
    return pd.DataFrame(rows)


def by_quantity(table: pd.DataFrame, quantities: Iterable[str], clock: str) -> pd.DataFrame:
    """Widths of several quantities.

    One row is one quantity for one seed.

    Args:
        table: of survival.
        quantities: columns of it.
        clock: "t" or "ln sigma".

    Returns:
        Columns quantity, seed, width.
    """
    seeds = np.sort(table["seed"].unique())
    tables = [
        pd.DataFrame({"quantity": name, "seed": seeds, "width": widths(table, name, clock)})
        for name in quantities
    ]
    return pd.concat(tables, ignore_index=True)
