"""The live faces: what a page needs to compute their exact denoiser in a browser.

The page computes with the law itself, so drawings, colours and noise levels are all it needs.
What a network adds is in `molrg.companion.live_network`.
"""

from __future__ import annotations

import base64
import math
import zlib
from pathlib import Path
from typing import Any

import torch

from molrg import claims, files
from molrg.companion import live_network
from molrg.companion.live_files import script
from molrg.denoisers.networks import network_time
from molrg.images import faces
from molrg.images.faces import attributes, law, maps
from molrg.schedules import DDPM

FILE = Path("book/_static/live/faces.js")
SIZE = 32
NOISE = 0.02  # ambient noise of the mixture, the default of `faces.mixture`
LEVELS = 120  # positions of the slider of the noise level
SIGMA = (0.1, 32.0)  # its ends
COLOURS = {  # what each factor is called, and its two ends
    "skin": ("skin, lighter", "darker", "lighter"),
    "hair_lightness": ("hair, lighter", "darker", "lighter"),
    "hair_red": ("hair, redder", "greener", "redder"),
    "hair_yellow": ("hair, yellower", "bluer", "yellower"),
    "shirt_lightness": ("shirt, lighter", "darker", "lighter"),
    "shirt_red": ("shirt, redder", "greener", "redder"),
    "shirt_yellow": ("shirt, yellower", "bluer", "yellower"),
}


def content() -> dict[str, Any]:
    """Maps of all kinds, packed; the colours' means and steps; names; noise levels."""
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
        "colours": [_colour(*COLOURS[name]) for name in faces.COLOURS],
        "levels": levels(),
        "network": live_network.shipped_in(claims.root() / FILE.parent),
    }


def _colour(name: str, minus: str, plus: str) -> dict[str, Any]:
    return {"name": name, "ends": [minus, plus]}


def levels() -> dict[str, list[float]]:
    """Noise levels that the networks' schedule has, and its time there, as a network counts it.

    The schedule keeps variance: x_t / s_t is x_0 + sigma z, and s_t = 1 / sqrt(1 + sigma^2).
    """
    schedule = DDPM()
    wanted = torch.logspace(
        math.log10(SIGMA[0]), math.log10(SIGMA[1]), LEVELS, dtype=torch.float64, device="cpu"
    )
    t = schedule.t_of_sigma(wanted)
    times = network_time(schedule, t).unique()
    t = times.double() / (schedule.steps - 1)
    return {
        "sigma": (schedule.gamma(t) / schedule.s(t)).tolist(),
        "time": times.tolist(),
    }


def write(root: Path | None = None) -> Path:
    """Write the script into the book; its art is CC BY 4.0, see the card of the faces."""
    path = (root or claims.root()) / FILE
    with files.replacing(path) as aside:
        aside.write_text(script("faces", content()), encoding="utf-8")
    return path
