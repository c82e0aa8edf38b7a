"""The figures of a report, each as SVG for a light and for a dark page."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from molrg.companion.report.comparing import NETWORK
from molrg.companion.report.findings import asymmetries
from molrg.companion.report.laws import GAUSSIAN, MIXTURE, TRAINING, knows_the_answers
from molrg.plots import COLOURS, house_style
from molrg.plots.dark import dark

Part = Mapping[str, Any]
_ROLES = {NETWORK: "estimate", GAUSSIAN: "exact", TRAINING: "control", MIXTURE: "reference"}
_SIZE = (5.0, 3.5)  # inches: small, so that a phone shows letters that can be read
_STYLE: dict[Any, Any] = {
    "legend.fontsize": 10,
    "lines.linewidth": 2.0,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "grid.color": "#808080",  # as faint on a dark page as on a light one
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
}
_FAINT = 0.4
_OTHERS = ("extra", "extra2")
_LINES = {"estimate": "-", "exact": "--", "control": ":", "reference": "-.", "extra": "--"}


class Drawing(NamedTuple):
    """A figure as SVG, in two colourings."""

    light: str
    dark: str


def _drawn(draw: Callable[[Axes], None], levels: Iterable[float]) -> Drawing:
    with mpl.rc_context():
        house_style()
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=_SIZE)
        ax = figure.subplots()
        draw(ax)
        _label_noise(ax, sorted(set(levels)))
        if ax.get_legend_handles_labels()[0]:  # above the curves, never over them
            ax.legend(loc="lower left", bbox_to_anchor=(-0.12, 1.0), ncols=2, columnspacing=1.2)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    svg = file.getvalue()
    return Drawing(svg, dark(svg))


def _label_noise(ax: Axes, levels: Sequence[float]) -> None:
    """Ticks at the noise levels themselves."""
    ax.set_xscale("log")
    ax.set_xticks(levels, [f"{sigma:g}" for sigma in levels])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("noise level σ (black is −1, white is 1)")


def _label_plainly(ax: Axes) -> None:
    """Numbers and no powers of ten on a logarithmic axis; more of them where it is short."""
    low, high = ax.get_ylim()
    if ax.get_yscale() == "log" and high < 30 * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _style(name: str, names: Sequence[str]) -> dict[str, Any]:
    """Colour and line of a denoiser, the same in all figures."""
    others = [other for other in names if other not in _ROLES]
    role = _ROLES.get(name) or _OTHERS[others.index(name) % len(_OTHERS)]
    return {"color": COLOURS[role], "ls": _LINES.get(role, "-")}


def dimension(parts: Sequence[Part], images: Part | None) -> Drawing:
    """Trace and error over noise, with the images' own dimension as a band.

    Args:
        parts: of `comparing.denoiser_dimension`, one a noise level.
        images: of `comparing.image_dimension`, or None.
    """
    levels = [part["sigma"] for part in parts]

    def draw(ax: Axes) -> None:
        named = {
            "trace": ("trace of the Jacobian", "estimate"),
            "error": ("squared error / σ²", "extra2"),
        }
        for key, (label, role) in named.items():
            readings = pd.DataFrame([part[key] for part in parts])
            ax.plot(levels, readings["mean"], "o-", ms=4, color=COLOURS[role], label=label)
            ax.fill_between(
                levels, readings["low"], readings["high"], color=COLOURS[role], alpha=0.2, lw=0
            )
        if images is not None:
            ax.axhspan(
                images["low"], images["high"], color=COLOURS["reference"], alpha=0.25, lw=0,
                label="the images",
            )  # fmt: skip
        means = [part[key]["mean"] for part in parts for key in named]
        if min(means) > 0:
            ax.set_yscale("log")
            lowest = min(means) if images is None else min(*means, max(images["low"], 0.1))
            ax.set_ylim(bottom=lowest / 2)
        else:
            ax.set_yscale("symlog", linthresh=1)
        ax.set_ylabel("dimension (directions)")
        _label_plainly(ax)

    return _drawn(draw, levels)


def rank(parts: Sequence[Part]) -> Drawing:
    """Ranks of the network's Jacobian as points, of the references' as lines.

    Args:
        parts: of `spectra.spectrum` with matrices.
    """
    levels = [part["sigma"] for part in parts]

    def draw(ax: Axes) -> None:
        for part in parts:
            ranks = [row["rank"] for row in part["network"]]
            label = NETWORK if part is parts[0] else None
            ax.plot(
                [part["sigma"]] * len(ranks), ranks, "o", color=COLOURS["estimate"], label=label
            )
        for name in parts[0]["references"]:
            ranks = [part["references"][name] for part in parts]
            ax.plot(levels, ranks, label=name, **_style(name, []))
        ax.set_yscale("symlog", linthresh=1)
        ax.set_ylim(0, 2 * ax.get_ylim()[1])
        ax.set_ylabel("rank (singular values)")
        _label_plainly(ax)

    return _drawn(draw, levels)


def asymmetry(parts: Sequence[Part]) -> Drawing:
    """Asymmetry of the network's Jacobian.

    Args:
        parts: of `spectra.spectrum` with matrices.
    """

    def draw(ax: Axes) -> None:
        for part in parts:
            values = asymmetries(part)
            ax.plot([part["sigma"]] * len(values), values, "o", color=COLOURS["estimate"])
        ax.set_ylim(bottom=0)
        ax.set_ylabel("asymmetry (0 is symmetric)")

    return _drawn(draw, [part["sigma"] for part in parts])


def leading(parts: Sequence[Part]) -> Drawing:
    """Leading singular values of the network's Jacobian, and the largest of the references'.

    Args:
        parts: of `spectra.spectrum` without matrices.
    """
    levels = [part["sigma"] for part in parts]

    def draw(ax: Axes) -> None:
        for part in parts:
            values = [value for image in part["leading"] for value in image]
            label = NETWORK if part is parts[0] else None
            places = [part["sigma"]] * len(values)
            ax.plot(places, values, "o", ms=4, color=COLOURS["estimate"], label=label)
        for name in parts[0]["references"]:
            largest = [part["references"][name] for part in parts]
            ax.plot(levels, largest, label=name, **_style(name, []))
        ax.set_ylim(bottom=0)
        ax.set_ylabel("singular value")

    return _drawn(draw, levels)


def distances(rows: Sequence[Part]) -> Drawing:
    """Squared distances of references to the network, with intervals.

    Args:
        rows: "distances" of `comparing.nearest_reference`.
    """
    table = pd.DataFrame(rows)
    names = list(dict.fromkeys(table["reference"]))

    def draw(ax: Axes) -> None:
        for name in names:
            line = table[table["reference"] == name]
            style = _style(name, names)
            ax.plot(line["sigma"], line["distance"], label=name, **style)
            ax.fill_between(
                line["sigma"], line["distance low"], line["distance high"],
                color=style["color"], alpha=0.15, lw=0,
            )  # fmt: skip
        ax.set_yscale("log")
        ax.set_ylabel("squared distance (mean image: 1)")
        _label_plainly(ax)

    return _drawn(draw, table["sigma"])


def errors(rows: Sequence[Part], *, unseen: bool) -> Drawing:
    """Denoising errors of the network and of references; faint, of those that know the answers.

    Args:
        rows: "errors" of `comparing.nearest_reference`.
        unseen: whether the images are no training images, so that none does.
    """
    table = pd.DataFrame(rows)
    names = list(dict.fromkeys(table["denoiser"]))

    def draw(ax: Axes) -> None:
        for name in names:
            line = table[table["denoiser"] == name]
            alpha = 1.0 if unseen or not knows_the_answers(name) else _FAINT
            ax.plot(line["sigma"], line["error"], label=name, alpha=alpha, **_style(name, names))
        ax.set_yscale("symlog", linthresh=1e-4)
        ax.set_ylim(bottom=0)
        ax.set_ylabel("mean squared error of a pixel")
        _label_plainly(ax)

    return _drawn(draw, table["sigma"])
