"""The house style of the figures: seaborn on matplotlib, colour-blind safe, vector output."""

from __future__ import annotations

import matplotlib as mpl

# Okabe-Ito hues by role, so that a colour means the same thing in every chapter
COLOURS = {
    "estimate": "#0072b2",  # what was measured
    "exact": "#000000",  # a closed form
    "control": "#d55e00",  # what must fail
    "reference": "#009e73",  # another method
    "extra": "#cc79a7",
    "extra2": "#e69f00",
}


def house_style() -> None:
    """Set the style of all figures drawn after this call; in a notebook, show them as SVG."""
    import seaborn as sns  # noqa: PLC0415 - a second that only one who draws pays

    hues = [colour for role, colour in COLOURS.items() if role != "exact"]
    sns.set_theme(style="ticks", palette=hues)
    mpl.rcParams.update(
        {
            "figure.figsize": (5.8, 3.3),
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.labelsize": 10,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "lines.linewidth": 1.6,
            "svg.hashsalt": "molrg",
            "image.cmap": "cividis",
        }
    )
    if "inline" in mpl.get_backend():
        from matplotlib_inline.backend_inline import (  # noqa: PLC0415 - only inside a notebook
            set_matplotlib_formats,
        )

        set_matplotlib_formats("svg", metadata={"Date": None})
