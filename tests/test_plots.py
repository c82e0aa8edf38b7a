"""Figures with a slider: nothing from elsewhere, the data and the words in the page, one file kept
beside the book.
"""

import html
import json
import re
from hashlib import sha256
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from factories import complains
from plotly.offline import get_plotlyjs_version

from molrg import plots, stats
from molrg.plots.panels import GAP
from molrg.schedules import DDPM
from molrg.stats import SuccessMap

VENDOR = Path(__file__).parents[1] / "book" / "_static" / "vendor"
FRAMES = [
    go.Frame(name=f"noise {k}", data=[go.Scatter(x=[1, 2], y=[k, 0.125], name="</script>")])
    for k in range(3)
]
FIGURE = go.Figure(data=FRAMES[0].data, frames=FRAMES)


def spec(text: str) -> dict:
    """What is handed to plotly.js."""
    call = re.search(r"^drawPlot\(document.getElementById\(.*?\), (\{.*\})\);$", text, re.MULTILINE)
    assert call
    return json.loads(call[1])


def test_the_noise_levels_above_an_axis_are_those_of_its_times():
    figure, ax = plt.subplots()
    ax.set_xlim(-0.1, 1.05)
    plots.sigma_axis(ax, DDPM())
    (top,) = ax.child_axes
    times, words = top.get_xticks(), [label.get_text() for label in top.get_xticklabels()]
    plt.close(figure)
    assert (
        min(times) > 0
        and max(times) <= 1
        and len(times) == len(words) >= 3
        and "DDPM" in top.get_xlabel()
    )
    assert [float(word) for word in words] == pytest.approx(
        [float(DDPM().sigma(t)) for t in times], rel=0.05
    )
    assert not any("e" in word for word in words)


def test_the_page_holds_data_name_and_words():
    text = plots.interactive(
        FIGURE, name="c00-map", alt='Rates, "sharp" & rising', label="noise", start=2
    )
    drawn = spec(text)
    assert (
        'id="c00-map"' in text
        and f'aria-label="{html.escape("Rates, " + chr(34) + "sharp" + chr(34) + " & rising")}"'
        in text
    )
    assert [frame["name"] for frame in drawn["frames"]] == ["noise 0", "noise 1", "noise 2"]
    assert drawn["data"][0]["y"] == [0, 0.125] and drawn["layout"]["height"] == 400
    assert '<input type="range" min="0" max="2" value="2"' in text


def test_nothing_comes_from_elsewhere_and_data_cannot_end_the_script():
    text = plots.interactive(FIGURE, name="m", alt="a", label="noise")
    assert "://" not in text and "cdn" not in text.lower()
    assert text.count("</script>") == 1
    assert "vendor/plotly-basic.min.js" in text and len(text) < 20_000


def test_the_given_figure_is_left_as_it_was():
    before = FIGURE.to_json()
    plots.interactive(FIGURE, name="m", alt="a", label="noise")
    assert FIGURE.to_json() == before


def test_a_static_picture_stands_in():
    picture, ax = plt.subplots()
    ax.plot([0, 1])
    text = plots.interactive(FIGURE, name="m", alt="a line", label="noise", fallback=picture)
    assert '<img src="data:image/svg+xml;base64,' in text and 'alt="a line"' in text
    assert not plt.fignum_exists(picture.number)


@pytest.mark.parametrize(
    ("figure", "change", "named"),
    [
        (go.Figure(go.Heatmap(z=[[1]])), {}, "heatmap"),
        (FIGURE, {"alt": " "}, "alt"),
        (FIGURE, {"label": ""}, "label"),
        (FIGURE, {"start": 3}, "start"),
        (go.Figure(frames=[go.Frame(data=[])]), {}, "frame names"),
    ],
)
def test_what_cannot_be_shown_is_refused(figure, change, named):
    with pytest.raises(ValueError, match=named):
        plots.interactive(figure, **{"name": "m", "alt": "a", "label": "noise", **change})


def test_cells_sit_where_they_say():
    bars, scale = plots.cells(
        [2, 3],
        [5, 6, 7],
        [[0, 0.5], [0.25, 1], [1, 1]],
        text=[list("ab"), list("cd"), list("ef")],
        title="rate",
    )
    k = list(bars.customdata).index("d")
    assert (bars.x[k], bars.base[k], bars.y[k]) == (3, 5.5, 1)
    assert (
        bars.marker.color[0] == "#00224e" and bars.marker.color[k] == "#fee838"
    )  # the ends of cividis
    assert scale.marker.colorbar.title.text == "rate"
    with pytest.raises(ValueError, match="values"):
        plots.cells([1], [1], [[1.1]])
    with pytest.raises(ValueError, match=r"text\.shape"):
        plots.cells([1], [1], [[1.0]], text=["a"])


def test_maps_under_a_slider_tell_rates_of_all_methods():
    random, sure = (
        SuccessMap(np.array([2, 3]), np.array([1, 2]), np.arange(4), np.full((4, 2, 2), value))
        for value in (False, True)
    )
    random.success[:3, 1, 0] = True
    text = plots.success_slider(
        {"5": random, "90": sure},
        name="m",
        label="angle",
        alt="a map",
        edge=[2, 3],
        beside={"sure": {"5": sure, "90": sure}},
        labels=("N", "d"),
    )
    drawn = spec(text)
    assert [frame["name"] for frame in drawn["frames"]] == ["5", "90"]
    told = drawn["data"][0]["customdata"][2]
    assert told.split("<br>") == [
        "d = 2, N = 2",
        "success: 0.75 [0.30, 0.95]",
        "sure: 1.00 [0.51, 1.00]",
    ]  # Wilson by hand
    assert drawn["data"][2]["x"] == [1.5, 1.5, 2.5, 2.5] and drawn["data"][2]["y"] == [
        0.5,
        1.5,
        1.5,
        2.5,
    ]
    assert "data:image/svg+xml" in text
    with pytest.raises(ValueError, match="maps"):
        plots.success_slider({}, name="m", label="angle", alt="a")


def test_the_file_kept_is_the_one_named():
    """Version as in the Python package, bytes as in the note beside it."""
    readme, script = (
        (VENDOR / "README.txt").read_text("utf-8"),
        (VENDOR / "plotly-basic.min.js").read_bytes(),
    )
    assert f"plotly.js {get_plotlyjs_version()}, basic bundle" in readme
    assert f"v{get_plotlyjs_version()}".encode() in script[:200]
    assert f"sha256 {sha256(script).hexdigest()}  plotly-basic.min.js" in readme
    assert b"MIT" in script[:300] and "MIT License" in (VENDOR / "plotly-LICENSE.txt").read_text(
        "utf-8"
    )


# success maps


def test_a_success_map_has_the_rates_and_both_lines():
    N, d = np.arange(2, 8), np.arange(2, 5)
    success = np.stack([np.arange(2, 8) >= start for start in ([[2], [3], [5]], [[2], [4], [9]])])
    cells = SuccessMap(N, d, np.arange(2), success)
    _, ax = plt.subplots()
    mesh = plots.success_map(ax, cells, edge=d, title="two trials")
    assert np.allclose(
        np.asarray(mesh.get_array()).reshape(3, 6), cells.rates
    ) and mesh.get_clim() == (0, 1)
    boundary, edge = (line.get_xdata() for line in ax.lines)
    assert boundary.tolist() == [1.5, 1.5, 2.5, 2.5, 4.5, 4.5] and edge.tolist() == [
        1.5,
        1.5,
        2.5,
        2.5,
        3.5,
        3.5,
    ]


def test_a_row_without_success_has_its_boundary_past_the_map():
    cells = SuccessMap(
        np.arange(2, 8), np.arange(2, 5), np.arange(2), np.zeros((2, 3, 6), dtype=bool)
    )
    _, ax = plt.subplots()
    plots.success_map(ax, cells)
    assert (ax.lines[0].get_xdata() == 7.5).all() and ax.get_xlim() == (1.5, 7.5)


def test_rows_of_pictures_stand_side_by_side_and_differ_in_nothing_but_pictures():
    black = torch.full((3, 3, 4, 4), -1.0)
    figure = plots.picture_rows({"first": black, "second": 9 * black}, columns=["a", "b", "c"])
    first, second = (ax.images[0].get_array() for ax in figure.axes)
    assert first.shape == (4, 3 * (4 + GAP), 3)
    assert (first == second).all(), "clipped"
    assert (first[:, :4] == 0).all()
    assert (first[:, 4 : 4 + GAP] == 1).all(), "a white gap"
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["a", "b", "c"]
    plt.close(figure)


@pytest.mark.parametrize("rows", [{}, {"a": torch.zeros(2, 1, 4, 4)}, {"a": torch.zeros(3, 4, 4)}])
def test_rows_that_are_no_pictures_are_refused(rows):
    with complains("shapes of rows"):
        plots.picture_rows(rows)


def test_a_grid_of_images_has_a_place_for_each():
    images = torch.linspace(-2, 2, 5)[:, None, None, None].expand(5, 3, 2, 2)
    figure = plots.image_grid(images, columns=3, titles=list("abcde"))
    assert len(figure.axes) == 6
    shown = [ax.get_images()[0].get_array() for ax in figure.axes[:5]]
    assert [float(pixels.mean()) for pixels in shown] == pytest.approx([0, 0, 0.5, 1, 1])
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c", "d", "e", ""]
    grey = plots.image_grid(images[:, :1], columns=5)
    assert grey.axes[0].get_images()[0].get_array().shape == (2, 2)
    plt.close("all")


@pytest.mark.parametrize("generator", [None, torch.Generator().manual_seed(0)])
def test_a_band_is_the_interval_of_the_mean(generator):
    values = np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 1.0]])
    _, ax = plt.subplots()
    plots.band(ax, [1, 2], values, generator=generator)
    (line,) = ax.lines
    assert line.get_ydata() == pytest.approx([0.5, 1.0])
    corners = ax.collections[0].get_paths()[0].vertices[:, 1]
    low, high = stats.Summary.of(values[:, 0]).lower, stats.Summary.of(values[:, 0]).upper
    inside = generator is not None
    assert (corners.min() >= 0) == inside and (corners.max() <= 1) == inside
    assert inside or [corners.min(), corners.max()] == pytest.approx([low, high])
    plt.close("all")


def test_a_tree_under_a_slider_has_a_frame_for_each_position():
    leaves, middle, root = torch.zeros(4).bool(), torch.tensor([True, False]), torch.ones(1).bool()
    frames = [[leaves, middle, root], [~leaves, middle, root]]
    text = plots.tree_slider(frames, ["low", "high"], name="t", label="noise <x>", alt="a & b")
    data = json.loads(re.search(r"\{.*\"nodes\".*\}", text).group())
    assert len(data["nodes"]) == 7 and len(data["edges"]) == 6
    assert len(data["frames"]) == 2 and data["frames"][0] != data["frames"][1]
    assert [frame.count("1") for frame in data["frames"]] == [2, 6]
    assert data["captions"] == ["low", "high"]
    assert "noise &lt;x&gt;" in text and "a &amp; b" in text
