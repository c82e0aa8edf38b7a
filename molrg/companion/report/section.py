"""A section of a report: finding, figures, meaning, and the chapter that has more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from molrg.companion.report.drawings import Drawing


class Shown(NamedTuple):
    """A figure: a drawing, or a PNG in base64; what it shows, in words; and how to look at it."""

    figure: Drawing | str
    alt: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A question about the network, and its answer.

    Attributes:
        title: of the section.
        finding: what was found, in a sentence or two.
        shown: its figures.
        meaning: two sentences.
        chapter: the file of the book that has more.
        lines: further sentences on what was found here.
        more: those that few will need, folded.
    """

    title: str
    finding: str
    shown: tuple[Shown, ...]
    meaning: str
    chapter: str
    lines: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
