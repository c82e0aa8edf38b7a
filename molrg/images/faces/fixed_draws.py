"""Two fixed draws of faces: sets of images like others, of which copies can be counted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import pandas as pd
from torch import Tensor

from molrg import checks, draws
from molrg.images.faces.family import draw_factors, render

SETS = ("faces", "faces-pose")
COUNTS = {"train": 24_000, "test": 4_000}
SIZE = 32
SEED = 0


def fixed(
    name: str = "faces", split: str = "train", *, rows: Sequence[int] | Tensor | None = None
) -> tuple[Tensor, pd.DataFrame]:
    """Faces of a fixed draw and their factors; `molrg.images.load` gives them with their kinds.

    Args:
        name: "faces", or "faces-pose", in which they are moved and enlarged, too.
        split: "train", 24,000 faces, or "test", 4,000 others.
        rows: which of them; all where omitted.

    Returns:
        images (N, 3, 32, 32), float32, which may leave [-1, 1] a little, and their factors, as
        `molrg.images.faces.draw` returns them.

    Raises:
        ValueError: where a name is not one of these, or a row is not there.
    """
    table = fixed_factors(name, split)
    if rows is not None:
        chosen = [checks.count("rows", int(row), 0, len(table) - 1) for row in rows]
        table = table.iloc[chosen].reset_index(drop=True)
    return render(table, size=SIZE), table


@lru_cache(maxsize=2)
def fixed_factors(name: str, split: str) -> pd.DataFrame:
    """The factors of a fixed draw; not to be changed."""
    checks.one_of("name", name, SETS)
    checks.one_of("split", split, tuple(COUNTS))
    generator = draws.source(SEED, SETS.index(name), list(COUNTS).index(split))
    return draw_factors(COUNTS[split], pose=name == "faces-pose", generator=generator)
