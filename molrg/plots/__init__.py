"""Figures in one house style."""

from molrg.plots.maps import cells, success_map, success_slider
from molrg.plots.panels import GAP, band, image_grid, picture_rows, sigma_axis
from molrg.plots.sliders import interactive
from molrg.plots.style import COLOURS, house_style
from molrg.plots.trees import tree, tree_slider

__all__ = [
    "COLOURS",
    "GAP",
    "band",
    "cells",
    "house_style",
    "image_grid",
    "interactive",
    "picture_rows",
    "sigma_axis",
    "success_map",
    "success_slider",
    "tree",
    "tree_slider",
]
