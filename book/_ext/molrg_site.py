"""Sphinx extension of this book: the version on every page, and small repairs of generated HTML."""

from __future__ import annotations

import html
import platform
import pydoc
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from docutils import nodes

import molrg
from molrg.companion import launch

REPOSITORY = "https://github.com/molrg/molrg"
CODE = re.compile(r"((?::math:)?`+[^`]+`+)")
STAR = re.compile(r"(?<![\w*\\])\*(?=\w+[,)])")  # of a shape, not the first of *emphasis*
PARAMETERS = re.compile(r"<dl>\s*((?:<dd>(?:(?!</?d[ltd]).)*</dd>\s*)+)</dl>", re.DOTALL)
PUNCTUATION = re.compile(r"[.,;:!?)\]]+|-\w+[.,;:]?")
FOR_READERS = {  # of the theme's HTML, so that a keyboard and a screen reader reach everything
    "<summary><span": '<summary aria-label="Its pages"><span',
    '<div class="pst-scrollable-table-container">': (
        '<div class="pst-scrollable-table-container" tabindex="0" role="region" aria-label="Table">'
    ),
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}
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
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
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
    if not config.html_copy_source:  # on the site for students there is no source to download
        config.html_theme_options["use_download_button"] = False
    config.html_theme_options["extra_footer"] = (
        f'<p class="molrg-version">{what}, Python {platform.python_version()}, '
        f"torch {_installed('torch')}, numpy {_installed('numpy')}. "
        f'Code MIT, text CC BY 4.0. <a href="{REPOSITORY}/issues">Report an error</a>, '
        f'or <a href="{REPOSITORY}/discussions">ask a question</a>.</p>'
    )


def _table_headers(app: Any, doctree: nodes.document) -> None:
    """Makes empty corner cells of DataFrames plain cells: empty headers mislead screen readers."""
    for raw in doctree.findall(nodes.raw):
        if raw.get("format") == "html" and 'class="dataframe"' in raw.astext():
            text = raw.astext().replace("<th></th>", "<td></td>")
            raw.rawsource = text
            raw.children = [nodes.Text(text)]


def _keep_punctuation(app: Any, doctree: nodes.document) -> None:
    """Keeps a formula in running text on one line with the punctuation that touches it."""
    for formula in list(doctree.findall(nodes.math)):
        parent = formula.parent
        place = parent.index(formula)
        after = parent[place + 1] if place + 1 < len(parent) else None
        if isinstance(after, nodes.Text) and (mark := PUNCTUATION.match(after.astext())):
            # by place: texts that are equal are the same to replace()
            parent[place + 1] = nodes.Text(after.astext()[mark.end() :])
            parent.replace(formula, together := nodes.inline(classes=["molrg-nobr"]))
            together += [formula, nodes.Text(mark[0])]


def _plain_signs(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Takes |x| in a docstring for a norm and (B, *event) for a shape; code and :math: stay."""
    for i, line in enumerate(lines):
        parts = CODE.split(line)  # text, code, text, ...
        lines[i] = "".join(
            part if j % 2 else STAR.sub(r"\\*", part.replace("|", r"\|"))
            for j, part in enumerate(parts)
        )


def _without_thebe(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Leaves out the constants of an unused live-code widget, which name a CDN."""
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "THEBE_JS_URL" not in (getattr(script, "attributes", None) or {}).get("body", "")
    ]


def _badges(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Puts links to Colab and Binder below the title of a notebook, where the site has launches."""
    options = app.config.html_theme_options
    if not pagename.startswith("notebooks/") or not options.get("launch_buttons"):
        return
    name, url = pagename.split("/", 1)[1], options["repository_url"]
    places = {
        "Open in Colab": launch.colab(url, name),
        "Open in Binder": launch.binder(url, options["repository_branch"], name),
    }
    links = [f'<a class="molrg-badge" href="{html.escape(a)}">{b}</a>' for b, a in places.items()]
    row = f'</h1>\n<p class="molrg-badges">{" ".join(links)}</p>'
    context["body"] = context["body"].replace("</h1>", row, 1)


def _public_name(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Links molrg.subspaces.pca to the module of that room in which it is documented."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("molrg."):
        return None
    thing = pydoc.locate(target)
    real = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
    if real == target or not real.startswith("molrg."):
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], real, node, contnode
    )


def _repair_pages(app: Any, exception: Exception | None) -> None:
    """Drops font preloads, makes parameter lists of long signatures plain lists, names controls.

    Browsers refuse preloads when a page is opened from a file; the style sheet loads the fonts.
    """
    if exception is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        repaired = PARAMETERS.sub(_parameter_list, PRELOAD.sub("", text))
        for theirs, ours in FOR_READERS.items():
            repaired = repaired.replace(theirs, ours)
        if repaired != text:
            page.write_text(repaired, encoding="utf-8")


def _parameter_list(found: re.Match[str]) -> str:
    items = found[1].replace("<dd>", '<div class="sig-item">').replace("</dd>", "</div>")
    return f'<div class="sig-list">{items}</div>'


def setup(app: Any) -> dict[str, Any]:
    app.connect("config-inited", _footer)
    app.connect("doctree-read", _keep_punctuation)
    app.connect("autodoc-process-docstring", _plain_signs)
    app.connect("doctree-read", _table_headers)
    app.connect("html-page-context", _without_thebe, priority=900)
    app.connect("html-page-context", _badges)
    app.connect("missing-reference", _public_name)
    app.connect("build-finished", _repair_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
