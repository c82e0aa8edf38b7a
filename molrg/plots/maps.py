"""Success maps: rates over a grid of cells, drawn by matplotlib, or under a slider by Plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from numpy.typing import ArrayLike

from molrg import checks
from molrg.plots.sliders import interactive
from molrg.plots.style import COLOURS
from molrg.stats import SuccessMap

if TYPE_CHECKING:
    import plotly.graph_objects as go


def success_map(
    ax: Axes,
    cells: SuccessMap,
    *,
    edge: ArrayLike | None = None,
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
    half_x, half_y = _half(cells.x), _half(cells.y)

    def steps(heights: ArrayLike, **style: Any) -> None:
        left = np.minimum(np.asarray(heights, dtype=float), cells.beyond) - half_x
        y = np.stack([cells.y - half_y, cells.y + half_y], 1).ravel()
        ax.plot(np.repeat(left, 2), y, **style)

    steps(cells.boundary, color=COLOURS["control"], lw=2.2)
    if edge is not None:
        steps(edge, color="white", lw=1.4, ls=(0, (4, 3)))
    ax.set(title=title, xlabel=labels[0], ylabel=labels[1])
    ax.set_xlim(cells.x[0] - half_x, cells.x[-1] + half_x)
    ax.grid(False)
    return mesh


def _half(axis: np.ndarray) -> float:
    """Half the width of a cell along an axis."""
    return float(np.diff(axis).min()) / 2 if len(axis) > 1 else 0.5


def cells(
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    *,
    text: Sequence[Sequence[str]] | None = None,
    title: str = "",
) -> list[go.Bar | go.Scatter]:
    """A map of cells for `interactive`: unit squares around whole numbers, coloured from 0 to 1.

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
    import plotly.graph_objects as go  # noqa: PLC0415 - an optional package

    x, y, values = np.asarray(x), np.asarray(y), np.asarray(values, dtype=float)
    labels = np.asarray(np.vectorize("{:.2f}".format)(values) if text is None else text)
    for name, given in (("values", values), ("text", labels)):
        if given.shape != (len(y), len(x)):
            allowed = f"({len(y)}, {len(x)})"
            raise ValueError(f"{name}.shape = {given.shape}: allowed is {allowed}")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError("values = with some outside: allowed is numbers in [0, 1]")
    columns, rows = np.meshgrid(x, y)
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
    edge: ArrayLike | None = None,
    beside: Mapping[str, Mapping[str, SuccessMap]] | None = None,
    labels: tuple[str, str] = ("N", "d"),
    start: int = 0,
) -> str:
    """HTML of success maps under a slider; pointing at a cell shows its rate and 95 % interval.

    Args:
        maps: by what the slider shows at each position, all over one grid of whole numbers.
        name: id of the element, unique on its page.
        label: what the slider sets.
        alt: what is to be seen, in words.
        edge: (Q,) where theory puts the first success of every row, drawn as a stepped line.
        beside: by name, maps of other methods at the same positions: shown with each cell, not
            drawn.
        labels: of the two axes.
        start: first position.

    Returns:
        HTML, for ``IPython.display.HTML``; without JavaScript, the map of the first position.

    Raises:
        ValueError: where there is no map, or as `interactive`.
    """
    import plotly.graph_objects as go  # noqa: PLC0415 - an optional package

    if not maps:
        raise ValueError("maps = none: allowed is at least one map")
    positions = list(maps)
    start = checks.count("start", start, 0, len(maps) - 1)
    first = positions[start]
    frames = [
        go.Frame(name=position, data=_traces(_methods(position, maps, beside), edge, labels))
        for position in positions
    ]
    layout = {"barmode": "overlay", "bargap": 0, **_axes(maps[first], labels)}
    fallback, ax = plt.subplots()
    mesh = success_map(ax, maps[first], edge=edge, title=first, labels=labels)
    fallback.colorbar(mesh, label="success rate")
    drawn = go.Figure(data=frames[start].data, layout=layout, frames=frames)
    return interactive(drawn, name=name, alt=alt, label=label, start=start, fallback=fallback)


def _methods(
    position: str,
    maps: Mapping[str, SuccessMap],
    beside: Mapping[str, Mapping[str, SuccessMap]] | None,
) -> dict[str, SuccessMap]:
    """The map that is drawn at a position, first, and those of the other methods."""
    others = {method: by_position[position] for method, by_position in (beside or {}).items()}
    return {"success": maps[position], **others}


def _traces(
    methods: Mapping[str, SuccessMap], edge: ArrayLike | None, labels: tuple[str, str]
) -> list[go.Bar | go.Scatter]:
    """The cells of the first map, and the line of the theory on a white ground."""
    import plotly.graph_objects as go  # noqa: PLC0415 - an optional package

    shown = methods["success"]
    texts = _texts(methods, labels)
    traces = cells(shown.x, shown.y, shown.rates, text=texts, title="success rate")
    if edge is None:
        return traces
    x = np.repeat(np.asarray(edge, dtype=float) - 0.5, 2).tolist()
    y = np.stack([shown.y - 0.5, shown.y + 0.5], 1).ravel().tolist()
    line = {"x": x, "y": y, "mode": "lines", "hoverinfo": "skip", "showlegend": False}
    ground = go.Scatter(**line, line={"width": 6, "color": "#ffffff"})
    return [*traces, ground, go.Scatter(**line, line={"width": 3, "color": COLOURS["control"]})]


def _texts(methods: Mapping[str, SuccessMap], labels: tuple[str, str]) -> list[list[str]]:
    """What is shown when a cell is pointed at: where it is, and a line for each method."""
    shown = methods["success"]
    texts = [[f"{labels[1]} = {y}, {labels[0]} = {x}" for x in shown.x] for y in shown.y]
    for method, success in methods.items():
        low, high = success.interval()
        for i, row in enumerate(texts):
            for j in range(len(row)):
                bounds = f"[{low[i, j]:.2f}, {high[i, j]:.2f}]"
                row[j] += f"<br>{method}: {success.rates[i, j]:.2f} {bounds}"
    return texts


def _axes(shown: SuccessMap, labels: tuple[str, str]) -> dict[str, dict]:
    """Both axes, with whole numbers as ticks, at most about a dozen."""

    def axis(text: str, span: int) -> dict:
        return {"title": {"text": text}, "tick0": 0, "dtick": -(-span // 12)}

    return {"xaxis": axis(labels[0], len(shown.x)), "yaxis": axis(labels[1], len(shown.y))}
