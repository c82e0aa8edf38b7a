"""Solutions of exercises: taken out of the sources, and looked for in what is given to students."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import Path

import nbformat

_SOLUTION = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{solution\}[^\n]*\n(?P<body>.*?)^(?P=fence)[ \t]*\n?",
    re.MULTILINE | re.DOTALL,
)
_OPTION = re.compile(r"^:[\w-]+:[^\n]*$", re.MULTILINE)
_LABEL = re.compile(r"^:label: *(\S+)", re.MULTILINE)
_TITLED = re.compile(r"\{(?:ref|numref)\}`([^`<]*?)\s*<([^>`]+)>`")
_BARE = re.compile(r"\{(?:ref|numref)\}`([^`<>]+)`")
_ROLE = re.compile(r"\{[\w:+-]+\}`[^`]*`")
_LENGTH = 30  # letters and digits of a piece, so that no other text has it by chance


def bodies(text: str) -> list[str]:
    """The solutions in a text, without their options."""
    return [_OPTION.sub("", found["body"]).strip() for found in _SOLUTION.finditer(text)]


def labels(text: str) -> set[str]:
    """Labels of the solutions in a text."""
    return {label for found in _SOLUTION.finditer(text) for label in _LABEL.findall(found["body"])}


def without(text: str, hidden: set[str]) -> str:
    """A text without its solutions; what refers to one keeps its words.

    Args:
        text: Markdown of the site.
        hidden: labels of all solutions of the site.
    """
    text = _SOLUTION.sub("", text)
    text = _TITLED.sub(lambda found: found[1] if found[2] in hidden else found[0], text)
    return _BARE.sub(lambda found: "the solution" if found[1] in hidden else found[0], text)


def pages(folder: Path) -> list[Path]:
    """Sources of pages below a folder that can hold exercises."""
    return sorted([*folder.rglob("*.md"), *folder.rglob("*.ipynb")])


def texts(path: Path) -> list[str]:
    """The Markdown of a page: the whole of it, or cell by cell."""
    if path.suffix == ".md":
        return [path.read_text(encoding="utf-8")]
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


def take_out(folder: Path) -> list[str]:
    """Take the solutions out of all sources below a folder, and return them.

    Raises:
        ValueError: where a solution stands in a form that is not known.
    """
    sources = {path: texts(path) for path in pages(folder)}
    hidden = {label for parts in sources.values() for part in parts for label in labels(part)}
    for path in sources:
        _rewrite(path, hidden)
        if "{solution" in "".join(texts(path)):
            allowed = "a block {solution} with a fence of its own"
            raise ValueError(f"{path.name} = a solution in another form: allowed is {allowed}")
    return [body for parts in sources.values() for part in parts for body in bodies(part)]


def _rewrite(path: Path, hidden: set[str]) -> None:
    if path.suffix == ".md":
        text = path.read_text(encoding="utf-8")
        path.write_text(without(text, hidden), encoding="utf-8")
        return
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = without(cell.source, hidden)
    nbformat.write(notebook, path)


def pieces(solution: str) -> set[str]:
    """Sentences of a solution as letters and digits only, those too short to tell left out."""
    sentences = re.split(r"(?<=[.:;?])\s+|\$\$|\n\n", _ROLE.sub("\n\n", solution))
    return {piece for piece in map(normal, sentences) if len(piece) >= _LENGTH}


def normal(text: str) -> str:
    """Letters and digits of a text in lower case, whatever marks it up."""
    plain = html.unescape(re.sub(r"<[^<>]*>", "", text.replace("\\n", "\n")))
    return re.sub(r"[^a-z0-9]", "", plain.lower())


def leaks(folder: Path, solutions: Iterable[str]) -> list[str]:
    """Files below a folder that hold a sentence of a solution, each with the sentence.

    Args:
        folder: of files of any kind.
        solutions: as `take_out` returns them.
    """
    sought = {piece for solution in solutions for piece in pieces(solution)}
    left = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        text = path.read_text(encoding="utf-8", errors="ignore")
        whole = (normal(text), re.sub(r"[^a-z0-9]", "", text.lower()))
        left += [
            f"{path.relative_to(folder)}: {piece}"
            for piece in sorted(sought)
            if any(piece in form for form in whole)
        ]
    return left
