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
from molrg.companion import chromium, pdf_check
from molrg.companion.pdf_check import Chapter, WrongPdf

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, PdfMargins, ViewportSize
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

# A formula that is wider than the paper is set smaller.
_FIT = """() => {
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
    const share = formula.clientWidth / formula.scrollWidth;
    const size = parseFloat(formula.style.fontSize || 100);
    if (share < 1) formula.style.fontSize = `${0.98 * share * size}%`;
  }
}"""

# What the edge of the paper, or of a box, would cut off; of an inline formula a copy is hidden.
_CUT = """() => {
  const page = document.querySelector("article") ?? document.body;
  const edge = page.getBoundingClientRect().right + 2;
  const inside = "mjx-container:not([display]), mjx-container *, span.math, svg *";
  const wide = (node) => node.getBoundingClientRect().right > edge
    || (getComputedStyle(node).overflowX !== "visible" && node.scrollWidth > node.clientWidth + 2);
  return [...page.querySelectorAll(`*:not(${inside}, .visually-hidden)`)]
    .filter((node) => node.checkVisibility() && wide(node))
    .map((node) => `${node.tagName.toLowerCase()} ${node.textContent.trim().slice(0, 40)}`);
}"""

_MARGIN, _A4 = 14, 210  # mm at the sides, and across
_WIDTH = round((_A4 - 2 * _MARGIN) / 25.4 * 96)  # of the text, in pixels of the screen


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
    """Print every page and write one PDF with bookmarks; returns its number of sheets.

    What was written is read again and compared with the contents before it takes its place.

    Args:
        site: folder of the built site.
        contents: the staged `_toc.yml`, read.
        out: the file to be written.
        tell: takes a line for each page that is done.
        browser: a Chromium that is open already; one is opened where it is left out.

    Raises:
        FileNotFoundError: where a page of the contents has not been built.
        chromium.NoChromium: where there is no Chromium, or no Playwright.
        WrongPdf: where a page is wider than the paper, or sheets or bookmarks are not those of the
            contents.
    """
    book = leaves(site, contents)
    if browser is None:
        with chromium.browser() as opened:
            whole, chapters = _united(opened, site, book, tell)
    else:
        whole, chapters = _united(browser, site, book, tell)
    with files.replacing(out) as aside:
        whole.write(aside)
        return pdf_check.check(aside, chapters)


def _united(
    browser: Browser, site: Path, book: list[Leaf], tell: Callable[[str], None]
) -> tuple[PdfWriter, list[Chapter]]:
    """All pages, printed, with bookmarks by part; and what was printed."""
    from pypdf import PdfReader, PdfWriter  # noqa: PLC0415 - an optional package

    whole = PdfWriter()
    chapters: list[Chapter] = []
    first: dict[str, int] = {}
    parts: dict[str, Any] = {}
    window = _paper(browser)
    for leaf in book:
        address = (site / f"{leaf.name}.html").as_uri()
        heading, printed = _print(window, address)
        start = len(whole.pages)
        first[address] = start
        sheets = PdfReader(io.BytesIO(printed))
        whole.append(sheets, import_outline=False)
        if leaf.part and leaf.part not in parts:
            parts[leaf.part] = whole.add_outline_item(title=leaf.part, page_number=start)
        chapter = Chapter(leaf.part, leaf.title or heading, heading, len(sheets.pages))
        whole.add_outline_item(title=chapter.title, page_number=start, parent=parts.get(leaf.part))
        chapters.append(chapter)
        tell(f"{leaf.name}: {chapter.sheets} pages")
    window.context.close()
    _relink(whole, first)
    whole.add_metadata({"/Title": "molrg", "/Author": "The molrg contributors"})
    return whole, chapters


def _paper(browser: Browser) -> Page:
    """A window as wide as the text on paper, offline and light, in the style of what is printed."""
    size: ViewportSize = {"width": _WIDTH, "height": 1000}
    context = browser.new_context(offline=True, color_scheme="light", viewport=size)
    context.add_init_script("localStorage.setItem('mode', 'light')")
    window = context.new_page()
    window.emulate_media(media="print")
    return window


def _print(window: Page, address: str) -> tuple[str, bytes]:
    """The heading of a page, and the page on paper."""
    window.goto(address)
    window.add_style_tag(content=_ON_PAPER)
    window.evaluate(_UNFOLD)
    window.evaluate(_FIT)
    if cut := window.evaluate(_CUT):
        raise WrongPdf(f"{Path(address).name}: cut off on paper: {'; '.join(cut[:3])}")
    heading = window.evaluate(
        "() => (document.querySelector('h1')?.innerText || document.title).replace(/#$/, '')"
    )
    side = f"{_MARGIN}mm"
    margins: PdfMargins = {"top": "16mm", "bottom": "16mm", "left": side, "right": side}
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
