"""What holds a printed book to its contents: sheets, bookmarks, and where they lead."""

from __future__ import annotations

import pytest

pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")

from pypdf.generic import (  # noqa: E402 - after the skip
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
)

from molrg.companion.pdf_check import Chapter, WrongPdf, check  # noqa: E402 - after the skip

CHAPTERS = [
    Chapter("", "The root", "The root", 1),
    Chapter("A part", "First", "One", 2),
    Chapter("A part", "Second", "Two", 1),
    Chapter("Another", "Third", "Three", 1),
]
TEXTS = ("The root", "One", "and more of it", "Two", "Three")
BOOKMARKS = [
    ("The root", 0, None),
    ("A part", 1, None),
    ("First", 1, "A part"),
    ("Second", 3, "A part"),
    ("Another", 4, None),
    ("Third", 4, "Another"),
]


def written(path, texts, bookmarks):
    """A PDF with these words on its sheets and these bookmarks: title, sheet, what it is below."""
    book = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/Font"): DictionaryObject({NameObject("/F"): font})})
    for text in texts:
        page = book.add_blank_page(width=300, height=300)
        words = DecodedStreamObject()
        words.set_data(f"BT /F 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = book._add_object(words)
        page[NameObject("/Resources")] = fonts
    items = {}
    for title, sheet, below in bookmarks:
        items[title] = book.add_outline_item(
            title=title, page_number=sheet, parent=items.get(below)
        )
    book.write(path)
    return path


def test_a_whole_book_has_as_many_sheets_as_its_chapters(tmp_path):
    assert check(written(tmp_path / "book.pdf", TEXTS, BOOKMARKS), CHAPTERS) == 5


def without(title):
    return [bookmark for bookmark in BOOKMARKS if bookmark[0] != title]


@pytest.mark.parametrize(
    ("texts", "bookmarks", "said"),
    [
        (TEXTS[:-1], without("Another")[:-1], "4 sheets: its chapters have 5"),
        ((*TEXTS, "more"), BOOKMARKS, "6 sheets: its chapters have 5"),
        (TEXTS, BOOKMARKS[:-1], "5 bookmarks: the contents have 6 lines"),
        (TEXTS, without("Second"), "bookmark 'Another' at depth 0, sheet 5"),
        (TEXTS, [*BOOKMARKS[:3], ("Second", 2, "A part"), *BOOKMARKS[4:]], "sheet 3: .* sheet 4"),
        (TEXTS, [*BOOKMARKS[:3], ("Second", 3, None), *BOOKMARKS[4:]], "depth 0.* depth 1"),
        (("The root", "Two", "and more", "One", "Three"), BOOKMARKS, "First: sheet 2 does not"),
    ],
)
def test_what_is_missing_or_leads_elsewhere_is_refused(tmp_path, texts, bookmarks, said):
    with pytest.raises(WrongPdf, match=said):
        check(written(tmp_path / "book.pdf", texts, bookmarks), CHAPTERS)


def test_a_chapter_without_a_sheet_is_refused(tmp_path):
    path = written(tmp_path / "book.pdf", TEXTS, BOOKMARKS)
    with pytest.raises(WrongPdf, match="no sheet: Fourth"):
        check(path, [*CHAPTERS, Chapter("Another", "Fourth", "Four", 0)])
