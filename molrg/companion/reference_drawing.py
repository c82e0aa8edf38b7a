"""The closing figure of Part VI: which reference each model of the zoo is nearest to."""

from __future__ import annotations

from functools import cache

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from molrg import plots, sweeps
from molrg.studies import nearest_reference
from molrg.studies.nearest_reference import LEVELS

ROLES = {
    "Gaussian": "reference",
    "mixture": "estimate",
    "patches": "extra2",
    "training set": "exact",
}
STRIP = 0.006  # where the strip of nearest references lies, below all distances
TOP = 2.0  # farther than twice the mean image is not shown


@cache
def distances() -> pd.DataFrame:
    """Distances of all models, computed anew only where code or weights have changed."""
    store = sweeps.kept("nearest_reference", "paper")
    table = nearest_reference.trials(nearest_reference.models(), store=store)
    return nearest_reference.nearest(table)


def nearest() -> plt.Figure:
    """Distances to the four references over noise, a panel for each model."""
    table = distances()
    names = table["model"].unique()
    rows = -(-len(names) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(6.4, 2.0 * rows + 0.6), sharex=True, sharey=True)
    for ax, name in zip(axes.flat, names, strict=False):
        _panel(ax, table[table["model"] == name])
        ax.set_title(name)
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
        axes[-2, -1].tick_params(labelbottom=True)
    plt.setp(axes[-1], xlabel="noise level σ")
    plt.setp(axes[:, 0], ylabel="distance")
    lines = axes[0, 0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=4)
    return figure


def _panel(ax: Axes, table: pd.DataFrame) -> None:
    """Curves with intervals; below them a square of the nearest, hollow where it is not clear."""
    for name, role in ROLES.items():
        colour = plots.COLOURS[role]
        rows = table[table["reference"] == name]
        ax.plot(rows["sigma"], rows["distance"], "-", lw=1.2, color=colour, label=name)
        ends = rows["low"], rows["high"]
        ax.fill_between(rows["sigma"], *ends, color=colour, alpha=0.18, lw=0)
        best = rows[rows["nearest"]]
        for clear, filled in ((True, colour), (False, "none")):
            places = best.loc[best["clear"] == clear, "sigma"]
            if places.empty:
                continue
            heights = [STRIP] * len(places)
            ax.scatter(places, heights, 40, marker="s", edgecolors=colour, facecolors=filled)
    ax.set(xscale="log", yscale="log", ylim=(STRIP / 1.6, TOP))
    ax.set_xticks(LEVELS, [f"{sigma:g}" for sigma in LEVELS])
    ax.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    ax.minorticks_off()
    ax.grid(visible=False)
