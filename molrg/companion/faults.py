"""The table of faults that tests inject, read from their marks: no row without a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple


class Fault(NamedTuple):
    """A fault as its test's mark tells it."""

    kind: str
    injected: str
    then: str
    test: str


def marked(folder: Path) -> list[Fault]:
    """The faults that the tests of a folder inject, by kind.

    Args:
        folder: of test files; their code is read, not run.

    Raises:
        ValueError: where a mark is not of three texts.
    """
    paths = sorted(folder.glob("test_*.py"))
    return sorted(fault for path in paths for fault in _of_file(path))


def _of_file(path: Path) -> Iterator[Fault]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith(".fault"):
                kind, injected, then = _texts(decorator, path)
                yield Fault(kind, injected, then, f"{path.name}: {node.name}")


def _texts(mark: ast.Call, path: Path) -> list[str]:
    texts = [ast.literal_eval(argument) for argument in mark.args]
    odd = any("|" in text or "\n" in text for text in texts)
    if len(texts) != 3 or mark.keywords or odd:
        raise ValueError(
            f"{path.name}, line {mark.lineno}: mark of a fault = {texts}: allowed is kind, what is"
            " injected, what happens, without | and line ends"
        )
    return texts


def markdown(faults: list[Fault]) -> str:
    """One table of what is injected and what happens; folded, the test of each."""
    groups = [(kind, list(group)) for kind, group in groupby(faults, key=lambda fault: fault.kind)]
    table = ["| fault | injected | what happens |", "|---|---|---|"]
    tests = ["````{dropdown} The test of each", "| fault | test |", "|---|---|"]
    for kind, group in groups:
        for place, fault in enumerate(group):
            named = "" if place else f"{kind[0].upper()}{kind[1:]}"
            table.append(f"| {named} | {fault.injected} | {fault.then} |")
            tests.append(f"| {named} | `{fault.test}` |")
    how_many = f"{len(faults)} tests inject faults of {len(groups)} kinds."
    return "\n\n".join([how_many, "\n".join(table), "\n".join([*tests, "````"])]) + "\n"


def write(generated: Path, root: Path) -> None:
    """Write ``faults.md`` into a folder, from the tests of a project."""
    (generated / "faults.md").write_text(markdown(marked(root / "tests")), encoding="utf-8")
