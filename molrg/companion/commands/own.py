"""Commands for images and models of one's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from molrg.companion import asked
from molrg.companion.commands import Commands
from molrg.companion.terminal import harmless


def add(commands: Commands) -> None:
    """Add their arguments and functions to the command line."""
    _describe_arguments(commands)
    _report_arguments(commands)


def _describe_arguments(commands: Commands) -> None:
    own = commands.add_parser(
        "describe",
        help="the intrinsic dimension of your own images, and what their number allows to say",
    )
    own.add_argument(
        "path",
        type=Path,
        help="a folder of pictures, or of folders of them, one per class; or an .npy or .npz file",
    )
    own.add_argument(
        "--size", type=int, help="pixels along a side to which pictures are cut and resized"
    )
    own.add_argument("--grey", action="store_true", help="read pictures in grey")
    own.add_argument(
        "--samples",
        type=Path,
        metavar="FOLDER",
        help="a model's samples: say which copy a picture of PATH, and nothing else",
    )
    own.set_defaults(do=_describe)


def _describe(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import own_data, sample_copies

    if args.samples is not None:
        copied = sample_copies.describe(args.path, args.samples, size=args.size, grey=args.grey)
        console.print(copied, highlight=False, soft_wrap=True)
        return 0
    report, notes = own_data.describe(args.path, size=args.size, grey=args.grey)
    for note in notes:
        print(f"note: {harmless(note)}", file=sys.stderr)
    console.print(report, highlight=False, soft_wrap=True)
    return 0


def _report_arguments(commands: Commands) -> None:
    about = commands.add_parser(
        "report",
        help="a page on your own model: dimension, rank, nearest reference, copies, edits",
    )
    about.add_argument("model", help="a shipped model, a diffusers folder, or a hub id, owner/name")
    about.add_argument(
        "--images",
        required=True,
        metavar="FOLDER",
        help="the training images: a folder of pictures, or the name of a set",
    )
    about.add_argument(
        "--out", type=Path, default=Path("report.html"), help="the page; report.html where omitted"
    )
    about.add_argument("--minutes", type=float, default=10.0, help="time for all of it (10)")
    about.add_argument(
        "--no-images", action="store_true", help="show and keep no picture: numbers only"
    )
    about.add_argument(
        "--device", default="cpu", help="cpu, cuda, or auto for a GPU if there is one"
    )
    about.add_argument("--seed", type=int, default=0, help="of every choice and all noise")
    about.add_argument(
        "--size", type=int, help="pixels along a side to which pictures are cut and resized"
    )
    about.add_argument(
        "--beside", type=Path, metavar="JSON", help="another report, to compare two models"
    )
    about.set_defaults(do=_report)


def _report(args: argparse.Namespace, console: Console) -> int:
    asked.require_minutes(args.minutes)
    asked.require_out(args.out)
    asked.require_model(args.model, console)
    from molrg.companion import report

    options = report.Options(args.minutes, pictures=not args.no_images, seed=args.seed)
    report.write(
        args.model,
        args.images,
        args.out,
        options,
        device=args.device,
        size=args.size,
        beside=args.beside,
        console=console,
    )
    return 0
