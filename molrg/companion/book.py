"""Stage the sources of the book beside the executed notebooks, and build the site strictly."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from molrg import claims, images
from molrg.companion import drawings, gallery, history, models, overview, scorecard
from molrg.companion.layout import Layout, stale
from molrg.companion.notebooks import sources
from molrg.companion.runner import alone


class BuildFailed(RuntimeError):
    """The site has warnings or errors, or its notebooks have not been run."""


def stage(root: Path) -> Path:
    """Mirror configuration and prose beside the executed notebooks, and make the generated parts.

    Raises:
        BuildFailed: where a notebook has not been run, or not as it is now.
    """
    layout = Layout.of({})
    if missing := stale():
        raise BuildFailed(
            f"not run as they are now: {', '.join(missing)}. First: python -m molrg run"
        )
    src = root / "_build" / "src"
    known = {notebook.path.name for notebook in sources()}
    for path in layout.notebooks.glob("*.ipynb"):
        if path.name not in known:
            path.unlink()
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(root / name, src / name)
    shutil.rmtree(src / "book", ignore_errors=True)
    shutil.copytree(
        root / "book", src / "book", ignore=shutil.ignore_patterns("__pycache__", "_generated")
    )
    generated = src / "book" / "_generated"
    generated.mkdir()
    records = claims.records(layout.records)
    (generated / "scorecard_summary.md").write_text(
        scorecard.summary_markdown(records), encoding="utf-8"
    )
    (generated / "scorecard.md").write_text(
        scorecard.full_markdown(records, scorecard.kept(), history.kept(root)), encoding="utf-8"
    )
    (generated / "scorecard_strip.md").write_text(overview.strip(records), encoding="utf-8")
    (generated / "scorecard_overview.md").write_text(overview.table(records), encoding="utf-8")
    (generated / "images.md").write_text(images.table(), encoding="utf-8")
    models.write(generated)
    drawings.write(generated)
    gallery.write(generated, layout.notebooks)
    return src


def build(root: Path | None = None) -> Path:
    """Build the site from clean, warnings as errors, and return the folder of its pages.

    Args:
        root: the project; found from here where omitted.

    Raises:
        BuildFailed: where a notebook has not been run as it is now, or the build warns.
        RunStopped: where a run or another build is at work in the same folders.
    """
    root = root or claims.root()
    with alone(Layout.of({})):
        html = _sphinx(root, stage(root))
    _manifest(html)
    return html


def _sphinx(root: Path, src: Path) -> Path:
    """Build aside, and put the site in place of the old one once it is whole."""
    html, aside = root / "_build" / "html", root / "_build" / ".site"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(src / "_build", ignore_errors=True)
    command = [
        sys.executable,
        "-c",
        "from jupyter_book.cli.main import main; main()",
        "build",
        str(src),
        "--path-output",
        str(aside),
        "-W",
        "-n",
        "--keep-going",
        "--quiet",
    ]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        built = aside / "_build" / "html"
        if done.returncode != 0 or not (built / "index.html").is_file():
            raise BuildFailed(f"the site did not build cleanly:\n{done.stdout[-6000:]}")
        shutil.rmtree(html, ignore_errors=True)
        built.rename(html)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return html


def _manifest(html: Path) -> None:
    """List every file of the site with its sha256, for ``sha256sum --check``."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(html).as_posix()}"
        for path in sorted(html.rglob("*"))
        if path.is_file() and path.name != "SHA256SUMS"
    ]
    (html / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")
