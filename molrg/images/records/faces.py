"""Faces: two fixed draws of the drawn set, whose law is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import torch

from molrg.images.dataset import Record, Split
from molrg.images.faces import ATTRIBUTES, COUNTS, fixed
from molrg.images.faces.fixed_draws import SIZE, fixed_factors
from molrg.images.faces.maps import FILE, SHA256

_ABOUT = """\
Drawn faces whose every attribute is known: 768 kinds (12 of hair, 4 of eyes, 4 of mouths, 4 of
beards), each with seven normal colour factors, so that the set is a mixture of low-rank
Gaussians, exactly. What is shipped are not pictures, but what they are made of. Draw some with
`molrg.images.faces.draw(100, generator=...)`; their law is `molrg.images.faces.mixture()`.
`molrg.images.load("faces")` is a fixed draw of 24,000 (and 4,000 of "test"), `"faces-pose"`
another, whose faces are moved and enlarged, too."""
_CARD = {
    "Source": (
        'the style "Personas" of DiceBear (dicebear-styles 10.6.0), drawn by dicebear-core '
        "10.7.0 and resvg_py 0.5.0"
    ),
    "Selection": (
        "hair bobBangs, bobCut, curly, curlyHighTop, extraLong, fade, long, mohawk, "
        "pigtails, shortCombover, sideShave, straightBun; eyes open, glasses, sunglasses, "
        "happy; mouth bigSmile, frown, lips, surprise; beard none, goatee, shadow, walrus, "
        "in the hair's colour; clothes rounded, nose smallRound, background white. Chosen "
        "so that no option hides another and hair is seen in every kind"
    ),
    "Contents": (
        "`size_16`, `size_32`, `size_64`: (768, 6, size, size), uint8, in 1/255. Three "
        "channels of the picture with all colours black; then where skin, hair and shirt "
        "show. Stored as differences along the four attributes, modulo 256 "
        "(`molrg.images.faces.maps.undo_differences`)"
    ),
    "Changes": (
        "a picture is made affine in its colours: base + skin map x skin + hair map x hair "
        "+ shirt map x shirt, for each of red, green and blue. Each map is the difference "
        "that one colour makes between black and white, averaged over the channels, which "
        "differ by at most 0.016. The art's few overlaid highlights are not affine (up to "
        "0.13 off). Each size is drawn at twice the size and averaged"
    ),
    "Colours": (
        "skin: normal along the line from (1.00, 0.86, 0.78) to (0.46, 0.30, 0.24), "
        "standard deviation 0.55 of half of it; hair about (0.45, 0.35, 0.30), shirt about "
        "(0.50, 0.50, 0.50), standard deviations 0.20, 0.14, 0.10 and 0.20, 0.15, 0.11 "
        "along lightness (1, 1, 1), red against green (1, -1, 0) and yellow against blue "
        "(1, 1, -2), each of length one. Nothing is clipped: about one face in twelve has a"
        " pixel outside [-1, 1]"
    ),
    "Pose": (
        "optional: moved right and down by up to 2 pixels of 32, enlarged by up to 10 per "
        "cent, uniformly; cubic interpolation"
    ),
    "Made by": (
        "`pip install 'molrg[faces]'`, then `python -m molrg draw faces`, which says "
        "whether the arrays are the same"
    ),
}
_TERMS = """\
The art is a remix of "Personas by Draftbit" (https://personas.draftbit.com/) by Draftbit
(https://draftbit.com/), licensed under CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/); remixed for DiceBear (https://www.dicebear.com),
and changed here as said above. These arrays and pictures made of them are under the same
licence, with the same attribution."""
_CAVEATS = """\
Tones and hues are drawn for the experiment, independently of every other attribute. They
stand for no population, and no kind stands for a group of people. Faces of one kind have
dimension 7 (10 with a pose); all kinds are equally frequent. The two most alike kinds (eyes open
and happy) are 0.81 apart at the mean colours, as pictures in [0, 1]."""


def _read(record: Record, split: str) -> Split:
    kinds = fixed_factors(record.name, split)["kind"].to_numpy(copy=True)
    labels = torch.from_numpy(kinds).long()
    return Split(labels, lambda rows: fixed(record.name, split, rows=rows)[0])


FACES = Record(
    name="faces",
    title="drawn faces of 32 by 32 pixels in colour, a mixture of low-rank Gaussians",
    shape=(3, SIZE, SIZE),
    counts=COUNTS,
    classes=tuple(", ".join(values) for values in product(*ATTRIBUTES.values())),
    credit=(
        'faces drawn by this package from "Personas by Draftbit" (by way of DiceBear), CC BY 4.0'
    ),
    licence="CC BY 4.0 (Draftbit)",
    read=_read,
    file=FILE.name,
    sha256=SHA256,
    offline="faces",
    about=_ABOUT,
    card=_CARD,
    terms=_TERMS,
    caveats=_CAVEATS,
)

FACES_POSE = replace(
    FACES,
    name="faces-pose",
    title="the same, moved and enlarged: curved pieces of known dimension",
    offline="faces-pose",
)
