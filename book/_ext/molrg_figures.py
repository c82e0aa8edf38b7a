"""Sphinx extension of this book: plots get a version for dark pages, and open at full size.

A plot is an SVG with a small, known set of colours (`molrg.plots`). Its dark version has light ink
on the ground of the page; the colours of maps stay, so a map means the same on both. Pictures of
data (class "photo") are left alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from molrg.plots.dark import dark

IMAGE = re.compile(r'<img\b[^>]*\bsrc="(?P<src>[^"]*_images/[^"]+\.svg)"[^>]*>')
LINKED = re.compile(r"<a\b[^>]*>\s*$")
LEFT_ALONE = ("photo", "only-light", "only-dark", "dark-light")


def _with_class(image: str, name: str) -> str:
    if 'class="' in image:
        return image.replace('class="', f'class="{name} ', 1)
    return image.replace("<img", f'<img class="{name}"', 1)


def two_versions(page: str, made: dict[str, str]) -> str:
    """Put the light and the dark version of each plot, each a link to itself at full size."""

    def replace(found: re.Match[str]) -> str:
        image, src = found[0], found["src"]
        named = re.search(r'class="([^"]*)"', image)
        classes = set(named[1].split()) if named else set()
        name = src.rsplit("/", 1)[-1]
        if name not in made or classes & set(LEFT_ALONE):
            return image
        other = image.replace(src, f"{src.removesuffix(name)}{made[name]}")
        versions = [(image, src, "only-light"), (other, other_src(src, made[name]), "only-dark")]
        linked = LINKED.search(page[max(0, found.start() - 500) : found.start()])
        if linked or "molrg-thumbnail" in classes:  # it leads elsewhere
            return "".join(_with_class(picture, kind) for picture, _, kind in versions)
        return "".join(
            f'<a class="molrg-full {kind}" href="{place}">{_with_class(picture, kind)}</a>'
            for picture, place, kind in versions
        )

    return IMAGE.sub(replace, page)


def other_src(src: str, name: str) -> str:
    """The address of another file in the same folder."""
    return f"{src.rsplit('/', 1)[0]}/{name}"


def _draw_dark(app: Any, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_images"
    made = {}
    for path in sorted(folder.glob("*.svg")):
        if not path.stem.endswith("-dark"):
            made[path.name] = f"{path.stem}-dark.svg"
            text = dark(path.read_text(encoding="utf-8"))
            (folder / made[path.name]).write_text(text, encoding="utf-8")
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if (changed := two_versions(text, made)) != text:
            page.write_text(changed, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("build-finished", _draw_dark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
