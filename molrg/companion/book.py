"""Stage the sources of the book beside the executed notebooks, and build the site strictly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from molrg import checks, claims, files, images, interrupts
from molrg.companion import (
    api,
    built,
    drawings,
    elsewhere,
    elsewhere_tables,
    faults,
    gallery,
    history,
    lock,
    machine,
    models,
    mutations,
    overview,
    robustness,
    scorecard,
    settings,
    speed,
    teaching,
)
from molrg.companion.layout import Layout, stale
from molrg.companion.notebooks import drafts, sources
from molrg.companion.runner import alone
from molrg.companion.stopped import Stopped


class BuildFailed(Stopped):
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
    shutil.copyfile(root / "_config.yml", src / "_config.yml")
    (src / "_toc.yml").write_text(_contents(root), encoding="utf-8")
    shutil.rmtree(src / "book", ignore_errors=True)
    shutil.copytree(
        root / "book", src / "book", ignore=shutil.ignore_patterns("__pycache__", "_generated")
    )
    generated = src / "book" / "_generated"
    generated.mkdir()
    records = claims.records(layout.records)
    for name, text in _scorecard(root, records).items():
        (generated / name).write_text(text, encoding="utf-8")
    (generated / "images.md").write_text(images.table(), encoding="utf-8")
    models.write(generated)
    faults.write(generated, root)
    lock.write(generated)
    if (root / speed.FILE).is_file():
        speed.write(generated, root)
    mutations.write(generated, root)
    drawings.write(generated)
    gallery.write(generated, layout.notebooks)
    if (root / teaching.FILE).is_file():
        teaching.write(generated, root, records)
    api.write(src / "book", generated)
    return src


def _scorecard(root: Path, records: dict[str, dict]) -> dict[str, str]:
    """The parts that are made from ledger, records and what moving the claims gave, by file."""
    moved, landed = robustness.kept(), [notebook.claim for notebook in sources()]
    seeds = {id: robustness.pages.cell(moved.get(id)) for id in landed}
    said = {id: robustness.pages.lines_of(id, moved.get(id)) for id in landed}
    kept, criteria = scorecard.kept(), history.kept(root)
    return {
        "scorecard_summary.md": scorecard.summary_markdown(records, robustness.pages.shaky(moved)),
        "scorecard.md": scorecard.full_markdown(records, kept, criteria, said),
        "scorecard_strip.md": overview.strip(records),
        "scorecard_overview.md": overview.table(records, seeds),
        "elsewhere.md": elsewhere_tables.markdown(elsewhere.kept()),
        "robustness.md": robustness.pages.markdown(moved),
    }


def _contents(root: Path) -> str:
    """The contents without the drafts, whose claims are planned."""
    left_out = drafts()

    def kept(entry: dict[str, Any]) -> dict[str, Any]:
        lists = {key: value for key, value in entry.items() if isinstance(value, list)}
        below = {
            key: [kept(child) for child in children if child.get("file") not in left_out]
            for key, children in lists.items()
        }
        return entry | below

    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    return yaml.safe_dump(kept(toc), sort_keys=False, allow_unicode=True)


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
        html = sphinx(root, stage(root), root / "_build" / "html")
        built.note(root)
        return html


def sphinx(root: Path, src: Path, html: Path) -> Path:
    """Build aside, and put the site in place of the old one once it is whole.

    Args:
        root: the project.
        src: staged sources.
        html: folder of the site.

    Raises:
        BuildFailed: where the build warns, or the disk is full.
        ModuleNotFoundError: without Jupyter Book.
    """
    checks.installed("jupyter_book", "book")
    aside = root / "_build" / ".site"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(src / "_build", ignore_errors=True)
    try:
        said = _build_aside(root, src, aside)
        made = aside / "_build" / "html"
        if said is not None or not (made / "index.html").is_file():
            lacking = machine.want(aside, said or "")
            raise BuildFailed(lacking or f"the site did not build cleanly:\n{(said or '')[-6000:]}")
        _manifest(made)
        with files.replacing(html) as new:
            shutil.move(made, new)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return html


def _build_aside(root: Path, src: Path, aside: Path) -> str | None:
    """Run Sphinx, which ends when this process does; what it says where it fails."""
    follow = f"from molrg import interrupts; interrupts.follow({os.getpid()})"
    command = [sys.executable, "-c", f"{follow}\nfrom jupyter_book.cli.main import main; main()"]
    command += ["build", str(src), "--path-output", str(aside)]
    command += ["-W", "-n", "--keep-going", "--quiet"]
    aside.mkdir(parents=True)
    with interrupts.held_back() as asked, open(aside / "log", "w+", encoding="utf-8") as log:
        environment = settings.neutral(aside / "settings")
        sphinx = subprocess.Popen(
            command, cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        while sphinx.poll() is None:
            if asked.wait(0.1):
                interrupts.end(sphinx.pid)
                sphinx.wait()
                raise KeyboardInterrupt
        log.seek(0)
        return log.read() if sphinx.returncode else None


def _manifest(html: Path) -> None:
    """List every file of the site with its sha256, for ``sha256sum --check``."""
    lines = [
        f"{files.sha256(path)}  {path.relative_to(html).as_posix()}"
        for path in sorted(html.rglob("*"))
        if path.is_file() and path.name != "SHA256SUMS"
    ]
    (html / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")
