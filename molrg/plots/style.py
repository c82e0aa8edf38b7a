"""The house style of the figures: matplotlib with quiet axes, colour-blind safe, vector output."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib import rcsetup, style

# Okabe-Ito hues by role, so that a colour means the same thing in every chapter
COLOURS = {
    "estimate": "#0072b2",  # what was measured
    "exact": "#000000",  # a closed form
    "control": "#d55e00",  # what must fail
    "reference": "#009e73",  # another method
    "extra": "#cc79a7",
    "extra2": "#e69f00",
}


_INK = ".15"  # of text, axes and ticks

# axes and ticks are those of seaborn's theme "ticks", whose import would take most of a second
_STYLE = {
    "figure.figsize": (5.8, 3.3),
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "svg.hashsalt": "molrg",
    "font.sans-serif": [
        "Arial",
        "DejaVu Sans",
        "Liberation Sans",
        "Bitstream Vera Sans",
        "sans-serif",
    ],
    "font.size": 10,
    "text.color": _INK,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.linewidth": 1.25,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": ".8",
    "grid.alpha": 0.3,
    "grid.linewidth": 1.0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.title_fontsize": 12,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "image.cmap": "cividis",
}
_TICKS = {
    "color": _INK,
    "labelsize": 11,
    "major.size": 6.0,
    "major.width": 1.25,
    "minor.size": 4.0,
    "minor.width": 1.0,
}


def house_style() -> None:
    """Set the style of all figures drawn after this call; in a notebook, show them as SVG."""
    hues = [colour for role, colour in COLOURS.items() if role != "exact"]
    ticks = {f"{axis}tick.{name}": value for axis in "xy" for name, value in _TICKS.items()}
    style.use(_STYLE | ticks | {"axes.prop_cycle": rcsetup.cycler(color=hues)})
    if "inline" in mpl.get_backend():
        from matplotlib_inline.backend_inline import (  # noqa: PLC0415 - only inside a notebook
            set_matplotlib_formats,
        )

        set_matplotlib_formats("svg", metadata={"Date": None})
