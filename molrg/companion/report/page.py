"""The page: one HTML file with everything in it, for light and dark, for desktop and phone."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template

from molrg.companion.report.drawings import Drawing
from molrg.companion.report.sections import Section

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
img { display: block; max-width: 100%; height: auto; margin: 1rem 0; }
.pixels { image-rendering: pixelated; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #cccccc; font-weight: normal; }
a { color: #005a8c; }
@media (prefers-color-scheme: dark) {
  body { color: #dcdcdc; background: #121212; }
  th, td { border-color: #444444; }
  a { color: #56b4e9; }
}
</style>
</head>
<body>
<main>
<h1>$title</h1>
$facts
$notes
$sections
$left_out
</main>
</body>
</html>
""")


def page(
    title: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    sections: Iterable[Section],
    left_out: Sequence[str],
) -> str:
    """The text of the page. Everything that comes from outside is escaped.

    Args:
        title: of the page.
        facts: lines of the table at the top.
        notes: on what was read.
        sections: in order.
        left_out: what was not measured, and why.
    """
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    return _PAGE.substitute(
        title=escape(title),
        facts=f"<table>{rows}</table>",
        notes=_list(notes),
        sections="\n".join(map(_section, sections)),
        left_out=f"<h2>Left out</h2>{_list(left_out)}" if left_out else "",
    )


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _section(section: Section) -> str:
    link = escape(BOOK + section.chapter, quote=True)
    return "\n".join(
        [
            "<section>",
            f"<h2>{escape(section.title)}</h2>",
            _figure(section),
            f'<p>{escape(section.meaning)} <a href="{link}">The chapter</a></p>',
            _list(section.lines),
            "</section>",
        ]
    )


def _figure(section: Section) -> str:
    alt = escape(section.alt, quote=True)
    if section.figure is None:
        return ""
    if isinstance(section.figure, Drawing):
        dark = f'<source media="(prefers-color-scheme: dark)" srcset="{_svg(section.figure.dark)}">'
        return f'<picture>{dark}<img src="{_svg(section.figure.light)}" alt="{alt}"></picture>'
    data = escape(section.figure, quote=True)
    return f'<img class="pixels" src="data:image/png;base64,{data}" alt="{alt}">'


def _svg(text: str) -> str:
    data = base64.b64encode(text.encode("utf-8")).decode("ascii")
    return f"data:image/svg+xml;base64,{data}"
