"""Commands of what is read: site, PDF, copies, students' half, slides, live figures."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from molrg import claims
from molrg.companion.commands import Commands


def add(commands: Commands) -> None:
    """Add their arguments and functions to the command line."""
    _book_arguments(commands)
    _pdf_arguments(commands)
    _copies_arguments(commands)
    _student_arguments(commands)
    _slides_arguments(commands)
    _export_arguments(commands)


def _book_arguments(commands: Commands) -> None:
    commands.add_parser(
        "book", help="build the site from the executed notebooks, warnings as errors"
    ).set_defaults(do=_book)


def _book(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import book

    html = book.build()
    console.print(
        f"the book: {os.path.relpath(html / 'index.html')}", highlight=False, soft_wrap=True
    )
    return 0


def _pdf_arguments(commands: Commands) -> None:
    paper = commands.add_parser("pdf", help="the built site as one PDF; needs a Chromium")
    paper.add_argument("--out", type=Path, help="the file; _build/molrg.pdf where omitted")
    paper.set_defaults(do=_pdf)


def _pdf(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import pdf

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    root = claims.root()
    out = args.out or root / "_build" / "molrg.pdf"
    pages = pdf.write(root / "_build" / "html", pdf.contents(root), out, tell=tell)
    tell(f"{pages} pages: {os.path.relpath(out)}")
    return 0


def _copies_arguments(commands: Commands) -> None:
    copied = commands.add_parser(
        "copies", help="copies of the notebooks in plain Markdown, to read and change in an editor"
    )
    copied.add_argument("notebooks", nargs="*", metavar="NN", help="as for `run`")
    copied.add_argument("--to", type=Path, help="a folder; copies/ where omitted")
    copied.add_argument(
        "--without-solutions", action="store_true", help="for students: cells for their answers"
    )
    copied.set_defaults(do=_copies)


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


def _student_arguments(commands: Commands) -> None:
    handed = commands.add_parser(
        "student", help="notebooks and a site without solutions, to hand out"
    )
    handed.add_argument("--with-solutions", action="store_true", help="the other half, to keep")
    handed.add_argument("--to", type=Path, help="a folder; _build/student where omitted")
    handed.set_defaults(do=_student)


def _student(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import student

    name = "solutions" if args.with_solutions else "student"
    folder = args.to or claims.root() / "_build" / name
    student.write(folder, with_solutions=args.with_solutions)
    console.print(f"{os.path.relpath(folder)}: notebooks, html", highlight=False, soft_wrap=True)
    return 0


def _slides_arguments(commands: Commands) -> None:
    decks = commands.add_parser("slides", help="a deck for each part, and PDFs by a Chromium")
    decks.add_argument("--to", type=Path, help="a folder; _build/slides where omitted")
    decks.add_argument("--no-pdf", action="store_true", help="pages only")
    decks.set_defaults(do=_slides)


def _slides(args: argparse.Namespace, console: Console) -> int:
    from molrg.companion import slides

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    folder = args.to or claims.root() / "_build" / "slides"
    made = slides.make(folder, pdf=not args.no_pdf, tell=tell)
    tell(f"{len(made)} files: {os.path.relpath(folder / 'index.html')}")
    return 0


def _export_arguments(commands: Commands) -> None:
    export = commands.add_parser(
        "export",
        help="write a shipped U-Net into the live figure of the book, checked against torch",
    )
    export.add_argument("name", help="a shipped denoiser: faces or fashion-mnist")
    export.set_defaults(do=_export)


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
