"""Fault: builds of the book, interrupted, killed or out of disk, leave the old site whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from faults import apart
from projects import environment, snapshot

BUILD = """
import sys
from pathlib import Path
from molrg.companion import book
root = Path.cwd()
try:
    book.sphinx(root, root / "src", root / "_build" / "html")
except book.BuildFailed as error:
    sys.exit(f"stopped: {error}")
"""
# an extension that makes Sphinx wait while a file is there
WAITS = """
import pathlib, time
def setup(app):
    root = pathlib.Path(__file__).parents[1]
    (root / "at-work").touch()
    while (root / "wait").exists():
        time.sleep(0.05)
    return {"parallel_read_safe": True}
"""


def little_book(root: Path) -> Path:
    """A project with a page, an older site, and a Sphinx that waits."""
    src = root / "src"
    src.mkdir(parents=True)
    (root / "book").mkdir()
    (root / "book" / "claims.yml").write_text("claims: {}\n")
    (src / "_config.yml").write_text(
        "title: a test\nonly_build_toc_files: true\nsphinx:\n  local_extensions:\n    waits: '.'\n"
    )
    (src / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    (src / "page.md").write_text("# A page\n\nNew.\n")
    (src / "waits.py").write_text(WAITS)
    (root / "wait").touch()
    old = root / "_build" / "html"
    old.mkdir(parents=True)
    (old / "index.html").write_text("old")
    return root


def begun(root: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD],
        cwd=root,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.nightly
@pytest.mark.fault(
    "SIGKILL, SIGTERM, Ctrl-C, hang-up of a build",
    "each, while Sphinx is at work",
    "the old site stays whole, Sphinx ends, the same command builds the new one",
)
def test_an_interrupted_build(tmp_path):
    kinds = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    roots = {kind: little_book(tmp_path / kind.name) for kind in kinds}
    builds = {kind: begun(root) for kind, root in roots.items()}
    deadline = time.monotonic() + 300
    while not all((root / "at-work").exists() for root in roots.values()):
        assert time.monotonic() < deadline
        assert all(build.poll() is None for build in builds.values())
        time.sleep(0.1)
    families = [p for b in builds.values() for p in psutil.Process(b.pid).children(recursive=True)]
    assert len(families) >= len(kinds)
    for kind, build in builds.items():
        build.send_signal(kind)
    for kind, build in builds.items():
        _, said = build.communicate(timeout=60)
        assert build.returncode != 0
        assert kind == signal.SIGKILL or "KeyboardInterrupt" in said
    _, alive = psutil.wait_procs(families, timeout=60)
    assert not alive
    for kind, root in roots.items():
        assert snapshot(root / "_build" / "html") == {"index.html": b"old"}
        assert (root / "_build" / ".site").exists() == (kind == signal.SIGKILL)
    root = roots[signal.SIGKILL]
    (root / "wait").unlink()
    again = begun(root)
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    html = root / "_build" / "html"
    assert (html / "index.html").read_bytes() != b"old" and (html / "page.html").is_file()
    assert (html / "SHA256SUMS").is_file()
    assert {path.name for path in (root / "_build").iterdir()} <= {"html", "settings"}
    assert os.path.exists(root / "src" / "page.md")


@pytest.mark.nightly
@pytest.mark.fault(
    "full disk",
    "a build of the site with 1.2 MB of room",
    "the disk is named, the old site stays whole",
)
def test_a_build_on_a_full_disk(tmp_path):
    root = little_book(tmp_path / "project")
    (root / "wait").unlink()
    script = f"""
shell("mkdir small && mount -t tmpfs -o size=1200k none small && ip link set lo up")
shell("cp -r _build/html small && mount --move small _build")
done = subprocess.run([sys.executable, "-c", {BUILD!r}], capture_output=True, text=True)
tell(done.returncode, done.stderr)
shell("cat _build/html/index.html; ls -a _build")
"""
    done = apart(root, script)
    assert done.stdout.startswith("1 stopped: the disk that holds "), done
    assert "is full: make room" in done.stdout and "Traceback" not in done.stdout
    assert done.stdout.split("\n", 2)[2].startswith("old"), done.stdout
    assert ".site" not in done.stdout.rsplit("old", 1)[1]
