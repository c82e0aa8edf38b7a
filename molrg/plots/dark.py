"""Plots for dark pages: the same SVG with light ink on a dark ground."""

from __future__ import annotations

import re

# Ink, ground, and the one hue that is too dark on a dark page. The colours of maps stay as they
# are, so that a map means the same on both.
DARK = {
    "#000000": "#ffffff",
    "#262626": "#dcdcdc",
    "#ffffff": "#121212",
    "#0072b2": "#56b4e9",
}


def dark(svg: str) -> str:
    """The text of a plot in the house style, as SVG, with the colours of a dark page."""
    return re.sub("|".join(DARK), lambda colour: DARK[colour[0]], svg)
