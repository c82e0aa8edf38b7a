"""Another report, read from its JSON, to stand beside this one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from molrg.companion.report.levels import KEYS, Row

VERSION = 2  # of the JSON

_KINDS: dict[str, tuple[type, ...]] = {  # of values that may be something else than a number
    "sigma": (int, float),
    "nearest": (str, type(None)),
    "tied": (list, type(None)),
}


@dataclass(frozen=True)
class Earlier:
    """What of another report is shown.

    Attributes:
        model: its name.
        source: of its training images, as it was given.
        images: a digest of its training images.
        rows: of `levels.table`.
    """

    model: str
    source: str
    images: str
    rows: list[Row]


def read(path: Path) -> Earlier:
    """Read the JSON of a report.

    Args:
        path: of the file.

    Raises:
        ValueError: where the file is no report of this version.
        OSError: where it cannot be read.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        rows = [{key: row[key] for key in KEYS} for row in record["levels"]]
        other = Earlier(
            model=str(record["model"]),
            source=str(record["images"]),
            images=str(record["images_digest"]),
            rows=rows,
        )
        if record["version"] != VERSION:
            raise KeyError("version")
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__} {error}"
        raise ValueError(
            f"beside = {path}: allowed is the JSON of a report of this version ({reason})"
        ) from error
    _require_numbers(path, rows)
    return other


def _require_numbers(path: Path, rows: list[Row]) -> None:
    for row in rows:
        for key, value in row.items():
            if not isinstance(value, _KINDS.get(key, (int, float, type(None)))):
                raise ValueError(f"beside = {path}, {key} = {value!r}: allowed is a number")
