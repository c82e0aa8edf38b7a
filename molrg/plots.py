"""The house style of the figures: seaborn on matplotlib, colour-blind safe, vector output."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from torch import Tensor

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
    sns.set_theme(style="ticks", palette=list(COLOURS.values())[:1] + list(COLOURS.values())[2:])
    mpl.rcParams.update({
        "figure.figsize": (5.8, 3.3), "figure.constrained_layout.use": True, "savefig.facecolor": "white",
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3,
        "font.size": 10, "axes.titlesize": 10, "axes.labelsize": 10, "legend.frameon": False,
        "legend.fontsize": 9, "lines.linewidth": 1.6, "svg.hashsalt": "molrg", "image.cmap": "cividis",
    })  # fmt: skip
    if "inline" in mpl.get_backend():
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})


def band(ax: Axes, x: np.ndarray, values: np.ndarray, *, role: str = "estimate", label: str | None = None) -> None:
    """Draw the mean over seeds with its 95 % Student interval.

    Args:
        ax: where to draw.
        x: (P,) abscissae.
        values: (S, P), one row a seed, S >= 2.
        role: a key of `COLOURS`.
        label: for the legend.
    """
    from molrg.claims import Summary

    summaries = [Summary.of(np.asarray(column)) for column in np.asarray(values, dtype=float).T]
    ax.plot(x, [s.mean for s in summaries], "o-", ms=4, color=COLOURS[role], label=label)
    ax.fill_between(x, [s.lower for s in summaries], [s.upper for s in summaries], color=COLOURS[role], alpha=0.2, lw=0)


def image_grid(images: Tensor, *, columns: int, titles: list[str] | None = None, scale: float = 0.8) -> plt.Figure:
    """Show images (B, C, H, W) in [-1, 1] in rows of `columns`, grey for C = 1 and colour for C = 3."""
    rows = -(-len(images) // columns)
    size = (scale * columns, scale * rows * (1.25 if titles else 1))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for k, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        pixels = ((image.clamp(-1, 1) + 1) / 2).permute(1, 2, 0).squeeze(-1).numpy()
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=1)
        if titles:
            ax.set_title(titles[k], fontsize=8)
    return figure
