"""The live figure: a U-Net of the zoo in files that a page opened from a disk can run.

Such a page may not fetch, but may run scripts: so network, pictures and directions are written as
scripts that hand over text. The network is an ONNX graph with weights in half precision and
arithmetic in single; it is compared with torch before anything is written.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from molrg import checks, claims, editing, files, images, plots, sampling, zoo
from molrg.companion import graphs
from molrg.denoisers.networks import UNet, network_time
from molrg.schedules import Schedule

TOLERANCE = 1e-2  # largest difference of a pixel between ONNX and torch, over a whole run
T, DIRECTIONS, PER_CLASS = 0.5, 5, 2
EDIT_STEPS, SAMPLE_STEPS = 12, 25
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


def script(receiver: str, content: dict[str, Any]) -> str:
    """A script that hands `content` to ``molrgLive.<receiver>``; `content_of` reads it back."""
    return f"molrgLive.{receiver}({json.dumps(content, separators=(',', ':'), sort_keys=True)});\n"


def content_of(path: Path) -> dict[str, Any]:
    """What a script written by `script` hands over.

    Raises:
        ValueError: where the file is no such script.
    """
    text = path.read_text(encoding="utf-8")
    checks.require(
        text.startswith("molrgLive.") and text.endswith(");\n"),
        "path",
        path,
        "a script of the live figure",
    )
    return json.loads(text[text.index("(") + 1 : -3])


def packed(raw: bytes) -> str:
    """Bytes as text: gzip, then base64; the same bytes always give the same text."""
    return base64.b64encode(gzip.compress(raw, 9, mtime=0)).decode("ascii")


def unpacked(text: str) -> bytes:
    """The bytes that `packed` was given."""
    return gzip.decompress(base64.b64decode(text))


def weights_of(name: str) -> str:
    """sha256 of the shipped weights of a model."""
    (file,) = (zoo.shipped.MODELS / name).rglob("*.safetensors")
    return files.sha256(file)


def chosen(name: str) -> list[tuple[str, int, Tensor]]:
    """The first pictures of every class in the shipped test images: class, place in the set, pixels
    (C, H, W).
    """
    data = zoo.record(name)["recipe"]["data"]
    pixels, labels = images.load(f"{data}-slice", "test")
    places = [(k, int(i)) for k in range(10) for i in (labels == k).nonzero().flatten()[:PER_CLASS]]
    return [(CLASSES[data][k], i, pixels[i]) for k, i in places]


def scene(name: str, denoiser: UNet) -> dict[str, Any]:
    """What the page needs beside the network: pictures, their noise, directions, and the schedule's
    numbers.

    Noise and directions are those of `molrg.editing`; a white random direction of the same length
    comes last, for comparison. Directions are stored with 8 bits an entry, x_t with 16.

    Args:
        name: of a shipped model.
        denoiser: that model.
    """
    schedule, pictures = denoiser.schedule, chosen(name)
    x_0 = torch.stack([pixels for _, _, pixels in pictures])
    x_t = editing.invert(denoiser, x_0, T, steps=EDIT_STEPS)
    found = editing.directions(denoiser, x_t, T, DIRECTIONS, tolerance=0.01)
    chance = editing.white(x_0.shape[1:], len(x_0), generator=torch.Generator().manual_seed(0))
    vectors = torch.cat([found.vectors, chance.unsqueeze(1)], 1)
    scales = vectors.flatten(2).abs().amax(-1) / 127
    return {
        "name": name,
        "weights": weights_of(name),
        "t": T,
        "shape": list(denoiser.event),
        "edit": _numbers(schedule, EDIT_STEPS, T),
        "sample": _numbers(schedule, SAMPLE_STEPS, 1.0),
        "pictures": [
            {
                "class": kind,
                "place": place,
                "pixels": _text(((x_0[i] + 1) * 127.5).round().numpy().astype(np.uint8)),
                "x_t": _text(x_t[i].numpy().astype("<f2")),
                "singular": [round(float(value), 3) for value in found.values[i]],
                "scales": [float(scale) for scale in scales[i]],
                "directions": [
                    _text((v / scale).round().numpy().astype(np.int8))
                    for v, scale in zip(vectors[i], scales[i], strict=True)
                ],
            }
            for i, (kind, place, _) in enumerate(pictures)
        ],
    }


def _numbers(schedule: Schedule, steps: int, start: float) -> dict[str, list[float]]:
    times = sampling.time_grid(schedule, steps, start=start).tolist()
    return {
        "t": times,
        "time": [float(network_time(schedule, t)) for t in times],
        "s": [float(schedule.s(t)) for t in times],
        "gamma": [float(schedule.gamma(t)) for t in times],
    }


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def stored(content: dict[str, Any]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For every picture of a scene: pixels in [-1, 1], x_t, both (C, H, W), and the directions (k,
    C, H, W).
    """
    shape = tuple(content["shape"])

    def read(text: str, kind: Any) -> Tensor:
        return torch.from_numpy(
            np.frombuffer(base64.b64decode(text), kind).astype(np.float32)
        ).reshape(shape)

    for entry in content["pictures"]:
        directions = [
            scale * read(text, np.int8)
            for text, scale in zip(entry["directions"], entry["scales"], strict=True)
        ]
        yield (
            read(entry["pixels"], np.uint8) / 127.5 - 1,
            read(entry["x_t"], "<f2"),
            torch.stack(directions),
        )


def strip(denoiser: UNet, content: dict[str, Any]) -> plt.Figure:
    """The static figure: the first picture of every second class, with its first direction, edited
    by torch.
    """
    rows = [
        (entry["class"], *parts)
        for entry, parts in list(zip(content["pictures"], stored(content), strict=True))[
            :: 2 * PER_CLASS
        ]
    ]
    starts = torch.cat(
        [
            torch.stack([x_t + alpha * directions[0] for alpha in ALPHAS])
            for _, _, x_t, directions in rows
        ]
    )
    edits = editing.finish(denoiser, starts, content["t"], steps=EDIT_STEPS).unflatten(
        0, (len(rows), len(ALPHAS))
    )
    shown = torch.cat(
        [
            torch.cat([pixels.unsqueeze(0), edited])
            for (_, pixels, _, _), edited in zip(rows, edits, strict=True)
        ]
    )
    with plt.rc_context():
        plots.house_style()
        figure = plots.image_grid(shown, columns=len(ALPHAS) + 1, scale=0.95)
    axes = np.array(figure.axes).reshape(len(rows), -1)
    for ax, title in zip(
        axes[0],
        [
            "test image",
            *(f"\N{GREEK SMALL LETTER ALPHA} = {alpha:+g}".replace("+0", "0") for alpha in ALPHAS),
        ],
        strict=True,
    ):
        ax.set_title(title, fontsize=9)
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
            differ by more than `TOLERANCE` somewhere in a run: then nothing is written.
    """
    records = {n: zoo.record(n) for n in zoo.names()}
    fit = tuple(
        n
        for n, record in records.items()
        if record["kind"] == "denoising" and record["recipe"]["data"] in CLASSES
    )
    denoiser = zoo.load(checks.one_of("name", name, fit))
    assert isinstance(denoiser, UNet), "records of this kind are of diffusion models"
    model = graphs.to_onnx(denoiser)
    noise = sampling.prior(
        (4, *(size for size in denoiser.event if size)),
        denoiser.schedule,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float32,
    )
    times = sampling.time_grid(denoiser.schedule, SAMPLE_STEPS)
    apart = graphs.deviation(denoiser, graphs.Runtime(model, denoiser.schedule), noise, times)
    checks.require(
        apart <= TOLERANCE,
        "largest difference between ONNX and torch",
        f"{apart:.2g}",
        f"<= {TOLERANCE:g}",
    )
    content = scene(name, denoiser)
    figure = strip(denoiser, content)
    folder = claims.root() / "book" / "_static" / "live" if folder is None else Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    network = {"name": name, "weights": content["weights"], "onnx": packed(model)}
    paths = [folder / f"{name}-{part}" for part in ("network.js", "scene.js", "strip.png")]
    with ExitStack() as stack:  # all three are complete before the first is replaced
        asides = [stack.enter_context(files.replacing(path)) for path in paths]
        asides[0].write_text(script("network", network), encoding="utf-8")
        asides[1].write_text(script("scene", content), encoding="utf-8")
        figure.savefig(asides[2], dpi=110, metadata={"Software": None})
    plt.close(figure)
    return paths
