"""What the cells of notebooks import: found in their code, and imported here."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable, Iterator
from contextlib import suppress

from molrg.companion.notebooks import Notebook

# what a library imports on its first use: torch for an optimiser, seaborn for an interval
_LATER = {
    "torch": ("torch._dynamo",),
    "seaborn": ("scipy.stats",),
    "matplotlib": ("matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
}

Names = list[tuple[str, str]]  # a module and something in it, or ""


def names(notebooks: Iterable[Notebook]) -> Names:
    """Everything that the code cells of some notebooks import, once, in their order."""
    return list(dict.fromkeys(name for notebook in notebooks for name in _of(notebook)))


def _of(notebook: Notebook) -> Iterator[tuple[str, str]]:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            with suppress(SyntaxError):
                for node in ast.walk(ast.parse(cell.source)):
                    yield from _of_statement(node)


def _of_statement(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from ((node.module, alias.name) for alias in node.names)


def bring_in(wanted: Names) -> None:
    """Import names, with what their libraries import later; a failure is left to the cells."""
    for module, name in wanted:
        with suppress(Exception):
            _bring_in(module, name)
    for library, later in _LATER.items():
        if any(module.split(".")[0] == library for module, _ in wanted):
            for module in later:
                with suppress(Exception):
                    _bring_in(module)


def _bring_in(module: str, name: str = "") -> None:
    """Import a module, and one below it where the name is none of its own."""
    if name and not hasattr(importlib.import_module(module), name):
        importlib.import_module(f"{module}.{name}")
    elif not name:
        importlib.import_module(module)
