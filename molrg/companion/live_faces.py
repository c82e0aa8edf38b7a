"""The live face: what a page needs to compute the exact denoiser of the faces in a browser."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

from molrg import claims, files
from molrg.images import faces
from molrg.images.faces import attributes, law, maps

FILE = Path("book/_static/live/faces.js")
SIZE = 32
NOISE = 0.02  # ambient noise of the mixture, the default of `faces.mixture`
COLOURS = {
    "skin": "skin, lighter",
    "hair_lightness": "hair, lighter",
    "hair_red": "hair, redder",
    "hair_yellow": "hair, yellower",
    "shirt_lightness": "shirt, lighter",
    "shirt_red": "shirt, redder",
    "shirt_yellow": "shirt, yellower",
}


def content() -> dict[str, Any]:
    """Maps of all kinds, packed; the colours' means and steps; names."""
    differences = maps.take_differences(maps.load(SIZE))
    return {
        "size": SIZE,
        "shape": list(attributes.SHAPE),
        "noise": NOISE,
        "maps": base64.b64encode(zlib.compress(differences.tobytes(), 9)).decode(),
        "middle": law.middle().tolist(),
        "steps": law.steps().tolist(),
        "names": list(faces.ATTRIBUTES),
        "values": [list(values) for values in faces.ATTRIBUTES.values()],
        "colours": [COLOURS[name] for name in faces.COLOURS],
    }


def script() -> str:
    """The content as a script: a page that is opened from a file may run one, but not fetch."""
    return f"window.molrgFacesData = {json.dumps(content(), separators=(',', ':'))};\n"


def write(root: Path | None = None) -> Path:
    """Write the script into the book; its art is CC BY 4.0, see the card of the faces."""
    path = (root or claims.root()) / FILE
    with files.replacing(path) as aside:
        aside.write_text(script(), encoding="utf-8")
    return path
