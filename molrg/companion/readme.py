"""The parts of the README that are made: last lines of a run, verdicts, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt

from molrg import claims, files, plots
from molrg.companion import drawings, robustness
from molrg.companion.scorecard import outcome, totals
from molrg.plots.dark import dark

PICTURES = Path("book/_static/readme")
_MARKERS = {
    part: (
        f"<!-- {part}: made by `python -m molrg claims --write-readme` -->",
        f"<!-- end of {part} -->",
    )
    for part in ("totals", "verdicts")
}


def readme_table(records: Mapping[str, dict]) -> str:
    """The verdict table of the README: id, statement, verdict, and the strongest caveat."""
    shaky = robustness.pages.shaky(robustness.kept())
    lines = ["| claim | statement | verdict | but |", "|---|---|---|---|"]
    for id, entry in claims.registry().items():
        verdict = ", ".join(filter(None, [outcome(id, records), shaky.get(id)]))
        lines.append(f"| {id} | {entry['title']} | {verdict} | {entry['but']} |")
    return "\n".join(lines)


def write_readme(records: Mapping[str, dict], path: Path | None = None) -> None:
    """Put the last lines of a run and the verdicts into the README, between their markers.

    Raises:
        ValueError: where the markers are not there.
    """
    path = path or claims.root() / "README.md"
    text = path.read_text(encoding="utf-8")
    told, spent = totals(records)
    last_lines = f"```\n{told}; {spent:.0f} CPU-s\nthe book: _build/html/index.html\n```"
    for part, content in (("totals", last_lines), ("verdicts", readme_table(records))):
        first, last = _MARKERS[part]
        start, end = text.find(first), text.find(last)
        if not 0 <= start < end:
            raise ValueError(f"{path.name}: the lines {first!r} and {last!r} are missing")
        text = f"{text[:start]}{first}\n{content}\n{text[end:]}"
    with files.replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_pictures(root: Path) -> None:
    """Draw the pictures of the README again: the face, and the recorded figure of C06."""
    plots.house_style()
    folder = root / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    figure = drawings.hero()
    figure.savefig(folder / "hero.png", dpi=120)
    plt.close(figure)
    svg = (root / "book" / "results" / "paper" / "C06.svg").read_text(encoding="utf-8")
    (folder / "one-subspace.svg").write_text(svg, encoding="utf-8")
    (folder / "one-subspace-dark.svg").write_text(dark(svg), encoding="utf-8")
