"""The zoo: trained image models, with their cards and checksums, and the recipes that made them.

``load(name)`` gives a shipped model; ``train(name)`` makes one again, and may be stopped and continued.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from molrg import checks
from molrg.zoo import cards, recipes, running, shipped
from molrg.zoo.recipes import RECIPES
from molrg.zoo.shipped import load, names, record, verify

__all__ = [
    "RECIPES",
    "cards",
    "load",
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
    build: str | Path = "_build",
    keep: bool = False,
    console: Console | None = None,
    until: int | None = None,
) -> Path:
    """Train a model by its recipe; the same call goes on where an earlier one was stopped.

    Args:
        name: a key of `RECIPES`.
        build: folder for the resume file, ``train/<name>.safetensors``, and for the result, ``zoo/<name>``.
        keep: put the result among the shipped models instead.
        console: where progress goes; standard output where omitted.
        until: stop after this many steps in all, >= 1, saved and unfinished; at the end where omitted.

    Returns:
        The folder with weights and card; where it stopped early, the resume file.

    Raises:
        ValueError: where there is no such recipe, or a resume file is damaged, or of another recipe or arithmetic.
        FileNotFoundError: where the data cannot be had.
        KeyboardInterrupt: on Ctrl-C, once the state is saved.
    """
    recipe = RECIPES[checks.one_of("name", name, tuple(RECIPES))]
    console, build = console or Console(), Path(build)
    until = until if until is None else checks.count("until", until)
    file = build / "train" / f"{name}.safetensors"
    about: dict[str, Any] = recipes.plain(recipe) | {"arithmetic": recipe.arithmetic}
    trainer = recipe.trainer()
    history, cpu_seconds = running.run(trainer, file, about, console=console, until=until)
    if trainer.done < trainer.steps:
        return file
    folder, fresh = (
        (shipped.MODELS if keep else build / "zoo") / name,
        build / "zoo" / f"{name}.part",
    )
    shutil.rmtree(fresh, ignore_errors=True)
    recipe.export(trainer, fresh)
    cards.write(name, recipe, fresh, history, cpu_seconds)
    shutil.rmtree(
        folder, ignore_errors=True
    )  # complete, so it may take the place of what was there
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(fresh, folder))
