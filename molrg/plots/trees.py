"""Trees of a hierarchy: which nodes have changed, at one time or under a slider."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from molrg.plots import pages
from molrg.plots.style import COLOURS


def _nodes(levels: Sequence[Tensor]) -> list[tuple[float, int, bool]]:
    """Abscissa, level and state of every node of one tree, leaves first, parents above children."""
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
        ax.plot(
            [x, x_up], [y, y_up], lw=0.8, color=COLOURS["control"] if state else "0.75", zorder=1
        )
    for state, marker, size, role in ((False, "o", 12, "estimate"), (True, "s", 22, "control")):
        places = [(x, y) for x, y, changed_here in nodes if changed_here == state]
        if places:
            across, up = zip(*places, strict=True)
            ax.scatter(across, up, marker=marker, s=size, color=COLOURS[role], zorder=2)
    ax.set_axis_off()


def tree_slider(
    frames: Sequence[Sequence[Tensor]],
    captions: Sequence[str],
    *,
    name: str,
    label: str,
    alt: str,
    start: int = 0,
) -> str:
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
    tree = {
        "nodes": nodes,
        "edges": _edges(frames[0]),
        "frames": states,
        "captions": list(captions),
        "kept": COLOURS["estimate"],
        "changed": COLOURS["control"],
    }
    words = {"name": name, "label": label, "alt": alt}
    return pages.filled(
        "tree",
        data=tree,
        last=len(frames) - 1,
        start=start,
        height=34 * height + 20,
        **{key: html.escape(word) for key, word in words.items()},
    )
