"""Panels of a figure: curves with their interval, noise levels above an axis, pictures in rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike
from torch import Generator, Tensor
from torch.nn.functional import pad

from molrg.plots.style import COLOURS
from molrg.schedules import Schedule
from molrg.stats import Summary, bootstrap


def band(
    ax: Axes,
    x: ArrayLike,
    values: ArrayLike,
    *,
    role: str = "estimate",
    label: str | None = None,
    generator: Generator | None = None,
) -> None:
    """Draw the mean over seeds with its 95 % interval: Student's, or the bootstrap's.

    Args:
        ax: where to draw.
        x: (P,) abscissae.
        values: (S, P), one row per seed, S >= 2.
        role: a key of `COLOURS`.
        label: for the legend.
        generator: source of the bootstrap, whose interval stays in the range of the values.
    """
    columns = np.asarray(values, dtype=float).T
    summaries = [Summary.of(column) for column in columns]
    low = np.array([s.lower for s in summaries])
    high = np.array([s.upper for s in summaries])
    if generator is not None:
        low, high = bootstrap(columns.T, generator=generator)
    ax.plot(x, [s.mean for s in summaries], "o-", ms=4, color=COLOURS[role], label=label)
    ax.fill_between(x, low, high, color=COLOURS[role], alpha=0.2, lw=0)


def sigma_axis(ax: Axes, schedule: Schedule) -> None:
    """Say above an axis of times what noise levels they are; call it once the limits are set.

    Args:
        ax: whose x is t.
        schedule: the forward process.
    """
    low, high = sorted(ax.get_xlim())
    times = [float(t) for t in ax.get_xticks() if max(low, 0) < t <= min(high, 1)]
    top = ax.secondary_xaxis("top")
    levels = [float(schedule.sigma(t)) for t in times]
    top.set_xticks(
        times, [f"{level:.0f}" if level >= 10 else f"{level:.2g}" for level in levels], fontsize=8
    )
    top.set_xlabel(f"noise level σ ({type(schedule).__name__})", fontsize=8)


def image_grid(
    images: Tensor, *, columns: int, titles: list[str] | None = None, scale: float = 0.8
) -> plt.Figure:
    """Show images (B, C, H, W) in [-1, 1] in rows; grey for C = 1, colour for C = 3."""
    rows = -(-len(images) // columns)
    size = (scale * columns, scale * rows * (1.25 if titles else 1))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for k, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        pixels = ((image.clamp(-1, 1) + 1) / 2).permute(1, 2, 0).squeeze(-1).cpu().numpy()
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=1)
        if titles:
            ax.set_title(titles[k], fontsize=8)
    return figure


GAP = 2  # white pixels between the pictures of a row


def picture_rows(
    rows: Mapping[str, Tensor], *, columns: Sequence[str] = (), width: float = 4.8
) -> plt.Figure:
    """Rows of colour pictures with a title above each; narrow, so that phones show it whole.

    Args:
        rows: a title and pictures (B, 3, H, W) in [-1, 1], clipped; B and the shape are the same.
        columns: what is written above each picture of the first row.
        width: of the figure, in inches.

    Raises:
        ValueError: where there is no row, or the rows' shapes differ.
    """
    shapes = sorted({tuple(pictures.shape) for pictures in rows.values()})
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3:
        allowed = "one row or more, all (B, 3, H, W)"
        raise ValueError(f"shapes of rows = {shapes}: allowed is {allowed}")
    count, _, height, across = shapes[0]
    each = width * height / (count * (across + GAP))
    size = (width, len(rows) * (each + 0.24))
    layout = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, hspace=0)
    figure, axes = plt.subplots(len(rows), figsize=size, squeeze=False, layout=layout)
    for ax, (title, pictures) in zip(axes.flat, rows.items(), strict=True):
        ax.imshow(_strip(pictures), interpolation="none")
        ax.set_title(title, loc="left", pad=3)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set(xticks=[], yticks=[])
    if columns:
        centres = (across + GAP) * np.arange(count) + across / 2
        axes[0, 0].set_xticks(centres, columns)
        axes[0, 0].tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    return figure


def _strip(pictures: Tensor) -> np.ndarray:
    """Pictures (B, 3, H, W) side by side on white, in [0, 1], (H, B (W + gap), 3)."""
    framed = pad(pictures.clamp(-1, 1), (0, GAP), value=1.0)
    return (framed.permute(2, 0, 3, 1).flatten(1, 2) / 2 + 0.5).cpu().numpy()
