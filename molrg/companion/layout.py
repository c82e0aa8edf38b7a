"""Where the results of a run go, and when they are still good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molrg import claims, files
from molrg.companion import keys
from molrg.companion.notebooks import Notebook, sources


@dataclass(frozen=True)
class Layout:
    """Where a run puts things: the book's own run, or a folder of its own for any other."""

    notebooks: Path
    records: Path
    failed: Path

    @classmethod
    def of(cls, overrides: Mapping[str, Any]) -> Layout:
        """The layout of a run with these parameters changed; the book's where none is."""
        build = claims.root() / "_build"
        if not overrides:
            return cls(build / "src" / "notebooks", build / "claims", build / "failed")
        told = "_".join(f"{name}-{value}" for name, value in sorted(overrides.items()))
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in told)[:60]
        folder = build / "runs" / f"{safe}_{hashlib.sha256(told.encode()).hexdigest()[:6]}"
        return cls(folder / "notebooks", folder / "claims", folder / "failed")

    @property
    def partial(self) -> Path:
        """Folder of the work in progress."""
        return self.notebooks.parent / ".partial"

    def stamp(self, notebook: Notebook) -> Path:
        """File that says what a finished notebook was made from."""
        return self.notebooks / ".stamps" / f"{notebook.name}.json"

    def record(self, notebook: Notebook) -> Path:
        """File of the record of the notebook's claim."""
        return self.records / f"{notebook.claim}.json"

    def files(self, notebook: Notebook) -> list[Path]:
        """The finished files of a notebook: itself, its record, its figure where there is one."""
        figure = self.records / f"{notebook.claim}.svg"
        return [
            self.notebooks / notebook.path.name,
            self.record(notebook),
            *([figure] if figure.is_file() else []),
        ]


def fresh(notebook: Notebook, overrides: Mapping[str, Any], layout: Layout) -> bool:
    """Whether an earlier result is complete, untouched, and of this code and these parameters."""
    try:
        stamp = json.loads(layout.stamp(notebook).read_text(encoding="utf-8"))
        found = {path.name: files.sha256(path) for path in layout.files(notebook)}
    except (FileNotFoundError, ValueError):  # ValueError: a torn stamp
        return False
    return stamp == {"key": keys.of(notebook, overrides), "files": found}


def stale() -> list[str]:
    """Names of the notebooks of which the book holds no result, or one of an earlier state."""
    layout = Layout.of({})
    return [notebook.name for notebook in sources() if not fresh(notebook, {}, layout)]
