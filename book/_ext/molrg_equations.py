"""Sphinx extension of this book: equations are numbered by page, so that a number means one thing.

Equation 4 of Part III is (III.4), equation 2 of notebook 07 is (07.2), of the notation page (N.2).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sphinx.domains.math import MathDomain

from molrg.companion.plain_text import prefix_of


class NumberedByPage(MathDomain):
    """The domain of mathematics, with numbers that name the page."""

    def note_equation(self, docname: str, labelid: str, location: Any = None) -> None:
        super().note_equation(docname, labelid, location)
        on_page = Counter(place for place, _ in self.equations.values())[docname]
        self.equations[labelid] = (docname, f"{prefix_of(docname.rsplit('/', 1)[-1])}.{on_page}")


def setup(app: Any) -> dict[str, Any]:
    app.add_domain(NumberedByPage, override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
