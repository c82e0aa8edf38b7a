"""Denoisers as ONNX graphs, for programs without torch: weights in half precision."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from molrg import sampling
from molrg.denoisers import Denoiser
from molrg.denoisers.networks import UNet, network_time, to_x0
from molrg.schedules import Schedule

OPSET = 18
TOLERANCE = 1e-2  # largest difference of a pixel between ONNX and torch, over a whole run
STEPS = 25  # of that run
NEEDS = "onnx, onnxscript and onnxruntime: run `make env` again, or pip install 'molrg[export]'"


class Graph(nn.Module):
    """What `molrg.networks.UNet` computes once it has looked up the time: arrays in, x0_hat out.

    Args:
        denoiser: whose network and parametrisation.
    """

    def __init__(self, denoiser: UNet) -> None:
        super().__init__()
        self.network = denoiser.network
        self.prediction = denoiser.prediction
        self.data_scale = denoiser.data_scale

    def forward(self, x_t: Tensor, time: Tensor, s: Tensor, gamma: Tensor) -> Tensor:
        """Estimate x_0 from images (B, C, H, W), all at one time.

        Args:
            x_t: the images.
            time: as the network counts it, (1,).
            s: signal scale, (1,).
            gamma: noise scale, (1,).
        """
        output = self.network(x_t, time.expand(x_t.shape[0])).sample[:, : x_t.shape[1]]
        return to_x0(output, x_t, s, gamma, self.prediction, self.data_scale)


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
        import onnx  # noqa: PLC0415 - an extra
        import onnxscript  # noqa: PLC0415, F401 - what torch exports with: told early if missing
    except ImportError as error:
        raise ValueError(
            f"the exporter = {error}: allowed is an environment with {NEEDS}"
        ) from error
    weight = next(denoiser.parameters())
    images = weight.new_zeros(2, *denoiser.fixed_event)
    example = (images, *(weight.new_tensor([number]) for number in (500.0, 0.3, 0.9)))
    shapes = {"x_t": {0: torch.export.Dim("batch")}, "time": None, "s": None, "gamma": None}
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(
        logging.ERROR
    )  # it misses torchvision, we do not
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            Graph(denoiser).eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=shapes,
            verbose=False,
            input_names=list(shapes),
            output_names=["x0_hat"],
        )
    model = program.model_proto
    _halve(model)
    _forget_where(model)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _halve(model: Any) -> None:
    """Store every array of weights in half precision, and widen it again in the graph."""
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - an extra

    casts = []
    for stored in model.graph.initializer:
        if stored.data_type == TensorProto.FLOAT and np.prod(stored.dims) >= 64:
            name = stored.name
            stored.CopyFrom(
                numpy_helper.from_array(
                    numpy_helper.to_array(stored).astype(np.float16), f"{name}_half"
                )
            )
            casts.append(
                helper.make_node(
                    "Cast", [stored.name], [name], name=f"{name}_widen", to=TensorProto.FLOAT
                )
            )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _forget_where(model: Any) -> None:
    """Drop the notes of the exporter, which quote lines and folders of this machine."""
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
        *model.graph.initializer,
    ):
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
            import onnxruntime  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ValueError(
                f"the runtime = {error}: allowed is an environment with {NEEDS}"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(model, options, providers=providers)
        self.schedule = schedule

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from images (B, C, H, W), all at one time."""
        numbers = (network_time(self.schedule, t), self.schedule.s(t), self.schedule.gamma(t))
        values = [
            x_t.float().cpu().numpy(),
            *(np.full(1, float(number), dtype=np.float32) for number in numbers),
        ]
        (x0_hat,) = self.session.run(
            None, dict(zip(("x_t", "time", "s", "gamma"), values, strict=True))
        )
        return torch.from_numpy(x0_hat).to(x_t)


@torch.no_grad()
def deviation(one: Denoiser, other: Denoiser, x_t: Tensor, times: Tensor) -> float:
    """The largest difference of a pixel between two denoisers, over DDIM, each on its own way.

    Args:
        one: a denoiser.
        other: the other.
        x_t: where both start, (B, \\*event).
        times: of every step.
    """
    largest = []
    ways = zip(sampling.ddim(one, x_t, times), sampling.ddim(other, x_t, times), strict=True)
    for ours, theirs in ways:
        largest.append((ours.x_t - theirs.x_t).abs().max())
        largest.append((ours.x0_hat - theirs.x0_hat).abs().max())
    return torch.stack(largest).max().item()  # not Python's max, which loses a NaN


def require_equal(denoiser: UNet, model: bytes) -> None:
    """The graph computes what torch computes, from noise to images.

    Args:
        denoiser: the network in torch.
        model: what `to_onnx` made of it.

    Raises:
        ValueError: where some pixel differs by more than `TOLERANCE` somewhere in a run.
    """
    noise = sampling.prior(
        (4, *denoiser.fixed_event),
        denoiser.schedule,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float32,
    )
    times = sampling.time_grid(denoiser.schedule, STEPS)
    apart = deviation(denoiser, Runtime(model, denoiser.schedule), noise, times)
    if not apart <= TOLERANCE:
        raise ValueError(
            f"largest difference between ONNX and torch = {apart:.2g}: allowed is <= {TOLERANCE:g}"
        )
