"""The site as a browser shows it: from files, without a network, wide and narrow, light and dark.

MOLRG_BROWSER=full loads every page in all four settings and asks the rules of accessibility
each time; the usual run loads it once, sees it in two and asks once.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="BROWSER TESTS SKIPPED: Playwright is not installed"
)
pytest.importorskip("axe_playwright_python", reason="BROWSER TESTS SKIPPED: no axe is installed")

import visits  # noqa: E402 - after the skips

from molrg.companion import (  # noqa: E402 - after the skips
    chromium as chromiums,
    pdf,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        chromiums.executable() is None,
        reason="BROWSER TESTS SKIPPED: no Chromium; set CHROMIUM or `playwright install chromium`",
    ),
]
KINDS = (
    "failed request",
    "page error",
    "console error",
    "equation not typeset",
    "image that does not show",
    "image without a text",
    "wider than the window",
    "axe",
)
SETTINGS = visits.FULL if os.environ.get("MOLRG_BROWSER") == "full" else visits.USUAL


@pytest.fixture(scope="module")
def chromium():
    with chromiums.browser() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def all_visits(seen_site, request):
    """Every page in every setting; the table of faults is printed."""
    names = [
        str(path.relative_to(seen_site))
        for folder in ("book", "notebooks")
        for path in sorted((seen_site / folder).rglob("*.html"))
    ]
    assert len(names) > 40
    seen = visits.visit(seen_site, [*names, "search.html"], SETTINGS)
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{visits.table(seen)}")
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_no_page_has_this_fault(all_visits, kind):
    bad = {
        f"{visit.page} at {visit.width} px, {visit.theme}": places
        for visit in all_visits
        for name, places in visit.faults.items()
        if name.startswith(kind)
    }
    assert not bad


def test_the_rules_of_accessibility_were_asked_on_every_page(all_visits):
    asked = {visit.page for visit in all_visits if visit.asked}
    assert asked == {visit.page for visit in all_visits}


def test_links_meet_a_place_that_the_browser_knows(all_visits, seen_site):
    assert not visits.broken_links(all_visits, seen_site)


def _change(page, drawing: str, move: str) -> None:
    """Move a slider to its end and wait until the drawing is another."""
    before = page.evaluate(drawing)
    page.evaluate(
        "(move) => { const slider = document.querySelector(move); slider.value = slider.max;"
        " slider.dispatchEvent(new Event('input', {bubbles: true}));"
        " slider.dispatchEvent(new Event('change', {bubbles: true})); }",
        move,
    )
    page.wait_for_function(f"(before) => ({drawing})() !== before", arg=before)


@pytest.mark.parametrize(
    "notebook",
    ["06_d_samples_for_one_subspace", "08_where_the_assumptions_bend"],
)
def test_a_slider_changes_its_plot(chromium, seen_site, notebook):
    page = visits.window(chromium, visits.DESKTOP, "light")
    page.goto((seen_site / "notebooks" / f"{notebook}.html").as_uri())
    page.wait_for_function("() => document.querySelector('.molrg-slider output')?.textContent")
    _change(
        page,
        "() => document.querySelector('.molrg-plot-area').innerHTML",
        ".molrg-slider input",
    )
    page.context.close()


def test_the_slider_of_the_tree_changes_its_colours(chromium, seen_site):
    page = visits.window(chromium, visits.PHONE, "dark")
    page.goto((seen_site / "notebooks" / "17_phase_transition_of_hierarchy.html").as_uri())
    slider = "input[type=range]"
    page.wait_for_selector(slider, state="attached")
    figure = f"document.querySelector('{slider}').closest('figure, .cell_output')"
    _change(page, f"() => {figure}.innerHTML", slider)
    page.context.close()


def test_the_live_faces_answer(chromium, seen_site):
    """Another level of noise, another picture, computed in the page."""
    page = visits.window(chromium, visits.DESKTOP, "light")
    page.goto((seen_site / "book" / "live.html").as_uri())
    slider = "#molrg-live-noise-level"
    page.wait_for_selector(slider, state="attached")
    page.evaluate(f"() => document.querySelector('{slider}').scrollIntoView()")
    page.wait_for_function(f"() => document.querySelector('{slider}').max > 0")
    pictures = "() => [...document.querySelectorAll('canvas')].map((c) => c.toDataURL()).join()"
    page.wait_for_function(f"() => ({pictures})().length > 100")
    _change(page, pictures, slider)
    page.context.close()


def test_the_faults_are_seen(tmp_path):
    """A page with one fault of each kind."""
    (tmp_path / "bad.html").write_text(
        "<!doctype html><html lang='en'><title>bad</title><body>"
        "<img src='lost.png' alt=''><span class='math'>\\(x\\)</span>"
        "<div style='width: 3000px'>wide</div><button></button>"
        "<div class='highlight' style='background: white'><pre><span class='n'>dark</span>"
        "<span class='n'>dark</span><span class='k' style='color: #ddd'>pale</span></pre></div>"
        "<p>of one look</p><p>of one look</p><p style='color: #bbb'>grey</p>"
        "<div style='background: #222'><p>night</p></div><p style='opacity: 0.2'>faint</p>"
        "<a href='bad.html#nowhere'>to nowhere</a>"
        "<script>console.error('a line'); throw new Error('broken')</script></body></html>"
    )
    (seen,) = visits.visit(Path(tmp_path), ["bad.html"], visits.USUAL[:1])
    kinds = {kind.split(":")[0] for kind in seen.faults}
    assert kinds == set(KINDS)
    for word in ("pale", "grey", "night", "faint"):
        assert any(word in place for place in seen.faults["axe: color-contrast"])
    assert visits.broken_links([seen], Path(tmp_path)) == ["bad.html: /bad.html#nowhere"]


def test_pages_become_one_pdf_with_bookmarks_and_links_inside(chromium, tmp_path):
    from pypdf import PdfReader

    site = tmp_path / "site"
    site.mkdir()
    (site / "root.html").write_text(
        f"<h1>The root</h1><pre>{'wide ' * 60}</pre><p><a href='one.html#here'>to one</a>"
        "<a href='listing.html'>a listing</a><a href='https://example.org/'>elsewhere</a></p>"
    )
    (site / "one.html").write_text(
        "<h1 id='here'>One</h1><details><summary>A solution</summary>unfolded words</details>"
        "<div style='break-before: page'>its second sheet</div>"
    )
    contents = {
        "root": "root",
        "parts": [{"caption": "A part", "chapters": [{"file": "one", "title": "First"}]}],
    }
    lines = []
    out = tmp_path / "book.pdf"
    assert pdf.write(site, contents, out, tell=lines.append, browser=chromium) == 3
    assert lines == ["root: 1 pages", "one: 2 pages"]
    book = PdfReader(out)
    text = [page.extract_text() for page in book.pages]
    lines_of_code = [line for line in text[0].splitlines() if "wide" in line]
    assert len(lines_of_code) > 1 and sum(line.count("wide") for line in lines_of_code) == 60
    assert "unfolded words" in text[1] and "second sheet" in text[2]
    title, part, inside = book.outline
    assert (title.title, part.title, inside[0].title) == ("The root", "A part", "First")
    assert book.get_destination_page_number(inside[0]) == 1
    links = [note.get_object() for note in book.pages[0]["/Annots"]]
    assert [str(link["/A"]["/URI"]) for link in links if "/A" in link] == ["https://example.org/"]
    (within,) = [link["/Dest"] for link in links if "/Dest" in link]
    assert within[0].get_object() == book.pages[1].get_object()
    assert str(tmp_path) not in out.read_bytes().decode("latin-1")


def test_what_the_paper_would_cut_off_is_refused(chromium, tmp_path):
    (tmp_path / "root.html").write_text(
        "<h1>The root</h1><div style='width: 300px; overflow: hidden'>"
        "<table><tr><td style='min-width: 900px'>wide cells</td></tr></table></div>"
    )
    contents = {"root": "root", "parts": []}
    with pytest.raises(pdf.WrongPdf, match=r"root\.html: cut off on paper: .* wide cells"):
        pdf.write(tmp_path, contents, tmp_path / "book.pdf", browser=chromium)
    assert not (tmp_path / "book.pdf").exists()


def test_a_page_that_was_not_built_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lost\.html: run `python -m molrg book` first"):
        pdf.write(tmp_path, {"root": "lost", "parts": []}, tmp_path / "book.pdf")
    assert not (tmp_path / "book.pdf").exists()
