"""Sphinx extension of this book: the version on every page, and small repairs of generated HTML."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from docutils import nodes

import molrg

REPOSITORY = "https://github.com/molrg/molrg"
PRELOAD = re.compile(r'\s*<link rel="preload" as="font"[^>]*>')


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit(folder: str) -> str:
    """Short hash of the commit the site is built from, or '' outside a clone."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short=10", "HEAD"],
            cwd=folder, capture_output=True, text=True, timeout=10, check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def _footer(app: Any, config: Any) -> None:
    """Puts version, commit and environment below every page."""
    release = molrg.__version__
    commit = _commit(app.srcdir)
    config.version = config.release = release
    what = f"molrg {release}" + (f" ({commit})" if commit else "")
    config.html_theme_options["extra_footer"] = (
        f'<p class="molrg-version">{what}, Python {platform.python_version()}, '
        f"torch {_installed('torch')}, numpy {_installed('numpy')}. "
        f'Code MIT, text CC BY 4.0. <a href="{REPOSITORY}/issues">Report an error</a>.</p>'
    )


def _table_headers(app: Any, doctree: nodes.document) -> None:
    """Makes the empty corner cells of DataFrames plain cells: an empty header misleads screen readers."""
    for raw in doctree.findall(nodes.raw):
        if raw.get("format") == "html" and 'class="dataframe"' in raw.astext():
            text = raw.astext().replace("<th></th>", "<td></td>")
            raw.rawsource = text
            raw.children = [nodes.Text(text)]


def _without_thebe(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Leaves out the constants of an unused live-code widget, which name a CDN (and are declared twice)."""
    context["script_files"] = [
        script for script in context.get("script_files", [])
        if "THEBE_JS_URL" not in (getattr(script, "attributes", None) or {}).get("body", "")
    ]


def _without_preloads(app: Any, exception: Exception | None) -> None:
    """Drops font preloads: opened from a file, browsers refuse them and load the fonts by the style sheet anyway."""
    if exception is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        slim = PRELOAD.sub("", text)
        if slim != text:
            page.write_text(slim, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("config-inited", _footer)
    app.connect("doctree-read", _table_headers)
    app.connect("html-page-context", _without_thebe, priority=900)
    app.connect("build-finished", _without_preloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
