"""The whole book as one PDF: every page printed by Chromium, united in the order of the contents.

The figures stay vectors. A link from one page to another leads to its place in the PDF; a link to
a file that is not part of it (the listings of the source) is taken away.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from molrg import files
from molrg.companion import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, PdfMargins
    from pypdf import PdfWriter

# What a reader scrolls on the screen and cannot scroll on paper.
_ON_PAPER = """
pre, pre * { white-space: pre-wrap !important; overflow-wrap: anywhere; }
pre, .highlight, .output, .cell_output { max-height: none !important; }
pre, .highlight, .output, .cell_output { overflow: visible !important; }
"""

# What a reader unfolds on the screen and cannot unfold on paper. The code stays folded.
_UNFOLD = """async () => {
  if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise;
  for (const box of document.querySelectorAll("details:not(.hide)")) box.open = true;
  for (const box of document.querySelectorAll(".admonition.dropdown")) {
    box.classList.remove("toggle-hidden");
  }
  const pictures = [...document.images];
  for (const picture of pictures) picture.loading = "eager";
  await Promise.all(pictures.map((picture) => picture.decode().catch(() => null)));
}"""


@dataclass(frozen=True)
class Leaf:
    """One page of the book: where it is, the part it belongs to, and its title in the contents."""

    name: str
    part: str
    title: str


def leaves(site: Path, contents: dict[str, Any]) -> list[Leaf]:
    """The pages of the contents, in their order; what the contents name by a pattern included.

    Args:
        site: folder of the built site.
        contents: the staged `_toc.yml`, read.

    Raises:
        FileNotFoundError: where a page of the contents has not been built.
    """
    found = [Leaf(contents["root"], "", "")]
    for part in contents["parts"]:
        for chapter in part["chapters"]:
            found += _chapter(site, part["caption"], chapter)
    for leaf in found:
        if not (site / f"{leaf.name}.html").is_file():
            raise FileNotFoundError(f"{site / leaf.name}.html: run `python -m molrg book` first")
    return found


def _chapter(site: Path, part: str, chapter: dict[str, Any]) -> list[Leaf]:
    if "glob" in chapter:
        pages = sorted(site.glob(f"{chapter['glob']}.html"))
        return [Leaf(str(page.relative_to(site).with_suffix("")), part, "") for page in pages]
    own = [Leaf(chapter["file"], part, chapter.get("title", ""))]
    for section in chapter.get("sections", []):
        own += _chapter(site, part, section)
    return own


def write(
    site: Path,
    contents: dict[str, Any],
    out: Path,
    *,
    tell: Callable[[str], None] = print,
    browser: Browser | None = None,
) -> int:
    """Print every page and write one PDF with bookmarks; returns its number of pages.

    Args:
        site: folder of the built site.
        contents: the staged `_toc.yml`, read.
        out: the file to be written.
        tell: takes a line for each page that is done.
        browser: a Chromium that is open already; one is opened where it is left out.

    Raises:
        FileNotFoundError: where a page of the contents has not been built.
        chromium.NoChromium: where there is no Chromium, or no Playwright.
    """
    book = leaves(site, contents)
    if browser is None:
        with chromium.browser() as opened:
            whole = _united(opened, site, book, tell)
    else:
        whole = _united(browser, site, book, tell)
    with files.replacing(out) as aside:
        whole.write(aside)
    return len(whole.pages)


def _united(
    browser: Browser, site: Path, book: list[Leaf], tell: Callable[[str], None]
) -> PdfWriter:
    """All pages, printed, with bookmarks by part."""
    from pypdf import PdfReader, PdfWriter  # noqa: PLC0415 - an optional package

    whole = PdfWriter()
    first: dict[str, int] = {}
    parts: dict[str, Any] = {}
    window = browser.new_context(offline=True, color_scheme="light").new_page()
    window.add_init_script("localStorage.setItem('mode', 'light')")
    for leaf in book:
        address = (site / f"{leaf.name}.html").as_uri()
        title, printed = _print(window, address)
        start = len(whole.pages)
        first[address] = start
        whole.append(PdfReader(io.BytesIO(printed)), import_outline=False)
        if leaf.part and leaf.part not in parts:
            parts[leaf.part] = whole.add_outline_item(title=leaf.part, page_number=start)
        heading = leaf.title or title
        whole.add_outline_item(title=heading, page_number=start, parent=parts.get(leaf.part))
        tell(f"{leaf.name}: {len(whole.pages) - start} pages")
    window.context.close()
    _relink(whole, first)
    whole.add_metadata({"/Title": "molrg", "/Author": "The molrg contributors"})
    return whole


def _print(window: Page, address: str) -> tuple[str, bytes]:
    """The heading of a page, and the page on paper."""
    window.goto(address)
    window.add_style_tag(content=_ON_PAPER)
    window.evaluate(_UNFOLD)
    heading = window.evaluate(
        "() => (document.querySelector('h1')?.innerText || document.title).replace(/#$/, '')"
    )
    margins: PdfMargins = {"top": "16mm", "bottom": "16mm", "left": "14mm", "right": "14mm"}
    return heading.strip(), window.pdf(format="A4", margin=margins, print_background=True)


def _relink(whole: PdfWriter, first: dict[str, int]) -> None:
    """Make links between pages links within the PDF; take away those to other files."""
    from pypdf.annotations import Link  # noqa: PLC0415 - an optional package

    for number, page in enumerate(whole.pages):
        kept, moved = [], []
        for reference in page.get("/Annots", []):
            annotation = reference.get_object()
            address = str(annotation.get("/A", {}).get("/URI", ""))
            if not address.startswith("file:"):
                kept.append(reference)
            elif (page_address := address.partition("#")[0]) in first:
                moved.append((annotation["/Rect"], first[page_address]))
        if "/Annots" in page:
            del page["/Annots"]
        for reference in kept:
            whole.add_annotation(number, reference.get_object())
        for rectangle, target in moved:
            whole.add_annotation(number, Link(rect=rectangle, target_page_index=target))


def contents(root: Path) -> dict[str, Any]:
    """The contents of the site that was built last.

    Raises:
        FileNotFoundError: where none has been built.
    """
    path = root / "_build" / "src" / "_toc.yml"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: run `python -m molrg book` first")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
