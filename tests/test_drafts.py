"""Contract: `python -m molrg new` makes a claim that the tests accept, or changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import pytest
import yaml
from projects import ROOT, snapshot, stopped

from molrg import claims, files
from molrg.__main__ import main
from molrg.companion import book, drafts
from molrg.companion.notebooks import sources

TITLE = "Café-sized subspaces: one sample for each dimension"
NAME = "97_cafe_sized_subspaces_one_sample_for"
LEFT_OUT = ("_build", ".git", ".venv", "zoo", "results", "_static", "__pycache__", ".*_cache")


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The project without what is large; the current folder is in it."""
    place = tmp_path / "copy"
    shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (place / "_build").mkdir()
    monkeypatch.chdir(place)
    return place


def inside(copy, *words):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=copy, env=environment, capture_output=True, text=True
    )


def test_a_new_claim_is_planned_listed_and_a_draft(copy, capsys):
    before = [notebook.name for notebook in sources()]
    assert main(["new", "C97", TITLE]) == 0
    made = capsys.readouterr().out.split()
    assert made == [f"notebooks/{NAME}.ipynb", "book/claims.yml", "_toc.yml", "README.md"]
    entry = claims.claim("C97")
    assert (entry["title"], entry["status"], entry["notebook"]) == (TITLE, "planned", NAME)
    assert [notebook.name for notebook in sources()] == before
    assert f"notebooks/{NAME}" in (copy / "_toc.yml").read_text()
    assert NAME not in book._contents(copy), "a page that no run has made"
    assert "notebooks/18_class" in book._contents(copy)
    assert f"| C97 | {TITLE} | planned |" in (copy / "README.md").read_text()
    assert yaml.safe_load((copy / "_toc.yml").read_text())["parts"]
    nbformat.validate(nbformat.read(copy / "notebooks" / f"{NAME}.ipynb", as_version=4))


def test_nothing_else_of_the_files_changes(copy):
    places = [copy / name for name in ("book/claims.yml", "_toc.yml", "README.md")]
    before = [path.read_text().splitlines() for path in places]
    main(["new", "C97", TITLE])
    for path, old in zip(places, before, strict=True):
        new = path.read_text().splitlines()
        assert [line for line in old if line not in new] == []
        assert len(new) > len(old)


@pytest.mark.slow
def test_the_tests_accept_it(copy):
    """The form of the new notebook and of its entry, by the tests of every other."""
    main(["new", "C97", TITLE])
    words = ["tests/test_contract.py", "tests/test_claims.py", "-q", "-m", "not book"]
    words += ["-p", "no:cacheprovider", "-p", "no:nbval"]
    words += ["-k", "97_ or C97 or contents or every_notebook_its_claim or of_the_readme"]
    done = inside(copy, "pytest", *words)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 15
    done = inside(copy, "ruff", "check", f"notebooks/{NAME}.ipynb")
    assert done.returncode == 0, done.stdout
    done = inside(copy, "ruff", "format", "--check", f"notebooks/{NAME}.ipynb")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_it_runs_once_it_has_landed(copy):
    main(["new", "C97", TITLE])
    ledger = copy / "book" / "claims.yml"
    ledger.write_text(ledger.read_text().replace("status: planned", "status: landed"))
    done = inside(copy, "molrg", "run", "97")
    assert done.returncode == 0, done.stderr
    assert "1 reproduced" in done.stdout
    assert claims.records(copy / "_build" / "claims")["C97"]["as_expected"]


BAD = {
    "no id": (["C7", TITLE], "id = 'C7': allowed is C and two digits"),
    "words": (["new", TITLE], "id = 'new': allowed is C and two digits"),
    "taken": (["C01", TITLE], "id = 'C01': allowed is a new one; this is 'The optimal denoiser"),
    "empty": (["C97", ""], "title = '': allowed is three words or more"),
    "short": (["C97", "Too short"], "title = 'Too short': allowed is three words or more"),
    "no letters": (["C97", "… — …"], "title = '… — …': allowed is three words"),
    "mathematics": (["C97", "The $d$ of a set"], "title = 'The $d$ of a set': allowed is"),
    "table": (["C97", "One | two | three"], "title = 'One | two | three': allowed is"),
    "page": (["C97", "A <b>bold</b> claim indeed"], "title = 'A <b>bold</b> claim indeed'"),
    "path": (["C97", "..\\up and away"], "title = "),
    "long": (["C97", "word " * 30], "title = "),
    "bell": (["C97", "a bell\x07 rings twice"], "title = "),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_ids_and_titles_change_nothing(copy, capsys, case):
    words, told = BAD[case]
    before = snapshot(copy)
    error = stopped(capsys, "new", *words, code=2)
    assert error.startswith(f"error: {told}")
    assert error.count("\n") == 1
    assert snapshot(copy) == before


def test_twice_is_refused(copy, capsys):
    main(["new", "C97", TITLE])
    assert "this is 'Café" in stopped(capsys, "new", "C97", "Another claim in words", code=2)


@pytest.mark.parametrize(
    "title", ["Quotes: 'single' and yes, no", "Ünïcode λ words stay - here: yes"]
)
def test_odd_titles_survive_yaml(copy, title):
    assert main(["new", "C97", title]) == 0
    assert claims.claim("C97")["title"] == title


def test_a_stray_notebook_of_that_number_is_refused(copy, capsys):
    (copy / "notebooks" / "97_mine.ipynb").write_text("{}")
    assert "there is 97_mine.ipynb" in stopped(capsys, "new", "C97", TITLE, code=2)


@pytest.mark.parametrize(
    ("name", "text"),
    [("README.md", "no marks"), ("_toc.yml", "format: jb-book\nroot: book/intro\n")],
)
def test_files_that_are_not_as_expected_are_refused_before_any_is_written(copy, capsys, name, text):
    (copy / name).write_text(text)
    before = snapshot(copy)
    assert stopped(capsys, "new", "C97", TITLE, code=2).startswith(f"error: {name} = without")
    assert snapshot(copy) == before


@pytest.mark.fault(
    "full disk",
    "a draft of a claim whose third file finds no room",
    "no file is made or changed",
)
def test_a_disk_that_fills_up_half_way_leaves_nothing(copy, capsys, monkeypatch):
    before, real = snapshot(copy), files.replacing

    @contextmanager
    def full(path):
        if path.name == "README.md":
            raise OSError("no space left on device")
        with real(path) as aside:
            yield aside

    monkeypatch.setattr(drafts.files, "replacing", full)
    assert "no space left" in stopped(capsys, "new", "C97", TITLE, code=2)
    assert snapshot(copy) == before
