"""Contract: the ledger, and commands that compute nothing, start without the heavy libraries."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from projects import ROOT, environment

HEAVY = {"torch", "matplotlib", "pandas", "sklearn", "scipy.stats", "scipy.optimize", "diffusers"}
COMMAND = """
import contextlib, sys
from molrg import __main__
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
    __main__.main({words})
"""


def imported(code: str, cwd) -> set[str]:
    """The modules that a fresh interpreter has imported after this code."""
    code += "\nimport sys; print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ast.literal_eval(done.stdout.splitlines()[-1]))


def test_the_ledger_needs_no_heavy_library():
    there = imported("from molrg import claims; assert claims.registry()", ROOT)
    assert "molrg.stats.summaries" in there
    assert not there & {*HEAVY, "nbformat"}


@pytest.mark.parametrize(
    "words",
    [["--help"], ["train", "--help"], ["claims"], ["claims", "--json"], ["run", "nothing"]],
    ids=" ".join,
)
def test_a_command_that_computes_nothing_needs_no_heavy_library(project, words):
    there = imported(COMMAND.format(words=words), project)
    assert "molrg.claims" in there
    assert not there & {*HEAVY, "rfc3987_syntax.syntax_helpers"}


def test_copies_need_no_heavy_library(tmp_path):
    words = ["copies", "01", "--to", str(tmp_path)]
    assert not imported(COMMAND.format(words=words), ROOT) & HEAVY
    assert list(tmp_path.glob("01_*"))


def test_rooms_leave_slow_libraries_to_the_functions_that_need_them():
    rooms = "subspaces, mixture, plots, hierarchy, sweeps, jacobian, editing, stats"
    there = imported(f"from molrg import {rooms}", ROOT)
    assert "torch" in there and "matplotlib" in there
    assert not there & {"sklearn", "scipy.stats", "scipy.optimize", "seaborn"}
