"""The page of the trained models: made from the records beside their weights, and from nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from molrg.zoo import shipped

_PREDICTS = {"x0": "clean image", "eps": "noise", "v": "v"}


def write(generated: Path) -> None:
    """Write ``models.md`` and the pictures of samples that it shows into a folder."""
    records = {name: shipped.record(name) for name in shipped.names()}
    pictures = generated / "models"
    pictures.mkdir()
    for name in records:
        if (shipped.MODELS / name / "samples.png").is_file():
            shutil.copyfile(shipped.MODELS / name / "samples.png", pictures / f"{name}.png")
    (generated / "models.md").write_text(markdown(records), encoding="utf-8")


def markdown(records: Mapping[str, dict[str, Any]]) -> str:
    """Two tables, of diffusion models and of classifiers, and the samples of each diffusion model."""
    denoisers = {name: record for name, record in records.items() if record["kind"] == "denoising"}
    classifiers = {
        name: record for name, record in records.items() if record["kind"] == "classifying"
    }
    first = _table(
        ("model", "predicts", "images seen", "CPU minutes", "distance", "classes off"),
        (_denoiser(name, record) for name, record in denoisers.items()),
    )
    second = _table(
        ("classifier", "images seen", "CPU minutes", "test accuracy"),
        (_classifier(name, record) for name, record in classifiers.items()),
    )
    return (
        "\n\n".join(
            [first, second, *(_samples(name, record) for name, record in denoisers.items())]
        )
        + "\n"
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def _cost(record: Mapping[str, Any]) -> tuple[str, str]:
    return f"{record['steps'] * record['recipe']['batch']:,}", f"{record['cpu_seconds'] / 60:.0f}"


def _denoiser(name: str, record: Mapping[str, Any]) -> list[str]:
    recipe, found = record["recipe"], record["quality"]
    measured = (
        [f"{found['frechet']['excess']:.2f}", f"{found['histogram_distance']:.2f}"]
        if "frechet" in found
        else ["", ""]
    )
    return [f"`{name}`", _PREDICTS[recipe["prediction"]], *_cost(record), *measured]


def _classifier(name: str, record: Mapping[str, Any]) -> list[str]:
    return [f"`{name}`", *_cost(record), f"{record['accuracy']['test']:.4f}"]


def _samples(name: str, record: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            f"```{{figure}} _generated/models/{name}.png",
            f":name: fig-samples-{name}",
            f":alt: A grid of small pictures, samples of the model {name}",
            ":class: photo",
            "",
            f"Samples of `{name}`, the first drawn, none chosen.",
            "```",
        ]
    )
