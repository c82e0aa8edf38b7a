"""What a face is made of: attributes with a list of values, colours, and a place in the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "hair": (
        "bobBangs",
        "bobCut",
        "curly",
        "curlyHighTop",
        "extraLong",
        "fade",
        "long",
        "mohawk",
        "pigtails",
        "shortCombover",
        "sideShave",
        "straightBun",
    ),
    "eyes": ("open", "glasses", "sunglasses", "happy"),
    "mouth": ("bigSmile", "frown", "lips", "surprise"),
    "beard": ("none", "goatee", "shadow", "walrus"),
}
COLOURS = (
    "skin",
    "hair_lightness",
    "hair_red",
    "hair_yellow",
    "shirt_lightness",
    "shirt_red",
    "shirt_yellow",
)
POSE = ("right", "down", "enlarged")
SHAPE = tuple(len(values) for values in ATTRIBUTES.values())
KINDS = prod(SHAPE)


def kinds() -> pd.DataFrame:
    """The 768 kinds in order: a row per kind, a column per attribute; the beard changes fastest."""
    places = np.unravel_index(np.arange(KINDS), SHAPE)
    columns = {
        name: np.array(values)[place]
        for (name, values), place in zip(ATTRIBUTES.items(), places, strict=True)
    }
    return pd.DataFrame(columns).rename_axis("kind")


def kind(**values: str) -> int:
    """The number of a kind, in 0 ... 767, from one value for each attribute.

    Args:
        **values: such as hair="curly", eyes="glasses", mouth="frown", beard="none".

    Raises:
        ValueError: where an attribute is missing or unknown, or has no such value.
    """
    table = pd.DataFrame({name: [value] for name, value in values.items()})
    return int(kinds_of(table)[0])


def kinds_of(table: Mapping[str, Sequence[Any]] | pd.DataFrame) -> NDArray[np.int64]:
    """The number of the kind of every row, (N,), from the attributes' columns.

    Args:
        table: a column for each of `ATTRIBUTES`, and others, which are ignored.

    Raises:
        ValueError: where a column is missing, or holds a value that the attribute does not have.
    """
    places = [_places(name, table) for name in ATTRIBUTES]
    return np.ravel_multi_index(places, SHAPE).astype(np.int64)


def _places(attribute: str, table: Mapping[str, Sequence[Any]] | pd.DataFrame) -> NDArray[np.int64]:
    values = ATTRIBUTES[attribute]
    if attribute not in table:
        raise ValueError(
            f"factors = columns {', '.join(map(str, table))}: allowed is a table with"
            f" {', '.join(ATTRIBUTES)}"
        )
    column = np.asarray(table[attribute], dtype=object)
    known = np.isin(column, values)
    if not known.all():
        raise ValueError(
            f"{attribute} = {column[~known][0]!r}: allowed is {' or '.join(map(repr, values))}"
        )
    place_of = {value: place for place, value in enumerate(values)}
    return np.array([place_of[value] for value in column], dtype=np.int64)
