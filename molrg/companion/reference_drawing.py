"""The closing figures of Part VI: which reference each model of the zoo is nearest to."""

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
PALE = ("Gaussian", "patches")  # colours on which black is easier to read than white
# SVG leaves out pure black as the colour of an area, so that dark pages could not change it.
BANDS = {"training set": "#262626"}
BOTTOM = 0.006  # below all distances
TOP = 2.0  # farther than twice the mean image is not shown
WORDS = {
    "fashion-mnist": "garments",
    "mnist": "digits",
    "-short-": ", short, ",
    "v-seed": "v, seed",
    "-pose": " in poses",
}


@cache
def distances() -> pd.DataFrame:
    """Distances of all models, computed anew only where code or weights have changed."""
    store = sweeps.kept("nearest_reference", "paper")
    table = nearest_reference.trials(nearest_reference.models(), store=store)
    return nearest_reference.nearest(table)


def names() -> list[str]:
    """The models in the order in which they are drawn: garments and digits first."""
    every = distances()["model"].unique()
    return sorted(every, key=lambda name: ("mnist" not in name, "fashion" not in name))


def words(model: str) -> str:
    """The name of a model in plain words."""
    for short, long in WORDS.items():
        model = model.replace(short, long)
    return model.replace("-", " ")


def nearest() -> plt.Figure:
    """The nearest reference of each model (rows) at each noise level, in its colour."""
    table = distances()
    best = table[table["nearest"]]
    rows = names()
    figure, ax = plt.subplots(figsize=(5.0, 0.36 * len(rows) + 1.0))
    for name, role in ROLES.items():
        colour = plots.COLOURS[role]
        ax.scatter([], [], 90, marker="s", color=colour, label=name)
        for cell in best[best["reference"] == name].to_dict("records"):
            place = LEVELS.index(cell["sigma"]), rows.index(cell["model"])
            _square(ax, place, name, clear=bool(cell["clear"]))
    ax.set_xticks(range(len(LEVELS)), [f"{sigma:g}" for sigma in LEVELS])
    ax.set_yticks(range(len(rows)), [words(name) for name in rows])
    ax.set(xlim=(-0.5, len(LEVELS) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel="noise level σ")
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, handletextpad=0.1, columnspacing=1.0)
    return figure


def _square(ax: Axes, place: tuple[int, int], reference: str, *, clear: bool) -> None:
    """A full square with the reference's initial; where the nearest is not clear, its outline."""
    x, y = place
    colour = plots.COLOURS[ROLES[reference]]
    on_full = "black" if reference in PALE else "white"
    face, ink = (colour, on_full) if clear else ("none", colour)
    ax.add_patch(plt.Rectangle((x - 0.44, y - 0.42), 0.88, 0.84, fc=face, ec=colour, lw=1.2))
    ax.text(x, y, reference[0].upper(), color=ink, ha="center", va="center", weight="bold")


def curves() -> plt.Figure:
    """Distances to the four references over noise, a panel for each model."""
    table = distances()
    rows = -(-len(names()) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(6.0, 1.9 * rows + 0.6), sharex=True, sharey=True)
    for ax, name in zip(axes.flat, names(), strict=False):
        _panel(ax, table[table["model"] == name])
        ax.set_title(words(name))
    for ax in axes.flat[len(names()) :]:
        ax.axis("off")
        axes[-2, -1].tick_params(labelbottom=True)
    plt.setp(axes[-1], xlabel="noise level σ")
    plt.setp(axes[:, 0], ylabel="distance")
    lines = axes[0, 0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=4)
    return figure


def _panel(ax: Axes, table: pd.DataFrame) -> None:
    """Curves with intervals over images."""
    for name, role in ROLES.items():
        colour = plots.COLOURS[role]
        rows = table[table["reference"] == name]
        ax.plot(rows["sigma"], rows["distance"], "-", lw=1.2, color=colour, label=name)
        ends = rows["low"], rows["high"]
        ax.fill_between(rows["sigma"], *ends, color=BANDS.get(name, colour), alpha=0.18, lw=0)
    ax.set(xscale="log", yscale="log", ylim=(BOTTOM, TOP))
    ax.set_xticks(LEVELS, [f"{sigma:g}" for sigma in LEVELS])
    ax.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    ax.minorticks_off()
    ax.grid(visible=False)
