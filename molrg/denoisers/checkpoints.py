"""Checkpoints: diffusers folders, local or on the hub, as denoisers; and denoisers as diffusers folders.

Weights are safetensors; nothing is unpickled. A folder with a file ``SHA256SUMS`` is checked against it.

The EDM networks of the papers are pickles of code and weights together, and no diffusers U-Nets: there is no
folder that they could be converted to. Whoever trusts them reads them once with their own code, which gives a
network D(x, sigma), and needs a wrapper only: an object whose ``schedule`` is ``molrg.schedules.EDM()`` and which,
called with (x_t, t), returns ``D(x_t, schedule.sigma(t))``. (Its weights alone, ``D.state_dict()``, fit into
safetensors.) That is described here and not run by the tests.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from molrg import checks
from molrg.denoisers.networks import UNet
from molrg.schedules import DDPM, Discrete, Schedule

PREDICTIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}
SUMS = "SHA256SUMS"
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors.index.json")
SEALED = (".json", ".safetensors")  # configurations and weights: what a checkpoint is
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_LAYOUT = "a diffusers folder: unet/ (or its files at the top) with config.json and diffusion_pytorch_model.safetensors, and a scheduler_config.json"


@dataclass(frozen=True)
class _Place:
    """Where diffusers finds the two parts: a folder or a hub id, and a subfolder for each (None for the top)."""

    source: str
    unet: str | None
    scheduler: str | None
    revision: str | None = None

    def of(self, part: str | None) -> dict[str, Any]:
        return {
            "pretrained_model_name_or_path": self.source,
            "subfolder": part,
            "revision": self.revision,
        }


def from_pretrained(path_or_repo_id: str | Path, *, revision: str | None = None) -> UNet:
    """Load an unconditional diffusers U-Net with its scheduler as a denoiser, whatever it predicts.

    Old layouts (all files at the top, attention weights under their first names), learned variances, and every scheduler with a table of
    ``alphas_cumprod`` are understood. The images are what the network was trained on: its channels, its size.

    Source: ours, over the diffusers library.

    Args:
        path_or_repo_id: a local folder, or the id of a hub repository, such as "google/ddpm-cifar10-32".
        revision: branch, tag or commit on the hub; the main one where omitted.

    Returns:
        A `molrg.networks.UNet` in evaluation mode, float32, its parameters without gradients; `event` is (C, H, W).

    Raises:
        FileNotFoundError: where there is no such folder and the hub does not answer.
        ValueError: where the folder is not of this kind, holds only pickled weights, or is damaged.
    """
    checks.require(
        revision is None or isinstance(revision, str),
        "revision",
        repr(revision),
        "a name on the hub, or None",
    )
    place = (
        _local(Path(path_or_repo_id))
        if Path(path_or_repo_id).exists()
        else _on_hub(str(path_or_repo_id), revision)
    )
    schedule, prediction = _schedule(place)
    return UNet(_network(place), schedule, prediction=prediction).eval().requires_grad_(False)


def _local(folder: Path) -> _Place:
    """The parts of a local folder, once all that can be seen without loading is as it should be."""
    checks.require(
        folder.is_dir(),
        "path_or_repo_id",
        folder,
        _pickled(folder) if folder.suffix in PICKLES else _LAYOUT,
    )
    verify(folder)
    unet = "unet" if (folder / "unet").is_dir() else None
    scheduler = "scheduler" if (folder / "scheduler").is_dir() else None
    files = {path.name for path in (folder / (unet or "")).iterdir()}
    there = (
        "config.json" in files and (folder / (scheduler or "") / "scheduler_config.json").is_file()
    )
    checks.require(there, "path_or_repo_id", folder, _LAYOUT)
    pickles = sorted(name for name in files if Path(name).suffix in PICKLES)
    checks.require(
        bool(files & set(WEIGHTS)),
        "path_or_repo_id",
        folder,
        _pickled(pickles[0]) if pickles else _LAYOUT,
    )
    return _Place(str(folder), unet, scheduler)


def _pickled(name: str | Path) -> str:
    return (
        f"safetensors only, and {name} is pickled, which can run any code when read; where you trust it, load it with diffusers"
        " and write it again with save_pretrained(..., safe_serialization=True)"
    )


def _on_hub(repo_id: str, revision: str | None) -> _Place:
    """The parts of a hub repository; nothing but configurations is fetched."""
    from diffusers import DDPMScheduler, UNet2DModel

    def first(loader: Any, folder: str) -> str | None:
        reason = None
        for subfolder in (folder, None):
            try:
                loader.load_config(repo_id, subfolder=subfolder, revision=revision)
                return subfolder
            except (OSError, ValueError) as error:  # ValueError: no well-formed id
                reason = error
        raise FileNotFoundError(
            f"{repo_id}: no such folder here, and not found on the hub or in its cache ({type(reason).__name__}: {' '.join(str(reason).split())[:150]})."
            f" Name a local folder ({_LAYOUT}), or a model that is shipped (`molrg.zoo.names()` with `molrg.zoo.load`), or run"
            f" `python -m molrg fetch {repo_id}` once where there is a network"
        ) from reason

    return _Place(repo_id, first(UNet2DModel, "unet"), first(DDPMScheduler, "scheduler"), revision)


def _schedule(place: _Place) -> tuple[Schedule, str]:
    """The forward process and the prediction type that a scheduler's configuration stands for."""
    import diffusers

    config = _config(diffusers.DDPMScheduler, place, place.scheduler)
    name, argument = config.get("_class_name", ""), f"scheduler of {place.source}"
    kind = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    try:
        scheduler = kind.from_config(config) if kind is not None else None
    except (
        NotImplementedError,
        ImportError,
        ValueError,
        TypeError,
    ) as error:  # a noise table that it does not know, a part that is not installed
        raise ValueError(
            f"{argument} = {name}: allowed is one that diffusers can make ({' '.join(str(error).split())[:200]})"
        ) from error
    table = getattr(scheduler, "alphas_cumprod", None)
    checks.require(
        table is not None,
        argument,
        name or None,
        "one with a table of alphas_cumprod, such as DDPMScheduler",
    )
    settings = scheduler.config
    # networks of these see another time, or put out something that is no estimate of x_0, noise or v
    other = name == "LCMScheduler" or settings.get("timestep_type") == "continuous"
    checks.require(
        not other,
        argument,
        name,
        "one whose network sees discrete steps and predicts one of " + ", ".join(PREDICTIONS),
    )
    old = (
        "sample" if config.get("predict_epsilon") is False else "epsilon"
    )  # before there were prediction types
    prediction = config.get(
        "prediction_type",
        old if "predict_epsilon" in config else settings.get("prediction_type", old),
    )
    checks.one_of(f"prediction_type of {place.source}", prediction, tuple(PREDICTIONS))
    plain = (
        settings.get("beta_schedule") == "linear"
        and settings.get("trained_betas") is None
        and not settings.get("rescale_betas_zero_snr")
    )
    if plain:  # the same numbers, in double precision
        return DDPM(
            settings.num_train_timesteps, settings.beta_start, settings.beta_end
        ), PREDICTIONS[prediction]
    table = table.double()  # a last signal of zero has no noise level
    return Discrete(
        torch.where(table > 0, table, (table[table > 0].min() / 4).clamp_max(2.0**-24))
    ), PREDICTIONS[prediction]


def _config(loader: Any, place: _Place, part: str | None) -> dict[str, Any]:
    try:
        config = loader.load_config(**place.of(part))
        checks.require(
            isinstance(config, dict), "its content", type(config).__name__, "an object of settings"
        )
        return config
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"path_or_repo_id = {place.source}: allowed is {_LAYOUT} ({' '.join(str(error).split())[:200]})"
        ) from error


def _network(place: _Place) -> torch.nn.Module:
    """The U-Net with exactly the weights that it asks for, all finite."""
    from diffusers import UNet2DModel
    from safetensors import SafetensorError

    config = _config(UNet2DModel, place, place.unet)
    checks.require(
        config.get("_class_name") == "UNet2DModel",
        f"network of {place.source}",
        config.get("_class_name"),
        "a UNet2DModel",
    )
    classes = config.get("num_class_embeds") or config.get("class_embed_type")
    checks.require(
        classes is None,
        f"network of {place.source}",
        "conditional on classes",
        "an unconditional one",
    )
    channels, out = config.get("in_channels", 3), config.get("out_channels", 3)
    checks.require(
        out in (channels, 2 * channels),
        f"out_channels of {place.source}",
        out,
        f"{channels}, or {2 * channels} with learned variances",
    )
    name = f"weights of {place.source}"
    pickles = [shard for shard in _shards(place) if not shard.endswith(".safetensors")]
    checks.require(
        not pickles, name, pickles[:3], "safetensors only"
    )  # diffusers would read them, whatever it is told
    try:
        network, told = UNet2DModel.from_pretrained(
            **place.of(place.unet),
            use_safetensors=True,
            low_cpu_mem_usage=False,
            torch_dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, SafetensorError, ValueError, RuntimeError, TypeError) as error:
        told = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{name} = unreadable ({told}): allowed is a whole safetensors file that fits config.json"
        ) from error
    wrong = {key: sorted(map(str, value))[:3] for key, value in told.items() if value}
    checks.require(not wrong, name, wrong, "exactly the tensors that config.json asks for")
    bad = [key for key, value in network.state_dict().items() if not bool(value.isfinite().all())]
    checks.require(not bad, name, f"{bad[:3]} with NaN or infinity", "finite numbers")
    return network


def _shards(place: _Place) -> list[str]:
    """The files that an index of weights names, in a folder or on the hub; none where there is a single file."""
    from diffusers import ConfigMixin

    class Index(ConfigMixin):
        config_name = WEIGHTS[1]

    try:
        return sorted(
            set(map(str, Index.load_config(**place.of(place.unet))["weight_map"].values()))
        )
    except OSError:  # not there, or out of reach, as it then is when weights are read
        return []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"weights of {place.source} = an unreadable {WEIGHTS[1]}: allowed is one with a weight_map"
        ) from error


def save(denoiser: UNet, folder: str | Path, *, half: bool = False) -> Path:
    """Write a denoiser as a folder that ``diffusers.DDPMPipeline.from_pretrained`` loads.

    Everything is written beside it first, and then moved, so what can fail has failed before a file is replaced.

    Args:
        denoiser: on the `DDPM` schedule, with data_scale 1 (others have no name in diffusers).
        folder: where to; other files that are in it stay.
        half: store float16, half the bytes; diffusers, and `from_pretrained`, load it as float32. The denoiser stays as it is.

    Returns:
        The folder.

    Raises:
        ValueError: where diffusers has no name for the schedule or the scale.
    """
    from diffusers import DDPMPipeline, DDPMScheduler

    schedule, folder = denoiser.schedule, Path(folder)
    named = isinstance(schedule, DDPM) and denoiser.data_scale == 1
    checks.require(
        named,
        "denoiser",
        f"{type(schedule).__name__} with data_scale {denoiser.data_scale}",
        "on DDPM with data_scale 1",
    )
    names = {ours: theirs for theirs, ours in PREDICTIONS.items()}
    scheduler = DDPMScheduler(
        schedule.steps,
        schedule.beta_start,
        schedule.beta_end,
        prediction_type=names[denoiser.prediction],
    )
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    DDPMPipeline(
        copy.deepcopy(denoiser.network).half() if half else denoiser.network, scheduler
    ).save_pretrained(partial)
    for path in sorted(partial.rglob("*.json")):
        tidy = {
            key: value
            for key, value in json.loads(path.read_text(encoding="utf-8")).items()
            if key != "_name_or_path"
        }
        path.write_text(json.dumps(tidy, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / SUMS).unlink(missing_ok=True)  # of what was there before
    for path in sorted(path for path in partial.rglob("*") if path.is_file()):
        target = folder / path.relative_to(partial)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    shutil.rmtree(partial)
    return folder


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def seal(folder: str | Path) -> Path:
    """Write ``SHA256SUMS`` for the configurations and weights of a folder, in the form that ``sha256sum --check`` reads."""
    folder = Path(folder)
    files = sorted(path for path in folder.rglob("*") if path.suffix in SEALED)
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return folder / SUMS


def verify(folder: str | Path) -> bool:
    """Compare a folder with its ``SHA256SUMS``.

    Returns:
        Whether there was such a file.

    Raises:
        ValueError: where a file is missing, is not the one that was sealed, or was added.
    """
    folder = Path(folder)
    if not (folder / SUMS).is_file():
        return False
    sums = {
        name: wanted
        for wanted, _, name in (
            line.partition("  ")
            for line in (folder / SUMS).read_text(encoding="utf-8").splitlines()
        )
    }
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix in (*SEALED, *PICKLES)
    }
    added = sorted(there - set(sums))
    checks.require(not added, f"files of {folder}", added[:3], f"those in {SUMS}")
    for name, wanted in sums.items():
        path = folder / name
        found = sha256(path) if path.is_file() else "missing"
        checks.require(
            found == wanted,
            f"sha256 of {path}",
            found,
            f"{wanted}, as in {SUMS} (altered or cut short: get the folder again)",
        )
    return True
