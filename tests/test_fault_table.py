"""Contract: the page of faults is made from marks of tests, and covers every kind."""

from __future__ import annotations

import re

import pytest
from projects import ROOT

from molrg.companion import faults

FOUND = faults.marked(ROOT / "tests")


@pytest.mark.parametrize(
    "word",
    [
        "SIGKILL of a run",
        "Ctrl-C of a run",
        "hang-up of a run",
        "of a sweep",
        "of a training",
        "of a build",
        "full disk",
        "cannot be written",
        "no network",
        "two runs at once",
        "clock",
        "torn",
        "truncated",
        "notebook that dies",
        "notebook that floods",
        "memory",
        "locales",
        "terminals",
        "paths",
        "without git",
        "installed package",
        "interrupted setup",
    ],
)
def test_every_kind_is_injected(word):
    assert any(word in fault.kind for fault in FOUND), word


def test_a_row_has_its_test():
    for fault in FOUND:
        file, name = fault.test.split(": ")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")
    told = faults.markdown(FOUND)
    assert told.count("\n| ") == 2 * (len(FOUND) + 1)  # what happens, and the test; with heads
    assert told.startswith(f"{len(FOUND)} tests ")


@pytest.mark.parametrize("mark", ['"a", "b"', '"a", "b", "c | d"', '"a", "b", then="c"'])
def test_a_mark_of_another_form_is_refused(tmp_path, mark):
    code = f"@pytest.mark.fault({mark})\ndef test_x():\n    pass\n"
    (tmp_path / "test_a.py").write_text(code)
    with pytest.raises(ValueError, match=r"test_a.py, line 1: mark of a fault = .*allowed is kind"):
        faults.marked(tmp_path)


def test_the_page_names_tests_that_exist():
    text = (ROOT / "book" / "robust.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py): (test_\w+)`", text)
    assert named
    for file, name in named:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")
