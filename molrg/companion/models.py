"""The page of the trained models: made from the records beside their weights alone."""

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
    """Tables of diffusion models, classifiers and readers, and samples of each diffusion model."""
    kinds = {
        kind: {name: record for name, record in records.items() if record["kind"] == kind}
        for kind in ("denoising", "classifying", "reading")
    }
    cost = ("images seen", "CPU minutes")
    parts = [
        _table(
            ("model", "predicts", *cost, "distance", "classes off"),
            (_denoiser(name, record) for name, record in kinds["denoising"].items()),
        ),
        _table(
            ("classifier", *cost, "test accuracy"),
            (_classifier(name, record) for name, record in kinds["classifying"].items()),
        ),
        _table(
            ("reader", *cost, "attributes", "least score"),
            (_reader(name, record) for name, record in kinds["reading"].items()),
        ),
        *(_samples(name, record) for name, record in kinds["denoising"].items()),
    ]
    return "\n\n".join(parts) + "\n"


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


def _reader(name: str, record: Mapping[str, Any]) -> list[str]:
    """A network that reads attributes off pictures; its scores are accuracies and R squared."""
    scores = [score for read in record["readings"].values() for score in read.values()]
    attributes = {attribute for read in record["readings"].values() for attribute in read}
    return [f"`{name}`", *_cost(record), f"{len(attributes)}", f"{min(scores):.2f}"]


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
