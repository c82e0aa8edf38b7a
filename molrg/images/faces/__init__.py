"""Faces: pictures that are exactly the paper's model, with every attribute known.

768 kinds of drawn faces (hair, eyes, mouth, beard) whose colours are seven normal factors: each
kind is a Gaussian of dimension 7, all kinds a mixture of low-rank Gaussians, whose posterior means,
scores and posterior probabilities of every attribute are closed forms. With a pose, three curved
dimensions more.

Art: "Personas by Draftbit" (CC BY 4.0), by way of DiceBear; see ``molrg/zoo/images/faces.md``.
Tones and hues are drawn for the experiment, and stand for no population.
"""

from molrg.images.faces.attributes import ATTRIBUTES, COLOURS, KINDS, POSE, kind, kinds, kinds_of
from molrg.images.faces.family import draw, draw_factors, render, tangents
from molrg.images.faces.fixed_draws import COUNTS, SETS, fixed
from molrg.images.faces.law import columns, means, mixture
from molrg.images.faces.maps import SIZES
from molrg.images.faces.nearest_kinds import Nearest, nearest

__all__ = [
    "ATTRIBUTES",
    "COLOURS",
    "COUNTS",
    "KINDS",
    "POSE",
    "SETS",
    "SIZES",
    "Nearest",
    "columns",
    "draw",
    "draw_factors",
    "fixed",
    "kind",
    "kinds",
    "kinds_of",
    "means",
    "mixture",
    "nearest",
    "render",
    "tangents",
]
