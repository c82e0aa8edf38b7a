"""The command line: ``python -m molrg run | book | claims | describe | draw | train | ...``.

A command imports what it needs when it is called, so that one that needs no torch starts without.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from pathlib import Path

import yaml
from rich.console import Console

from molrg import claims
from molrg.companion import chromium, lean, machine, yaml_files
from molrg.companion.stopped import Stopped
from molrg.companion.terminal import Terminal, harmless


def parser() -> argparse.ArgumentParser:
    """The arguments of every command."""
    top = argparse.ArgumentParser(
        prog="python -m molrg", description="Rerun the claims and build the book."
    )
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="execute notebooks and check their claims")
    run.add_argument(
        "notebooks",
        nargs="*",
        metavar="NN",
        help="numbers, claims or names; all where none is given",
    )
    run.add_argument(
        "--profile", default="quick", help="quick (minutes, default) or paper (the papers' sizes)"
    )
    run.add_argument("--jobs", type=int, help="notebooks at once")
    run.add_argument("--seed", type=int, default=0, metavar="OFFSET", help="added to every seed")
    run.add_argument(
        "-p",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value for a parameter",
    )
    run.set_defaults(do=_run)
    run.add_argument(
        "--keep",
        action="store_true",
        help="keep records and figures under book/results (a recorded run)",
    )
    moved = commands.add_parser(
        "robustness",
        help="rerun claims with other seeds, and with parameters halved and doubled; goes on"
        " where it was stopped",
    )
    moved.add_argument("notebooks", nargs="*", metavar="NN", help="as for `run`")
    moved.add_argument("--jobs", type=int, default=1, help="trials at once, of one thread each")
    moved.add_argument(
        "--limit",
        type=float,
        default=1800,
        metavar="SECONDS",
        help="end a trial that takes longer (half an hour)",
    )
    moved.add_argument("--anew", action="store_true", help="forget what is kept of these claims")
    moved.set_defaults(do=_robustness)
    away = commands.add_parser(
        "elsewhere", help="run claims into a folder of records; compare the folders of two places"
    )
    away.add_argument("folder", type=Path, help="of the records of this place")
    away.add_argument("notebooks", nargs="*", metavar="NN", help="as for `run`")
    away.add_argument("--threads", type=int, default=1, help="of torch")
    away.add_argument("--limit", type=float, default=1800, metavar="SECONDS", help="for a claim")
    away.add_argument(
        "--against", type=Path, metavar="FOLDER", help="run nothing, and compare with this folder"
    )
    away.add_argument("--keep", metavar="NAME", help="show the comparison in the book, as NAME")
    away.set_defaults(do=_elsewhere)
    commands.add_parser(
        "book", help="build the site from the executed notebooks, warnings as errors"
    ).set_defaults(do=_book)
    paper = commands.add_parser("pdf", help="the built site as one PDF; needs a Chromium")
    paper.add_argument("--out", type=Path, help="the file; _build/molrg.pdf where omitted")
    paper.set_defaults(do=_pdf)
    show = commands.add_parser("claims", help="the verdicts of the last run")
    show.add_argument("--json", action="store_true", help="print the records")
    show.set_defaults(do=_claims)
    show.add_argument(
        "--write-readme", action="store_true", help="put the verdict table into README.md"
    )
    show.add_argument(
        "--write-history",
        action="store_true",
        help="write book/criteria_history.yml, the history of every criterion, from git",
    )
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
    drawing = commands.add_parser("draw", help="draw a shipped image set again, from its art")
    drawing.add_argument("name", choices=["faces"], help="faces, in half a minute a size")
    drawing.set_defaults(do=_draw)
    export = commands.add_parser(
        "export",
        help="write a shipped U-Net into the live figure of the book, checked against torch",
    )
    export.add_argument("name", help="a shipped denoiser: faces or fashion-mnist")
    export.set_defaults(do=_export)
    fetch = commands.add_parser("fetch", help="download data or a model, for going offline later")
    fetch.add_argument(
        "name",
        help="a full image set, such as mnist, or a diffusers model of the hub, as owner/name",
    )
    fetch.set_defaults(do=_fetch)
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
    new = commands.add_parser(
        "new", help="begin a claim: its notebook, and its entry in the ledger"
    )
    new.add_argument("id", help="the next free one, such as C26")
    new.add_argument("title", help="the claim as a sentence")
    new.set_defaults(do=_new)
    copied = commands.add_parser(
        "copies", help="copies of the notebooks in plain Markdown, to read and change in an editor"
    )
    copied.add_argument("notebooks", nargs="*", metavar="NN", help="as for `run`")
    copied.add_argument("--to", type=Path, help="a folder; copies/ where omitted")
    copied.add_argument(
        "--without-solutions", action="store_true", help="for students: cells for their answers"
    )
    copied.set_defaults(do=_copies)
    handed = commands.add_parser(
        "student", help="notebooks and a site without solutions, to hand out"
    )
    handed.add_argument("--with-solutions", action="store_true", help="the other half, to keep")
    handed.add_argument("--to", type=Path, help="a folder; _build/student where omitted")
    handed.set_defaults(do=_student)
    decks = commands.add_parser("slides", help="a deck for each part, and PDFs by a Chromium")
    decks.add_argument("--to", type=Path, help="a folder; _build/slides where omitted")
    decks.add_argument("--no-pdf", action="store_true", help="pages only")
    decks.set_defaults(do=_slides)
    commands.add_parser(
        "doctor", help="what is installed, which data are there, what would be downloaded"
    ).set_defaults(do=_doctor)
    return top


def main(words: list[str] | None = None) -> int:
    """Run a command; returns 0, 1 where a claim or the build is not right, 2 if misused."""
    args = parser().parse_args(words)
    lean.leave_out()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or file without these letters
            stream.reconfigure(errors="replace")
    told = Terminal(stderr=True, soft_wrap=True)
    try:
        return args.do(args, Terminal())
    except Stopped as error:
        told.print(f"stopped: {error}", style="red")
        return 1
    except BrokenPipeError:  # whoever read the output has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except yaml.YAMLError as error:
        for line in yaml_files.damaged(claims.root()) or [f"YAML cannot be read: {error}"]:
            told.print(f"error: {line}", style="red")
        return 2
    except MemoryError as error:
        told.print(f"error: memory ran out ({error}); {machine.AGAIN}", style="red")
        return 2
    except (ValueError, OSError, ModuleNotFoundError, chromium.NoChromium) as error:
        full = isinstance(error, OSError) and machine.is_full(error)
        then = f": make room; {machine.AGAIN}" if full else ""
        told.print(f"error: {error}{then}", style="red")
        return 2
    except KeyboardInterrupt:
        told.print("interrupted; what was done is kept, and the same command goes on from there")
        return 130


def _run(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import runner
    from molrg.companion.notebooks import parse_parameters

    parameters = parse_parameters(args.p)
    runner.run(
        tuple(args.notebooks),
        profile=args.profile,
        seed=args.seed,
        parameters=parameters,
        jobs=args.jobs,
        keep=args.keep,
        console=console,
    )
    return 0


def _robustness(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import robustness

    records = robustness.run(
        tuple(args.notebooks),
        jobs=args.jobs,
        limit=args.limit,
        anew=args.anew,
        console=console,
    )
    console.print(robustness.pages.terminal_table(records))
    console.print("kept: book/results/robustness", highlight=False, soft_wrap=True)
    return 0


def _elsewhere(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import elsewhere, elsewhere_tables

    if args.against is None:
        settings = {"threads": args.threads, "limit": args.limit, "console": console}
        elsewhere.record(args.notebooks, args.folder.resolve(), **settings)
        return 0
    compared = elsewhere.compare(args.against, args.folder)
    console.print(elsewhere_tables.terminal_table(compared))
    if args.keep:
        console.print(os.path.relpath(elsewhere.keep(args.keep, compared)), highlight=False)
    same = all(len(set(c["verdicts"])) == 1 for c in compared["claims"].values())
    return 0 if same else 1


def _book(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import book

    html = book.build()
    console.print(
        f"the book: {os.path.relpath(html / 'index.html')}", highlight=False, soft_wrap=True
    )
    return 0


def _pdf(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import pdf

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    root = claims.root()
    out = args.out or root / "_build" / "molrg.pdf"
    pages = pdf.write(root / "_build" / "html", pdf.contents(root), out, tell=tell)
    tell(f"{pages} pages: {os.path.relpath(out)}")
    return 0


def _claims(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import history, layout, runner, scorecard

    records, stale = claims.records(), layout.stale()
    if args.write_readme and stale:
        raise runner.RunStopped(
            f"not run as they are now: {', '.join(stale)}. First: python -m molrg run"
        )
    if args.write_readme:
        from molrg.companion import readme

        readme.write_readme(records)
        readme.write_pictures(claims.root())
    if args.write_history:
        history.write(claims.root())
    if args.json:
        unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        print(json.dumps(records, indent=2, ensure_ascii=not unicode), flush=True)
        return 0
    console.print(scorecard.terminal_table(records))
    console.print(scorecard.sentence(records), highlight=False, soft_wrap=True)
    if stale:
        console.print(
            f"Not run as they are now: {', '.join(stale)}.", highlight=False, soft_wrap=True
        )
    return 0


def _new(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import drafts

    for path in drafts.begin(args.id, args.title):
        console.print(os.path.relpath(path), highlight=False, soft_wrap=True)
    return 0


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


def _draw(args: argparse.Namespace, console: Console) -> int:
    from molrg.images.faces import art, maps

    file = claims.root() / "_build" / "images" / f"{args.name}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    art.make(file)
    same = maps.equal(file, maps.FILE)
    told = "equal to the shipped ones" if same else "NOT equal to the shipped ones"
    console.print(f"{os.path.relpath(file)}: arrays {told}", highlight=False, soft_wrap=True)
    return 0 if same else 1


def _exported(name: str) -> list[Path]:
    """The faces' network is told of in the page's drawings, which are written again."""
    from molrg.companion import live, live_faces, live_network

    if name != live_network.NAME:
        return live.export(name)
    return [*live_network.export(), live_faces.write()]


def _export(args: argparse.Namespace, console: Console) -> int:
    for path in _exported(args.name):
        console.print(
            f"{os.path.relpath(path)}  {path.stat().st_size / 1e6:.1f} MB",
            highlight=False,
            soft_wrap=True,
        )
    return 0


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


def _report(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import report

    options = report.Options(args.minutes, pictures=not args.no_images, seed=args.seed)
    written = report.write(
        args.model,
        args.images,
        args.out,
        options,
        device=args.device,
        size=args.size,
        beside=args.beside,
        console=console,
    )
    for path in written:
        console.print(str(path), highlight=False, soft_wrap=True, markup=False)
    return 0


def _copies(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import copies
    from molrg.companion.notebooks import select

    chosen = select(tuple(args.notebooks))
    folder = args.to or claims.root() / "copies"
    written, left = copies.write(chosen, folder, solutions=not args.without_solutions)
    shown = os.path.relpath(folder)
    console.print(f"{len(written)} copies in {shown}", highlight=False, soft_wrap=True)
    for path in left:
        console.print(f"{path.name}: changed by you, left as it is", highlight=False)
    return 0


def _student(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import student

    name = "solutions" if args.with_solutions else "student"
    folder = args.to or claims.root() / "_build" / name
    student.write(folder, with_solutions=args.with_solutions)
    console.print(f"{os.path.relpath(folder)}: notebooks, html", highlight=False, soft_wrap=True)
    return 0


def _slides(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import slides

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    folder = args.to or claims.root() / "_build" / "slides"
    made = slides.make(folder, pdf=not args.no_pdf, tell=tell)
    tell(f"{len(made)} files: {os.path.relpath(folder / 'index.html')}")
    return 0


def _doctor(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import doctor

    return 0 if doctor.report(console) else 1


if __name__ == "__main__":
    sys.exit(main())
