"""What goes to students: nothing of a solution is left in it, and all of the exercises is."""

from __future__ import annotations

import nbformat
import pytest
from factories import complains

from molrg import claims
from molrg.companion import book, copies, solutions, student
from molrg.companion.notebooks import sources

PAGE = """\
Before, {ref}`the answer <sol-a>`, {ref}`sol-a`, {ref}`another place <sec-b>`.

```{exercise}
:label: ex-a
Why is the mean of the squares so much larger here?
```

````{solution} ex-a
:label: sol-a
:class: dropdown
Because **every** coordinate adds its own variance. See {numref}`fig-a`, where $\\sigma = 1$.
```python
print("a sentence of code that is long enough to be found")
```
````

After.
"""


def test_solutions_are_taken_out_and_what_refers_to_them_keeps_its_words():
    text = solutions.without(PAGE, solutions.labels(PAGE))
    assert "Before, the answer, the solution, {ref}`another place <sec-b>`." in text
    assert "```{exercise}" in text and text.endswith("\n\nAfter.\n")
    assert "coordinate" not in text and "sol-a" not in text


@pytest.mark.parametrize(
    "text",
    [
        "<p>Because <strong>every</strong> coordinate adds\nits own variance.</p>",
        '{"source": "Because **every**\\n coordinate adds its own variance."}',
        "BECAUSE every coordinate adds its own variance",
    ],
)
def test_a_sentence_that_is_left_is_found(tmp_path, text):
    (body,) = solutions.bodies(PAGE)
    page = tmp_path / "pages" / "a.html"
    page.parent.mkdir()
    page.write_text(PAGE.split("````", maxsplit=1)[0])
    assert not solutions.leaks(tmp_path, [body])
    page.write_text(text)
    (left,) = solutions.leaks(tmp_path, [body])
    assert left.startswith("pages/a.html: becauseeverycoordinate")


def test_a_solution_in_another_form_stops_the_build(tmp_path):
    (tmp_path / "a.md").write_text(
        "```{solution-start} ex-a\n```\nBecause.\n```{solution-end}\n```\n"
    )
    with pytest.raises(ValueError, match=r"^a\.md = a solution in another form: allowed is"):
        solutions.take_out(tmp_path)


def test_copies_of_all_notebooks_hold_all_exercises_and_no_solution(tmp_path):
    written, _ = copies.write(sources(), tmp_path, solutions=False)
    whole = [text for n in sources() for text in solutions.texts(n.path)]
    taken = [body for text in whole for body in solutions.bodies(text)]
    assert len(taken) >= 3 * len(written)
    assert not solutions.leaks(tmp_path, taken)
    cells = [cell for path in written for cell in nbformat.read(path, as_version=4).cells]
    asked = sum(cell.source.startswith("**Exercise.**") for cell in cells)
    asked += sum(cell.source.count("\n**Exercise.**") for cell in cells)
    assert asked == sum(text.count("```{exercise}") for text in whole)
    stubs = [cell for cell in cells if copies.SELF_CHECK in cell.metadata.get("tags", [])]
    assert stubs and all("answer = ...\ncheck(" in cell.source for cell in stubs)


def test_every_solution_is_long_enough_to_be_looked_for():
    pages = [*solutions.pages(claims.root() / "book"), *(n.path for n in sources())]
    found = [
        body for page in pages for text in solutions.texts(page) for body in solutions.bodies(text)
    ]
    asked = sum(text.count("```{exercise}") for page in pages for text in solutions.texts(page))
    assert found and len(found) <= asked
    assert not [body for body in found if not solutions.pieces(body)]


def test_pages_that_are_no_site_of_ours_are_not_replaced(tmp_path):
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("mine")
    with complains("html in the folder"):
        student.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["html"]
    assert (tmp_path / "html" / "index.html").read_text() == "mine"


def test_where_a_solution_is_left_all_that_was_written_is_taken_away(project, monkeypatch):
    (body,) = solutions.bodies(PAGE)
    to = project / "course"
    mine = to / "notebooks" / "mine.ipynb"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")

    def copied(chosen, folder, *, solutions):
        (folder / "01.ipynb").write_text(body)
        return [folder / "01.ipynb"], []

    monkeypatch.setattr(book, "stage", lambda root: root)
    monkeypatch.setattr(student, "_sources", lambda staged, place: (place.mkdir(), place)[1])
    monkeypatch.setattr(student, "_hide", lambda src: [body])
    monkeypatch.setattr(copies, "write", copied)
    monkeypatch.setattr(book, "sphinx", lambda root, src, html: html.mkdir())
    with pytest.raises(book.BuildFailed, match=r"notebooks/01\.ipynb: because"):
        student.write(to)
    assert sorted(path.name for path in to.rglob("*")) == ["mine.ipynb", "notebooks"]


@pytest.mark.book
@pytest.mark.slow
def test_the_student_site_and_notebooks_hold_no_solution(tmp_path):
    folder = student.write(tmp_path)  # raises where a sentence of a solution is left
    assert (folder / "html" / "index.html").is_file()
    assert (folder / "html" / "searchindex.js").is_file()
    assert not (folder / "html" / "_sources").exists()
    pages = [path.read_text(encoding="utf-8") for path in (folder / "html").rglob("*.html")]
    assert not [page for page in pages if "_sources/" in page]
    assert not [page for page in pages if 'class="solution' in page or "Solution to" in page]
    assert not (folder / "html" / "book" / "teaching").exists()
    asked = [n.path for n in sources()] + list((claims.root() / "book").glob("*.md"))
    shown = [text for page in asked for text in solutions.texts(page)]
    assert sum(page.count('<div class="exercise') for page in pages) == sum(
        text.count("```{exercise}") for text in shown
    )
