"""Contract: decks name figures and numbers that there are, and every slide has notes."""

from __future__ import annotations

import io
import re
from pathlib import Path

import nbformat
import pytest
from factories import complains
from PIL import Image

from molrg.companion import chromium, gallery, slides
from molrg.companion.notebooks import sources

ROOT = Path(__file__).resolve().parents[1]
DECKS = slides.sources(ROOT)
NOTES = re.compile(r"^:::\{revealjs-notes\}\n(.+?)\n:::$", re.MULTILINE | re.DOTALL)
each_deck = pytest.mark.parametrize("deck", DECKS, ids=lambda path: path.stem)


def cells() -> list:
    return [cell for notebook in sources() for cell in notebook.cells]


def pages(deck: Path) -> list[str]:
    """The slides of a deck."""
    return re.split(r"^(?=##? )", deck.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]


def typed(text: str) -> list[str]:
    """Decimals, and numbers before "per cent", that no run has put there."""
    text = re.sub(r"`python -m molrg [^`]*`|python -m molrg run [\w =.-]+", " ", text)
    return re.findall(r"\d\.\d+|\d+(?= per cent)", slides.NUMBER.sub(" ", text))


def test_there_is_a_deck_for_every_part_and_the_first_page_leads_to_all():
    assert [path.stem for path in DECKS] == [f"part{k}" for k in range(1, 7)]
    first = (ROOT / "slides" / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^part\d$", first, re.MULTILINE) == [path.stem for path in DECKS]


@each_deck
def test_a_deck_has_ten_to_fifteen_slides_and_each_has_notes(deck):
    made = pages(deck)
    assert 10 <= len(made) <= 15
    for page in made:
        (notes,) = NOTES.findall(page)
        assert len(notes.split()) >= 15, page.splitlines()[0]
        assert not re.search(r"[$`{]", notes), "notes are shown as plain text"


@each_deck
def test_a_slide_has_one_picture_or_formula_at_most(deck):
    for page in pages(deck):
        assert len(slides.FIGURE.findall(page)) <= 1, page.splitlines()[0]
        assert not (slides.FIGURE.search(page) and "$$" in page), page.splitlines()[0]


@each_deck
def test_the_last_slide_says_what_the_controls_show_and_what_is_open(deck):
    last = pages(deck)[-1]
    assert last.startswith("## What the control")
    assert "**Open.**" in last


@each_deck
def test_every_figure_is_one_of_the_notebooks(deck):
    named = {c.metadata["mystnb"]["figure"]["name"] for c in cells() if _has_figure(c)}
    wanted = set(slides.FIGURE.findall(deck.read_text(encoding="utf-8")))
    assert len(wanted) >= 2
    assert wanted <= named


def _has_figure(cell) -> bool:
    return "figure" in cell.metadata.get("mystnb", {})


@each_deck
def test_every_number_stands_in_a_sentence_of_a_notebook(deck):
    """The strict build of the book resolves those sentences, so that the numbers are there."""
    prose = "\n".join(cell.source for cell in cells() if cell.cell_type == "markdown")
    known = {name for name, _ in slides.NUMBER.findall(prose)}
    wanted = {name for name, _ in slides.NUMBER.findall(deck.read_text(encoding="utf-8"))}
    assert wanted
    assert wanted <= known


@each_deck
def test_no_measured_number_is_typed(deck):
    assert not typed(deck.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "found"),
    [("of 0.5", ["0.5"]), ("40 per cent", ["40"]), ("{glue:text}`c01_z:.1f` per cent", [])],
)
def test_the_search_for_typed_numbers_bites(text, found):
    assert typed(text) == found


def test_fill_puts_in_the_figure_with_its_words_and_the_number():
    drawn = gallery.Figure("fig-a", "Caption", "A line.", False, ("svg", b"<svg/>"))
    run = slides.Run({"fig-a": drawn}, {"c00_a": 0.25, "c00_word": "so"})
    source = "![](figure:fig-a)\n\n{glue:text}`c00_a:.1f` and {glue:text}`c00_word`"
    filled = slides.fill(source, run)
    assert "```{image} figures/fig-a.svg\n:alt: A line.\n" in filled
    assert filled.endswith("0.2 and so")


def png(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("L", (width, height)).save(content, "png")
    return content.getvalue()


@pytest.mark.parametrize(
    ("picture", "photo", "kind"),
    [
        (("svg", b'<svg viewBox="0 0 440.5 240">'), False, "below"),
        (("svg", b'<svg viewBox="0 0 440 400">'), False, "beside"),
        (("png", png(80, 30)), True, "below photo"),
        (("png", png(30, 80)), True, "beside photo"),
    ],
)
def test_a_wide_figure_stands_below_the_words_and_another_beside(picture, photo, kind):
    run = slides.Run({"fig-a": gallery.Figure("fig-a", "Caption", "A line.", photo, picture)}, {})
    assert f":class: {kind}\n" in slides.fill("![](figure:fig-a)", run)


@pytest.mark.slow
@pytest.mark.browser
def test_what_is_printed_is_complete_or_refused(tmp_path):
    pytest.importorskip("playwright", reason="BROWSER TESTS SKIPPED: Playwright is not installed")
    if chromium.executable() is None:
        pytest.skip("BROWSER TESTS SKIPPED: no Chromium")
    reveal = "<script>window.Reveal = {layout: () => null}</script>"
    deck = (
        "<div class='pdf-page' style='height: 700px; overflow: hidden'><section>{}</section></div>"
    )

    def printed(inside: str) -> list[str]:
        page = tmp_path / "deck.html"
        html = f"{reveal}<div class='reveal ready'>{deck.format('<h2>A title</h2>' + inside)}</div>"
        page.write_text(html, encoding="utf-8")
        slides.print_pdfs([page], tell=lambda line: None)
        return sorted(path.name for path in tmp_path.glob("*.pdf"))

    for inside, said in {
        "<p style='height: 900px'>much</p>": "larger than its slide: A title",
        "<img src='lost.png'>": "figure does not show",
        "<span class='math'>x</span>": "formula not typeset: x",
    }.items():
        with pytest.raises(slides.NotBuilt, match=said):
            printed(inside)
    with pytest.raises(slides.NotBuilt, match=r"deck_notes\.pdf: 1 pages for 1 slides"):
        printed("<p>little</p>")
    assert [path.name for path in tmp_path.glob("*.pdf")] == ["deck.pdf"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("![](figure:fig-b)", "figure fig-b"),
        ("![](figure:fig-page)", "figure fig-page"),
        ("{glue:text}`c00_b`", "number c00_b"),
        ("{glue:text}`c00_word:.1f`", "number c00_word = 'so': no format .1f"),
    ],
)
def test_fill_refuses_what_the_run_has_not(source, said):
    by_the_page = gallery.Figure("fig-page", "Caption", "Alt.", False, None)
    run = slides.Run({"fig-page": by_the_page}, {"c00_word": "so"})
    with pytest.raises(slides.NotBuilt, match=said):
        slides.fill(source, run)


def test_a_run_is_read_from_executed_notebooks(tmp_path):
    figure = {"figure": {"name": "fig-x", "caption": "X. More"}, "image": {"alt": "An x"}}
    drawn = nbformat.v4.new_code_cell(metadata={"mystnb": figure})
    drawn.outputs = [
        nbformat.v4.new_output("display_data", data={"image/svg+xml": "<svg/>"}),
        nbformat.v4.new_output(
            "display_data",
            data={"application/papermill.record/text/plain": "1.5"},
            metadata={"scrapbook": {"name": "c00_x"}},
        ),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=[drawn]), tmp_path / "00_x.ipynb")
    run = slides.Run.of(tmp_path)
    assert run.numbers == {"c00_x": 1.5}
    assert run.figures["fig-x"].picture == ("svg", b"<svg/>")


PROJECT = {
    "_config.yml": "sphinx: {config: {mathjax3_config: {tex: {macros: {}}}}}\n",
    "book/_static/mathjax/tex-chtml.js": "",
    "slides/static/slides.css": "",
    "slides/index.md": "# Decks\n\n```{toctree}\npart1\n```\n",
    "slides/part1.md": "# A part\n\n## A slide\n\nIt says {glue:text}`c00_x`.\n",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one deck; Sphinx is asked to write its page and no more."""

    def built(root, source, to):
        (to / "_static").mkdir()
        (to / "_static" / "slides.css").touch()
        (to / "part1.html").write_text((source / "part1.md").read_text())

    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(slides, "_sphinx", built)
    monkeypatch.setattr(slides.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(slides.Run, "of", lambda folder: slides.Run({}, {"c00_x": 1.5}))
    return tmp_path


def test_decks_replace_earlier_decks_once_they_are_complete(project, monkeypatch):
    to = project / "out" / "decks"
    to.mkdir(parents=True)
    assert slides.write(project, project, to) == [to / "part1.html"]
    assert sorted(path.name for path in to.iterdir()) == ["_static", "part1.html"]
    (to / "part1_notes.pdf").touch()
    monkeypatch.setattr(slides.Run, "of", lambda folder: slides.Run({}, {}))
    with pytest.raises(slides.NotBuilt, match="c00_x"):
        slides.write(project, project, to)
    assert (to / "part1_notes.pdf").exists() and "1.5" in (to / "part1.html").read_text()
    monkeypatch.setattr(slides.Run, "of", lambda folder: slides.Run({}, {"c00_x": 2}))
    slides.write(project, project, to)
    assert not (to / "part1_notes.pdf").exists() and "2" in (to / "part1.html").read_text()
    assert [path.name for path in to.parent.iterdir()] == ["decks"]


def test_a_folder_with_something_else_is_not_replaced(project, monkeypatch):
    monkeypatch.chdir(project)
    for to in (Path(), project, project / "_config.yml"):
        with complains("to"):
            slides.write(project, project, to)
    for name, text in PROJECT.items():
        assert (project / name).read_text() == text


def test_without_the_tool_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(slides.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "kept").touch()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'molrg\[slides\]'"):
        slides.write(ROOT, tmp_path, tmp_path)
    assert (tmp_path / "kept").exists()
