"""Pieces of a page: the HTML and the script of a figure, kept as files beside this one."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

_STATIC = Path(__file__).parent / "static"


def filled(piece: str, *, data: Any, **words: Any) -> str:
    """The HTML of a piece, with its script, its data and the words of one figure.

    Args:
        piece: name of an HTML and a JavaScript file in ``static``.
        data: what the script is called with; written as JSON, which cannot end the script.
        **words: the further ``$names`` of the HTML, escaped by the caller where they are text.
    """
    page = Template((_STATIC / f"{piece}.html").read_text(encoding="utf-8"))
    script = (_STATIC / f"{piece}.js").read_text(encoding="utf-8")
    safe = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return page.substitute(words, data=safe, script=script.strip()).strip()
