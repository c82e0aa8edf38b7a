"""The faces' network for the live page: an ONNX graph in a script, and a picture made by torch."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from molrg import claims, draws, files, plots, zoo
from molrg.companion import graphs
from molrg.companion.live_files import content_of, packed, script, weights_of
from molrg.companion.live_pictures import label_rows
from molrg.denoisers.networks import UNet
from molrg.images import faces

NAME = "faces"
SEED = 11
NOISE = (0.2, 0.5, 1.0, 2.0, 4.0)  # of the picture


def shipped_in(folder: Path) -> dict[str, Any] | None:
    """What the page must know of the network before it is loaded; None where there is no network.

    Args:
        folder: of the live page's files.
    """
    path = folder / f"{NAME}-network.js"
    return {"weights": content_of(path)["weights"]} if path.is_file() else None


def export(folder: Path | None = None) -> list[Path]:
    """Write the faces' U-Net and a picture of what it does.

    Args:
        folder: where to; ``book/_static/live`` of the project where omitted.

    Returns:
        The files: network, static strip.

    Raises:
        ValueError: where the model is not shipped, the exporter is not installed, or ONNX and torch
            differ by more than `graphs.TOLERANCE` somewhere in a run: then nothing is written.
    """
    denoiser = zoo.load_denoiser(NAME)
    model = graphs.to_onnx(denoiser)
    graphs.require_equal(denoiser, model)
    folder = claims.root() / "book" / "_static" / "live" if folder is None else folder
    paths = [folder / f"{NAME}-network.js", folder / f"{NAME}-network-strip.png"]
    network = {"name": NAME, "weights": weights_of(NAME), "onnx": packed(model)}
    figure = strip(denoiser)
    with ExitStack() as stack:  # both are complete before the first is replaced
        asides = [stack.enter_context(files.replacing(path)) for path in paths]
        asides[0].write_text(script("network", network), encoding="utf-8")
        figure.savefig(asides[1], dpi=110, metadata={"Software": None})
    plt.close(figure)
    return paths


@torch.no_grad()
def strip(denoiser: UNet) -> plt.Figure:
    """A face under growing noise; the exact estimate, and the network's.

    Args:
        denoiser: the network, on the CPU.
    """
    generator = draws.source(SEED)
    x_0, _ = faces.draw(1, generator=generator)
    noise = draws.normal(x_0.shape, generator=generator)
    schedule = denoiser.schedule
    exact = faces.mixture().denoiser(schedule)
    columns: list[tuple[Tensor, ...]] = []
    for sigma in NOISE:
        t = schedule.t_of_sigma(sigma)
        s, gamma = schedule.at(t, x_0)
        x_t = s * x_0 + gamma * noise
        columns.append((x_t[0], exact(x_t, t)[0], denoiser(x_t, t)[0]))
    shown = torch.stack([picture for row in zip(*columns, strict=True) for picture in row])
    with plt.rc_context():
        plots.house_style()
        figure = plots.image_grid(shown, columns=len(NOISE), scale=1.3)
    label_rows(figure, ["with noise", "exact\nestimate", "network's\nestimate"], len(NOISE))
    for axes, sigma in zip(figure.axes, NOISE, strict=False):
        axes.set_title(f"$\\sigma$ = {sigma:g}", fontsize=9)
    return figure
