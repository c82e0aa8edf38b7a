"""Whether the site that is there was built from what is here now, and need not be built again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from molrg import files

_FOLDERS = ("book", "molrg", "notebooks", "tests", "benchmarks")
_MADE = ("__pycache__", "_generated")


def note(root: Path) -> None:
    """Write down from what the site was built, after it was.

    Args:
        root: the project.
    """
    with files.replacing(_place(root)) as aside:
        aside.write_text(_key(root), encoding="utf-8")


def current(root: Path) -> bool:
    """Whether the site is there, built from the files that are here now.

    Args:
        root: the project.
    """
    page, place = root / "_build" / "html" / "index.html", _place(root)
    there = page.is_file() and place.is_file()
    return there and place.read_text(encoding="utf-8") == _key(root)


def _place(root: Path) -> Path:
    return root / "_build" / "html.key"


def _key(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(_inputs(root)):
        digest.update(f"{path.relative_to(root).as_posix()} {files.sha256(path)}\n".encode())
    return digest.hexdigest()


def _inputs(root: Path) -> Iterator[Path]:
    """Every file that a page may be made from, executed notebooks and records included."""
    places = [(root, "*"), *((root / name, "**/*") for name in _FOLDERS)]
    places += [(root / "_build" / "src" / "notebooks", "*"), (root / "_build" / "claims", "*")]
    for folder, pattern in places:
        for path in folder.glob(pattern):
            parts = path.relative_to(folder).parts
            made = any(part in _MADE or part.startswith(".") for part in parts)
            if path.is_file() and not made:
                yield path
