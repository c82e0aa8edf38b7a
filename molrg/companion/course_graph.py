"""The graph of pages: a row for each part of the book, an arrow from what is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt

from molrg import plots

WIDTH = 4.8  # inches: 346 points, so that letters stay legible on a phone
ROW = 0.95  # inches between two rows
_RADIUS = 13  # points: of a page's circle, where arrows end
NUMERALS = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI"}


def label(page: str) -> str:
    """What stands in the graph for a page: the numeral of a part, the number of a claim."""
    name = page.rsplit("/", maxsplit=1)[-1]
    if name.startswith("part"):
        return NUMERALS[int(name.removeprefix("part"))]
    return "C" + name[:2] if name[:2].isdigit() else name


def rows(pages: Mapping[str, list[str]]) -> list[list[str]]:
    """Pages by part: a theory page opens a row, the notebooks after it stand in it."""
    made: list[list[str]] = []
    for page in pages:
        if page.startswith("book/") or not made:
            made.append([])
        made[-1].append(page)
    return made


def direct(pages: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Pairs (needed, page), without those that follow from others."""

    def above(page: str) -> set[str]:
        return {page}.union(*(above(needed) for needed in pages[page]))

    return [
        (needed, page)
        for page, needs in pages.items()
        for needed in needs
        if not any(needed in above(other) for other in needs if other != needed)
    ]


def draw(pages: Mapping[str, list[str]]) -> plt.Figure:
    """The graph, from top to bottom in the order of the book."""
    table = rows(pages)
    columns = max(map(len, table))
    figure, ax = plt.subplots(figsize=(WIDTH, ROW * len(table)), layout="constrained")
    place = {page: (x, -y) for y, row in enumerate(table) for x, page in enumerate(row)}
    for needed, page in direct(pages):
        (x0, y0), (x1, y1) = place[needed], place[page]
        far = (y0 == y1 and x1 - x0 > 1) or (x0 == x1 and y0 - y1 > 1)
        arrow = {
            "arrowstyle": "->",
            "color": plots.COLOURS["reference"],
            "connectionstyle": f"arc3,rad={-0.35 if far else 0}",
            "shrinkA": _RADIUS,
            "shrinkB": _RADIUS,
        }
        ax.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
    for page, (x, y) in place.items():
        theory = page.startswith("book/")
        ax.text(x, y, label(page), ha="center", va="center", weight="bold" if theory else "normal")
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(0.4 - len(table), 0.5))
    ax.axis("off")
    return figure


def write(path: Path, pages: Mapping[str, list[str]]) -> None:
    """Draw the graph into a file."""
    plots.house_style()
    figure = draw(pages)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
