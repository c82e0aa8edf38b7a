"""Fault: the command line in odd places: other encodings, closed pipes, archives inside
repositories.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from projects import ROOT, environment, stopped

from molrg import claims, provenance


def piped(project, words, then, **variables):
    """Output and exit codes of a command whose output goes into another."""
    line = f"set -o pipefail; {sys.executable} -m molrg {words} | {then}"
    return subprocess.run(
        ["bash", "-c", line],
        cwd=project,
        env=environment() | variables,
        capture_output=True,
        timeout=400,
    )


@pytest.mark.parametrize("words", ["claims --json", "claims", "doctor"])
@pytest.mark.fault(
    "odd paths and locales",
    "a pipe that closes early, as that of `head`",
    "no error, no traceback",
)
def test_a_reader_that_has_had_enough_is_no_error(project, words):
    done = piped(project, words, "true")
    assert b"Traceback" not in done.stderr
    assert b"Broken pipe" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("words", ["claims", "doctor"])
@pytest.mark.fault(
    "odd paths and locales",
    "output in ASCII or Latin-1",
    "letters that are missing are replaced",
)
def test_letters_that_the_terminal_lacks_are_replaced(project, words, encoding):
    done = piped(project, words, "cat", PYTHONIOENCODING=encoding)
    assert not done.stderr
    assert done.stdout.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_records_are_the_same_in_every_encoding(project, encoding):
    done = piped(project, "claims --json", "cat", PYTHONIOENCODING=encoding)
    told = json.loads(done.stdout.decode(encoding))
    assert told == claims.records()
    assert "≤" in json.dumps(told, ensure_ascii=False), "a letter to lose"


@pytest.mark.parametrize("word", ["x=[1j]", "x=1j", "x=b'a'", "x={1, 2}", "x=[[1], {2: 3}]"])
@pytest.mark.fault(
    "hostile names and texts",
    "values of `-p` that are no plain data",
    "refused before anything runs",
)
def test_values_that_no_notebook_can_be_given_are_refused(project, capsys, word):
    error = stopped(capsys, "run", "-p", word, code=2)
    assert error == (
        f"error: -p {word}: allowed are numbers, texts, True, False, and lists of them\n"
    )


# where the files come from


def git(folder, *words):
    who = {
        f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(
        ["git", *words], cwd=folder, env=os.environ | who, check=True, capture_output=True
    )


@pytest.mark.fault(
    "tree without git",
    "an archive unpacked inside another repository",
    "that one's commit is not recorded",
)
def test_an_archive_inside_another_repository_has_no_commit(project, monkeypatch):
    git(project.parent, "init")
    git(project.parent, "add", "project/book")
    git(project.parent, "commit", "-m", "somebody's own")
    assert provenance.commit() == "unknown"
    git(project, "init")
    git(project, "add", "book")
    git(project, "commit", "-m", "ours")
    ours = provenance.commit()
    assert ours != "unknown"
    monkeypatch.chdir(project / "book")
    assert provenance.commit() == ours


# damaged records


def change(record, path, value):
    *above, last = path
    for name in above:
        record = record[name]
    record[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("conditions", 0, "estimate"), "<script>alert(1)</script>"),
        (("conditions", 0, "estimate"), "0.1 | 0.2"),
        (("conditions", 0, "condition"), "a\nb"),
        (("conditions", 0, "control"), "`x`"),
        (("figure",), {"file": "../C01.svg", "sha256": "0" * 64}),
        (("commit",), "<b>"),
        (("verdict",), "proved"),
        (("versions", "torch"), "|"),
        (("more",), None),
    ],
    ids=lambda value: str(value)[:24],
)
@pytest.mark.fault(
    "torn or altered results",
    "a record with a script, a pipe or a path in it",
    "refused by name; no page shows it",
)
def test_a_record_that_would_break_the_pages_is_refused(project, capsys, path, value):
    file = project / "_build" / "claims" / "C01.json"
    record = json.loads(file.read_text())
    change(record, path, value)
    file.write_text(json.dumps(record))
    error = stopped(capsys, "claims", code=2)
    assert error.startswith(f"error: {file} = no record (")
    assert error.count("\n") == 1


@pytest.mark.parametrize("text", ["", "{", "\x00", '{"id": "C01'])
@pytest.mark.fault(
    "torn or altered results",
    "a record cut short or empty",
    "refused by name",
)
def test_a_torn_record_is_refused(project, capsys, text):
    file = project / "_build" / "claims" / "C01.json"
    file.write_text(text)
    assert stopped(capsys, "claims", code=2).startswith(f"error: {file} = torn (")


def test_an_empty_record_and_that_of_another_claim_are_refused(project, capsys):
    folder = project / "_build" / "claims"
    shutil.copy(folder / "C01.json", folder / "C02.json")
    assert "C02.json = the record of C01" in stopped(capsys, "claims", code=2)
    (folder / "C02.json").write_text("{}")
    error = stopped(capsys, "claims", code=2)
    assert "C02.json = no record" in error and "must contain [" in error and "'id'" in error


def test_every_recorded_run_is_a_record():
    kept = claims.records(ROOT / "book" / "results" / "paper")
    assert len(kept) >= 18


@pytest.mark.fault(
    "torn or altered results",
    "a ledger or a notebook of the clone cut short by an editor",
    "named in one line",
)
@pytest.mark.parametrize(
    ("name", "text", "words", "said"),
    [
        ("book/claims.yml", "claims: [", "claims", r"claims\.yml = no YAML \(line 1: .*allowed is"),
        ("book/claims.yml", "claims: {\n}\n]", "run 01", r"claims\.yml = no YAML \(line 3: "),
        ("book/claims.yml", "", "run 01", r"claims\.yml = no list of claims: allowed are"),
        ("book/claims.yml", "claims: [C01]", "claims", r"claims\.yml = no list of claims: allowed"),
        ("notebooks/01_holds.ipynb", "{", "run 01", r"01_holds\.ipynb: not a notebook"),
        ("notebooks/02_fails_as_expected.ipynb", "", "copies 01", r"02_\w+\.ipynb: not a notebook"),
    ],
)
def test_a_source_cut_short_is_named(project, capsys, name, text, words, said):
    (project / name).write_text(text)
    error = stopped(capsys, *words.split(), code=2)
    assert re.search(said, error)
    assert error.count("\n") == 1


@pytest.mark.fault(
    "torn or altered results",
    "an entry of the ledger that is YAML but lacks a key",
    "the claim and the key in one line",
)
@pytest.mark.parametrize(
    ("key", "said", "words"),
    [
        ("title", "title", "claims"),
        ("expected", "expected", "run 01"),
        ("criterion.paper", "criterion.paper.primary", "book"),
        ("control.fails", "control.fails", "robustness 01"),
        ("criterion.quick.primary.0.estimator", "criterion.quick.primary[0].estimator", "run"),
    ],
)
def test_a_key_that_the_ledger_lacks_is_named(project, capsys, key, said, words):
    path = project / "book" / "claims.yml"
    ledger = yaml.safe_load(path.read_text())
    *way, last = key.split(".")
    node = ledger["claims"]["C02"]
    for step in way:
        node = node[int(step) if step.isdigit() else step]
    del node[last]
    path.write_text(yaml.dump(ledger))
    error = stopped(capsys, *words.split(), code=2)
    assert f"claims.yml = C02 without {said}: allowed is an entry that has it" in error
    assert error.count("\n") == 1
