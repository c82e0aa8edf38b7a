"""What is shipped: folders of weights with their cards, checked before use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from molrg import checks, devices, files
from molrg.denoisers import checkpoints, seals
from molrg.denoisers.networks import UNet
from molrg.zoo import readers
from molrg.zoo.classifiers import Classifier

MODELS = Path(__file__).parent / "models"
CLASSIFIER = "model.safetensors"  # weights of a classifier; a denoiser has a folder unet


def names() -> list[str]:
    """The models that are shipped."""
    return sorted(path.parent.name for path in MODELS.glob(f"*/{seals.SUMS}"))


def verify() -> dict[str, int]:
    """Check every file of every model against its sha256.

    Returns:
        The bytes of each model.

    Raises:
        ValueError: where a file is altered or missing.
    """
    for name in names():
        seals.verify(MODELS / name)
    return {
        name: sum(path.stat().st_size for path in (MODELS / name).rglob("*") if path.is_file())
        for name in names()
    }


def record(name: str) -> dict[str, Any]:
    """What stands in a shipped model's card, as data: recipe, cost, loss, quality.

    Raises:
        ValueError: where there is no such model.
    """
    place = MODELS / checks.one_of("name", name, tuple(names()))
    return json.loads((place / "record.json").read_text(encoding="utf-8"))


def load(
    name: str, *, folder: str | Path | None = None, device: str | torch.device = "cpu"
) -> UNet | Classifier | readers.Readers:
    """A shipped model, its sha256 checked; or any diffusers folder or hub id.

    Args:
        name: one of `names`, or what `molrg.denoisers.from_pretrained` takes, so that the name of a
            model in a notebook may be that of one of the field.
        folder: where the models are; the shipped ones where omitted.
        device: where the model goes; "auto" is a GPU where there is one.

    Raises:
        FileNotFoundError: where there is no such model.
        ValueError: where a file is altered, the folder is of another kind, or there is no such
            device.
    """
    target = devices.chosen(device)
    place = Path(folder or MODELS) / name
    if "/" in str(name) or (not place.is_dir() and Path(name).exists()):
        return checkpoints.from_pretrained(name, device=target)
    if not place.is_dir():
        raise FileNotFoundError(
            f"{name}: no such model; shipped are {', '.join(names()) or 'none'}, others by folder"
            " or hub id"
        )
    if not seals.verify(place):
        raise ValueError(f"sha256 of {place} = missing: allowed is a folder with {seals.SUMS}")
    if (place / readers.WEIGHTS).is_file():
        return readers.load(place).to(target)
    if (place / CLASSIFIER).is_file():
        return load_classifier(place).to(target)
    return checkpoints.from_pretrained(place, device=target)


def load_denoiser(
    name: str, *, folder: str | Path | None = None, device: str | torch.device = "cpu"
) -> UNet:
    """`load`, for a name that has to be that of a denoiser.

    Args:
        name: as in `load`, like folder and device.
        folder: where the models are.
        device: where the model goes.

    Raises:
        FileNotFoundError: as `load`.
        ValueError: as `load`, and where the model is no denoiser.
    """
    model = load(name, folder=folder, device=device)
    if not isinstance(model, UNet):
        raise ValueError(f"name = {name!r}, a {type(model).__name__}: allowed is a denoiser")
    return model


def save_classifier(model: Classifier, folder: Path) -> None:
    """Write a classifier as config.json and model.safetensors.

    Args:
        model: of any device.
        folder: where to; made where it is missing.
    """
    config = {"shape": list(model.shape), "classes": model.classes}
    with files.replacing(folder / "config.json") as aside:
        aside.write_text(json.dumps(config) + "\n", encoding="utf-8")
    with files.replacing(folder / CLASSIFIER) as aside:
        save_file(model.state_dict(), aside)


def load_classifier(folder: Path) -> Classifier:
    """Read what `save_classifier` has written, on the CPU.

    Args:
        folder: with both files.

    Raises:
        ValueError: where the weights are damaged or do not fit.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model = Classifier(tuple(config["shape"]), config["classes"])
        model.load_state_dict(load_file(folder / CLASSIFIER))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"weights of {folder} = unreadable ({reason}): allowed is config.json and weights that"
            " fit it"
        ) from error
    bad = [key for key, value in model.state_dict().items() if not bool(value.isfinite().all())]
    if bad:
        raise ValueError(
            f"weights of {folder} = {bad[:3]} with NaN or infinity: allowed is finite numbers"
        )
    return model.eval().requires_grad_(False)
