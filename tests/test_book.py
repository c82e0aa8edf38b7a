"""The book, built strictly, and what has to hold on every page of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import molrg
from molrg.companion.notebooks import drafts

ROOT = Path(__file__).resolve().parents[1]
# What a browser fetches without being asked; anchors are followed by the reader.
FETCHED = {
    "img": "src",
    "script": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
    "link": "href",
    "image": "href",
}
FETCHING_LINKS = {
    "stylesheet",
    "icon",
    "shortcut icon",
    "preload",
    "prefetch",
    "modulepreload",
    "manifest",
}
STRIPS = (
    "faces-edit",
    "faces-network",
    "faces-sample",
    "fashion-mnist",
)  # on the live page
NOT_PROSE = {"script", "style", "code", "pre", "textarea"}


@dataclass
class Page(HTMLParser):
    """What the checks need to know of one page."""

    path: Path
    fetched: list[str] = field(default_factory=list)
    anchors: list[str] = field(default_factory=list)
    images: list[dict[str, str]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    title: str = ""
    prose: str = ""
    inline_style: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self.text = self.path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        here = {name: value or "" for name, value in attrs}
        self.ids |= {here[name] for name in ("id", "name") if name in here}
        self.classes |= set(here.get("class", "").split())
        self.inline_style += here.get("style", "")
        if tag in NOT_PROSE or tag in ("title", "h1"):
            self._open.append(tag)
        if tag == "img":
            self.images.append(here)
        if tag == "a" and "href" in here:
            self.anchors.append(here["href"])
        if here.get(FETCHED.get(tag, "")) and (tag != "link" or here.get("rel") in FETCHING_LINKS):
            self.fetched.append(here[FETCHED[tag]])
        self.fetched += [
            part.split()[0] for part in here.get("srcset", "").split(",") if part.strip()
        ]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside in ("title", "h1"):
            self.title += data
        if inside == "style":
            self.inline_style += data
        if inside not in NOT_PROSE:
            self.prose += data


def external(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https", "ftp")


def urls_in_css(css: str) -> list[str]:
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    found = re.findall(r"url\(\s*['\"]?([^'\")]+)", css) + re.findall(
        r"@import\s+['\"]([^'\"]+)", css
    )
    return [address for address in found if not address.startswith(("data:", "#"))]


def missing_files(page: Page) -> list[str]:
    """Local addresses of a page (fetched or linked) that lead to no file."""
    lost = []
    for address in page.fetched + page.anchors:
        parts = urlsplit(address)
        if external(address) or parts.scheme or not parts.path:
            continue
        if not (page.path.parent / unquote(parts.path)).exists():
            lost.append(address)
    return lost


def bad_alts(page: Page) -> list[str]:
    """Images without alt text, or whose alt text is only the name of their file."""
    return [
        i.get("src", "?")
        for i in page.images
        if not i.get("alt", "").strip() or "_images/" in i["alt"]
    ]


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Page]:
    return {
        str(path.relative_to(site)): Page(path)
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.parts
    }


def own(pages: dict[str, Page]) -> Iterator[tuple[str, Page]]:
    """Pages of the book and its notebooks, without index, search and source listings."""
    return (
        (name, page) for name, page in pages.items() if name.startswith(("book/", "notebooks/"))
    )


@pytest.mark.book
def test_every_page_of_the_contents_is_there(pages):
    contents = set(re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text()))
    there = {name for name in contents if f"{name}.html" in pages}
    assert there == contents - drafts()


@pytest.mark.book
def test_local_links_and_images_exist(pages):
    assert not {name: lost for name, page in pages.items() if (lost := missing_files(page))}


@pytest.mark.book
def test_links_within_the_book_meet_their_target(pages, site):
    lost = {}
    for name, page in own(pages):
        for address in page.anchors:
            parts = urlsplit(address)
            if external(address) or parts.scheme or not parts.fragment:
                continue
            target = (
                (page.path.parent / unquote(parts.path)).resolve()
                if parts.path
                else page.path.resolve()
            )
            there = pages.get(str(target.relative_to(site.resolve())))
            if there and unquote(parts.fragment) not in there.ids:
                lost.setdefault(name, []).append(address)
    assert not lost


@pytest.mark.book
def test_nothing_is_fetched_from_elsewhere(pages, site):
    """The site opens from a file without a network."""
    found = {
        name: bad
        for name, page in pages.items()
        if (bad := [a for a in page.fetched + urls_in_css(page.inline_style) if external(a)])
    }
    for sheet in site.rglob("*.css"):
        if bad := [a for a in urls_in_css(sheet.read_text(encoding="utf-8")) if external(a)]:
            found[str(sheet.relative_to(site))] = bad
    assert not found
    assert (site / "_static/mathjax/tex-chtml.js").is_file()


@pytest.mark.book
def test_files_named_by_the_style_sheets_exist(site):
    lost = [
        f"{sheet.relative_to(site)}: {address}"
        for sheet in site.rglob("*.css")
        for address in urls_in_css(sheet.read_text(encoding="utf-8"))
        if not (sheet.parent / unquote(urlsplit(address).path)).exists()
    ]
    assert not lost


@pytest.mark.book
def test_every_image_says_what_it_shows(pages):
    assert not {name: bad for name, page in pages.items() if (bad := bad_alts(page))}


@pytest.mark.book
def test_every_named_figure_is_on_its_page(pages):
    """A notebook run without its inline figures builds as well: look for each."""
    lost, known = [], 0
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if f"notebooks/{notebook.stem}" in drafts():
            continue
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            name = cell["metadata"].get("mystnb", {}).get("figure", {}).get("name")
            known += name is not None
            if name and name not in pages[f"notebooks/{notebook.stem}.html"].ids:
                lost.append(f"{notebook.stem}: {name}")
    assert known and not lost


@pytest.mark.book
def test_references_are_resolved(pages):
    assert not [name for name, page in own(pages) if "??" in page.prose]
    assert not [
        name
        for name, page in pages.items()
        if "system-message" in page.classes or "problematic" in page.classes
    ]


@pytest.mark.book
def test_titles_are_words(pages):
    """Search and sidebar show a title as it is: no mathematics in it."""
    assert not {
        name: page.title for name, page in own(pages) if re.search(r"\$|\\[(a-zA-Z]", page.title)
    }


@pytest.mark.book
def test_every_page_says_its_version(pages):
    lacking = [
        n
        for n, p in own(pages)
        if "molrg-version" not in p.classes or f"molrg {molrg.__version__}" not in p.prose
    ]
    assert not lacking


@pytest.mark.book
def test_every_page_leads_to_those_who_answer(pages):
    places = ("/issues", "/discussions")
    lacking = [
        n for n, p in own(pages) if not all(any(a.endswith(x) for a in p.anchors) for x in places)
    ]
    assert not lacking


@pytest.mark.book
def test_no_cell_failed_and_nothing_was_written_to_stderr(pages):
    assert not [name for name, page in pages.items() if page.classes & {"traceback", "stderr"}]


@pytest.mark.book
def test_the_live_page_is_whole_and_its_networks_wait_to_be_touched(pages, site):
    """Every file that a script asks for is in the site, and only the first script is fetched with
    the page; without scripts pictures stand in the panels' place.
    """
    page, static = pages["book/live.html"], site / "_static"
    code = {path.stem: path.read_text(encoding="utf-8") for path in static.glob("molrg-live/*.js")}
    listed = set(re.findall(r'"([a-z-]+)"', "".join(re.findall(r"\[[^\]]*\]", code["start"]))))
    assert set(code) == (listed & set(code)) | {"start"}, "a file of code that nobody loads"
    named = re.findall(r"script\([\"`]([^\"`$]+)[\"`]\)", "".join(code.values()))
    assert {"vendor/ort/ort.wasm.min.js", "vendor/ort/ort-wasm.js", "live/faces.js"} == set(named)
    garments = [f"live/fashion-mnist-{part}.js" for part in ("network", "scene")]
    assert not [address for address in [*named, *garments] if not (static / address).is_file()]
    fetched = {urlsplit(a).path for a in page.fetched}
    assert {a for a in fetched if "live/" in a and a.endswith(".js")} == {
        "../_static/molrg-live/start.js"
    }
    assert {f"../_static/live/{name}-strip.png" for name in STRIPS} <= fetched
    assert re.search(r"<noscript>\s*<p>Scripts are switched off", page.text) and not re.search(
        r"<figure[^>]*data-part=.static.[^>]*hidden", page.text
    )
    assert not re.findall(r"https?://|\bfetch\(|XMLHttpRequest", "".join(code.values()))


@pytest.mark.book
def test_every_control_of_the_live_page_has_a_label(pages):
    text = pages["book/live.html"].text
    controls = re.findall(r'<(?:input|select) id="(molrg-live-[\w-]+)"', text)
    assert len(controls) == 6 and all(f'<label for="{name}">' in text for name in controls)
    assert (
        text.count("<canvas data-part=")
        == len(re.findall(r'<canvas data-part="[\w-]+"[^>]*role="img" aria-label="[^"]+"', text))
        == 17
    )
    assert len(re.findall(r'role="status" aria-live="polite"', text)) == 8


def unreachable(text: str) -> list[str]:
    """Controls that a screen reader cannot name, and boxes that a keyboard cannot scroll."""
    folds = re.findall(r"<summary>\s*<(?:span|i)[^>]*>\s*(?:<i[^>]*></i>\s*)?</", text)
    boxes = re.findall(r'<div class="(?:pst-scrollable-table-container|molrg-verdict)">', text)
    return folds + boxes + re.findall(r'<div role="list" class="citation-list">', text)


@pytest.mark.book
def test_keyboard_and_screen_reader_reach_everything(pages):
    assert {name: found for name, page in own(pages) if (found := unreachable(page.text))} == {}


@pytest.mark.book
def test_site_names_no_machine_and_no_index(pages, site):
    hosts = "|".join(["py" r"pi\.org", "python" r"hosted\.org", "download\\.py" r"torch\.org"])
    places = re.compile(
        "|".join(map(re.escape, {str(ROOT), str(Path.home())} - {"/"}))
        + rf"|/home/\w+/|/Users/\w+/|{hosts}"
    )
    files = [page.path for page in pages.values()] + [
        p for p in (site / "_sources").rglob("*") if p.is_file()
    ]
    found = {
        str(p.relative_to(site)): match[0]
        for p in files
        if (match := places.search(p.read_text(encoding="utf-8")))
    }
    assert not found


# The checks themselves have to bite.


def page_of(tmp_path: Path, body: str) -> Page:
    (tmp_path / "x.html").write_text(body)
    return Page(tmp_path / "x.html")


@pytest.mark.parametrize(
    "body",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<img src="//cdn.example/x.png" alt="x"/>',
        '<link rel="stylesheet" href="http://cdn.example/x.css">',
        '<div style="background: url(https://cdn.example/x.png)"></div>',
        '<style>@import "https://cdn.example/x.css";</style>',
    ],
)
def test_external_addresses_are_seen(tmp_path, body):
    page = page_of(tmp_path, body)
    assert [a for a in page.fetched + urls_in_css(page.inline_style) if external(a)]


def test_anchors_and_data_are_no_fetches(tmp_path):
    page = page_of(
        tmp_path,
        '<a href="https://example.org">x</a><img src="data:image/png;base64,AA" alt="dot">',
    )
    assert not [a for a in page.fetched if external(a)] and not missing_files(page)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ('<summary><span><i class="fa"></i></span></summary>', "<summary>Solution</summary>"),
        ('<div class="molrg-verdict">', '<div class="molrg-verdict" tabindex="0">'),
    ],
)
def test_what_cannot_be_reached_is_seen(theirs, ours):
    assert unreachable(theirs) and not unreachable(ours)


def test_lost_files_and_missing_alts_are_seen(tmp_path):
    page = page_of(
        tmp_path,
        '<img src="no.png" alt="../_images/no.png"><a href="lost.html#x">x</a><code>??</code>',
    )
    assert missing_files(page) == ["no.png", "lost.html#x"]
    assert bad_alts(page) == ["no.png"]
    assert "??" not in page.prose
