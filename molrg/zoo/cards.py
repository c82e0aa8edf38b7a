"""Cards: what a trained model is, what it cost, how good it is, and how it was measured."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import molrg
from molrg import images
from molrg.denoisers import checkpoints, seals
from molrg.zoo import known_law, measuring, readers, reading, recipes, shipped
from molrg.zoo.classifiers import accuracy


def write(
    name: str,
    recipe: Any,
    folder: Path,
    history: Tensor,
    cpu_seconds: float,
    *,
    arithmetic: str,
    device: torch.device | None = None,
    models: Path = shipped.MODELS,
) -> dict[str, Any]:
    """Measure a trained model, write record, pictures and card beside it, and seal the folder.

    Args:
        name: of the recipe.
        recipe: its settings.
        folder: where its weights are.
        history: loss at every step.
        cpu_seconds: what training took.
        arithmetic: what the layers were trained in.
        device: where, if not on the CPU.
        models: where the classifier of the same images is looked for.

    Returns:
        The record.
    """
    record: dict[str, Any] = {
        "name": name,
        "kind": type(recipe).__name__.lower(),
        "recipe": recipes.plain(recipe),
        "steps": len(history),
        "cpu_seconds": round(cpu_seconds),
        "threads": torch.get_num_threads(),
        "arithmetic": arithmetic,
        "made_with": _versions(),
        "loss": _binned(history),
    }
    if device is not None and device.type != "cpu":
        record["device"] = device.type
    if isinstance(recipe, reading.Reading):
        record["readings"] = readers.held_out(readers.load(folder))
    elif isinstance(recipe, recipes.Classifying):
        record["accuracy"] = {
            split: accuracy(shipped.load_classifier(folder), *images.load(recipe.data, split))
            for split in images.SPLITS
        }
    else:
        eye = models / f"{recipe.data}-classifier"
        classifier = shipped.load_classifier(eye) if eye.is_dir() else None
        denoiser = checkpoints.from_pretrained(folder)
        record["parameters"] = sum(p.numel() for p in denoiser.parameters())
        record["quality"], samples = measuring.measure_denoiser(denoiser, recipe.data, classifier)
        if recipe.data == "faces":
            record["law"] = known_law.judge(denoiser, recipe.data)
        measuring.grid(samples[:96]).save(folder / "samples.png", optimize=True)
    _draw_loss(history, folder / "loss.png")
    (folder / "record.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    seals.seal(folder)
    (folder / "README.md").write_text(card(record, folder), encoding="utf-8")
    return record


def _credit(data: str) -> str:
    """Whose the training data are, and under what licence."""
    if data == "white-noise":
        return "independent normal pixels: no one's"
    return images.record(data).credit


def _versions() -> dict[str, str]:
    return {
        "molrg": molrg.__version__,
        "python": platform.python_version(),
        **{p: version(p) for p in ("torch", "diffusers")},
    }


def _binned(history: Tensor, bins: int = 100) -> list[float]:
    """The loss in at most a hundred means of equal length."""
    return [round(part.mean().item(), 5) for part in history.tensor_split(min(bins, len(history)))]


def _draw_loss(history: Tensor, path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - loading a model must not draw

    figure = Figure(figsize=(5, 2.6), layout="constrained")
    axes = figure.subplots()
    binned = _binned(history)
    axes.semilogy(
        [(k + 0.5) * len(history) / len(binned) for k in range(len(binned))], binned, color="0.2"
    )
    axes.set(xlabel="step", ylabel="training loss")
    figure.savefig(path, dpi=100, metadata={"Software": None})


def card(record: dict[str, Any], folder: Path) -> str:
    """The card of a model, from its record and the checksums of its folder.

    Args:
        record: as `write` returns it, with a `note` where something has to be said about the data.
        folder: of the model.
    """
    parts = [f"# {record['name']}", _intent(record), _table(record)]
    parts += [_quality(record)] if "quality" in record else []
    parts += [known_law.section(record["law"])] if "law" in record else []
    parts += [_accuracy(record)] if "accuracy" in record else []
    parts += [readers.section(record["readings"])] if "readings" in record else []
    parts += ["## Training loss", "![Training loss against the step](loss.png)"]
    lines = (folder / seals.SUMS).read_text(encoding="utf-8").strip()
    credit = f"Trained on {_credit(record['recipe']['data'])}."
    note = [record["note"]] if "note" in record else []
    parts += ["## sha256", f"```\n{lines}\n```", " ".join([credit, *note])]
    return "\n\n".join(parts) + "\n"


def _intent(record: dict[str, Any]) -> str:
    load = f'`molrg.zoo.load("{record["name"]}")`'
    if record["kind"] == "reading":
        return (
            "A small convolutional network that reads every attribute, colour and the pose of a"
            f" drawn face. {load}."
        )
    data = f"`{record['recipe']['data']}`"
    if record["kind"] == "classifying":
        return (
            f"A small convolutional classifier of the images {data}: the eye that the quality of"
            f" generated images is measured with. {load}."
        )
    return (
        f"A small diffusion model of the images {data}, unconditional. In plain diffusers:"
        f" `DDPMPipeline.from_pretrained(folder)`; here: {load}, which checks the sha256."
    )


def _table(record: dict[str, Any]) -> str:
    recipe = record["recipe"]
    place = f", on {record['device']}" if "device" in record else ""
    rows = {
        "Made by": f"`python -m molrg train {record['name']}`",
        "Recipe": ", ".join(f"{key} {value}" for key, value in recipe.items()),
        "Steps": f"{record['steps']}, {record['steps'] * recipe['batch']} images seen",
        "Cost": f"{record['cpu_seconds']} CPU-seconds, threads: {record['threads']},"
        f" {record['arithmetic']}{place}",
        "Made with": ", ".join(f"{key} {value}" for key, value in record["made_with"].items()),
    }
    if "parameters" in record:
        rows["Parameters"] = (
            f"{record['parameters']}; the weights are the moving average, stored as float16"
        )
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]
    )


def _accuracy(record: dict[str, Any]) -> str:
    shares = [f"{share:.4f} on the {split} split" for split, share in record["accuracy"].items()]
    return f"Accuracy: {', '.join(shares)}."


def _quality(record: dict[str, Any]) -> str:
    found = record["quality"]
    picture = "![Samples, drawn at random](samples.png)"
    if "law" in record:
        return f"## Samples\n\n{picture}"
    if "frechet" not in found:
        return f"## Samples\n\n{picture}\n\nNo classifier of these images is there: not measured."
    distances = found["frechet"]
    features = f"`{record['recipe']['data']}-classifier`"
    names = ("floor", "samples", "noisy", "blurred", "noise")
    pairs = zip(found["classes"], found["classes_of_held_out"], strict=True)
    shares = ", ".join(f"{drawn:.3f} / {real:.3f}" for drawn, real in pairs)
    lines = [
        "## Quality",
        "",
        picture,
        "",
        f"Frechet distance, in the 64 features of {features}, of {found['samples_drawn']} images to"
        f" {found['reference']} test images; floor: as many other test images, and what noise of"
        " standard deviation 0.2, a blur over 3 by 3 pixels, and pure noise make of them.",
        "",
        "| images | distance |",
        "|---|---|",
        *(f"| {name} | {distances[name]:.2f} |" for name in names),
        "",
        f"(samples - floor) / (noisy - floor) = {distances['excess']:.3f}. Samples: Heun's method,"
        f" {measuring.STEPS} steps, seed 0.",
        "",
        f"Classes, by the classifier (samples / held-out images): {shares}; half the sum of"
        f" differences {found['histogram_distance']:.3f}.",
    ]
    return "\n".join(lines)
