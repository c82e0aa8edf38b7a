"""The page: one HTML file with everything in it, for light and dark, for desktop and phone."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

from molrg.companion.report.drawings import Drawing
from molrg.companion.report.section import Section, Shown

# Chapters are read in the repository: the project has no other published address (a test looks).
BOOK = "https://github.com/molrg/molrg/blob/main/"
_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
body { margin: 0 auto; padding: 1rem; max-width: 44rem; color: #262626; background: #ffffff;
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin-top: 2.5rem; }
figure { margin: 1rem 0; }
figcaption { font-size: 0.9rem; margin-top: 0.25rem; }
img { display: block; max-width: 100%; height: auto; }
.finding { font-weight: 600; }
picture img { width: 100%; max-width: 40rem; }
.warning { border: 1px solid #b45309; border-left-width: 0.4rem; padding: 0.5rem 0.75rem; }
/* Where a table goes on to a side, that edge is shaded: the shades stay, their covers scroll. */
.wide { overflow-x: auto; overflow-wrap: normal; --page: #ffffff; --shade: #00000040;
  background:
    linear-gradient(to right, var(--page) 50%, transparent) left / 3rem 100% local no-repeat,
    linear-gradient(to left, var(--page) 50%, transparent) right / 3rem 100% local no-repeat,
    linear-gradient(to right, var(--shade), transparent) left / 1rem 100% scroll no-repeat,
    linear-gradient(to left, var(--shade), transparent) right / 1rem 100% scroll no-repeat; }
.wide td, .wide th { white-space: nowrap; }
summary { cursor: pointer; }
.pixels { image-rendering: pixelated; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #cccccc; font-weight: normal; }
th { overflow-wrap: normal; }
a { color: #005a8c; }
@media (prefers-color-scheme: dark) {
  body { color: #dcdcdc; background: #121212; }
  th, td { border-color: #444444; }
  a { color: #56b4e9; }
  .wide { --page: #121212; --shade: #ffffff40; }
}
</style>
</head>
<body>
<main>
<h1>$title</h1>
$parts
</main>
</body>
</html>
""")


@dataclass(frozen=True)
class Table:
    """Rows of text under headings.

    Attributes:
        title: of the section.
        head: of each column.
        rows: of cells.
        caption: above it.
        about: what it is of, a line each.
        warning: before one reads it.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    about: Sequence[str] = ()
    warning: str = ""


@dataclass(frozen=True)
class Contents:
    """What the page says.

    Attributes:
        title: of the page.
        about: one sentence, what it is on.
        words: meanings of the words that are used throughout.
        sections: in order.
        tables: after them.
        left_out: what was not measured, and why.
        advice: how to measure that.
        notes: on what was read.
        facts: on cost and origin.
    """

    title: str
    about: str
    words: Mapping[str, str]
    sections: Sequence[Section]
    tables: Sequence[Table]
    left_out: Sequence[str]
    advice: str
    notes: Sequence[str]
    facts: Mapping[str, str]


def page(contents: Contents) -> str:
    """The text of the page. Everything that comes from outside is escaped.

    Args:
        contents: what it says.
    """
    parts = [
        f"<p>{escape(contents.about)}</p>",
        _summary(contents),
        f"<details><summary>Words used here</summary>{_pairs(contents.words)}</details>",
        *map(_section, contents.sections),
        *map(_table, contents.tables),
        '<h2 id="left-out">What was left out</h2>',
        _list(contents.left_out) or "<p>Nothing.</p>",
        f"<p>{escape(contents.advice)}</p>" if contents.advice else "",
        "<h2>How it was measured</h2>",
        _list(contents.notes),
        _pairs(contents.facts),
    ]
    return _PAGE.substitute(title=escape(contents.title), parts="\n".join(parts))


def _summary(contents: Contents) -> str:
    """The findings, each with a link to its section, and how much was left out."""
    items = [
        f'<li><a href="#{_anchor(section)}">{escape(section.title)}</a>:'
        f" {escape(section.finding)}</li>"
        for section in contents.sections
        if section.finding
    ]
    if contents.left_out:
        count = len(contents.left_out)
        named = "one thing was" if count == 1 else f"{count} things were"
        items.append(f'<li><a href="#left-out">Left out</a>: {named} not measured.</li>')
    return f"<h2>In short</h2><ul>{''.join(items)}</ul>"


def _anchor(section: Section) -> str:
    return re.sub("[^a-z0-9]+", "-", section.title.lower()).strip("-")


def _pairs(pairs: Mapping[str, str]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in pairs.items()
    )
    return f"<table>{rows}</table>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows
    )
    label = escape(table.title, quote=True)
    warning = f'<p class="warning">{escape(table.warning)}</p>' if table.warning else ""
    return (
        f"<h2>{escape(table.title)}</h2>{_list(table.about)}{warning}"
        f"<p>{escape(table.caption)}</p>"
        f'<div class="wide" role="region" tabindex="0" aria-label="{label}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _section(section: Section) -> str:
    link = escape(BOOK + section.chapter, quote=True)
    finding = f'<p class="finding">{escape(section.finding)}</p>' if section.finding else ""
    more = _list(section.more)
    return "\n".join(
        [
            f'<section id="{_anchor(section)}">',
            f"<h2>{escape(section.title)}</h2>",
            finding,
            *map(_figure, section.shown),
            f'<p>{escape(section.meaning)} <a href="{link}">The chapter on this</a></p>',
            _list(section.lines),
            f"<details><summary>More on this</summary>{more}</details>" if more else "",
            "</section>",
        ]
    )


def _figure(shown: Shown) -> str:
    caption = f"<figcaption>{escape(shown.caption)}</figcaption>"
    return f"<figure>{_picture(shown)}{caption}</figure>"


def _picture(shown: Shown) -> str:
    alt = escape(shown.alt, quote=True)
    if isinstance(shown.figure, Drawing):
        dark = f'<source media="(prefers-color-scheme: dark)" srcset="{_svg(shown.figure.dark)}">'
        return f'<picture>{dark}<img src="{_svg(shown.figure.light)}" alt="{alt}"></picture>'
    data = escape(shown.figure, quote=True)
    return f'<img class="pixels" src="data:image/png;base64,{data}" alt="{alt}">'


def _svg(text: str) -> str:
    data = base64.b64encode(text.encode("utf-8")).decode("ascii")
    return f"data:image/svg+xml;base64,{data}"
