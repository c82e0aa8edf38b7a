"""Figures in one house style."""

from molrg.plots.figures import (
    COLOURS,
    band,
    cells,
    house_style,
    image_grid,
    interactive,
    sigma_axis,
    success_map,
    success_slider,
    tree,
    tree_slider,
)

__all__ = [
    "COLOURS",
    "band",
    "cells",
    "house_style",
    "image_grid",
    "interactive",
    "sigma_axis",
    "success_map",
    "success_slider",
    "tree",
    "tree_slider",
]
