"""Drawings of the front and theory pages: made when the book is built, from the package alone."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from molrg import draws, plots
from molrg.companion import face_drawings, reference_drawing
from molrg.hierarchy import RHM
from molrg.images import faces
from molrg.schedules import EDM
from molrg.studies import hierarchy_parts

# Four points, two from each of two lines through the origin of the plane of the drawing: every
# plane through the origin of space is drawn as a line, every direction in it as a point.
FIRST = np.array([[-1.0, -0.55], [-0.1, 0.95]])
SECOND = np.array([[0.35, -0.9], [1.0, 0.6]])


NOISE = (0.2, 0.5, 1.0, 2.0, 4.0, 10.0)  # in units of half the range from black to white
SHOWN = (5, 300, 610)  # kinds of face, unlike in everything
SEED = 11  # a face with much to lose: glasses, a beard, curls
TREE_SEED = 4  # a tree that loses a branch below the threshold, and its class above
TREE_NOISE = {
    0.5: "less noise: same class, new details",
    0.55: "a little more: new class, old parts",
}


def write(folder: Path) -> None:
    """Draw every figure of the front page and the theory pages into a folder."""
    plots.house_style()
    for name, draw in VECTORS.items():
        figure = draw()
        figure.savefig(folder / name, metadata={"Date": None})
        plt.close(figure)
    for name, draw in PICTURES.items():
        figure = draw()
        figure.savefig(folder / name, dpi=100 if name == SHEET else 160)
        plt.close(figure)
    text = face_drawings.estimates_figure()
    (folder / "estimates.md").write_text(text, encoding="utf-8")


def hero() -> plt.Figure:
    """A face under growing noise, and the exact estimate from each noisy picture."""
    generator = torch.Generator().manual_seed(SEED)
    x0, _ = faces.draw(1, generator=generator)
    noise = draws.normal(x0.shape, generator=generator)
    schedule = EDM()
    denoiser = face_drawings.law().denoiser(schedule)
    figure, axes = plt.subplots(2, len(NOISE), figsize=(8.4, 3.0))
    for column, sigma in zip(axes.T, NOISE, strict=True):
        x_t = x0 + sigma * noise
        x0_hat = denoiser(x_t, schedule.t_of_sigma(sigma))
        _show(column[0], x_t[0] / max(1.0, sigma))  # dimmed, so that it stays within the range
        _show(column[1], x0_hat[0])
        column[0].set_title(f"$\\sigma$ = {sigma:g}")
    return figure


def kinds() -> plt.Figure:
    """Three components of the mixture of faces: the kind stays, seven colour factors vary."""
    figure, axes = plt.subplots(3, 8, figsize=(8.4, 3.4))
    generator = draws.source(SEED)
    for row, kind in zip(axes, SHOWN, strict=True):
        images, _ = faces.draw(len(row), kinds=[kind], generator=generator)
        for ax, image in zip(row, images, strict=True):
            _show(ax, image)
    return figure


def _show(ax: Axes, image: Tensor) -> None:
    """A picture in [-1, 1], clipped."""
    ax.imshow((image.permute(1, 2, 0) / 2 + 0.5).clamp(0, 1).numpy())
    ax.axis("off")


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
        r"a copy: $\rho_1/\rho_2$ = {:.2f}": (0.12, 0.1),
        r"a new point: $\rho_1/\rho_2$ = {:.2f}": (-0.5, 0.3),
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


def trees() -> plt.Figure:
    """One tree, noised and denoised twice: its class is kept, and its class is lost."""
    generator = torch.Generator().manual_seed(TREE_SEED)
    model = RHM.random(4, 2, 16, 4, generator=generator)
    tree = model.sample(1, generator=generator)
    drawn = hierarchy_parts.changed_symbols(model, tree, list(TREE_NOISE), seed=TREE_SEED + 1)
    figure, axes = plt.subplots(2, 1, figsize=(4.6, 4.0))
    for ax, changed, title in zip(axes, drawn, TREE_NOISE.values(), strict=True):
        plots.tree(ax, changed)
        ax.set_title(title)
        for level, name in ((len(changed) - 1, "class"), (0, "leaves")):
            ax.text(-0.03, level, name, ha="right", va="center", size=9)
    return figure


VECTORS = {
    "splits.svg": splits,
    "copies.svg": copies,
    "trees.svg": trees,
    "weights.svg": face_drawings.weights,
    "nearest.svg": reference_drawing.nearest,
    "nearest_curves.svg": reference_drawing.curves,
}
SHEET = "kinds_sheet.png"  # many small pictures: drawn in fewer pixels
PICTURES = {
    "hero.png": hero,
    "kinds.png": kinds,
    "estimates.png": face_drawings.estimates,
    "directions.png": face_drawings.directions,
    "sorted.png": face_drawings.sorted_by_kind,
    "copied_faces.png": face_drawings.copies_and_new,
    SHEET: face_drawings.contact_sheet,
}
