"""Checkpoints: diffusers folders, local or on the hub, as denoisers; and denoisers as such folders.

Weights are safetensors; nothing is unpickled. A folder with a file ``SHA256SUMS`` is checked
against it.

The EDM networks of the papers are pickles of code and weights together, and no diffusers U-Nets:
there is no folder that they could be converted to. Whoever trusts them reads them once with their
own code, which gives a network D(x, sigma), and needs a wrapper only: an object whose ``schedule``
is ``molrg.schedules.EDM()`` and which, called with (x_t, t), returns ``D(x_t, schedule.sigma(t))``.
(Its weights alone, ``D.state_dict()``, fit into safetensors.) That is described here and not run by
the tests.
"""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

from molrg import checks, devices, files
from molrg.denoisers import folders, schedulers, seals
from molrg.denoisers.folders import Parts
from molrg.denoisers.networks import UNet
from molrg.schedules import DDPM


def from_pretrained(
    path_or_repo_id: str | Path,
    *,
    device: str | torch.device = "cpu",
    variant: str | None = None,
    subfolder: str | None = None,
    revision: str | None = None,
) -> UNet:
    """Load an unconditional diffusers U-Net with its scheduler as a denoiser, whatever it predicts.

    Old layouts (all files at the top, attention weights under their first names), learned
    variances, and every scheduler with a table of ``alphas_cumprod`` are understood. The images are
    what the network was trained on: its channels, its size.

    How the pipeline of the folder would sample is no part of the denoiser: x0_hat is not clipped.
    Where the pipeline clips it, `clip` of the denoiser is the bound, to be given to a sampler.

    Source: ours, over the diffusers library.

    Args:
        path_or_repo_id: a local folder, or the id of a hub repository, such as
            "google/ddpm-cifar10-32".
        device: where the network goes; "auto" is a GPU where there is one.
        variant: of the weights, such as "fp16", where files are named so.
        subfolder: of the network, where it is not unet, such as "unet_ema".
        revision: branch, tag or commit on the hub; the main one where omitted.

    Returns:
        A `molrg.denoisers.UNet` in evaluation mode, float32, its parameters without gradients;
        `event` is (C, H, W).

    Raises:
        FileNotFoundError: where there is no such folder and the hub does not answer.
        ValueError: where the folder is not of this kind, lacks a part, holds only pickled weights,
            or is damaged; where it is latent diffusion; where there is no such device.
        ModuleNotFoundError: without diffusers.
    """
    checks.installed("diffusers", "unet")
    place = devices.chosen(device)
    for name, value in (("variant", variant), ("subfolder", subfolder), ("revision", revision)):
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{name} = {value!r}: allowed is a name, or None")
    parts = folders.found(path_or_repo_id, variant=variant, subfolder=subfolder, revision=revision)
    trained = schedulers.read(parts)
    denoiser = UNet(
        _network(parts), trained.schedule, prediction=trained.prediction, clip=trained.clip
    )
    return denoiser.eval().requires_grad_(False).to(place)


def _network(parts: Parts) -> nn.Module:
    """The U-Net with exactly the weights that it asks for, all finite."""
    from diffusers import UNet2DModel  # noqa: PLC0415 - an extra, and slow
    from safetensors import SafetensorError  # noqa: PLC0415 - with it

    config = _require_unconditional(parts)
    name = f"weights of {parts.source}"
    pickles = [shard for shard in _shards(parts) if not shard.endswith(".safetensors")]
    if pickles:  # diffusers would read them, whatever it is told
        raise ValueError(f"{name} = {pickles[:3]}: allowed is safetensors only")
    try:
        _require_memory(parts, config)
        network, loading = UNet2DModel.from_pretrained(
            parts.source,
            subfolder=parts.network,
            variant=parts.variant,
            revision=parts.revision,
            use_safetensors=True,
            low_cpu_mem_usage=False,
            torch_dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, SafetensorError, ValueError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{name} = unreadable ({reason}): allowed is a whole safetensors file that fits"
            " config.json"
        ) from error
    misfits = {key: sorted(map(str, value))[:3] for key, value in loading.items() if value}
    if misfits:
        raise ValueError(f"{name} = {misfits}: allowed is exactly the tensors of config.json")
    bad = [key for key, value in network.state_dict().items() if not bool(value.isfinite().all())]
    if bad:
        raise ValueError(f"{name} = {bad[:3]} with NaN or infinity: allowed is finite numbers")
    return network


def _require_memory(parts: Parts, config: dict[str, Any]) -> None:
    """The network that a configuration asks for fits into memory, whatever its weights are."""
    from diffusers import UNet2DModel  # noqa: PLC0415 - an extra, and slow

    with torch.device("meta"):  # shapes without numbers
        empty: Any = UNet2DModel.from_config(config)
    needed = 4 * sum(weights.numel() for weights in empty.parameters())  # bytes of float32
    free = psutil.virtual_memory().available
    if needed > free:
        raise ValueError(
            f"config.json asks for {needed / 1e9:,.1f} GB of weights, with {free / 1e9:.1f} GB free"
        )


def _require_unconditional(parts: Parts) -> dict[str, Any]:
    """Its configuration, where the network is a U-Net of images alone, and puts out an image."""
    try:
        config = parts.load_config("config.json", parts.network)
    except FileNotFoundError as error:
        raise ValueError(
            f"path_or_repo_id = {parts.source}: allowed is {folders.LAYOUT} ({error})"
        ) from error
    name = f"network of {parts.source}"
    if config.get("_class_name") != "UNet2DModel":
        raise ValueError(f"{name} = {config.get('_class_name')}: allowed is a UNet2DModel")
    if config.get("num_class_embeds") or config.get("class_embed_type"):
        raise ValueError(f"{name} = conditional on classes: allowed is an unconditional one")
    channels = config.get("in_channels", 3)
    out = config.get("out_channels", 3)
    if out not in (channels, 2 * channels):
        raise ValueError(
            f"out_channels of {parts.source} = {out}: allowed is {channels} or {2 * channels}, with"
            " learned variances"
        )
    return config


def _shards(parts: Parts) -> list[str]:
    """The files that an index of weights names; none where there is a single file."""
    _, index = folders.weights_of(parts.variant)
    try:
        weight_map = parts.load_config(index, parts.network)["weight_map"]
        return sorted(set(map(str, weight_map.values())))
    except FileNotFoundError:  # not there, or out of reach, as it then is when weights are read
        return []
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"weights of {parts.source} = an unreadable {index}: allowed is one with a weight_map"
        ) from error


def save(denoiser: UNet, folder: str | Path, *, half: bool = False) -> Path:
    """Write a denoiser as a folder that ``diffusers.DDPMPipeline.from_pretrained`` loads.

    Everything is written beside it first, and then moved, so what can fail has failed before a file
    is replaced.

    Args:
        denoiser: on the `DDPM` schedule, with data_scale 1 (others have no name in diffusers).
        folder: where to; other files that are in it stay.
        half: store float16, half the bytes; diffusers, and `from_pretrained`, load it as float32.
            The denoiser stays as it is.

    Returns:
        The folder.

    Raises:
        ValueError: where diffusers has no name for the schedule or the scale.
        ModuleNotFoundError: without diffusers.
    """
    checks.installed("diffusers", "unet")
    from diffusers import DDPMPipeline  # noqa: PLC0415 - an extra, and slow

    folder = Path(folder)
    scheduler = _scheduler_of(denoiser)
    network = denoiser.network
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as made:
        aside = Path(made)
        if half:
            network = copy.deepcopy(network).half()
        pipeline: Any = DDPMPipeline(network, scheduler)
        with files.system_errors(folder):
            pipeline.save_pretrained(aside)
        for path in aside.rglob("*.json"):
            _forget_place(path)
        (folder / seals.SUMS).unlink(missing_ok=True)  # of what was there before
        for path in sorted(path for path in aside.rglob("*") if path.is_file()):
            with files.replacing(folder / path.relative_to(aside)) as target:
                path.replace(target)
    return folder


def _scheduler_of(denoiser: UNet) -> Any:
    """The scheduler that stands for a denoiser's schedule and target."""
    from diffusers import DDPMScheduler  # noqa: PLC0415 - an extra, and slow

    schedule = denoiser.schedule
    if not isinstance(schedule, DDPM) or denoiser.data_scale != 1:
        raise ValueError(
            f"denoiser = {type(schedule).__name__} with data_scale {denoiser.data_scale}: allowed"
            " is DDPM with data_scale 1"
        )
    names = {ours: theirs for theirs, ours in schedulers.PREDICTIONS.items()}
    return DDPMScheduler(
        schedule.steps,
        schedule.beta_start,
        schedule.beta_end,
        prediction_type=names[denoiser.prediction],
    )


def _forget_place(path: Path) -> None:
    """Drop from a JSON file where its model was loaded from."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings.pop("_name_or_path", None)
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
