"""From the site's Markdown, with directives and roles, to Markdown that every editor shows."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from molrg.companion.notebooks import Notebook

_FENCE = re.compile(
    r"^```\{(?P<kind>\w+)\} ?(?P<title>[^\n]*)\n(?::[^\n]*\n)*(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_ROLE = re.compile(r"\{([a-z:]+)\}`([^`]+)`")
_THEOREM = re.compile(r"^```\{prf:\w+\} (.*)\n:label: (\S+)", re.MULTILINE)
_OWN_TEXT = re.compile(r"(.*?)\s*<([^>]+)>", re.DOTALL)
_FIGURE = re.compile(r"^:name: (fig-\S+)$", re.MULTILINE)
SELF_CHECK = re.compile(r'`(check\("[\w-]+", answer\))`')
_EQUATION = re.compile(r"\$\$ \(([\w-]+)\)$", re.MULTILINE)
_NEW_CELL = "\0"  # what splits a text into cells; no text of ours holds it
_PARTS = {"1": "I", "2": "II", "3": "III", "4": "IV", "5": "V", "6": "VI"}
MISSING = "…"


def prefix_of(address: str) -> str:
    """What stands before the number of an equation: II on part2, 07 in notebook 07, N elsewhere.

    Args:
        address: of the page, without ending.
    """
    page = address.rsplit("/", 1)[-1]
    if part := re.fullmatch(r"part(\d)", page):
        return _PARTS[part[1]]
    if notebook := re.match(r"(\d\d)_", page):
        return notebook[1]
    return page[0].upper()


@dataclass(frozen=True)
class Site:
    """What text can point to.

    Args:
        titles: of the pages, by address from the project's root, without ending.
        theorems: titles of definitions, theorems and the like, by label.
        references: authors and year, by key of the bibliography.
        figures: where a figure of another page is found, by name.
        equations: numbers of equations of the theory pages, by label.
        macros: of formulas, with what they stand for.
    """

    titles: Mapping[str, str]
    theorems: Mapping[str, str]
    references: Mapping[str, str]
    figures: Mapping[str, str]
    equations: Mapping[str, str]
    macros: Mapping[str, str]

    @classmethod
    def of(cls, root: Path) -> Site:
        """The site of a project folder, read from its sources."""
        pages = {path: path.read_text(encoding="utf-8") for path in (root / "book").glob("*.md")}
        titles = {f"book/{path.stem}": _heading(text) for path, text in pages.items()}
        theorems = {
            label: f"“{title}”"
            for text in pages.values()
            for title, label in _THEOREM.findall(text)
        }
        found: dict[str, str] = {}
        for path, text in pages.items():
            found |= equations(text, path.stem)
        figures = {
            name: f"a figure of “{titles[f'book/{path.stem}']}”"
            for path, text in pages.items()
            for name in _FIGURE.findall(text)
        }
        for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb")):
            cells = Notebook(path).cells
            titles[f"notebooks/{path.stem}"] = _heading(cells[0].source)
            for cell in cells:
                figure = cell.metadata.get("mystnb", {}).get("figure")
                if figure:
                    figures[figure["name"]] = f"a figure of C{path.stem[:2]}"
        config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
        macros = config["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]
        return cls(titles, theorems, _references(root), figures, found, macros)


def _heading(text: str) -> str:
    return next(line[2:] for line in text.splitlines() if line.startswith("# "))


def _references(root: Path) -> dict[str, str]:
    from pybtex.database import parse_file  # noqa: PLC0415 - part of the site's bibliography

    told = {}
    for key, entry in parse_file(str(root / "book" / "references.bib")).entries.items():
        names = [" ".join(person.last_names) for person in entry.persons["author"]]
        who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}"
        who = f"{names[0]} et al." if len(names) > 2 else who
        told[key] = f"{who} ({entry.fields['year']})".replace("{", "").replace("}", "")
    return told


def equations(text: str, page: str) -> dict[str, str]:
    """Numbers of the labelled equations of a page, such as (II.4), by label."""
    labels = enumerate(_EQUATION.findall(text), 1)
    return {label: f"({prefix_of(page)}.{k})" for k, label in labels}


@dataclass(frozen=True)
class Rewrite:
    """Rewrites the text of a Markdown cell; returns the cells that it becomes.

    Args:
        site: what text points to.
        values: what the executed notebook hands to its sentences.
        figures: what figures are called, by name.
        equations: what equations are called, by label.
        root: of the project, as seen from the copy.
        solutions: whether solutions are kept.
    """

    site: Site
    values: Mapping[str, Any]
    figures: Mapping[str, str]
    equations: Mapping[str, str]
    root: str
    solutions: bool

    def __call__(self, text: str) -> list[str]:
        for name, meaning in self.site.macros.items():
            text = re.sub(rf"\\{name}(?![A-Za-z])", meaning.replace("\\", r"\\"), text)
        text = _EQUATION.sub(self._numbered, text)
        text = _FENCE.sub(self._directive, text)
        text = _ROLE.sub(self._role, text)
        return [part.strip() for part in text.split(_NEW_CELL) if part.strip()]

    def _numbered(self, match: re.Match[str]) -> str:
        return f"\\tag{{{self.equations[match[1]][1:-1]}}}$$"

    def _directive(self, match: re.Match[str]) -> str:
        kind, title, body = match["kind"], match["title"], match["body"]
        if kind == "admonition":
            lines = [f"**{title}**", "", *body.strip().splitlines()]
            return "\n".join(f"> {line}".rstrip() for line in lines)
        if kind == "exercise":
            asked = f"**Exercise.** {body.strip()}"
            return f"{_NEW_CELL}{asked}{_NEW_CELL}" if SELF_CHECK.search(body) else asked
        if kind == "solution" and self.solutions:
            return f"<details><summary>Solution</summary>\n\n{body.strip()}\n\n</details>"
        if kind == "solution":
            return f"{_NEW_CELL}*Your answer:*{_NEW_CELL}"
        raise ValueError(f"directive {kind}: allowed are admonition, exercise, solution")

    def _role(self, match: re.Match[str]) -> str:
        role, target = match.groups()
        if role not in _ROLES:
            raise ValueError(f"role {role}: allowed are {', '.join(_ROLES)}")
        return _ROLES[role](self, target)

    def _glue(self, target: str) -> str:
        name, _, form = target.partition(":")
        if name not in self.values:
            return MISSING
        value = self.values[name]
        return format(value, form) if form else str(value)

    def _doc(self, target: str) -> str:
        own = _OWN_TEXT.fullmatch(target)
        text, page = own.groups() if own else ("", target)
        address = posixpath.normpath(posixpath.join("notebooks", page))
        text = text or self.site.titles[address]
        folder, name = posixpath.split(address)
        link = f"{name}.ipynb" if folder == "notebooks" else f"{self.root}/{address}.md"
        return f"[{text}]({link})"

    def _named(self, target: str) -> str:
        own = _OWN_TEXT.fullmatch(target)
        if not own:
            raise ValueError(f"role ref `{target}`: allowed is `text <label>`")
        return own[1]

    def _figure(self, target: str) -> str:
        return self.figures[target]

    def _theorem(self, target: str) -> str:
        return self.site.theorems[target]

    def _code(self, target: str) -> str:
        return f"`{target.removeprefix('~')}`"

    def _cite(self, target: str) -> str:
        return "; ".join(self.site.references[key.strip()] for key in target.split(","))

    def _equation(self, target: str) -> str:
        return self.equations[target]


_ROLES: dict[str, Callable[[Rewrite, str], str]] = {
    "glue:text": Rewrite._glue,
    "doc": Rewrite._doc,
    "ref": Rewrite._named,
    "numref": Rewrite._figure,
    "prf:ref": Rewrite._theorem,
    "py:func": Rewrite._code,
    "py:mod": Rewrite._code,
    "py:class": Rewrite._code,
    "py:meth": Rewrite._code,
    "cite:p": Rewrite._cite,
    "cite:t": Rewrite._cite,
    "eq": Rewrite._equation,
}
