"""Decks of slides, one for each part, with the figures and the numbers of the run.

The sources are ``slides/part1.md`` to ``part6.md``. A line ``![](figure:fig-c01-field)`` becomes
the figure of that name, and ``{glue:text}`` the number that a notebook hands to its sentences.
sphinx-revealjs makes pages of them that need no network, and a Chromium prints the pages.
"""

from __future__ import annotations

import importlib.util
import io
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from molrg import claims, files
from molrg.companion import asked, chromium, copies, gallery, layout
from molrg.companion.stopped import Stopped

FIGURE = re.compile(r"^!\[\]\(figure:([\w-]+)\)$", re.MULTILINE)
NUMBER = re.compile(r"\{glue:text\}`([\w.-]+?)(?::([^`]+))?`")

_OWN = ("part1.html", "_static/slides.css")  # what tells a folder of decks from any other
_WIDE = 1.25  # a figure that is wider stands below the words, another one beside them
_SIZE = {"width": 1280, "height": 720}
_REVEAL = {
    **_SIZE,
    "margin": 0.04,
    "center": False,
    "hash": True,
    "controls": False,  # arrows would lie on the figures; keys, a swipe and the wheel move
    "mouseWheel": True,
    "slideNumber": "c/t",
    "transition": "none",
    "pdfMaxPagesPerSlide": 1,
}
# MathJax measures no letter of a slide that is not shown, so that it is told not to try.
_CHTML = {"matchFontHeight": False}
# What a printed page is like when it is complete: its slides, and what is wrong with them.
_READY = """async () => {
  if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise;
  await Promise.all([...document.images].map((picture) => picture.decode().catch(() => null)));
  Reveal.layout();
  const out = (page) => {
    const edge = page.getBoundingClientRect();
    const shown = [...page.querySelectorAll("section :is(h1, h2, p, li, tr, img, mjx-math)")];
    return shown.filter((node) => !node.closest("aside")).some((node) => {
      const box = node.getBoundingClientRect();
      return box.bottom > edge.bottom || box.right > edge.right || box.top < edge.top;
    });
  };
  const pages = [...document.querySelectorAll(".pdf-page")];
  const title = (page) => page.querySelector("h1, h2").innerText;
  return {
    slides: pages.length,
    faults: [
      ...pages.filter(out).map((page) => `larger than its slide: ${title(page)}`),
      ...[...document.querySelectorAll(".math")]
        .filter((math) => !math.querySelector("mjx-container") || math.querySelector("mjx-merror"))
        .map((math) => `formula not typeset: ${math.textContent.slice(0, 60)}`),
      ...[...document.images].filter((picture) => picture.naturalWidth === 0)
        .map((picture) => `figure does not show: ${picture.src}`),
    ],
  };
}"""


class NotBuilt(Stopped):
    """A deck names what the run has not, or its pages have faults."""


@dataclass(frozen=True)
class Run:
    """What the executed notebooks put on slides: figures and numbers, by name."""

    figures: Mapping[str, gallery.Figure]
    numbers: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path) -> Run:
        """Figures and numbers of a folder of executed notebooks."""
        figures: dict[str, gallery.Figure] = {}
        numbers: dict[str, Any] = {}
        for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
            figures |= {figure.name: figure for figure in gallery.figures(path)}
            numbers |= copies.glued(path)
        return cls(figures, numbers)


def sources(root: Path) -> list[Path]:
    """The Markdown sources of the decks, in order."""
    return sorted((root / "slides").glob("part[0-9].md"))


def fill(text: str, run: Run) -> str:
    """A deck with the figures and the numbers of the run.

    Args:
        text: source of the deck.
        run: what to put in.

    Raises:
        NotBuilt: where the run has no figure or no number of a name.
    """

    def number(match: re.Match[str]) -> str:
        name, form = match.groups()
        if name not in run.numbers:
            raise NotBuilt(f"number {name}: no notebook of the run hands it over")
        try:
            return format(run.numbers[name], form or "")
        except ValueError:
            raise NotBuilt(f"number {name} = {run.numbers[name]!r}: no format {form}") from None

    def figure(match: re.Match[str]) -> str:
        name = match[1]
        if name not in run.figures or run.figures[name].picture is None:
            raise NotBuilt(f"figure {name}: no notebook of the run draws it")
        return _image(run.figures[name])

    return FIGURE.sub(figure, NUMBER.sub(number, text))


def _image(figure: gallery.Figure) -> str:
    assert figure.picture is not None
    ending, content = figure.picture
    place = (
        "beside" if _ratio(ending, content) < _WIDE else "below"
    )  # where the style sheet puts it
    kind = f"{place} photo" if figure.photo else place
    return f"```{{image}} figures/{figure.name}.{ending}\n:alt: {figure.alt}\n:class: {kind}\n```"


def _ratio(ending: str, content: bytes) -> float:
    """Width over height of a picture."""
    if ending == "svg":
        box = re.search(rb'viewBox="0 0 ([\d.]+) ([\d.]+)"', content)
        width, height = (float(side) for side in box.groups()) if box else (1.0, 1.0)
    else:
        width, height = Image.open(io.BytesIO(content)).size
    return width / height


def write(root: Path, executed: Path, to: Path) -> list[Path]:
    """Write the pages of all decks, and a first page that leads to them.

    Args:
        root: the project.
        executed: folder of the executed notebooks.
        to: folder of the pages; decks that are there are replaced as a whole, once the new ones
            are complete.

    Returns:
        the page of each deck.

    Raises:
        ModuleNotFoundError: where sphinx-revealjs is not installed.
        NotBuilt: where a deck names what the run has not, or Sphinx warns.
        ValueError: where something else than decks is in the folder.
    """
    if importlib.util.find_spec("sphinx_revealjs") is None:
        raise ModuleNotFoundError("sphinx-revealjs is not installed: pip install 'molrg[slides]'")
    to = to.resolve()
    asked.require_replaceable("to", to, _OWN, "decks")
    with files.replacing(to) as aside:
        source = aside / ".source"
        _stage(root, Run.of(executed), source)
        _sphinx(root, source, aside)
        shutil.rmtree(source)
    return [to / f"{path.stem}.html" for path in sources(root)]


def _stage(root: Path, run: Run, source: Path) -> None:
    """The decks, filled, and the figures that they show."""
    (source / "figures").mkdir(parents=True)
    shutil.copy(root / "slides" / "index.md", source)
    for path in sources(root):
        text = path.read_text(encoding="utf-8")
        (source / path.name).write_text(fill(text, run), encoding="utf-8")
        for name in FIGURE.findall(text):
            ending, content = run.figures[name].picture or ("", b"")
            (source / "figures" / f"{name}.{ending}").write_bytes(content)


def _sphinx(root: Path, source: Path, to: Path) -> None:
    from sphinx.application import Sphinx  # noqa: PLC0415 - an optional package
    from sphinx.util.docutils import docutils_namespace, patch_docutils  # noqa: PLC0415

    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            str(source),
            None,
            str(to),
            str(source / ".doctrees"),
            "revealjs",
            confoverrides=_settings(root),
            status=None,
            warning=warnings,
        )
        app.build(force_all=True)
    if warnings.getvalue():
        raise NotBuilt(f"the decks have faults:\n{warnings.getvalue().strip()}")


def _settings(root: Path) -> dict[str, Any]:
    """Settings of Sphinx; formulas have the macros of the book, and its MathJax."""
    book = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    macros = book["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]
    return {
        "project": "molrg",
        "html_title": "molrg",
        "language": "en_GB",
        "root_doc": "index",
        "extensions": ["myst_parser", "sphinx.ext.mathjax", "sphinx_revealjs"],
        "myst_enable_extensions": ["amsmath", "colon_fence", "dollarmath", "smartquotes"],
        "mathjax_path": "tex-chtml.js",
        "mathjax3_config": {"tex": {"macros": macros}, "chtml": _CHTML},
        "html_show_sourcelink": False,
        "html_copy_source": False,
        "revealjs_html_theme": "revealjs-simple",
        "revealjs_style_theme": "white",
        "revealjs_static_path": [
            str(root / "book" / "_static" / "mathjax"),
            str(root / "slides" / "static"),
        ],
        "revealjs_css_files": ["slides.css"],
        "revealjs_script_conf": dict(_REVEAL),
        "revealjs_script_plugins": [
            {"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}
        ],
        "revealjs_use_section_ids": True,
    }


def print_pdfs(pages: list[Path], tell: Callable[[str], None] = print) -> list[Path]:
    """Print decks, a slide a page, each beside its page; once as shown, once with the notes.

    Args:
        pages: of the decks.
        tell: takes a line for each file that is done.

    Raises:
        NotBuilt: where a slide is larger than its page, a formula is not typeset, a figure does
            not show, or the file has another number of pages than the deck has slides.
        chromium.NoChromium: where there is no Chromium, or no Playwright.
    """
    printed = []
    with chromium.browser() as browser:
        context = browser.new_context(offline=True, viewport={"width": 1280, "height": 720})
        window = context.new_page()
        for page in pages:
            for ending, query in {".pdf": "", "_notes.pdf": "&showNotes=separate-page"}.items():
                window.goto(f"{page.as_uri()}?print-pdf{query}")
                window.wait_for_selector(".reveal.ready, .reveal-viewport .pdf-page")
                state = window.evaluate(_READY)
                content = window.pdf(prefer_css_page_size=True, print_background=True)
                _complain(page.stem + ending, state, content, 2 if query else 1)
                out = page.with_name(page.stem + ending)
                with files.replacing(out) as aside:
                    aside.write_bytes(content)
                printed.append(out)
                tell(out.name)
    return printed


def _complain(name: str, state: dict[str, Any], content: bytes, each: int) -> None:
    """Raise `NotBuilt` with what is wrong with a printed deck of `each` pages a slide."""
    from pypdf import PdfReader  # noqa: PLC0415 - an optional package

    faults = list(state["faults"])
    count = len(PdfReader(io.BytesIO(content)).pages)
    if count != each * state["slides"]:
        faults.append(f"{count} pages for {state['slides']} slides")
    if faults:
        raise NotBuilt(f"{name}: {'; '.join(faults)}")


def make(to: Path, *, pdf: bool, tell: Callable[[str], None] = print) -> list[Path]:
    """The decks of the book's own run.

    Args:
        to: folder of the pages.
        pdf: whether they are printed, too.
        tell: takes a line for each file that is done.

    Raises:
        ModuleNotFoundError: where sphinx-revealjs is not installed.
        NotBuilt: where a notebook has not been run as it is now, or a deck has faults.
        ValueError: where something else than decks is in the folder.
        chromium.NoChromium: where there is no Chromium to print with.
    """
    if missing := layout.stale():
        raise NotBuilt(f"not run as they are now: {', '.join(missing)}. First: python -m molrg run")
    pages = write(claims.root(), layout.Layout.of({}).notebooks, to)
    for page in pages:
        tell(page.name)
    return pages + (print_pdfs(pages, tell) if pdf else [])
