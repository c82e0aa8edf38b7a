"""Whether a PDF is the whole book: its sheets, its bookmarks, and what they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molrg.companion.stopped import Stopped

if TYPE_CHECKING:
    from pypdf import PdfReader


class WrongPdf(Stopped):
    """The PDF is not the whole book, or its bookmarks do not follow the contents."""


@dataclass(frozen=True)
class Chapter:
    """A page of the contents on paper.

    Args:
        part: its part, empty for the first page of the book.
        title: its name in the contents, the bookmark.
        heading: what stands above its text.
        sheets: how many sheets it takes.
    """

    part: str
    title: str
    heading: str
    sheets: int


def check(path: Path, chapters: list[Chapter]) -> int:
    """Compare a PDF with the chapters it was made of; returns its number of sheets.

    Args:
        path: the PDF.
        chapters: in their order.

    Raises:
        WrongPdf: where a chapter has no sheet, the sheets are not as many as those of the chapters,
            the bookmarks are not the contents, or one leads elsewhere than to its chapter.
    """
    from pypdf import PdfReader  # noqa: PLC0415 - an optional package

    book = PdfReader(path)
    if empty := [chapter.title for chapter in chapters if chapter.sheets < 1]:
        raise WrongPdf(f"no sheet: {', '.join(empty)}")
    sheets = sum(chapter.sheets for chapter in chapters)
    if len(book.pages) != sheets:
        raise WrongPdf(f"{len(book.pages)} sheets: its chapters have {sheets}")
    _compare(_bookmarks(book, book.outline), _contents(chapters))
    first = 0
    for chapter in chapters:
        if _letters(chapter.heading) not in _letters(book.pages[first].extract_text()):
            raise WrongPdf(f"{chapter.title}: sheet {first + 1} does not begin it")
        first += chapter.sheets
    return sheets


def _compare(bookmarks: list[tuple[int, str, int]], contents: list[tuple[int, str, int]]) -> None:
    for bookmark, line in zip(bookmarks, contents, strict=False):
        if bookmark != line:
            raise WrongPdf(f"bookmark {_said(bookmark)}: the contents have {_said(line)}")
    if len(bookmarks) != len(contents):
        raise WrongPdf(f"{len(bookmarks)} bookmarks: the contents have {len(contents)} lines")


def _said(line: tuple[int, str, int]) -> str:
    depth, title, sheet = line
    return f"{title!r} at depth {depth}, sheet {sheet + 1}"


def _contents(chapters: list[Chapter]) -> list[tuple[int, str, int]]:
    """Depth, title and sheet of every part and chapter, as the bookmarks should be."""
    lines, part, first = [], "", 0
    for chapter in chapters:
        if chapter.part != part:
            part = chapter.part
            lines.append((0, part, first))
        lines.append((1 if part else 0, chapter.title, first))
        first += chapter.sheets
    return lines


def _bookmarks(book: PdfReader, outline: list[Any], depth: int = 0) -> list[tuple[int, str, int]]:
    """Depth, title and sheet of every bookmark; what is below one is a list after it."""
    lines: list[tuple[int, str, int]] = []
    for item in outline:
        if isinstance(item, list):
            lines += _bookmarks(book, item, depth + 1)
        else:
            sheet = book.get_destination_page_number(item)
            lines.append((depth, str(item.title), -1 if sheet is None else sheet))
    return lines


def _letters(text: str) -> str:
    return "".join(text.split())
