"""The live garments: a U-Net of the zoo in files that a page opened from a disk can run.

Such a page may not fetch, but may run scripts: so network, pictures and directions are written as
scripts that hand over text. The network is an ONNX graph with weights in half precision and
arithmetic in single; it is compared with torch before anything is written.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from molrg import checks, claims, editing, files, images, plots, sampling, zoo
from molrg.companion import graphs
from molrg.companion.live_files import packed, script, stored, text_of, weights_of
from molrg.denoisers.networks import UNet, network_time
from molrg.schedules import Schedule

T = 0.5  # time to which pictures are inverted
DIRECTIONS = 5
PER_CLASS = 2  # pictures
EDIT_STEPS = 12
ALPHAS = (-3.0, -1.5, 0.0, 1.5, 3.0)  # of the strip
CLASSES = {
    "fashion-mnist": (
        "T-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    "mnist": tuple(f"digit {k}" for k in range(10)),
}


def chosen(name: str) -> list[tuple[str, int, Tensor]]:
    """The first pictures of every class in the shipped test images.

    Args:
        name: of a shipped model.

    Returns:
        For each its class, its place in the set, and its pixels (C, H, W).
    """
    data = zoo.record(name)["recipe"]["data"]
    pixels, labels = images.load(f"{data}-slice", "test")
    places = [(k, int(i)) for k in range(10) for i in (labels == k).nonzero().flatten()[:PER_CLASS]]
    return [(CLASSES[data][k], i, pixels[i]) for k, i in places]


def scene(name: str, denoiser: UNet) -> dict[str, Any]:
    """What the page needs beside the network: pictures, noise, directions, numbers of the schedule.

    Noise and directions are those of `molrg.editing`; a white random direction of the same length
    comes last, for comparison. Directions are stored with 8 bits per entry, x_t with 16.

    Args:
        name: of a shipped model.
        denoiser: that model, on the CPU.
    """
    schedule = denoiser.schedule
    pictures = chosen(name)
    x_0 = torch.stack([pixels for _, _, pixels in pictures])
    x_t = editing.invert(denoiser, x_0, T, steps=EDIT_STEPS)
    found = editing.directions(denoiser, x_t, T, DIRECTIONS, tolerance=0.01)
    chance = editing.white(x_0.shape[1:], len(x_0), generator=torch.Generator().manual_seed(0))
    vectors = torch.cat([found.vectors, chance.unsqueeze(1)], 1)
    entries = [
        {"class": kind, "place": place} | _entry(x_0[i], x_t[i], found.values[i], vectors[i])
        for i, (kind, place, _) in enumerate(pictures)
    ]
    return {
        "name": name,
        "weights": weights_of(name),
        "t": T,
        "shape": list(denoiser.event),
        "edit": _numbers(schedule, EDIT_STEPS, T),
        "sample": _numbers(schedule, graphs.STEPS, 1.0),
        "pictures": entries,
    }


def _entry(x_0: Tensor, x_t: Tensor, values: Tensor, vectors: Tensor) -> dict[str, Any]:
    """One picture with its noise and directions, as text."""
    scales = vectors.flatten(1).abs().amax(-1) / 127
    whole = [
        (v / scale).round().numpy().astype(np.int8)
        for v, scale in zip(vectors, scales, strict=True)
    ]
    return {
        "pixels": text_of(((x_0 + 1) * 127.5).round().numpy().astype(np.uint8)),
        "x_t": text_of(x_t.numpy().astype("<f2")),
        "singular": [round(float(value), 3) for value in values],
        "scales": [float(scale) for scale in scales],
        "directions": [text_of(direction) for direction in whole],
    }


def _numbers(schedule: Schedule, steps: int, start: float) -> dict[str, list[float]]:
    """What the page's sampler needs of a schedule."""
    times = sampling.time_grid(schedule, steps, start=start).tolist()
    return {
        "t": times,
        "time": [float(network_time(schedule, t)) for t in times],
        "s": [float(schedule.s(t)) for t in times],
        "gamma": [float(schedule.gamma(t)) for t in times],
    }


def strip(denoiser: UNet, content: dict[str, Any]) -> plt.Figure:
    """The static figure: pictures edited by torch, each along its first direction.

    Args:
        denoiser: the model.
        content: the scene; the first picture of every second class is shown.
    """
    rows = list(stored(content))[:: 2 * PER_CLASS]
    starts = [x_t + alpha * directions[0] for _, x_t, directions in rows for alpha in ALPHAS]
    edits = editing.finish(denoiser, torch.stack(starts), content["t"], steps=EDIT_STEPS)
    edits = edits.unflatten(0, (len(rows), len(ALPHAS)))
    pixels = torch.stack([pixels for pixels, _, _ in rows])
    shown = torch.cat([pixels.unsqueeze(1), edits], 1).flatten(0, 1)
    with plt.rc_context():
        plots.house_style()
        figure = plots.image_grid(shown, columns=len(ALPHAS) + 1, scale=0.95)
    alpha = "\N{GREEK SMALL LETTER ALPHA}"
    titles = ["test image", *(f"{alpha} = {a:+g}".replace("+0", "0") for a in ALPHAS)]
    for axes, title in zip(figure.axes, titles, strict=False):  # those of the first row
        axes.set_title(title, fontsize=9)
    return figure


def export(name: str, folder: str | Path | None = None) -> list[Path]:
    """Write a shipped U-Net and what the live figure needs beside it.

    Args:
        name: of a shipped model, whose data have a shipped slice.
        folder: where to; ``book/_static/live`` of the project where omitted.

    Returns:
        The files: network, scene, static strip.

    Raises:
        ValueError: where there is no such model, the exporter is not installed, or ONNX and torch
            differ by more than `graphs.TOLERANCE` somewhere in a run: then nothing is written.
    """
    denoiser = zoo.load_denoiser(checks.one_of("name", name, _fit()))
    model = graphs.to_onnx(denoiser)
    graphs.require_equal(denoiser, model)
    content = scene(name, denoiser)
    figure = strip(denoiser, content)
    folder = claims.root() / "book" / "_static" / "live" if folder is None else Path(folder)
    network = {"name": name, "weights": content["weights"], "onnx": packed(model)}
    paths = [folder / f"{name}-{part}" for part in ("network.js", "scene.js", "strip.png")]
    with ExitStack() as stack:  # all three are complete before the first is replaced
        asides = [stack.enter_context(files.replacing(path)) for path in paths]
        asides[0].write_text(script("network", network), encoding="utf-8")
        asides[1].write_text(script("scene", content), encoding="utf-8")
        figure.savefig(asides[2], dpi=110, metadata={"Software": None})
    plt.close(figure)
    return paths


def _fit() -> tuple[str, ...]:
    """The shipped models whose images have classes with names here."""
    records = {name: zoo.record(name) for name in zoo.names()}
    return tuple(
        name
        for name, record in records.items()
        if record["kind"] == "denoising" and record["recipe"]["data"] in CLASSES
    )
