"""Fixtures of the tests of the companion: a project that has been run, and copies of it.

And how many examples the properties draw: few, or many with ``--hypothesis-profile nightly``.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SHARED = settings(
    deadline=None,  # time is not what is tested
    database=None,  # what failed once is written down as an @example
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("quick", SHARED, max_examples=6)
settings.register_profile("nightly", SHARED, max_examples=200, derandomize=False, print_blob=True)
settings.load_profile("quick")


@pytest.fixture(scope="session", autouse=True)
def _heeds_signals():
    """Undo what a shell's background jobs inherit, and hand on: they ignore Ctrl-C and hang-up."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> tuple[Path, str]:
    """A project that has been run once, as a reader would run it, with what was printed."""
    from projects import ROOT, check, command, entry, plant, register

    project = tmp_path_factory.mktemp("project")
    for folder in ("book", "notebooks"):
        (project / folder).mkdir()
    shutil.copy(ROOT / "book" / "record.schema.json", project / "book")
    shutil.copy(ROOT / "requirements.lock", project)
    (project / "_config.yml").write_text("title: a test\n")
    (project / "CHANGELOG.md").write_text("# Changelog\n")
    (project / "book" / "criteria_history.yml").write_text("{}\n")
    recorded = project / "book" / "results" / "paper"
    recorded.mkdir(parents=True)
    (recorded / "C06.svg").write_text("<svg/>")
    (project / "_toc.yml").write_text("format: jb-book\nroot: book/intro\n")
    plant(project, "C01", "holds", check("C01", draw=True))
    plant(
        project, "C02", "fails_as_expected", check("C02", error=3.0, control=9.0), "not reproduced"
    )
    register(project, C03=entry("03_later", status="planned"))
    done = command(project, "run", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    return project, done.stdout


@pytest.fixture
def project(finished, tmp_path, monkeypatch) -> Path:
    """A copy of the finished project, to be changed at will; the current folder is in it."""
    copy = tmp_path / "project"
    shutil.copytree(finished[0], copy)
    monkeypatch.chdir(copy)
    monkeypatch.delenv("MOLRG_RECORDS", raising=False)
    return copy


@pytest.fixture(scope="session")
def site() -> Path:
    """Folder of the site, built from clean with warnings as errors: build() raises on any."""
    from projects import ROOT

    from molrg.companion import book

    html = Path(book.build(ROOT))
    assert (html / "index.html").is_file()
    return html


@pytest.fixture(scope="session")
def seen_site(request) -> Path:
    """Folder of the site to be looked at: what is there, where it was built from what is here."""
    from projects import ROOT

    from molrg.companion import built

    if built.current(ROOT):
        return ROOT / "_build" / "html"
    return request.getfixturevalue("site")
