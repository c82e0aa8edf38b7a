"""Copies of the notebooks in plain Markdown, to read and change in any editor of notebooks.

The sources are written for the site: their text holds directives and roles, which an editor shows
as they are written. A copy holds what the reader of the site sees: numbers of the book's run in
the sentences, numbered figures with captions, solutions that open on a click.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat

from molrg import claims, files
from molrg.companion import launch, plain_text
from molrg.companion.layout import Layout
from molrg.companion.notebooks import Notebook

# tags of the cells that a copy has and its source has not
SELF_CHECK = "self-check"
ON_COLAB = "on-colab"

_NUMBERS = (
    "*A copy to read and change. Numbers in the sentences are those of the book's run; they do not"
    " follow what you change, the output below the cells does.*"
)
_NO_NUMBERS = (
    "*A copy to read and change. The book was not run here, so that its numbers are missing from"
    " the sentences (…): `python -m molrg run`, then make the copies again.*"
)


def write(
    chosen: Sequence[Notebook], folder: Path, *, solutions: bool = True
) -> tuple[list[Path], list[Path]]:
    """Write a copy of each notebook; a copy that someone has changed is left as it is.

    Args:
        chosen: notebooks of the book.
        folder: where the copies go; made where it is missing.
        solutions: whether exercises keep their solutions, folded; without, an empty cell for
            the answer stands in their place.

    Returns:
        the copies that were written, and those that were left.

    Raises:
        OSError: where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    site = plain_text.Site.of(claims.root())
    written, left = [], []
    for notebook in chosen:
        path = folder / notebook.path.name
        if path.exists() and changed(path):
            left.append(path)
            continue
        copied = copy(notebook, site, os.path.relpath(claims.root(), folder), solutions=solutions)
        with files.replacing(path) as aside:
            nbformat.write(copied, aside)
        written.append(path)
    return written, left


def copy(notebook: Notebook, site: plain_text.Site, root: str, *, solutions: bool = True) -> Any:
    """A notebook in plain Markdown, with the numbers of the book's run where there is one.

    Args:
        notebook: of the book.
        site: titles of the pages, theorems and references that text points to.
        root: of the project, as seen from the folder of the copy.
        solutions: as in `write`.
    """
    values = glued(Layout.of({}).notebooks / notebook.path.name)
    figures = _figures(notebook)
    whole = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    rewrite = plain_text.Rewrite(
        site,
        values=values,
        figures={**site.figures, **figures},
        equations={**site.equations, **plain_text.equations(whole, notebook.name)},
        root=root,
        solutions=solutions,
    )
    made = nbformat.v4.new_notebook(metadata={"kernelspec": _kernel(notebook)})
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            made.cells += _texts(cell.id, rewrite(cell.source))
            continue
        fresh = nbformat.v4.new_code_cell(cell.source, id=cell.id, metadata=cell.metadata)
        made.cells.append(fresh)
        figure = cell.metadata.get("mystnb", {}).get("figure")
        if figure:
            caption = f"*{figures[figure['name']]}. {figure['caption']}*"
            made.cells.append(nbformat.v4.new_markdown_cell(caption, id=f"{cell.id}-caption"))
    note = nbformat.v4.new_markdown_cell(_NUMBERS if values else _NO_NUMBERS, id="copy-note")
    colab = launch.colab_cell(launch.repository(claims.root())[0])
    tags = {"tags": [ON_COLAB]}
    made.cells.insert(1, note)
    made.cells.insert(2, nbformat.v4.new_code_cell(colab, id="copy-colab", metadata=tags))
    made.metadata["molrg_copy"] = _fingerprint(made)
    return made


def changed(path: Path) -> bool:
    """Whether a copy is not as it was written, or is no copy of ours at all."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except (ValueError, nbformat.ValidationError):
        return True
    return notebook.metadata.get("molrg_copy") != _fingerprint(notebook)


def glued(executed: Path) -> dict[str, Any]:
    """The values that an executed notebook hands to its sentences, by name; none without it."""
    if not executed.is_file():
        return {}
    values = {}
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", []):
            kept = output.get("metadata", {}).get("scrapbook")
            if kept:
                values[kept["name"]] = _value(output["data"])
    return values


def _texts(id: str, parts: Sequence[str]) -> list[Any]:
    """Cells of text; the call of a self-check is a cell of code, in which to put the answer."""
    cells = []
    for place, text in enumerate(parts):
        cells.append(nbformat.v4.new_markdown_cell(text, id=f"{id}-{place}"))
        if asked := plain_text.SELF_CHECK.search(text):
            code = f"from molrg.course import check\n\nanswer = ...\n{asked[1]}"
            tags = {"tags": [SELF_CHECK]}
            cells.append(nbformat.v4.new_code_cell(code, id=f"{id}-{place}-check", metadata=tags))
    return cells


def _value(data: dict[str, str]) -> Any:
    """A number or a text, of the representation that `glue` stores."""
    text = next(kept for kind, kept in data.items() if kind.endswith("text/plain"))
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _figures(notebook: Notebook) -> dict[str, str]:
    """What each figure of the notebook is called on its copy."""
    described = [cell.metadata.get("mystnb", {}).get("figure", {}) for cell in notebook.cells]
    names = [figure.get("name") for figure in described]
    return {name: f"Figure {k}" for k, name in enumerate(filter(None, names), 1)}


def _kernel(notebook: Notebook) -> Any:
    return nbformat.read(notebook.path, as_version=4).metadata.get("kernelspec", {})


def _fingerprint(notebook: Any) -> str:
    """Of the sources of the cells: outputs may change, what was written may not."""
    sources = [(cell.cell_type, cell.source) for cell in notebook.cells]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()
