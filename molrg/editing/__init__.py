"""Editing images along directions of the Jacobian, and reading off what changed."""

from molrg.editing.edits import (
    Directions,
    Strip,
    directions,
    drawn,
    edit,
    finish,
    interaction,
    invert,
    leak,
    linearity,
    principal,
    smooth,
    strip,
    white,
)

__all__ = [
    "Directions",
    "Strip",
    "directions",
    "drawn",
    "edit",
    "finish",
    "interaction",
    "invert",
    "leak",
    "linearity",
    "principal",
    "smooth",
    "strip",
    "white",
]
