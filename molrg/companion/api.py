"""The pages of the API reference: one for each room that ``molrg/__init__.pyi`` lists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

_NOT_FOR_READERS = ("companion",)  # what the commands are made of


def rooms(package: Path = PACKAGE) -> list[str]:
    """Names of the rooms, as the stub of the package lists them."""
    stub = ast.parse((package / "__init__.pyi").read_text(encoding="utf-8"))
    listed = [node for node in stub.body if isinstance(node, ast.ImportFrom) and not node.module]
    names = [alias.name for node in listed for alias in node.names]
    return sorted(set(names) - set(_NOT_FOR_READERS))


def write(book: Path, generated: Path) -> None:
    """Write a page for each room into ``api`` of the staged book, and the index that links them."""
    pages = book / "api"
    pages.mkdir()
    for name in rooms():
        (pages / f"{name}.md").write_text(page(name), encoding="utf-8")
    (generated / "api_index.md").write_text(index(), encoding="utf-8")


def index(package: Path = PACKAGE) -> str:
    """One line a room: its name, and what its docstring says first."""
    lines = ["| room | |", "|---|---|"]
    for name in rooms(package):
        lines.append(f"| {{doc}}`molrg.{name} <api/{name}>` | {_summary(package, name)} |")
    return "\n".join(lines) + "\n"


def page(name: str, package: Path = PACKAGE) -> str:
    """The page of a room: its docstring, then its module, or the modules of its folder."""
    parts = modules(name, package)
    if not parts:
        return f"(api-{name})=\n# molrg.{name}\n\n{_documented(f'molrg.{name}', members=True)}"
    text = f"(api-{name})=\n# molrg.{name}\n\n{_documented(f'molrg.{name}', members=False)}"
    for part in parts:
        label = f"api-{name}-{part.replace('.', '-')}"
        whole = _documented(f"molrg.{name}.{part}", members=True)
        text += f"\n({label})=\n## {part}\n\n{whole}"
    return text


def modules(name: str, package: Path = PACKAGE) -> list[str]:
    """The modules of a room that is a folder, those of its own folders dotted."""
    room = package / name
    names = []
    for path in sorted(room.rglob("*.py")) if room.is_dir() else []:
        parts = path.relative_to(room).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if parts and not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return names


def _documented(address: str, *, members: bool) -> str:
    # what a module hands on is documented where it is defined, and once
    options = ["members", "show-inheritance", "ignore-module-all"] if members else []
    lines = "".join(f"   :{option}:\n" for option in options)
    return f"```{{eval-rst}}\n.. automodule:: {address}\n{lines}```\n"


def _summary(package: Path, name: str) -> str:
    """The first line of a room's docstring."""
    file = package / name / "__init__.py"
    file = file if file.is_file() else package / f"{name}.py"
    told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    line = told.split("\n\n")[0].replace("\n", " ").replace("``", "`").replace("|", "\\|")
    return re.sub(r":math:`([^`]*)`", r"$\1$", line)
