"""Fault: odd paths, locales, terminals, clocks; environments in which something is missing."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faults import one_sentence, unpacked_wheel, with_path, without
from projects import ROOT, environment, forge, is_fresh, stopped, write

from molrg import checks, provenance
from molrg.__main__ import main

# paths, locales, terminals


@pytest.mark.fault(
    "odd paths and locales",
    "a project in `mein Ördner ’ 空 $HOME;`, a locale without letters, a terminal of 20 columns",
    "the run ends well; every claim is shown",
)
def test_a_path_with_blanks_and_foreign_letters(project):
    odd = project.parent / "mein Ördner ’ 空 $HOME;"
    project.rename(odd)
    write(odd, "01_holds", forge())
    plain = {"LC_ALL": "C", "LANG": "C"}
    words = [sys.executable, "-m", "molrg", "run", "01"]
    done = subprocess.run(
        words,
        cwd=odd,
        env=environment() | plain | {"COLUMNS": "20", "TERM": "dumb"},
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done
    assert not done.stderr
    assert b"1 reproduced" in done.stdout
    assert (odd / "_build" / "src" / "notebooks" / "01_holds.ipynb").is_file()


@pytest.mark.fault(
    "narrow and dumb terminals",
    "`claims` on a terminal of 20 columns that knows no colours",
    "no control codes, and every claim is shown",
)
def test_a_terminal_that_is_narrow_and_dumb(project):
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "molrg", "claims"]
    variables = environment() | {"TERM": "dumb", "COLUMNS": "20", "LINES": "5"}
    process = subprocess.Popen(words, cwd=project, env=variables, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:  # the other end has been closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0, said
    assert b"\x1b" not in said
    assert b"C01" in said and b"C02" in said


# clocks

JUMPING = """\
import itertools, time
usual = time.time
jumps = itertools.cycle([0.0, -86400.0, 3 * 86400.0])
time.time = lambda: usual() + next(jumps)
"""


@pytest.mark.fault(
    "clock that jumps",
    "days forth and back at every look, in the run and in its kernel",
    "the run ends well; what is done is known by its content and not by its date",
)
def test_a_clock_that_jumps(project, capsys, monkeypatch):
    folder = project.parent / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(JUMPING)
    monkeypatch.setenv("PYTHONPATH", with_path(folder)["PYTHONPATH"])
    monkeypatch.setattr("time.time", iter(range(2**40, 0, -(2**20))).__next__)
    write(project, "01_holds", forge())
    assert main(["run", "01"]) == 0
    assert main(["run"]) == 0
    assert "2 of 2 unchanged" in capsys.readouterr().out


@pytest.mark.fault(
    "clock that jumps",
    "files dated 1970 or 2040",
    "an unchanged notebook is used again; a changed one is not, however old it looks",
)
def test_dates_of_files_do_not_count(project, capsys):
    paths = [path for path in project.rglob("*") if path.is_file()]
    for number, path in enumerate(sorted(paths)):
        date = 2_208_988_800 if number % 2 else 0
        os.utime(path, (date, date))
    assert is_fresh("01") and is_fresh("02")
    changed = write(project, "01_holds", forge())
    os.utime(changed, (0, 0))
    assert not is_fresh("01") and is_fresh("02")
    assert "01_holds" in stopped(capsys, "book")


# environments


@pytest.mark.fault(
    "tree without git",
    "a project without a repository, and no git program",
    "the commit is said to be unknown; all else is as usual",
)
def test_neither_git_nor_a_repository(project, monkeypatch):
    assert provenance.commit() == "unknown"
    monkeypatch.setenv("PATH", str(project))
    assert provenance.commit() == "unknown"
    assert "commit unknown" in provenance.provenance()
    assert main(["claims"]) == 0


@pytest.mark.nightly
@pytest.mark.fault(
    "installed package without extras",
    "diffusers, papermill, Jupyter Book missing: load, fetch, train, export, run, book",
    "one line each with the command that installs what is missing",
)
def test_a_missing_extra_is_named_with_what_installs_it(project, capsys):
    write(project, "01_holds", forge())
    script = """
import sys
from molrg import zoo
from molrg.__main__ import main
from molrg.companion import book
try:
    zoo.load("mnist")
except ModuleNotFoundError as error:
    print("error:", error, file=sys.stderr)
for words in ("fetch nobody/nothing", "train digits", "export fashion-mnist", "run 01"):
    print(main(words.split()))
try:
    book.sphinx(*[__import__("pathlib").Path("x")] * 3)
except ModuleNotFoundError as error:
    print("error:", error, file=sys.stderr)
"""
    lacking = without(project, "diffusers", "papermill", "jupyter_book")
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project,
        env=lacking,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split() == ["2"] * 4, done.stderr
    errors = done.stderr.splitlines()
    assert len(errors) == 6, errors
    for line, extra in zip(errors, ["unet"] * 4 + ["book"] * 2, strict=True):
        assert "it comes with `make env`" in line and line.endswith(f"'molrg[{extra}]'"), line
    assert not (project / "_build" / "src" / ".partial").exists()


def test_what_is_installed_is_not_missed():
    checks.installed("torch", "unet")
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'nothing_like_it'.*molrg\[x\]"):
        checks.installed("nothing_like_it", "x")


@pytest.mark.nightly
@pytest.mark.fault(
    "installed package",
    "a wheel made from the tracked files, unpacked elsewhere, beside no clone",
    "the shipped models load, commands run in a project; outside one, it is said what is missing",
)
def test_a_wheel_is_whole(project, tmp_path):
    site = unpacked_wheel(tmp_path)
    script = """
import os, sys, molrg
from molrg import zoo
from molrg.__main__ import main
assert molrg.__file__.startswith(sys.argv[1]), molrg.__file__
print(len(zoo.verify()), zoo.load("mnist-classifier").classes, main(["claims"]))
os.chdir("/")
print(main(["claims"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(site)],
        cwd=project,
        env=environment() | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    models = len(list((ROOT / "molrg" / "zoo" / "models").glob("*/SHA256SUMS")))
    assert f"{models} 10 0" in done.stdout
    assert done.stdout.rstrip().endswith("2")
    assert one_sentence(done.stderr, "error: no book/claims.yml above the current folder")


def made(venv: Path) -> subprocess.CompletedProcess:
    """`make env` that installs nothing: pip is asked for its help."""
    words = ["make", "env", f"VENV={venv}", "PIP_ARGS=--help", f"PYTHON={sys.executable}"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
@pytest.mark.nightly
@pytest.mark.fault(
    "interrupted setup",
    "`make env` killed while it makes .venv: an interpreter without pip",
    "the same command puts pip there and goes on",
)
def test_an_environment_that_was_cut_short(tmp_path):
    venv = tmp_path / "my venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    # blanks are no part of make's names
    venv = venv.rename(tmp_path / "venv")
    done = made(venv)
    assert done.returncode == 0, done.stderr
    assert "its making was cut short" in done.stdout
    assert (venv / ".molrg-installed").is_file()
    assert subprocess.run([venv / "bin" / "python", "-m", "pip", "--version"]).returncode == 0


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
@pytest.mark.fault(
    "interrupted setup",
    "a .venv whose interpreter does not start",
    "said in one line, with what to remove",
)
def test_an_environment_that_is_damaged(tmp_path):
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    done = made(venv)
    assert done.returncode != 0
    assert f"make env: {venv} is damaged; remove it (rm -r {venv})" in done.stderr
    assert not (venv / ".molrg-installed").exists()
