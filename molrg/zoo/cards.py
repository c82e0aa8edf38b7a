"""Cards: what a trained model is, what it cost, how good it is, and how it was measured."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import molrg
from molrg import images, sampling
from molrg.denoisers import checkpoints, seals
from molrg.denoisers.networks import UNet
from molrg.images import quality
from molrg.zoo import known_law, readers, reading, recipes, shipped
from molrg.zoo.classifiers import Classifier, accuracy, in_batches

SAMPLES, STEPS = 1000, 18


@torch.no_grad()
def generate(
    denoiser: UNet, n: int, *, steps: int = STEPS, seed: int = 0, batch: int = 250
) -> Tensor:
    """Draw n images with Heun's method on the times of `molrg.sampling.time_grid`, clipped to [-1, 1].

    Args:
        denoiser: an image model.
        n: number of images, >= 1.
        steps: of the sampler, two evaluations each (one where a step ends without noise).
        seed: of the noise.
        batch: images at once.
    """
    generator = torch.Generator().manual_seed(seed)
    times = sampling.time_grid(denoiser.schedule, steps)
    start = sampling.prior(
        (n, *denoiser.event), denoiser.schedule, generator=generator, dtype=torch.float32
    )
    return torch.cat(
        [
            sampling.finish(sampling.heun(denoiser, x_t, times)).clamp(-1, 1)
            for x_t in start.split(batch)
        ]
    )


def grid(pictures: Tensor, columns: int = 12, zoom: int = 2) -> Any:
    """Images (B, C, H, W) in [-1, 1] as one PIL picture."""
    from PIL import Image

    rows = [torch.cat(tuple(row), dim=2) for row in pictures.split(columns) if len(row) == columns]
    pixels = (
        ((torch.cat(rows, dim=1) + 1) * 127.5)
        .round()
        .clamp(0, 255)
        .byte()
        .permute(1, 2, 0)
        .squeeze(-1)
        .numpy()
    )
    picture = Image.fromarray(pixels)
    return picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)


def measure_denoiser(
    denoiser: UNet, data: str, classifier: Classifier | None
) -> tuple[dict[str, Any], Tensor]:
    """Quality of a model's samples: Frechet distances with their scale, and the classes found.

    The reference are test images but for the last thousand (for a small set, half of them), which are the held-out ones.

    Returns:
        The figures, and the samples.
    """
    test = recipes.pictures(data, "test")
    test = test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))]
    count = min(SAMPLES, len(test) // 2)
    reference, held_out = test[:-count], test[-count:]
    samples = generate(denoiser, count)
    if classifier is None:
        return {"samples_drawn": count}, samples
    distances = quality.scale(
        lambda x: in_batches(classifier.features, x),
        samples,
        reference,
        held_out,
        generator=torch.Generator().manual_seed(1),
    )
    found, real = (quality.histogram(in_batches(classifier, x)) for x in (samples, held_out))
    classes = {
        "classes": found.tolist(),
        "classes_of_held_out": real.tolist(),
        "histogram_distance": 0.5 * (found - real).abs().sum().item(),
    }
    return {
        "samples_drawn": count,
        "reference": len(reference),
        "frechet": distances,
    } | classes, samples


def write(
    name: str,
    recipe: Any,
    folder: Path,
    history: Tensor,
    cpu_seconds: float,
    *,
    models: Path = shipped.MODELS,
) -> dict[str, Any]:
    """Measure a trained model, write record, pictures and card beside its weights, and seal the folder.

    Args:
        name: of the recipe.
        recipe: its settings.
        folder: where its weights are.
        history: loss at every step.
        cpu_seconds: what training took.
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
        "arithmetic": recipe.arithmetic,
        "made_with": _versions(),
        "loss": _binned(history),
    }
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
        record["quality"], samples = measure_denoiser(denoiser, recipe.data, classifier)
        if recipe.data == "faces":
            record["law"] = known_law.judge(denoiser, recipe.data)
        grid(samples[:96]).save(folder / "samples.png", optimize=True)
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
    from importlib.metadata import version

    return {
        "molrg": molrg.__version__,
        "python": platform.python_version(),
        **{p: version(p) for p in ("torch", "diffusers")},
    }


def _binned(history: Tensor, bins: int = 100) -> list[float]:
    """The loss in at most a hundred means of equal length."""
    return [round(part.mean().item(), 5) for part in history.tensor_split(min(bins, len(history)))]


def _draw_loss(history: Tensor, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.6), layout="constrained")
    axes = figure.subplots()
    binned = _binned(history)
    axes.semilogy(
        [(k + 0.5) * len(history) / len(binned) for k in range(len(binned))], binned, color="0.2"
    )
    axes.set(xlabel="step", ylabel="training loss")
    figure.savefig(path, dpi=100, metadata={"Software": None})


def card(record: dict[str, Any], folder: Path) -> str:
    """The card, from the record (with a `note` where something has to be said about the data) and the checksums of its folder."""
    name, recipe = record["name"], record["recipe"]
    parts = [f"# {name}", _intent(record), _table(record)]
    parts += [_quality(record)] if "quality" in record else []
    parts += [known_law.section(record["law"])] if "law" in record else []
    parts += [_accuracy(record)] if "accuracy" in record else []
    parts += [readers.section(record["readings"])] if "readings" in record else []
    parts += ["## Training loss", "![Training loss against the step](loss.png)"]
    lines = (folder / seals.SUMS).read_text(encoding="utf-8").strip()
    parts += [
        "## sha256",
        f"```\n{lines}\n```",
        " ".join(
            [
                f"Trained on {_credit(recipe['data'])}.",
                *([record["note"]] if "note" in record else []),
            ]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _intent(record: dict[str, Any]) -> str:
    if record["kind"] == "reading":
        return (
            "A small convolutional network that reads every attribute, colour and the pose of a drawn face."
            f' `molrg.zoo.load("{record["name"]}")`.'
        )
    if record["kind"] == "classifying":
        return (
            f"A small convolutional classifier of the images `{record['recipe']['data']}`: the eye that the quality of generated images is"
            f' measured with. `molrg.zoo.load("{record["name"]}")`.'
        )
    return (
        f"A small diffusion model of the images `{record['recipe']['data']}`, unconditional. In plain diffusers:"
        f' `DDPMPipeline.from_pretrained(folder)`; here: `molrg.zoo.load("{record["name"]}")`, which checks the sha256.'
    )


def _table(record: dict[str, Any]) -> str:
    recipe = record["recipe"]
    rows = {
        "Made by": f"`python -m molrg train {record['name']}`",
        "Recipe": ", ".join(f"{key} {value}" for key, value in recipe.items()),
        "Steps": f"{record['steps']}, {record['steps'] * recipe['batch']} images seen",
        "Cost": f"{record['cpu_seconds']} CPU-seconds, threads: {record['threads']}, {record['arithmetic']}",
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
    told = ", ".join(
        f"{value:.4f} on the {split} split" for split, value in record["accuracy"].items()
    )
    return f"Accuracy: {told}."


def _quality(record: dict[str, Any]) -> str:
    found = record["quality"]
    picture = "![Samples, drawn at random](samples.png)"
    if "law" in record:
        return f"## Samples\n\n{picture}"
    if "frechet" not in found:
        return f"## Samples\n\n{picture}\n\nNo classifier of these images is there: not measured."
    distances = found["frechet"]
    rows = [
        f"| {key} | {distances[key]:.2f} |"
        for key in ("floor", "samples", "noisy", "blurred", "noise")
    ]
    return "\n".join(
        [
            "## Quality",
            "",
            picture,
            "",
            f"Frechet distance, in the 64 features of `{record['recipe']['data']}-classifier`, of {found['samples_drawn']} images to"
            f" {found['reference']} test images; floor: as many other test images, and what noise of standard deviation 0.2, a blur over 3 by 3"
            " pixels, and pure noise make of them.",
            "",
            "| images | distance |",
            "|---|---|",
            *rows,
            "",
            f"(samples - floor) / (noisy - floor) = {distances['excess']:.3f}. Samples: Heun's method, {STEPS} steps, seed 0.",
            "",
            "Classes, by the classifier (samples / held-out images): "
            + ", ".join(
                f"{a:.3f} / {b:.3f}"
                for a, b in zip(found["classes"], found["classes_of_held_out"], strict=True)
            )
            + f"; half the sum of differences {found['histogram_distance']:.3f}.",
        ]
    )
