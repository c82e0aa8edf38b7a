"""The course: its file keeps to contents and notebooks, its pages and tables to the course."""

from __future__ import annotations

import re

import pytest
import yaml

from molrg import claims
from molrg.companion import course_graph, teaching

ROOT = claims.root()
COURSE = teaching.course(ROOT)
LANDED = {
    f"notebooks/{e['notebook']}" for e in claims.registry().values() if e["status"] == "landed"
}
NOTES = sorted((ROOT / "book" / "teaching").glob("c[0-9][0-9].md"))
OTHER_PAGES = {"book/reproduce", "book/live", "book/own_data", "book/own_model", "book/your_model"}


def test_the_course_has_the_pages_of_the_contents():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    parts = [part for part in contents["parts"] if part["caption"].startswith(("Part", "Before"))]
    listed = [chapter["file"] for part in parts for chapter in part["chapters"]]
    taught = {page for page in listed if not page.startswith("book/problems")} - OTHER_PAGES
    assert set(COURSE["pages"]) == taught


def test_what_a_page_needs_is_in_the_course_and_needs_no_circle():
    place = list(COURSE["pages"])
    needed = {other for needs in COURSE["pages"].values() for other in needs}
    assert needed <= set(place)
    above: dict[str, set[str]] = {}

    def visit(page: str, path: tuple[str, ...]) -> set[str]:
        assert page not in path, f"a circle through {page}"
        if page not in above:
            needs = COURSE["pages"][page]
            above[page] = set(needs).union(*(visit(n, (*path, page)) for n in needs))
        return above[page]

    for page in place:
        visit(page, ())


@pytest.mark.parametrize("page", sorted(LANDED))
def test_a_notebook_needs_what_its_claim_box_names(page):
    """A page of one's own part and related reading may be named besides, but not less."""
    (line,) = re.findall(r"^- \*\*You need\*\*: (.*)$", teaching.text(ROOT, page), re.MULTILINE)
    named = re.findall(r"\{doc\}`(?:\.\./)?([\w/]+)`", line)
    pages = {name if name.startswith("book/") else f"notebooks/{name}" for name in named}
    assert pages <= set(COURSE["pages"][page]), page


def test_the_exercises_of_the_syllabi_exist():
    sources = "\n".join(teaching.text(ROOT, page) for page in sorted(LANDED))
    sessions = [session for syllabus in COURSE["syllabi"].values() for session in syllabus]
    for label, words in (item for session in sessions for item in session["after"].items()):
        assert f":label: {label}\n" in sources, label
        assert len(words.split()) >= 3, f"{label} is named by its number only"
    for session in sessions:
        assert set(session["read"] + session["live"]) <= set(COURSE["pages"])


def test_a_syllabus_names_exercises_by_number_page_and_words():
    session = COURSE["syllabi"]["one day"][0]
    said = teaching.syllabus(ROOT, [session], {})
    page = "{doc}`C01 </notebooks/01_denoiser_in_closed_form>`"
    words = session["after"]["ex-01-bisector"]
    assert f"- Afterwards: {{ref}}`ex-01-bisector` of {page}, *{words}*\n" in said


def test_reading_times_count_prose_and_formulas_and_nothing_else():
    prose = "word " * (teaching.WORDS_A_MINUTE * 10 - 5)  # room for the name of a directive
    assert teaching.minutes(prose) == 10
    code = "```python\n" + prose + "\n```\n"
    solution = "```{solution} ex-a\n:class: dropdown\n" + prose + "\n```\n"
    assert teaching.minutes(prose + "\n" + code + solution) == 10
    formulas = "$$\nx\n$$\n" * (5 * teaching.WORDS_A_MINUTE // teaching.WORDS_OF_A_FORMULA)
    assert teaching.minutes(formulas) == 5
    theorem = "````{prf:lemma} Title\n" + prose + "\n````\n"
    assert teaching.minutes(theorem) == 10


def test_running_times_are_those_of_the_records():
    (id, entry) = next(iter(claims.registry().items()))
    page = f"notebooks/{entry['notebook']}"
    assert teaching.seconds(page, {id: {"cpu_seconds": 12.3}}) == 12.3
    assert teaching.seconds(page, {}) is None and teaching.seconds("book/part1", {}) is None
    table = teaching.times(ROOT, {id: {"cpu_seconds": 12.3}})
    assert f"{{doc}}`/{page}` | {teaching.minutes(teaching.text(ROOT, page))} minutes | 12" in table
    assert table.count("{doc}") == len(teaching.shown(ROOT))


def test_what_follows_from_other_arrows_is_not_drawn():
    pages = {"book/part1": [], "book/part2": ["book/part1"], "book/part3": ["book/part1"]}
    assert len(course_graph.direct(pages)) == 2
    pages["book/part3"] = ["book/part1", "book/part2"]
    assert ("book/part1", "book/part3") not in course_graph.direct(pages)
    assert course_graph.label("notebooks/07_d_samples_for_each_subspace") == "C07"


def test_every_page_is_in_the_graph_by_its_name(tmp_path):
    import matplotlib.pyplot as plt

    pages = teaching.shown(ROOT)
    figure = course_graph.draw(pages)
    written = {text.get_text() for text in figure.axes[0].texts if text.get_text()}
    plt.close(figure)
    assert written == {course_graph.label(page) for page in pages}


def test_every_landed_notebook_has_its_notes():
    assert {path.stem[1:] for path in NOTES} == {page.split("/")[1][:2] for page in LANDED}


@pytest.mark.parametrize("path", NOTES, ids=lambda path: path.stem)
def test_notes_have_their_parts_and_name_pictures_of_their_notebook(path):
    text = path.read_text(encoding="utf-8")
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert heads == ["Ten minutes", "Where students get stuck", "What to run", "On the wall"]
    assert "**The point.**" in text and len(text.split()) < 520, "short enough before a lecture"
    wall = text.split("## On the wall")[1]
    assert re.search(rf"fig-{path.stem}-", wall), "a picture of the page itself"


@pytest.mark.parametrize("path", NOTES, ids=lambda path: path.stem)
def test_commands_of_the_notes_name_parameters_of_the_notebook(path):
    from molrg.companion.notebooks import parse_parameters, select

    text = path.read_text(encoding="utf-8")
    for number, words in re.findall(r"molrg run (\d\d) -p ([\w.=-]+)", text):
        (notebook,) = select([number])
        notebook.accept(parse_parameters([words]))


def test_notes_begin_with_verdict_times_and_every_exercise():
    (id, entry) = next(iter(claims.registry().items()))
    page = f"notebooks/{entry['notebook']}"
    record = {"verdict": "not reproduced", "cpu_seconds": 12.3}
    said = teaching.for_the_instructor(ROOT, id, {id: record})
    assert f"{{doc}}`/{page}`" in said and "**not reproduced**" in said
    assert f"{teaching.minutes(teaching.text(ROOT, page))} minutes, to run: 12 CPU" in said
    labels = re.findall(r"^:label: (ex-\S+)$", teaching.text(ROOT, page), re.MULTILINE)
    assert labels == re.findall(r"\{ref\}`([^`]+)` \((?:easy|medium|hard), [a-z -]+\)", said)
    for path in NOTES:
        assert f"../_generated/teaching_{path.stem}.md" in path.read_text(encoding="utf-8")


def test_a_syllabus_says_what_came_of_each_title():
    session = COURSE["syllabi"]["one day"][0]
    said = teaching.syllabus(ROOT, [session], {"C01": {"verdict": "reproduced", "cpu_seconds": 1}})
    assert "- In class: {doc}`/notebooks/01_denoiser_in_closed_form` ✓\n" in said
