"""Drawings of the theory pages: made when the book is built, from the package and nothing else."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from molrg import plots

# Four points, two from each of two lines through the origin of the plane of the drawing: every
# plane through the origin of space is drawn as a line, every direction in it as a point.
FIRST = np.array([[-1.0, -0.55], [-0.1, 0.95]])
SECOND = np.array([[0.35, -0.9], [1.0, 0.6]])


def write(folder: Path) -> None:
    """Draw every figure of the theory pages into a folder, as SVG."""
    plots.house_style()
    for name, draw in {"splits": splits, "copies": copies}.items():
        figure = draw()
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


def splits() -> plt.Figure:
    """The three ways to split four points over two subspaces, and the fifth point that decides."""
    figure, axes = plt.subplots(2, 2, figsize=(5.2, 4.4))
    points = np.concatenate([FIRST, SECOND])
    pairings = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
    titles = ["the truth", "fits as well", "fits as well"]
    for ax, pairing, title in zip(axes.flat, pairings, titles, strict=False):
        _lines(ax, points, pairing)
        ax.set_title(title)
    fifth = FIRST[0] + 0.45 * (FIRST[1] - FIRST[0])
    _lines(axes[1, 1], points, pairings[0])
    axes[1, 1].plot(*fifth, "s", ms=7, color=plots.COLOURS["control"], zorder=3)
    axes[1, 1].set_title("a fifth point decides")
    return figure


def _lines(ax: Axes, points: np.ndarray, pairing: tuple[tuple[int, int], ...]) -> None:
    for pair, role in zip(pairing, ("estimate", "reference"), strict=True):
        start, end = points[list(pair)]
        along = np.array([start - 0.35 * (end - start), end + 0.35 * (end - start)])
        ax.plot(*along.T, color=plots.COLOURS[role])
    ax.plot(*points.T, "o", ms=6, color=plots.COLOURS["exact"], zorder=3)
    ax.set(xlim=(-1.7, 1.7), ylim=(-1.6, 1.6), aspect="equal")
    ax.axis("off")


def copies() -> plt.Figure:
    """A copy and a fresh point, each with its two nearest training points."""
    figure, axes = plt.subplots(1, 2, figsize=(5.8, 2.4))
    data = np.array([[0.0, 0.0], [1.1, 0.5], [-0.9, 0.9], [0.6, -1.0], [-1.1, -0.7], [1.6, -0.5]])
    samples = {
        "a copy: $d_1/d_2$ = {:.2f}": (0.12, 0.1),
        "a new point: $d_1/d_2$ = {:.2f}": (-0.5, 0.3),
    }
    for ax, (title, sample) in zip(axes, samples.items(), strict=True):
        distances = np.linalg.norm(data - sample, axis=1)
        first, second = np.argsort(distances)[:2]
        for nearest, style in ((first, "-"), (second, "--")):
            ax.plot(*np.array([sample, data[nearest]]).T, style, color=plots.COLOURS["control"])
        ax.plot(*data.T, "o", ms=6, color=plots.COLOURS["exact"], label="training points")
        ax.plot(*sample, "D", ms=7, color=plots.COLOURS["estimate"], label="sample")
        ax.set_title(title.format(distances[first] / distances[second]))
        ax.set(xlim=(-1.6, 2.0), ylim=(-1.4, 1.3), aspect="equal")
        ax.axis("off")
    axes[1].legend(loc="lower right", bbox_to_anchor=(1.25, -0.1))
    return figure
