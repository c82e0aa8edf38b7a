"""The notebooks as sources: their parameters, and what reads them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

from molrg import claims


def _assignment(line: ast.stmt) -> tuple[str, Any]:
    """Name and value of ``name = literal``; ValueError where it is anything else."""
    if not isinstance(line, ast.Assign) or len(line.targets) != 1:
        raise ValueError("no assignment to one name")
    target = line.targets[0]
    if not isinstance(target, ast.Name):
        raise ValueError("no assignment to a name")
    return target.id, ast.literal_eval(line.value)


def drafts() -> set[str]:
    """Notebooks of planned claims, as the contents name them: no run and no page takes them."""
    entries = claims.registry().values()
    return {f"notebooks/{entry['notebook']}" for entry in entries if entry["status"] == "planned"}


@dataclass(frozen=True)
class Notebook:
    """One source notebook."""

    path: Path

    @property
    def name(self) -> str:
        """File name without its ending."""
        return self.path.stem

    @cached_property
    def cells(self) -> list[Any]:
        """All cells, in order."""
        try:
            return nbformat.read(self.path, as_version=4).cells
        except (ValueError, nbformat.ValidationError) as error:
            raise ValueError(
                f"{self.path.name}: not a notebook: {str(error).splitlines()[0]}"
            ) from error

    @cached_property
    def claim(self) -> str:
        """The id of the landed claim that names this notebook.

        Raises:
            ValueError: where none or several do.
        """
        ids = [id for id, entry in claims.registry().items() if entry["notebook"] == self.name]
        if len(ids) != 1 or claims.claim(ids[0])["status"] != "landed":
            raise ValueError(
                f"{self.name}: registered by {ids or 'no claim'} in book/claims.yml:"
                " allowed is one landed claim"
            )
        return ids[0]

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Names and default values of the ``parameters`` cell.

        Raises:
            ValueError: unless there is one such cell, of plain assignments, one literal per line.
        """
        tagged = [c for c in self.cells if "parameters" in c.metadata.get("tags", [])]
        if len(tagged) != 1:
            raise ValueError(
                f"{self.name}: {len(tagged)} cells tagged 'parameters': allowed is one"
            )
        values = {}
        for line in self._parse(tagged[0]).body:
            try:
                name, value = _assignment(line)
            except ValueError:
                raise ValueError(
                    f"{self.name}: parameters cell, line {line.lineno}: allowed is `name = literal`"
                ) from None
            values[name] = value
        return values

    def _parse(self, cell: Any) -> ast.Module:
        """The syntax tree of a code cell, without IPython's own lines."""
        code = (
            ""
            if cell.source.startswith("%%")
            else re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.MULTILINE)
        )
        try:
            return ast.parse(code)
        except SyntaxError as error:
            number = self.cells.index(cell) + 1
            raise ValueError(
                f"{self.name}: cell {number}, line {error.lineno}: {error.msg}"
            ) from None

    def unread(self) -> set[str]:
        """Parameters that no other code cell reads."""
        read: set[str] = set()
        for cell in self.cells:
            if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
                read |= {
                    n.id
                    for n in ast.walk(self._parse(cell))
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
                }
        return set(self.parameters) - read

    def accept(self, overrides: Mapping[str, Any]) -> None:
        """Check that this is a notebook to run, and new values for its parameters.

        Raises:
            ValueError: where no landed claim names it, a parameter is unknown or read by no cell,
                or a value is of another type than the default.
        """
        unread, _ = sorted(self.unread()), self.claim
        if unread:
            raise ValueError(
                f"{self.name}: parameters {', '.join(unread)}: read by no cell;"
                " allowed are those that are"
            )
        for name, value in overrides.items():
            if name not in self.parameters:
                raise ValueError(
                    f"parameter {name}: unknown to {self.name}:"
                    f" allowed are {', '.join(self.parameters)}"
                )
            default = self.parameters[name]
            widened = isinstance(default, float) and type(value) is int
            if type(value) is not type(default) and not widened:
                allowed = f"{type(default).__name__}, such as {default!r}"
                raise ValueError(
                    f"parameter {name} = {value!r}: allowed in {self.name} is {allowed}"
                )


def sources() -> list[Notebook]:
    """The notebooks of the book in reading order; drafts, whose claim is planned, are left out."""
    drafts = {e["notebook"] for e in claims.registry().values() if e["status"] == "planned"}
    return [notebook for notebook in _all() if notebook.name not in drafts]


def _all() -> list[Notebook]:
    folder = claims.root() / "notebooks"
    return [Notebook(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]


def select(wanted: Iterable[str]) -> list[Notebook]:
    """The notebooks named by number (02), claim (C02), name or path; all where nothing is named.

    Raises:
        ValueError: where a name fits none.
    """
    there = _all()
    chosen: list[Notebook] = []
    for word in wanted:
        stem = Path(word).name.removesuffix(".ipynb")
        number = stem.upper().removeprefix("C").zfill(2)
        fits = [n for n in there if stem == n.name or number == n.name[:2]]
        if not fits:
            raise ValueError(
                f"notebook {word}: allowed are {', '.join(n.name for n in there)}, or their numbers"
            )
        chosen += [n for n in fits if n not in chosen]
    return chosen or sources()


def parse_parameters(words: Iterable[str]) -> dict[str, Any]:
    """Read NAME=VALUE words; a value is written as in Python (1e-3, [1, 2]), or is a bare word.

    Raises:
        ValueError: where a word has no "=" or no name before it, a name comes twice, or a value is
            nothing that a notebook can be given: not a number, text, or list of them.
    """
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier() or name in values:
            raise ValueError(f"-p {word}: allowed is NAME=VALUE, each name once")
        try:
            values[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):  # as deep nesting raises
            values[name] = value
        if not _plain(values[name]):
            raise ValueError(
                f"-p {word}: allowed are numbers, texts, True, False, and lists of them"
            )
    return values


def _plain(value: Any) -> bool:
    """Whether a value of a parameter keeps its meaning in YAML and JSON."""
    if isinstance(value, list):
        return all(map(_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
