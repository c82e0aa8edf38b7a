"""The zoo: trained image models, with their cards and checksums, and the recipes that made them.

``load(name)`` gives a shipped model; ``train(name)`` makes one again, and may be stopped and
continued.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from molrg import checks, devices, files
from molrg.zoo import cards, recipes, running, shipped
from molrg.zoo.recipes import RECIPES
from molrg.zoo.shipped import load, load_denoiser, names, record, verify

__all__ = [
    "RECIPES",
    "cards",
    "load",
    "load_denoiser",
    "names",
    "recipes",
    "record",
    "running",
    "shipped",
    "train",
    "verify",
]


def train(
    name: str,
    *,
    device: str | torch.device = "cpu",
    build: str | Path = "_build",
    keep: bool = False,
    console: Console | None = None,
    until: int | None = None,
) -> Path:
    """Train a model by its recipe; the same call goes on where an earlier one was stopped.

    Times, noise and the choice of images are the same on every device. A training that was begun on
    one may go on on another, in the arithmetic that it was begun in.

    Args:
        name: a key of `RECIPES`.
        device: where to train; "auto" is a GPU where there is one.
        build: folder for the resume file, ``train/<name>.safetensors``, and for the result,
            ``zoo/<name>``.
        keep: put the result among the shipped models instead.
        console: where progress goes; standard output where omitted.
        until: stop after this many steps in all, >= 1, saved and unfinished; at the end where
            omitted.

    Returns:
        The folder with weights and card; where it stopped early, the resume file.

    Raises:
        ValueError: where there is no such recipe or device, another process trains the same, or a
            resume file is damaged or of another recipe.
        FileNotFoundError: where the data cannot be had.
        OSError: where nothing can be written, before the first step.
        KeyboardInterrupt: on Ctrl-C and the like, once the state is saved.
    """
    recipe = RECIPES[checks.one_of("name", name, tuple(RECIPES))]
    place = devices.chosen(device)
    until = until if until is None else checks.count("until", until)
    build = Path(build)
    file = build / "train" / f"{name}.safetensors"
    results = shipped.MODELS if keep else build / "zoo"
    running.require_writable(results)
    with running.alone(file):
        arithmetic = running.begun_in(file) or recipe.arithmetic(place)
        trainer: Any = recipe.trainer(place, arithmetic)
        about = recipes.plain(recipe) | {"arithmetic": arithmetic}
        run = running.run(trainer, file, about, console=console or Console(), until=until)
        if trainer.done < trainer.steps:
            return file
        with files.replacing(results / name) as aside:
            recipe.export(trainer, aside)
            cards.write(name, recipe, aside, *run, arithmetic=arithmetic, device=place)
    return results / name
