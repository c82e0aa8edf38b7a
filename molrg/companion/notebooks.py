"""The notebooks as sources: their parameters, what reads them, and a key that says when to run again."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
import yaml

from molrg import claims


@dataclass(frozen=True)
class Notebook:
    """One source notebook."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def cells(self) -> list[Any]:
        return nbformat.read(self.path, as_version=4).cells

    @cached_property
    def claim(self) -> str:
        """The id of the landed claim that names this notebook.

        Raises:
            ValueError: where none or several do.
        """
        ids = [id for id, entry in claims.registry().items() if entry["notebook"] == self.name]
        if len(ids) != 1 or claims.claim(ids[0])["status"] != "landed":
            raise ValueError(f"{self.name}: registered by {ids or 'no claim'} in book/claims.yml: allowed is one landed claim")
        return ids[0]

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Names and default values of the ``parameters`` cell.

        Raises:
            ValueError: unless there is one such cell, of plain assignments of literals, one a line.
        """
        tagged = [c for c in self.cells if "parameters" in c.metadata.get("tags", [])]
        if len(tagged) != 1:
            raise ValueError(f"{self.name}: {len(tagged)} cells tagged 'parameters': allowed is one")
        values = {}
        for line in ast.parse(tagged[0].source).body:
            if not (isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name)):
                raise ValueError(f"{self.name}: parameters cell, line {line.lineno}: allowed is `name = literal`")
            values[line.targets[0].id] = ast.literal_eval(line.value)
        return values

    def unread(self) -> set[str]:
        """Parameters that no other code cell reads."""
        read: set[str] = set()
        for cell in self.cells:
            if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
                code = "\n".join(line for line in cell.source.splitlines() if not line.lstrip().startswith(("%", "!")))
                read |= {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        return set(self.parameters) - read

    def accept(self, overrides: Mapping[str, Any]) -> None:
        """Check new values for parameters.

        Raises:
            ValueError: where a name is unknown or unread, or a value is of another type than the default.
        """
        unread = self.unread()
        if unread:
            raise ValueError(f"{self.name}: parameters {sorted(unread)} are set and read by nothing")
        for name, value in overrides.items():
            if name not in self.parameters:
                raise ValueError(f"parameter {name}: unknown to {self.name}: allowed are {', '.join(self.parameters)}")
            default = self.parameters[name]
            widened = isinstance(default, float) and type(value) is int
            if type(value) is not type(default) and not widened:
                raise ValueError(f"parameter {name} = {value!r}: allowed is {type(default).__name__}, such as {default!r}")

    def key(self, overrides: Mapping[str, Any]) -> str:
        """A hash of all that the outputs depend on: cells, parameters, package, lock, claim, Python."""
        root = claims.root()
        digest = hashlib.sha256()
        cells = [(c.cell_type, c.source, c.metadata.get("tags", []), c.metadata.get("mystnb")) for c in self.cells]
        entry = claims.claim(self.claim)
        python = sys.version_info[:2]
        digest.update(json.dumps([cells, dict(overrides), entry, python], sort_keys=True, default=str).encode())
        for path in (*_package_files(), root / "requirements.lock", root / "book" / "record.schema.json"):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()


def _package_files() -> Iterable[Path]:
    package = Path(claims.__file__).parent
    modules = sorted(package.glob("*.py"))
    return [*modules, *sorted(p for p in (package / "zoo").rglob("*") if p.suffix in {".npz", ".safetensors", ".json"})]


def sources() -> list[Notebook]:
    """All source notebooks in reading order."""
    return [Notebook(path) for path in sorted((claims.root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))]


def select(wanted: Iterable[str]) -> list[Notebook]:
    """The notebooks named by number (02), claim (C02), name or path; all where nothing is named.

    Raises:
        ValueError: where a name fits none.
    """
    there = sources()
    chosen = []
    for word in wanted:
        stem = Path(word).name.removesuffix(".ipynb")
        fits = [n for n in there if stem in (n.name, n.name[:2], f"C{n.name[:2]}") or stem.upper() == f"C{n.name[:2]}"]
        if not fits:
            raise ValueError(f"notebook {word}: allowed are {', '.join(n.name for n in there)}, or their numbers")
        chosen += [n for n in fits if n not in chosen]
    return chosen or there


def parse_parameters(words: Iterable[str]) -> dict[str, Any]:
    """Read NAME=VALUE words; values are YAML scalars or lists.

    Raises:
        ValueError: where a word has no "=".
    """
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"-p {word}: allowed is NAME=VALUE")
        values[name] = yaml.safe_load(value)
    return values
