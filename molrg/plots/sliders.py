"""Figures of Plotly that need no network, with a slider for their frames."""

from __future__ import annotations

import base64
import html
import io
import json
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from molrg import checks
from molrg.plots import pages
from molrg.plots.style import COLOURS

if TYPE_CHECKING:
    import plotly.graph_objects as go

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
    """HTML of a Plotly figure that needs no network: it loads the plotly.js kept with the book.

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
        ValueError: where the bundle cannot draw a trace, alt is empty, frames are unnamed or
            without a label, or start is out of range.
    """
    import plotly.graph_objects as go  # noqa: PLC0415 - an optional package

    if not alt.strip():
        raise ValueError(f"alt = {alt!r}: allowed is a description in words")
    _check_traces(figure)
    names = _check_frames(figure, label)
    start = checks.count("start", start, 0, max(len(names) - 1, 0))
    drawn = go.Figure(figure).update_layout(template=_template(), sliders=[], updatemenus=[])
    spec = json.loads(drawn.update_layout(height=figure.layout.height or 400).to_json())
    spec["config"] = {"displayModeBar": False, "responsive": True}
    picture = _picture(fallback, alt) if fallback else "<p>This figure is drawn by JavaScript.</p>"
    words = {"name": name, "label": label, "alt": alt}
    return pages.filled(
        "interactive",
        data=spec,
        fallback=picture,
        last=max(len(names) - 1, 0),
        start=start,
        **{key: html.escape(word) for key, word in words.items()},
    )


def _check_traces(figure: go.Figure) -> None:
    """Check that the bundle of plotly.js can draw every trace."""
    traces = [*figure.data, *(trace for frame in figure.frames for trace in frame.data or ())]
    kinds = sorted({trace.type for trace in traces})
    if not set(kinds) <= set(_DRAWN):
        allowed = f"{', '.join(_DRAWN)} (a map of cells: plots.cells)"
        raise ValueError(f"trace types = {kinds}: allowed is {allowed}")


def _check_frames(figure: go.Figure, label: str) -> list[str]:
    """The names of the frames, checked."""
    names = [frame.name for frame in figure.frames]
    if not all(names) or len(set(names)) < len(names):
        raise ValueError(f"frame names = {names}: allowed is different and not empty")
    if names and not label:
        raise ValueError("label = '': allowed is what the slider sets, where there are frames")
    return names


def _template() -> go.layout.Template:
    """The house style for Plotly: transparent ground, and dark ink that dark mode inverts."""
    import plotly.graph_objects as go  # noqa: PLC0415 - an optional package

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
    source, style = f"data:image/svg+xml;base64,{data}", "width: 100%; max-width: 42em"
    return f'<img src="{source}" alt="{html.escape(alt)}" style="{style}">'
