"""What is said on every page: the words that are used, and how tables are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from molrg.companion.report.levels import Row
from molrg.companion.report.page import Table

WORDS = {
    "noise level σ": "Standard deviation of the noise that is added to every number of an image,"
    " where black is −1 and white is 1. At 0.05 it can hardly be seen; at 5 hardly anything else.",
    "Jacobian": "How each number of the denoised image changes with each number of the noisy one:"
    " a square matrix, with a row and a column for every number of an image.",
    "posterior mean": "The best denoiser of some law of images: the average of all clean images"
    " that may have given the noisy one. Training aims at it.",
    "reference": "A simple denoiser that is known in closed form and made of the training images"
    " alone. One Gaussian knows their mean and covariance; the mixture, a few flat pieces; the"
    " training images, only themselves; windows, what training images look like around each pixel.",
}
_COLUMNS = {
    "noise σ": "sigma",
    "trace": "trace",
    "error / σ²": "error_dimension",
    "rank": "rank",
    "largest value": "largest_singular_value",
    "asymmetry": "asymmetry",
    "error": "error",
    "nearest": "nearest",
    "distance": "nearest_distance",
}
_MEANINGS = (
    "Trace and error / σ²: dimension, read from the Jacobian and from the denoising error. Nearest:"
    " the reference that is nearest to the network, and its squared distance."
)
_OTHER_IMAGES = (
    "The two reports have OTHER training images. Dimensions, errors and distances are then of"
    " different things: compare models on the same images."
)
_TIED = (
    "5 x 5 and 9 x 9 are windows. “Tied”: another reference is not clearly further, by a tenth or"
    " more in the 95 % interval over the same images."
)


def by_level(rows: Sequence[Row]) -> Table:
    """The table by noise level. Columns without any number are left out.

    Args:
        rows: of `levels.table`.
    """
    used = _used(rows)
    return Table(
        "All noise levels",
        list(used),
        [[_cell(row, key) for key in used.values()] for row in rows],
        f"Means over images; the JSON has the same table, with intervals. {_MEANINGS} {_TIED}",
    )


class Compared(NamedTuple):
    """A model in a table of several: its name, the source of its images, and its rows."""

    model: str
    source: str
    rows: Sequence[Row]


def beside(models: Sequence[Compared], *, same_images: bool) -> Table:
    """Several models by noise level, one row for each model and level.

    Args:
        models: this one first.
        same_images: whether they were measured with the same training images.
    """
    names = _short_names([model.model for model in models])
    named = [(name, row) for name, model in zip(names, models, strict=True) for row in model.rows]
    named.sort(key=lambda pair: pair[1]["sigma"])  # stable: models stay in order
    used = _used([row for _, row in named])
    first, *others = used
    about = [
        f"{name}: {model.model}, with the images from {model.source}"
        for name, model in zip(names, models, strict=True)
    ]
    return Table(
        "Beside another model",
        [first, "model", *others],
        [
            [_shown(row["sigma"]), name, *(_cell(row, used[head]) for head in others)]
            for name, row in named
        ],
        f"There is one network of each, and a few images: small differences say nothing. {_TIED}",
        about=about,
        warning="" if same_images else _OTHER_IMAGES,
    )


def _short_names(models: Sequence[str]) -> list[str]:
    """The last part of each name where that tells them apart."""
    short = [Path(model).name or model for model in models]
    if len(set(short)) == len(short):
        return short
    return ["here", "other"]


def _used(rows: Sequence[Row]) -> dict[str, str]:
    return {
        head: key for head, key in _COLUMNS.items() if any(row[key] is not None for row in rows)
    }


def _cell(row: Row, key: str) -> str:
    tied = key == "nearest" and row["tied"]
    value = row[key].removeprefix("windows of ") if key == "nearest" and row[key] else row[key]
    return _shown(value) + (" (tied)" if tied else "")


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.3g}"
