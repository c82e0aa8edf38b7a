"""Commands of models and data: train, draw, fetch, and what is there."""

from __future__ import annotations

import argparse
import os

from rich.console import Console

from molrg import claims
from molrg.companion.commands import Commands


def add(commands: Commands) -> None:
    """Add their arguments and functions to the command line."""
    _train_arguments(commands)
    _draw_arguments(commands)
    _fetch_arguments(commands)
    _doctor_arguments(commands)


def _train_arguments(commands: Commands) -> None:
    train = commands.add_parser(
        "train", help="train an image model; may be stopped, and continued by the same command"
    )
    train.add_argument("name", help="a recipe, such as faces; any other word lists them")
    train.add_argument(
        "--keep", action="store_true", help="put it among the shipped models, molrg/zoo/models"
    )
    train.add_argument(
        "--device",
        default="cpu",
        help="where to train: cpu, cuda, or auto for a GPU if there is one",
    )
    train.set_defaults(do=_train)


def _train(args: argparse.Namespace, console: Console) -> int:
    from molrg import zoo

    folder = zoo.train(
        args.name,
        device=args.device,
        build=claims.root() / "_build",
        keep=args.keep,
        console=console,
    )
    console.print(f"weights and card: {os.path.relpath(folder)}", highlight=False, soft_wrap=True)
    return 0


def _draw_arguments(commands: Commands) -> None:
    drawing = commands.add_parser("draw", help="draw a shipped image set again, from its art")
    drawing.add_argument("name", choices=["faces"], help="faces, in half a minute a size")
    drawing.set_defaults(do=_draw)


def _draw(args: argparse.Namespace, console: Console) -> int:
    from molrg.images.faces import art, maps

    file = claims.root() / "_build" / "images" / f"{args.name}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    art.make(file)
    same = maps.equal(file, maps.FILE)
    told = "equal to the shipped ones" if same else "NOT equal to the shipped ones"
    console.print(f"{os.path.relpath(file)}: arrays {told}", highlight=False, soft_wrap=True)
    return 0 if same else 1


def _fetch_arguments(commands: Commands) -> None:
    fetch = commands.add_parser("fetch", help="download data or a model, for going offline later")
    fetch.add_argument(
        "name",
        help="a full image set, such as mnist, or a diffusers model of the hub, as owner/name",
    )
    fetch.set_defaults(do=_fetch)


def _fetch(args: argparse.Namespace, console: Console) -> int:
    from molrg import images
    from molrg.denoisers import checkpoints

    if "/" in args.name:
        checkpoints.from_pretrained(args.name)
        console.print(
            f"{args.name} is here, whole, and can be loaded", highlight=False, soft_wrap=True
        )
        return 0
    for path in images.fetch(args.name):
        console.print(str(path), highlight=False, soft_wrap=True)
    return 0


def _doctor_arguments(commands: Commands) -> None:
    commands.add_parser(
        "doctor", help="what is installed, which data are there, what would be downloaded"
    ).set_defaults(do=_doctor)


def _doctor(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import doctor

    return 0 if doctor.report(console) else 1
