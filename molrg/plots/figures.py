"""The house style of the figures: seaborn on matplotlib, colour-blind safe, vector output."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from torch import Generator, Tensor

from molrg import checks
from molrg.schedules import Schedule
from molrg.stats import SuccessMap, Summary, bootstrap

if TYPE_CHECKING:
    import plotly.graph_objects as go

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
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})


def band(
    ax: Axes,
    x: np.ndarray,
    values: np.ndarray,
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
    low, high = [s.lower for s in summaries], [s.upper for s in summaries]
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


def success_map(
    ax: Axes,
    cells: SuccessMap,
    *,
    edge: Sequence[float] | None = None,
    title: str = "",
    labels: tuple[str, str] = ("N", "d"),
) -> QuadMesh:
    """Draw success rates as a map: dark never, light always, with the boundary as a stepped line.

    Args:
        ax: where to draw.
        cells: rates over x and y.
        edge: (Q,) where theory puts the first success of every row, drawn dashed.
        title: above the map.
        labels: of the two axes.

    Returns:
        The mesh, for ``figure.colorbar(mesh, label="success rate")``.
    """
    mesh = ax.pcolormesh(
        cells.x,
        cells.y,
        cells.rates,
        cmap="cividis",
        vmin=0,
        vmax=1,
        edgecolors="0.5",
        linewidth=0.3,
    )
    half_x, half_y = (
        np.diff(axis).min() / 2 if len(axis) > 1 else 0.5 for axis in (cells.x, cells.y)
    )
    for heights, style in (
        (cells.boundary, {"color": COLOURS["control"], "lw": 2.2}),
        (edge, {"color": "white", "lw": 1.4, "ls": (0, (4, 3))}),
    ):
        if heights is not None:
            left = np.minimum(np.asarray(heights, dtype=float), cells.beyond) - half_x
            ax.plot(
                np.repeat(left, 2),
                np.stack([cells.y - half_y, cells.y + half_y], 1).ravel(),
                **style,
            )
    ax.set(title=title, xlabel=labels[0], ylabel=labels[1])
    ax.set_xlim(cells.x[0] - half_x, cells.x[-1] + half_x)
    ax.grid(False)
    return mesh


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
        ax.plot(
            [x, x_up], [y, y_up], lw=0.8, color=COLOURS["control"] if state else "0.75", zorder=1
        )
    for state, marker, size, role in ((False, "o", 12, "estimate"), (True, "s", 22, "control")):
        places = [(x, y) for x, y, changed_here in nodes if changed_here == state]
        if places:
            ax.scatter(
                *zip(*places, strict=True), marker=marker, s=size, color=COLOURS[role], zorder=2
            )
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
    filled = {
        "NODES": json.dumps(nodes),
        "EDGES": json.dumps(_edges(frames[0])),
        "FRAMES": json.dumps(states),
        "CAPTIONS": json.dumps(list(captions)),
        "CHANGED": COLOURS["control"],
        "KEPT": COLOURS["estimate"],
        "NAME": html.escape(name),
        "LABEL": html.escape(label),
        "ALT": html.escape(alt),
        "LAST": str(len(frames) - 1),
        "START": str(start),
        "HEIGHT": str(34 * height + 20),
    }
    return re.sub("|".join(filled), lambda found: filled[found[0]], _SLIDER)


_INTERACTIVE = """<figure id="NAME" class="molrg-plot" style="margin: 0">
<style>
html[data-theme="dark"] #NAME .js-plotly-plot, body[data-jp-theme-light="false"] #NAME .js-plotly-plot {
  filter: invert(1) hue-rotate(180deg) }
</style>
<div class="molrg-slider" style="display: none; gap: 1em; align-items: center">
<label style="display: flex; flex: 1; gap: 1em">LABEL
<input type="range" min="0" max="LAST" value="START" style="flex: 1; min-width: 6em"></label>
<output style="min-width: 4em"></output></div>
<div class="molrg-plot-area" role="img" aria-label="ALT" style="width: 100%">FALLBACK</div>
<script>
(() => {
  const figure = document.getElementById("NAME"), area = figure.querySelector(".molrg-plot-area");
  const input = figure.querySelector("input"), output = figure.querySelector("output");
  const spec = SPEC, names = (spec.frames || []).map((frame) => frame.name);
  const file = "_static/vendor/plotly-basic.min.js", lab = document.getElementById("jupyter-config-data");
  const load = () => new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = lab ? JSON.parse(lab.textContent).baseUrl + "files/book/" + file
                     : (document.documentElement.dataset.content_root ?? "../") + file;
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  const show = () => {
    const name = names[input.value];
    output.textContent = name;
    input.setAttribute("aria-valuetext", name);
    return Plotly.animate(area, [name], {mode: "immediate", transition: {duration: 0},
                                         frame: {duration: 0, redraw: true}});
  };
  window.molrgPlotly ??= window.Plotly ? Promise.resolve() : load();
  window.molrgPlotly.then(async () => {
    area.textContent = "";
    await Plotly.newPlot(area, spec);
    if (!names.length) return;
    figure.querySelector(".molrg-slider").style.display = "flex";
    input.addEventListener("input", () => show().catch(() => {}));  // a newer position interrupts
    await show();
  }).catch((error) => console.warn("NAME: the static picture stays,", error));
})();
</script>
</figure>"""

# what the vendored bundle of plotly.js draws
_DRAWN = ("bar", "pie", "scatter")


def interactive(
    figure: go.Figure,
    *,
    name: str,
    alt: str,
    label: str = "",
    start: int = 0,
    fallback: plt.Figure | None = None,
) -> str:
    """HTML of a Plotly figure that needs no network: it loads the plotly.js kept with the book, once a page.

    Frames are put under a slider that keyboards and screen readers can use; their names are shown
    beside it. The picture for readers without JavaScript is replaced when the figure is drawn.

    Args:
        figure: traces of type scatter, bar or pie; frames, if any, named by what the slider shows.
        name: id of the element, unique on its page.
        alt: what is to be seen, in words.
        label: what the slider sets; needed where there are frames.
        start: first position of the slider.
        fallback: the same in matplotlib; drawn into the page and closed.

    Returns:
        HTML, for ``IPython.display.HTML``.

    Raises:
        ValueError: where the bundle cannot draw a trace, alt is empty, frames are unnamed or without
            a label, or start is out of range.
    """
    import plotly.graph_objects as go

    kinds = sorted(
        {
            trace.type
            for trace in (*figure.data, *(t for frame in figure.frames for t in frame.data or ()))
        }
    )
    checks.require(
        set(kinds) <= set(_DRAWN),
        "trace types",
        kinds,
        f"{', '.join(_DRAWN)} (a map of cells: plots.cells)",
    )
    checks.require(bool(alt.strip()), "alt", repr(alt), "a description in words")
    names = [frame.name for frame in figure.frames]
    checks.require(
        all(names) and len(set(names)) == len(names),
        "frame names",
        names,
        "different and not empty",
    )
    checks.require(
        bool(label) or not names,
        "label",
        repr(label),
        "what the slider sets, where there are frames",
    )
    checks.count("start", start, 0, max(len(names) - 1, 0))
    drawn = go.Figure(figure).update_layout(template=_template(), sliders=[], updatemenus=[])
    spec = json.loads(drawn.update_layout(height=figure.layout.height or 400).to_json())
    spec["config"] = {"displayModeBar": False, "responsive": True}
    picture = _picture(fallback, alt) if fallback else "<p>This figure is drawn by JavaScript.</p>"
    filled = {
        "SPEC": json.dumps(spec, separators=(",", ":")).replace("</", "<\\/"),
        "FALLBACK": picture,
        "NAME": html.escape(name),
        "LABEL": html.escape(label),
        "ALT": html.escape(alt),
        "LAST": str(max(len(names) - 1, 0)),
        "START": str(start),
    }
    return re.sub("|".join(filled), lambda found: filled[found[0]], _INTERACTIVE)


def _template() -> go.layout.Template:
    """The house style for Plotly: transparent ground, dark ink that dark mode inverts, one touch means hover."""
    import plotly.graph_objects as go

    axis = {
        "showgrid": False,
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "automargin": True,
        "color": "#262626",
    }
    return go.layout.Template(
        layout={
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis,
            "yaxis": axis,
            "font": {"family": "inherit", "size": 13, "color": "#262626"},
            "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
            "colorway": [COLOURS[role] for role in COLOURS if role != "exact"],
            "dragmode": False,
            "hovermode": "closest",
            "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
            "hoverlabel": {"bgcolor": "#ffffff", "font": {"color": "#262626"}},
        }
    )


def _picture(figure: plt.Figure, alt: str) -> str:
    """The figure as an image inside the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{html.escape(alt)}" style="width: 100%; max-width: 42em">'


def cells(
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    *,
    text: Sequence[Sequence[str]] | None = None,
    title: str = "",
) -> list[go.Bar | go.Scatter]:
    """A map of cells for `interactive`: unit squares around the whole numbers x, y, coloured from 0 to 1.

    They are bars, because the bundle of plotly.js that comes with the book has no heat maps; set
    ``barmode="overlay"`` and ``bargap=0`` in the layout.

    Args:
        x: (P,) columns, whole numbers.
        y: (Q,) rows, whole numbers.
        values: (Q, P) numbers in [0, 1], such as success rates.
        text: (Q, P) what is shown when a cell is pointed at; the value where omitted.
        title: of the colour bar.

    Returns:
        Two traces: the cells, and an empty one that carries the colour bar.

    Raises:
        ValueError: where values or text are not (Q, P), or values not in [0, 1].
    """
    import plotly.graph_objects as go

    values = np.asarray(values, dtype=float)
    labels = np.asarray(np.vectorize("{:.2f}".format)(values) if text is None else text)
    for name, given in (("values", values), ("text", labels)):
        checks.require(
            given.shape == (len(y), len(x)), f"{name}.shape", given.shape, f"({len(y)}, {len(x)})"
        )
    checks.require(
        bool(((values >= 0) & (values <= 1)).all()),
        "values",
        "with some outside",
        "numbers in [0, 1]",
    )
    columns, rows = np.meshgrid(np.asarray(x), np.asarray(y))
    # colours are worked out here: numbers on bars make this version of plotly.js warn at every cell
    colours = [mpl.colors.to_hex(colour) for colour in mpl.colormaps["cividis"](values.ravel())]
    bars = go.Bar(
        x=columns.ravel().tolist(),
        y=[1] * values.size,
        base=(rows.ravel() - 0.5).tolist(),
        width=1,
        showlegend=False,
        customdata=labels.ravel().tolist(),
        hovertemplate="%{customdata}<extra></extra>",
        marker={"color": colours, "line": {"width": 0}},
    )
    scale = {"color": [0], "cmin": 0, "cmax": 1, "colorscale": "Cividis", "showscale": True}
    scale["colorbar"] = {"title": {"text": title, "side": "right"}, "thickness": 12}
    return [
        bars,
        go.Scatter(
            x=[None], y=[None], mode="markers", showlegend=False, hoverinfo="skip", marker=scale
        ),
    ]


def success_slider(
    maps: Mapping[str, SuccessMap],
    *,
    name: str,
    label: str,
    alt: str,
    edge: Sequence[float] | None = None,
    beside: Mapping[str, Mapping[str, SuccessMap]] | None = None,
    labels: tuple[str, str] = ("N", "d"),
    start: int = 0,
) -> str:
    """HTML of success maps under a slider; pointing at a cell tells its rate and 95 % interval (Wilson).

    Args:
        maps: by what the slider shows at each position, all over one grid of whole numbers.
        name: id of the element, unique on its page.
        label: what the slider sets.
        alt: what is to be seen, in words.
        edge: (Q,) where theory puts the first success of every row, drawn as a stepped line.
        beside: by name, maps of other methods at the same positions: told with each cell, not drawn.
        labels: of the two axes.
        start: first position.

    Returns:
        HTML, for ``IPython.display.HTML``; without JavaScript, the map of the first position.

    Raises:
        ValueError: where there is no map, or as `interactive`.
    """
    import plotly.graph_objects as go

    checks.require(len(maps) >= 1, "maps", list(maps), "at least one map")

    def texts(methods: Mapping[str, SuccessMap], shown: SuccessMap) -> list[list[str]]:
        told = np.array(
            [[f"{labels[1]} = {y}, {labels[0]} = {x}" for x in shown.x] for y in shown.y],
            dtype=object,
        )
        for method, found in methods.items():
            interval = zip(
                found.rates.flat, *(bound.flat for bound in found.interval()), strict=True
            )
            told += np.reshape(
                [
                    f"<br>{method}: {rate:.2f} [{low:.2f}, {high:.2f}]"
                    for rate, low, high in interval
                ],
                told.shape,
            )
        return told.tolist()

    def frame(position: str, shown: SuccessMap) -> go.Frame:
        methods = {"success": shown} | {
            method: others[position] for method, others in (beside or {}).items()
        }
        traces = cells(
            shown.x, shown.y, shown.rates, text=texts(methods, shown), title="success rate"
        )
        if edge is not None:
            x = np.repeat(np.asarray(edge, dtype=float) - 0.5, 2).tolist()
            y = np.stack([shown.y - 0.5, shown.y + 0.5], 1).ravel().tolist()
            casing = {"x": x, "y": y, "mode": "lines", "hoverinfo": "skip", "showlegend": False}
            for width, colour in ((6, "#ffffff"), (3, COLOURS["control"])):
                traces.append(go.Scatter(**casing, line={"width": width, "color": colour}))
        return go.Frame(name=position, data=traces)

    frames = [frame(*item) for item in maps.items()]
    shown = next(iter(maps.values()))
    spans = (len(shown.x), len(shown.y))  # whole numbers as ticks, at most about a dozen
    axes = [
        {"title": {"text": text}, "tick0": 0, "dtick": -(-span // 12)}
        for text, span in zip(labels, spans, strict=True)
    ]
    layout = {"barmode": "overlay", "bargap": 0, "xaxis": axes[0], "yaxis": axes[1]}
    first = list(maps)[checks.count("start", start, 0, len(maps) - 1)]
    fallback, ax = plt.subplots()
    mesh = success_map(ax, maps[first], edge=edge, title=first, labels=labels)
    fallback.colorbar(mesh, label="success rate")
    drawn = go.Figure(data=frames[start].data, layout=layout, frames=frames)
    return interactive(drawn, name=name, alt=alt, label=label, start=start, fallback=fallback)
