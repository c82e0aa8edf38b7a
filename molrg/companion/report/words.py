"""What is said on every page: the words that are used, and how tables are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
    "noise level σ": "sigma",
    "dimension by trace": "trace",
    "by error": "error_dimension",
    "rank": "rank",
    "largest singular value": "largest_singular_value",
    "asymmetry": "asymmetry",
    "squared error": "error",
    "nearest reference": "nearest",
    "its distance": "nearest_distance",
}
_TIED = (
    "“Tied”: another reference is not clearly further, by a tenth or more in the 95 % interval over"
    " the same images."
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
        f"Means over images; the JSON beside this page has the same table, with intervals. {_TIED}",
    )


def beside(models: Mapping[str, Sequence[Row]], same_images: bool) -> Table:
    """Several models by noise level, one row for each model and level.

    Args:
        models: rows of `levels.table` by name.
        same_images: whether they were measured with the same training images.
    """
    named = [(name, row) for name, rows in models.items() for row in rows]
    named.sort(key=lambda pair: pair[1]["sigma"])  # stable: models stay in order
    used = _used([row for _, row in named])
    first, *others = used
    with_same = "the same" if same_images else "OTHER"
    return Table(
        "Beside another model",
        [first, "model", *others],
        [
            [_shown(row["sigma"]), name, *(_cell(row, used[head]) for head in others)]
            for name, row in named
        ],
        f"Measured with {with_same} training images. There is one network of each, and a few"
        f" images: small differences say nothing. {_TIED}",
    )


def _used(rows: Sequence[Row]) -> dict[str, str]:
    return {
        head: key for head, key in _COLUMNS.items() if any(row[key] is not None for row in rows)
    }


def _cell(row: Row, key: str) -> str:
    tied = key == "nearest" and row["tied"]
    return _shown(row[key]) + (" (tied)" if tied else "")


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.3g}"
