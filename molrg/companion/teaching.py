"""The course as data: what each page needs, two syllabi, reading and running times."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml

from molrg import claims
from molrg.companion import course_graph, overview, scorecard, solutions
from molrg.companion.notebooks import drafts

FILE = "book/teaching/course.yml"
WORDS_A_MINUTE = 120  # of a text with formulas, read to be understood
WORDS_OF_A_FORMULA = 25  # what a displayed formula counts for
_CODE = re.compile(r"^(`{3,})\w[^\n]*\n.*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
_DISPLAYED = re.compile(r"\$\$.*?\$\$", re.DOTALL)
_EXERCISE = re.compile(
    r"^```\{exercise\}[^\n]*\n:label: (?P<label>\S+)\n.*?"
    r"^\*(?P<difficulty>Easy|Medium|Hard), (?P<time>[a-z\- ]+)\.\*",
    re.DOTALL | re.MULTILINE,
)
_SECTION = re.compile(r"\{[\w:]+\}|[`:#*|{}\[\]()$\\]")


def course(root: Path) -> dict[str, Any]:
    """The course file: `pages` with what each needs, and `syllabi` of sessions."""
    return yaml.safe_load((root / FILE).read_text(encoding="utf-8"))


def shown(root: Path) -> dict[str, list[str]]:
    """Pages of the course with what each needs, without drafts, whose claims are planned."""
    planned = drafts()
    pages = course(root)["pages"]
    return {
        page: [needed for needed in needs if needed not in planned]
        for page, needs in pages.items()
        if page not in planned
    }


def text(root: Path, page: str) -> str:
    """The text of a page: its Markdown, or the Markdown cells of a notebook."""
    if (source := root / f"{page}.md").is_file():
        return source.read_text(encoding="utf-8")
    cells = nbformat.read(root / f"{page}.ipynb", as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def minutes(markdown: str) -> int:
    """Minutes that a text takes to read, in steps of five; code and solutions are not counted."""
    prose = _CODE.sub(" ", solutions.without(markdown, set()))
    formulas = len(_DISPLAYED.findall(prose))
    words = re.findall(r"[A-Za-z]{2,}", _SECTION.sub(" ", _DISPLAYED.sub(" ", prose)))
    counted = len(words) + WORDS_OF_A_FORMULA * formulas
    return 5 * math.ceil(counted / WORDS_A_MINUTE / 5)


def seconds(page: str, records: Mapping[str, dict]) -> float | None:
    """CPU seconds of a notebook in the book's run; none for prose and where it was not run."""
    name = page.removeprefix("notebooks/")
    for id, entry in claims.registry().items():
        if entry["notebook"] == name and id in records:
            return records[id]["cpu_seconds"]
    return None


def write(generated: Path, root: Path, records: Mapping[str, dict]) -> None:
    """Write syllabi, table of times, graph of pages and what notes need of their notebooks."""
    for name, sessions in course(root)["syllabi"].items():
        file = generated / f"syllabus_{name.replace(' ', '_')}.md"
        file.write_text(syllabus(root, sessions, records), encoding="utf-8")
    (generated / "course_times.md").write_text(times(root, records), encoding="utf-8")
    for id in landed():
        facts = for_the_instructor(root, id, records)
        (generated / f"teaching_{id.lower()}.md").write_text(facts, encoding="utf-8")
    course_graph.write(generated / "course_graph.svg", shown(root))


def landed() -> list[str]:
    """The claims that have a notebook."""
    return [id for id, entry in claims.registry().items() if entry["status"] == "landed"]


def for_the_instructor(root: Path, id: str, records: Mapping[str, dict]) -> str:
    """What a lecturer asks first of a notebook: verdict, minutes, seconds, exercises.

    Args:
        root: of the project.
        id: of a claim.
        records: of the book's run, by claim.
    """
    page = f"notebooks/{claims.claim(id)['notebook']}"
    running = seconds(page, records)
    run = f", to run: {running:.0f} CPU seconds" if running is not None else ""
    exercises = ", ".join(
        f"{{ref}}`{label}` ({difficulty.lower()}, {time})"
        for label, difficulty, time in exercises_of(root, page)
    )
    return (
        f"{{doc}}`/{page}`, in the run of this book **{scorecard.outcome(id, records)}**. To read:"
        f" {minutes(text(root, page))} minutes{run}. Its exercises: {exercises}.\n"
    )


def exercises_of(root: Path, page: str) -> list[tuple[str, str, str]]:
    """Label, difficulty and time of each exercise of a notebook."""
    return _EXERCISE.findall(text(root, page))


def syllabus(root: Path, sessions: list[dict[str, Any]], records: Mapping[str, dict]) -> str:
    """The sessions of a syllabus, one below the other."""
    parts = []
    for number, session in enumerate(sessions, start=1):
        pages = [*session["read"], *session["live"]]
        reading = sum(minutes(text(root, page)) for page in pages)
        running = [seconds(page, records) for page in session["live"]]
        known = [value for value in running if value is not None]
        run = f"; to run: {sum(known):.0f} CPU seconds" if len(known) == len(running) else ""
        lines = [
            f"**{number}. {session['title']}.** The goal: to {session['goal'].strip()}.",
            f"- Before: {_pages(session['read']) if session['read'] else 'nothing new'}",
            f"- In class: {_with_verdicts(session['live'], records)}",
            f"- Afterwards: {_exercises(root, session['after'])}",
            f"- To read, all together: {reading} minutes{run}",
        ]
        parts.append("\n".join([lines[0], "", *lines[1:]]))
    return "\n\n".join(parts) + "\n"


def _exercises(root: Path, named: Mapping[str, str]) -> str:
    """Exercises by number, claim and in words."""
    places = {
        label: f"{{doc}}`{id} </notebooks/{entry['notebook']}>`"
        for id, entry in claims.registry().items()
        for label in _labels(root, f"notebooks/{entry['notebook']}")
    }
    return "; ".join(
        f"{{ref}}`{label}` of {places[label]}, *{words}*" for label, words in named.items()
    )


def _labels(root: Path, page: str) -> list[str]:
    return [label for label, _, _ in exercises_of(root, page)]


def times(root: Path, records: Mapping[str, dict]) -> str:
    """A table of all pages of the course: minutes to read, seconds to run."""
    rows = ["| page | to read | to run |", "|---|---|---|"]
    for page in shown(root):
        value = seconds(page, records)
        run = f"{value:.0f} CPU seconds" if value is not None else ""
        rows.append(f"| {{doc}}`/{page}` | {minutes(text(root, page))} minutes | {run} |")
    return "\n".join(rows) + "\n"


def _pages(pages: list[str]) -> str:
    return ", ".join(f"{{doc}}`/{page}`" for page in pages)


def _with_verdicts(pages: list[str], records: Mapping[str, dict]) -> str:
    """Pages with the sign of their verdict: a title says the claim, and not what came of it."""
    ids = {f"notebooks/{entry['notebook']}": id for id, entry in claims.registry().items()}
    signs = {page: overview.sign(ids[page], records) for page in pages if page in ids}
    return ", ".join(f"{{doc}}`/{page}` {signs.get(page, '')}".rstrip() for page in pages)
