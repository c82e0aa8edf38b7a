"""Panels of a figure: curves with their interval, noise levels above an axis, pictures in rows."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from torch import Generator, Tensor

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
        values: (S, P), one row a seed, S >= 2.
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
