"""The house style of the figures: seaborn on matplotlib, colour-blind safe, vector output."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence

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


def _nodes(levels: Sequence[Tensor]) -> list[tuple[float, int, bool]]:
    """Abscissa, level and state of every node of one tree, leaves first; parents sit above their children."""
    counts = [level.numel() for level in levels]
    return [
        ((j + 0.5) / count, height, bool(state))
        for height, (count, level) in enumerate(zip(counts, levels, strict=True))
        for j, state in enumerate(level.flatten())
    ]


def _edges(levels: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Pairs (child, parent) of indices into `_nodes`."""
    counts = [level.numel() for level in levels]
    starts = np.cumsum([0, *counts])
    return [
        (int(starts[k]) + j, int(starts[k + 1]) + j * counts[k + 1] // counts[k])
        for k in range(len(counts) - 1)
        for j in range(counts[k])
    ]


def tree(ax: Axes, changed: Sequence[Tensor]) -> None:
    """Draw a tree: a dot for each node that is kept, a larger square for each that has changed.

    Args:
        ax: where to draw; its axes are hidden.
        changed: one tree of booleans by level, leaves first, class last.
    """
    nodes = _nodes(changed)
    for child, parent in _edges(changed):
        (x, y, state), (x_up, y_up, _) = nodes[child], nodes[parent]
        ax.plot([x, x_up], [y, y_up], lw=0.8, color=COLOURS["control"] if state else "0.75", zorder=1)
    for state, marker, size, role in ((False, "o", 12, "estimate"), (True, "s", 22, "control")):
        places = [(x, y) for x, y, changed_here in nodes if changed_here == state]
        if places:
            ax.scatter(*zip(*places, strict=True), marker=marker, s=size, color=COLOURS[role], zorder=2)
    ax.set_axis_off()


_SLIDER = """<figure id="NAME" class="molrg-tree" style="margin: 0">
<style>html[data-theme="dark"] #NAME svg { filter: invert(1) hue-rotate(180deg) }</style>
<label style="display: flex; gap: 1em">LABEL <input type="range" min="0" max="LAST" value="START" style="flex: 1"></label>
<output style="display: block"></output>
<svg viewBox="-8 -10 656 HEIGHT" role="img" aria-label="ALT" style="width: 100%; height: auto"></svg>
<script>
(() => {
  const figure = document.getElementById("NAME"), svg = figure.querySelector("svg");
  const nodes = NODES, edges = EDGES, frames = FRAMES, captions = CAPTIONS;
  const draw = (name, attributes) => {
    const item = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) item.setAttribute(key, attributes[key]);
    return svg.appendChild(item);
  };
  const lines = edges.map(([a, b]) => draw("line", {
    x1: nodes[a][0], y1: nodes[a][1], x2: nodes[b][0], y2: nodes[b][1]}));
  const marks = nodes.map(() => draw("rect", {}));
  const show = (frame) => {
    const changed = frames[frame];
    edges.forEach(([a], k) => {
      lines[k].setAttribute("stroke", changed[a] === "1" ? "CHANGED" : "#999999");
    });
    marks.forEach((mark, k) => {
      const other = changed[k] === "1", r = other ? 4 : 2.8, [x, y] = nodes[k];
      const set = {x: x - r, y: y - r, width: 2 * r, height: 2 * r, rx: other ? 0 : r};
      for (const key in set) mark.setAttribute(key, set[key]);
      mark.setAttribute("fill", other ? "CHANGED" : "KEPT");
    });
    figure.querySelector("output").textContent = captions[frame];
  };
  const input = figure.querySelector("input");
  input.addEventListener("input", () => show(input.value));
  show(input.value);
})();
</script>
</figure>"""


def tree_slider(frames: Sequence[Sequence[Tensor]], captions: Sequence[str], *, name: str, label: str, alt: str, start: int = 0) -> str:
    """HTML of a tree under a slider: inline SVG and a few lines of script, nothing to load.

    Args:
        frames: for each position, a tree of booleans as in `tree`; all of one shape.
        captions: a line of text for each position.
        name: id of the element, unique on its page.
        label: what the slider sets.
        alt: what is to be seen, in words.
        start: first position.

    Returns:
        HTML, for ``IPython.display.HTML``.
    """
    height = len(frames[0]) - 1
    nodes = [[round(640 * x, 1), round(34 * (height - y), 1)] for x, y, _ in _nodes(frames[0])]
    states = ["".join(str(int(state)) for _, _, state in _nodes(frame)) for frame in frames]
    filled = {
        "NODES": json.dumps(nodes), "EDGES": json.dumps(_edges(frames[0])), "FRAMES": json.dumps(states),
        "CAPTIONS": json.dumps(list(captions)), "CHANGED": COLOURS["control"], "KEPT": COLOURS["estimate"],
        "NAME": html.escape(name), "LABEL": html.escape(label), "ALT": html.escape(alt),
        "LAST": str(len(frames) - 1), "START": str(start), "HEIGHT": str(34 * height + 20),
    }  # fmt: skip
    return re.sub("|".join(filled), lambda found: filled[found[0]], _SLIDER)
