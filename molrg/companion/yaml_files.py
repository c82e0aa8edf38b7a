"""The YAML files of a clone: which of them cannot be read, and where."""

from __future__ import annotations

from pathlib import Path

import yaml


def damaged(root: Path) -> list[str]:
    """A line for each of a clone's YAML files that is none, with the file and the line.

    Args:
        root: of the clone; its own files and those of the book are read.
    """
    lines = []
    for path in sorted([*root.glob("*.yml"), *(root / "book").rglob("*.yml")]):
        try:
            yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            lines.append(f"{path} = no YAML ({_what(error)}): allowed is a whole YAML file")
    return lines


def _what(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark else ""
    return where + " ".join(str(getattr(error, "problem", None) or error).split())
