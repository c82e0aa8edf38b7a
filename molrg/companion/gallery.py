"""The page of all figures: a thumbnail each, what it shows, and the command that makes it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nbformat

from molrg import claims
from molrg.companion.notebooks import Notebook, sources

_ENDINGS = {"image/svg+xml": "svg", "image/png": "png"}


class Figure(NamedTuple):
    """One named figure of an executed notebook."""

    name: str
    caption: str
    alt: str
    photo: bool
    picture: tuple[str, bytes] | None  # the ending of its file, and its content


def figures(executed: Path) -> Iterator[Figure]:
    """The named figures of an executed notebook, in order."""
    for cell in nbformat.read(executed, as_version=4).cells:
        mystnb = cell.metadata.get("mystnb", {})
        if "figure" in mystnb:
            image = mystnb.get("image", {})
            caption = mystnb["figure"]["caption"].split(". ")[0].rstrip(".")
            photo = "photo" in image.get("classes", "")
            yield Figure(
                mystnb["figure"]["name"], caption, image.get("alt", ""), photo, _picture(cell)
            )


def _picture(cell: Mapping[str, Any]) -> tuple[str, bytes] | None:
    """The picture that a cell put out; none where it is drawn by the page itself."""
    for output in cell.get("outputs", []):
        for kind, ending in _ENDINGS.items():
            if kind in (data := output.get("data", {})):
                content = data[kind]
                return ending, content.encode() if ending == "svg" else base64.b64decode(content)
    return None


def write(generated: Path, executed: Path) -> None:
    """Write ``figures.md`` and its thumbnails into a folder, from executed notebooks."""
    (generated / "figures").mkdir()
    parts = [part for notebook in sources() for part in _section(notebook, generated, executed)]
    (generated / "figures.md").write_text("\n".join(parts) + "\n", encoding="utf-8")


def _section(notebook: Notebook, generated: Path, executed: Path) -> Iterator[str]:
    yield f"## {notebook.claim}: {claims.claim(notebook.claim)['title']}\n"
    page = f"{{doc}}`On its page <../notebooks/{notebook.name}>`"
    yield f"{page}; made by `python -m molrg run {notebook.name[:2]}`.\n"
    yield "````{grid} 1 2 2 3\n:gutter: 2\n"
    for figure in figures(executed / notebook.path.name):
        yield f"```{{grid-item-card}}\n:link: {figure.name}\n:link-type: ref\n"
        if figure.picture:
            ending, content = figure.picture
            (generated / "figures" / f"{figure.name}.{ending}").write_bytes(content)
            kind = "molrg-thumbnail photo" if figure.photo else "molrg-thumbnail"
            yield f":::{{image}} _generated/figures/{figure.name}.{ending}"
            yield f":alt: {figure.alt}\n:class: {kind}\n:::"
        yield f"{figure.caption}.\n```"
    yield "````\n"
