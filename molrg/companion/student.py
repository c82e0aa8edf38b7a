"""What a lecturer hands out: notebooks and a site without solutions, or with them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import yaml

from molrg import claims
from molrg.companion import asked, book, copies, solutions
from molrg.companion.layout import Layout
from molrg.companion.notebooks import sources
from molrg.companion.runner import alone

TEACHING = "Teaching"  # the part of the contents that is for lecturers
_OWN = ("SHA256SUMS", "searchindex.js")  # what tells a folder of a site from any other
_CARD = re.compile(
    r"^```\{grid-item-card\}[^\n]*\n:link: teaching/.*?^```\n", re.DOTALL | re.MULTILINE
)


def write(folder: Path, *, with_solutions: bool = False) -> Path:
    """Write notebooks to work in and the site, with or without solutions, from clean.

    Notebooks that someone has changed are left as they are; the site is made anew.

    Args:
        folder: where ``notebooks`` and ``html`` go.
        with_solutions: whether exercises keep their solutions.

    Returns:
        the folder.

    Raises:
        BuildFailed: where a notebook has not been run as it is now, the build warns, or a
            sentence of a solution is left in what goes to students; the site, and the
            notebooks that were written, are then taken away again.
        ValueError: where something else than a site is in the folder's ``html``.
    """
    asked.require_replaceable("html in the folder", folder / "html", _OWN, "pages of a site")
    root = claims.root()
    with alone(Layout.of({})):
        src = _sources(book.stage(root), root / "_build" / "course")
        taken = [] if with_solutions else _hide(src)
        written, _ = copies.write(sources(), folder / "notebooks", solutions=with_solutions)
        book.sphinx(root, src, folder / "html")
    shutil.rmtree(src)
    if left := solutions.leaks(folder, taken):
        shutil.rmtree(folder / "html")
        for path in written:
            path.unlink()
        raise book.BuildFailed(f"solutions are left in what goes to students: {'; '.join(left)}")
    return folder


def _sources(staged: Path, place: Path) -> Path:
    """A copy of the staged sources, to be changed."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(staged, place, ignore=shutil.ignore_patterns("_build", ".stamps", ".partial"))
    return place


def _hide(src: Path) -> list[str]:
    """Take the solutions out of staged sources; pages lead to no copy that has them."""
    path = src / "_config.yml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config.pop("launch_buttons", None)
    config["html"]["use_repository_button"] = False
    config["sphinx"]["config"] |= {"html_copy_source": False, "html_show_sourcelink": False}
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    taken = solutions.take_out(src)
    _leave_out_teaching(src)
    return taken


def _leave_out_teaching(src: Path) -> None:
    """Take out what is for the lecturer, notes and the exam, and the cards that lead there."""
    path = src / "_toc.yml"
    toc = yaml.safe_load(path.read_text(encoding="utf-8"))
    toc["parts"] = [part for part in toc["parts"] if part["caption"] != TEACHING]
    path.write_text(yaml.safe_dump(toc, sort_keys=False, allow_unicode=True), encoding="utf-8")
    shutil.rmtree(src / "book" / "teaching")
    for page in (src / "book").glob("*.md"):
        page.write_text(_CARD.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")
