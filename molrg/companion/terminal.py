"""What commands print: names of files are shown as they are, and never obeyed."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich.console import Console

_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, formats, halves of letters, line ends


class Terminal(Console):
    """A console for which a text is a text: its control characters and [red] are shown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"markup": False, "highlight": False} | options))

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; what is no text, such as a table, as it is."""
        shown = [harmless(thing) if isinstance(thing, str) else thing for thing in objects]
        super().print(*shown, **options)


def harmless(text: str) -> str:
    r"""A text whose control characters are shown, such as \x1b, and not obeyed by a terminal.

    A file can be named so that whoever prints its name clears the screen, or shows the name
    backwards. Line ends and tabs stay.
    """
    return "".join(c if c in "\n\t" or not _is_obeyed(c) else _shown(c) for c in text)


def _is_obeyed(character: str) -> bool:
    return unicodedata.category(character) in _OBEYED


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
