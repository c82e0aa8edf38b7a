"""The live figure: a U-Net of the zoo in files that a page opened from a disk can run.

Such a page may not fetch, but may run scripts: so network, pictures and directions are written as scripts that hand
over text. The network is an ONNX graph with weights in half precision and arithmetic in single; it is compared with
torch before anything is written.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

from molrg import checkpoints, checks, claims, editing, images, plots, sampling, zoo
from molrg.networks import UNet, to_x0
from molrg.schedules import Schedule

OPSET = 18
TOLERANCE = 1e-2  # largest difference of a pixel between ONNX and torch, over a whole run
T, DIRECTIONS, PER_CLASS = 0.5, 5, 2
EDIT_STEPS, SAMPLE_STEPS = 12, 25
ALPHAS = (-3.0, -1.5, 0.0, 1.5, 3.0)  # of the strip
CLASSES = {
    "fashion-mnist": ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    "mnist": tuple(f"digit {k}" for k in range(10)),
}
NEEDS = "onnx, onnxscript and onnxruntime: run `make env` again, or pip install 'molrg[export]'"


def script(receiver: str, content: dict[str, Any]) -> str:
    """A script that hands `content` to ``molrgLive.<receiver>``; `content_of` reads it back."""
    return f"molrgLive.{receiver}({json.dumps(content, separators=(',', ':'), sort_keys=True)});\n"


def content_of(path: Path) -> dict[str, Any]:
    """What a script written by `script` hands over.

    Raises:
        ValueError: where the file is no such script.
    """
    text = path.read_text(encoding="utf-8")
    checks.require(text.startswith("molrgLive.") and text.endswith(");\n"), "path", path, "a script of the live figure")
    return json.loads(text[text.index("(") + 1 : -3])


def packed(raw: bytes) -> str:
    """Bytes as text: gzip, then base64; the same bytes always give the same text."""
    return base64.b64encode(gzip.compress(raw, 9, mtime=0)).decode("ascii")


def unpacked(text: str) -> bytes:
    """The bytes that `packed` was given."""
    return gzip.decompress(base64.b64decode(text))


class Graph(nn.Module):
    """What `molrg.networks.UNet` computes once it has looked up the time: arrays in, x0_hat out.

    Args:
        denoiser: whose network and parametrisation.
    """

    def __init__(self, denoiser: UNet) -> None:
        super().__init__()
        self.network, self.prediction, self.data_scale = denoiser.network, denoiser.prediction, denoiser.data_scale

    def forward(self, x_t: Tensor, time: Tensor, s: Tensor, gamma: Tensor) -> Tensor:
        """Estimate x_0 from images (B, C, H, W), all at one time: (1,) each of the network's time, s and gamma."""
        output = self.network(x_t, time.expand(x_t.shape[0])).sample[:, : x_t.shape[1]]
        return to_x0(output, x_t, s, gamma, self.prediction, self.data_scale)


def time_number(schedule: Schedule, t: float) -> float:
    """The time as the network counts it."""
    return float(schedule.step(t)) if hasattr(schedule, "step") else 999 * t


def to_onnx(denoiser: UNet) -> bytes:
    """A denoiser as an ONNX graph for any number of images, its weights stored in half precision.

    Args:
        denoiser: with images of a fixed size.

    Returns:
        The model; its inputs are those of `Graph`.

    Raises:
        ValueError: where the exporter is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch.onnx needs it
    except ImportError as error:
        raise ValueError(f"the exporter = {error}: allowed is an environment with {NEEDS}") from error
    example = (torch.zeros(2, *denoiser.event), torch.full((1,), 500.0), torch.full((1,), 0.3), torch.full((1,), 0.9))
    shapes = {"x_t": {0: torch.export.Dim("batch")}, "time": None, "s": None, "gamma": None}
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)  # it misses torchvision, we do not
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Graph(denoiser).eval(), example, dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, verbose=False,
            input_names=list(shapes), output_names=["x0_hat"],
        )  # fmt: skip
    model = program.model_proto
    _halve(model)
    _forget_where(model)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _halve(model: Any) -> None:
    """Store every array of weights in half precision, and widen it again in the graph."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for stored in model.graph.initializer:
        if stored.data_type == TensorProto.FLOAT and np.prod(stored.dims) >= 64:
            name = stored.name
            stored.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(stored).astype(np.float16), f"{name}_half"))
            casts.append(helper.make_node("Cast", [stored.name], [name], name=f"{name}_widen", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _forget_where(model: Any) -> None:
    """Drop the notes of the exporter, which quote lines and folders of this machine."""
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]


class Runtime:
    """An ONNX model as a denoiser, computed by onnxruntime.

    Args:
        model: what `to_onnx` returns.
        schedule: the forward process.

    Raises:
        ValueError: where onnxruntime is not installed.
    """

    def __init__(self, model: bytes, schedule: Schedule) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ValueError(f"the runtime = {error}: allowed is an environment with {NEEDS}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session, self.schedule = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]), schedule

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from images (B, C, H, W), all at one time."""
        numbers = (time_number(self.schedule, float(t)), self.schedule.s(t), self.schedule.gamma(t))
        values = [x_t.float().numpy(), *(np.full(1, float(number), dtype=np.float32) for number in numbers)]
        (x0_hat,) = self.session.run(None, dict(zip(("x_t", "time", "s", "gamma"), values, strict=True)))
        return torch.from_numpy(x0_hat).to(x_t.dtype)


@torch.no_grad()
def deviation(one: Any, other: Any, x_t: Tensor, times: Tensor) -> float:
    """The largest difference of a pixel between two denoisers, over every step of DDIM, each on its own way."""
    ways = zip(sampling.ddim(one, x_t, times), sampling.ddim(other, x_t, times), strict=True)
    return max((a - b).abs().max().item() for first, second in ways for a, b in ((first.x_t, second.x_t), (first.x0_hat, second.x0_hat)))


def weights_of(name: str) -> str:
    """sha256 of the shipped weights of a model."""
    (file,) = (zoo.shipped.MODELS / name).rglob("*.safetensors")
    return checkpoints.sha256(file)


def chosen(name: str) -> list[tuple[str, int, Tensor]]:
    """The first pictures of every class in the shipped test images: class, place in the set, pixels (C, H, W)."""
    data = zoo.record(name)["recipe"]["data"]
    pixels, labels = images.load(f"{data}-slice", "test")
    places = [(k, int(i)) for k in range(10) for i in (labels == k).nonzero().flatten()[:PER_CLASS]]
    return [(CLASSES[data][k], i, pixels[i]) for k, i in places]


def scene(name: str, denoiser: UNet) -> dict[str, Any]:
    """What the page needs beside the network: pictures, their noise, directions, and the schedule's numbers.

    Noise and directions are those of `molrg.editing`; a white random direction of the same length comes last, for
    comparison. Directions are stored with 8 bits an entry, x_t with 16.

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
        "name": name, "weights": weights_of(name), "t": T, "shape": list(denoiser.event),
        "edit": _numbers(schedule, EDIT_STEPS, T), "sample": _numbers(schedule, SAMPLE_STEPS, 1.0),
        "pictures": [
            {
                "class": kind, "place": place, "pixels": _text(((x_0[i] + 1) * 127.5).round().numpy().astype(np.uint8)),
                "x_t": _text(x_t[i].numpy().astype("<f2")), "singular": [round(float(value), 3) for value in found.values[i]],
                "scales": [float(scale) for scale in scales[i]],
                "directions": [_text((v / scale).round().numpy().astype(np.int8)) for v, scale in zip(vectors[i], scales[i], strict=True)],
            }
            for i, (kind, place, _) in enumerate(pictures)
        ],
    }  # fmt: skip


def _numbers(schedule: Schedule, steps: int, start: float) -> dict[str, list[float]]:
    times = sampling.time_grid(schedule, steps, start=start).tolist()
    return {
        "t": times, "time": [time_number(schedule, t) for t in times],
        "s": [float(schedule.s(t)) for t in times], "gamma": [float(schedule.gamma(t)) for t in times],
    }  # fmt: skip


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def stored(content: dict[str, Any]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For every picture of a scene: pixels in [-1, 1], x_t, both (C, H, W), and the directions (k, C, H, W)."""
    shape = tuple(content["shape"])
    for entry in content["pictures"]:
        read = lambda text, kind: torch.from_numpy(np.frombuffer(base64.b64decode(text), kind).astype(np.float32)).reshape(shape)  # noqa: E731
        directions = [scale * read(text, np.int8) for text, scale in zip(entry["directions"], entry["scales"], strict=True)]
        yield read(entry["pixels"], np.uint8) / 127.5 - 1, read(entry["x_t"], "<f2"), torch.stack(directions)


def strip(denoiser: UNet, content: dict[str, Any]) -> plt.Figure:
    """The static figure: the first picture of every second class, with its first direction, edited by torch."""
    rows = [(entry["class"], *parts) for entry, parts in list(zip(content["pictures"], stored(content), strict=True))[:: 2 * PER_CLASS]]
    starts = torch.cat([torch.stack([x_t + alpha * directions[0] for alpha in ALPHAS]) for _, _, x_t, directions in rows])
    edits = editing.finish(denoiser, starts, content["t"], steps=EDIT_STEPS).unflatten(0, (len(rows), len(ALPHAS)))
    shown = torch.cat([torch.cat([pixels.unsqueeze(0), edited]) for (_, pixels, _, _), edited in zip(rows, edits, strict=True)])
    with plt.rc_context():
        plots.house_style()
        figure = plots.image_grid(shown, columns=len(ALPHAS) + 1, scale=0.95)
    axes = np.array(figure.axes).reshape(len(rows), -1)
    for ax, title in zip(axes[0], ["test image", *(f"\N{GREEK SMALL LETTER ALPHA} = {alpha:+g}".replace("+0", "0") for alpha in ALPHAS)], strict=True):
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
        ValueError: where there is no such model, the exporter is not installed, or ONNX and torch differ by
            more than `TOLERANCE` somewhere in a run: then nothing is written.
    """
    denoiser = zoo.load(checks.one_of("name", name, tuple(n for n in zoo.names() if zoo.record(n)["recipe"]["data"] in CLASSES)))
    checks.require(isinstance(denoiser, UNet), "name", name, "a U-Net")
    model = to_onnx(denoiser)
    noise = sampling.prior((4, *denoiser.event), denoiser.schedule, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    times = sampling.time_grid(denoiser.schedule, SAMPLE_STEPS)
    apart = deviation(denoiser, Runtime(model, denoiser.schedule), noise, times)
    checks.require(apart <= TOLERANCE, "largest difference between ONNX and torch", f"{apart:.2g}", f"<= {TOLERANCE:g}")
    content = scene(name, denoiser)
    figure = strip(denoiser, content)
    folder = claims.root() / "book" / "_static" / "live" if folder is None else Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    network = {"name": name, "weights": content["weights"], "onnx": packed(model)}
    files = [folder / f"{name}-{part}" for part in ("network.js", "scene.js", "strip.png")]
    for path, receiver, handed in zip(files, ("network", "scene"), (network, content), strict=False):
        path.write_text(script(receiver, handed), encoding="utf-8")
    figure.savefig(files[2], dpi=110, metadata={"Software": None})
    plt.close(figure)
    return files
