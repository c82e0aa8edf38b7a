"""Drawing the maps from the art: "Personas" by Draftbit (CC BY 4.0), through DiceBear and resvg.

Needed only to make the shipped file again: ``pip install 'molrg[faces]'``, then
``python -m molrg draw faces``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from molrg import checks
from molrg.images.faces import maps
from molrg.images.faces.attributes import ATTRIBUTES, kinds

STYLE = "personas.json"
CANVAS = 64  # the side of the art's own canvas
BLACK = "000000"
WHITE = "ffffff"
COLOURINGS = (  # of skin, hair and shirt
    (BLACK, BLACK, BLACK),
    (WHITE, BLACK, BLACK),
    (BLACK, WHITE, BLACK),
    (BLACK, BLACK, WHITE),
)


def draw(sizes: Sequence[int] = maps.SIZES) -> dict[int, NDArray[np.uint8]]:
    """Draw the maps of all 768 kinds; half a minute a size.

    Four drawings give the maps of a kind: all colours black, then one of three white. The drawing
    is affine in its colours but for a few overlaid highlights, which the maps make affine, and the
    three channels of a colour's map differ by at most 0.016: the map is their mean.

    Args:
        sizes: pixels along a side; each is drawn at twice the size and averaged.

    Returns:
        {size: (768, 6, size, size)}, as `molrg.images.faces.maps.load` has them.

    Raises:
        ModuleNotFoundError: where the extra is not installed.
        ValueError: where a size is not >= 1.
    """
    style = _style()
    sides = [checks.count("sizes", size) for size in sizes]
    table = kinds()
    rows = [dict(zip(ATTRIBUTES, values, strict=True)) for values in table.itertuples(index=False)]
    return {side: np.stack([_maps_of(style, row, side) for row in rows]) for side in sides}


def make(file: Path) -> str:
    """Draw everything and write it to a file; returns its sha256.

    Raises:
        ModuleNotFoundError: where the extra is not installed.
    """
    return maps.write(file, draw())


def _style() -> Any:
    try:
        from dicebear import Style  # noqa: PLC0415 - an extra

        definition = files("dicebear_styles").joinpath(STYLE).read_text("utf-8")
        import resvg_py  # noqa: F401, PLC0415 - missing? said before drawing
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is missing, and faces are drawn with it: pip install 'molrg[faces]'",
            name=error.name,
        ) from error
    return Style(json.loads(definition))


def _maps_of(style: Any, values: dict[str, str], size: int) -> NDArray[np.uint8]:
    base, *coloured = (_drawing(style, values, colours, size) for colours in COLOURINGS)
    parts = [(drawing - base).mean(-1, keepdims=True) for drawing in coloured]
    layers = np.concatenate([base, *parts], axis=-1).transpose(2, 0, 1)
    return np.round(255 * layers).astype(np.uint8)


def _drawing(
    style: Any, values: dict[str, str], colours: Sequence[str], size: int
) -> NDArray[np.float64]:
    """One drawing in [0, 1], (size, size, 3)."""
    import resvg_py  # noqa: PLC0415 - an extra
    from dicebear import Avatar  # noqa: PLC0415 - an extra

    svg = Avatar(style, _options(values, *colours)).to_string()
    side = 2 * size
    png = resvg_py.svg_to_bytes(
        svg_string=svg,
        width=side,
        height=side,
        background=f"#{WHITE}",
        skip_system_fonts=True,
    )
    with Image.open(io.BytesIO(png)) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=np.float64) / 255
    return pixels.reshape(size, 2, size, 2, 3).mean((1, 3))


def _options(values: dict[str, str], skin: str, hair: str, shirt: str) -> dict[str, Any]:
    """DiceBear's options of a face; the beard has the hair's colour."""
    bearded = values["beard"] != "none"
    options: dict[str, Any] = {
        "seed": "face",
        "size": CANVAS,
        "hairVariant": [values["hair"]],
        "eyesVariant": [values["eyes"]],
        "mouthVariant": [values["mouth"]],
        "facialHairProbability": 100 if bearded else 0,
        "clothesVariant": ["rounded"],
        "noseVariant": ["smallRound"],
        "skinColor": [skin],
        "hairColor": [hair],
        "facialHairColor": [hair],
        "clothingColor": [shirt],
        "backgroundColor": [WHITE],
    }
    return options | ({"facialHairVariant": [values["beard"]]} if bearded else {})
