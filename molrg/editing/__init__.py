"""Editing images along directions of the Jacobian, and reading off what changed."""

from molrg.editing.directions import Directions, directions, drawn, principal, smooth, white
from molrg.editing.edits import Strip, edit, finish, interaction, invert, leak, linearity, strip

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
