"""The key of a finished notebook: a hash of all that its outputs depend on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from molrg import claims, files
from molrg.companion.notebooks import Notebook

# They run notebooks or check answers, and no notebook imports them.
_LEFT_OUT = ("companion", "course", "__main__.py")
_PACKAGE = Path(__file__).resolve().parents[1]


def of(notebook: Notebook, overrides: Mapping[str, Any], package: Path = _PACKAGE) -> str:
    """A hash of cells, parameters, claim, Python, package, lock, schema and recorded runs.

    Args:
        notebook: the source.
        overrides: parameters that differ from the defaults.
        package: the folder of the package; that of this one where omitted.
    """
    root = claims.root()
    said = [_cells(notebook), dict(overrides), claims.claim(notebook.claim), sys.version_info[:2]]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
    for line in _lines(package, package_files(package)):
        digest.update(line.encode())
    for line in _lines(root, (*_project_files(root), *recorded_files(root, notebook.claim))):
        digest.update(line.encode())
    return digest.hexdigest()


def of_package(package: Path = _PACKAGE) -> str:
    """A hash of every file of the package that a notebook can reach."""
    return hashlib.sha256("".join(_lines(package, package_files(package))).encode()).hexdigest()


def _lines(folder: Path, paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        yield f"{path.relative_to(folder).as_posix()} {files.sha256(path)}\n"


def package_files(package: Path) -> list[Path]:
    """Every file of the package that a notebook can reach, of whatever kind."""
    return sorted(
        path
        for path in package.rglob("*")
        if path.is_file() and not _unseen(path.relative_to(package).parts)
    )


def _unseen(parts: tuple[str, ...]) -> bool:
    """Whether a path inside the package is left out, compiled, or hidden."""
    compiled = "__pycache__" in parts
    return parts[0] in _LEFT_OUT or compiled or any(part.startswith(".") for part in parts)


def recorded_files(root: Path, claim: str) -> list[Path]:
    """The recorded runs of a claim, which its notebook may read: records and figures."""
    folders = [root / "book" / "results" / profile for profile in claims.PROFILES]
    return sorted(path for folder in folders for path in folder.glob(f"{claim}.*"))


def _project_files(root: Path) -> list[Path]:
    return [root / "requirements.lock", root / "book" / "record.schema.json"]


def _cells(notebook: Notebook) -> list[Any]:
    """What of the cells can change the executed notebook."""
    return [
        (cell.cell_type, cell.source, cell.metadata.get("tags", []), cell.metadata.get("mystnb"))
        for cell in notebook.cells
    ]
