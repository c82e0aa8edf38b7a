"""Contract: a finished notebook is used again only where nothing it depends on has changed."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path

import pytest
from projects import ROOT, is_fresh

from molrg.companion import keys
from molrg.companion.notebooks import select

PACKAGE = ROOT / "molrg"
FILES = keys.package_files(PACKAGE)


def each_of(paths):
    return pytest.mark.parametrize(
        "path", paths, ids=lambda path: path.relative_to(PACKAGE).as_posix()
    )


def one_a_folder():
    """The first file in each folder of the package that has any."""
    first = {}
    for path in FILES:
        first.setdefault(path.parent, path)
    return list(first.values())


def one_a_kind():
    """The first file of each kind of file in the package: code, weights, pictures, scripts."""
    first = {}
    for path in FILES:
        first.setdefault(path.suffix, path)
    return list(first.values())


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package, to be edited."""
    place = tmp_path_factory.mktemp("package") / "molrg"
    return Path(shutil.copytree(PACKAGE, place, ignore=shutil.ignore_patterns("__pycache__")))


def edit(path):
    with path.open("ab") as file:
        file.write(b"\n")


@each_of(one_a_folder())
def test_an_edit_in_any_folder_changes_the_key(project, copy, path):
    notebook = select(["01"])[0]
    before = keys.of(notebook, {}, copy)
    edit(copy / path.relative_to(PACKAGE))
    assert keys.of(notebook, {}, copy) != before


@each_of(one_a_kind())
def test_an_edit_of_any_kind_of_file_changes_the_key(project, copy, path):
    notebook = select(["01"])[0]
    before = keys.of(notebook, {}, copy)
    edit(copy / path.relative_to(PACKAGE))
    assert keys.of(notebook, {}, copy) != before


def test_every_folder_with_code_is_tried():
    """The folders are found by the key itself; here they are found without it."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    left_out = {
        folder
        for folder in folders
        if folder.relative_to(PACKAGE).parts[:1] in (("companion",), ("course",))
    }
    assert folders - left_out <= {path.parent for path in one_a_folder()}
    assert {".py", ".pyi", ".npz", ".safetensors", ".json"} <= {
        path.suffix for path in one_a_kind()
    }


def test_a_file_that_moves_changes_the_key(project, copy):
    notebook = select(["01"])[0]
    before = keys.of(notebook, {}, copy)
    (copy / "draws.py").rename(copy / "stats" / "draws.py")
    assert keys.of(notebook, {}, copy) != before
    (copy / "stats" / "draws.py").rename(copy / "draws.py")
    assert keys.of(notebook, {}, copy) == before


def test_the_package_in_use_is_the_one_that_counts(project):
    notebook = select(["01"])[0]
    assert keys.of(notebook, {}) == keys.of(notebook, {}, PACKAGE)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_no_notebook_uses_what_the_key_leaves_out(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    assert "companion" not in code
    assert "__main__" not in code


# recorded runs


@pytest.mark.parametrize("name", ["C01.json", "C01.svg"])
def test_the_recorded_run_of_a_claim_is_in_its_key(project, name):
    place = project / "book" / "results" / "paper" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("{}")
    assert not is_fresh("01")
    assert is_fresh("02")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_reads_no_recorded_run_but_its_own(path):
    """Its own is in the key; records of others are not."""
    assert not foreign_records(path.read_text(encoding="utf-8"), f"C{path.stem[:2]}")


OF_A_CLAIM = ("recorded", "recorded_run")


def foreign_records(notebook, claim):
    """Calls that reach records of another claim, or results by their path."""
    cells = json.loads(notebook)["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        name = ast.unparse(call.func).rpartition(".")[2]
        first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
        if name in ("records", "records_folder") or (name in OF_A_CLAIM and first != claim):
            found.append(ast.unparse(call))
    return found + (["a path to results"] if "book/results" in code or '"results"' in code else [])


@pytest.mark.parametrize(
    "code",
    [
        "claims.recorded('C02')",
        "claims.recorded(id)",
        "claims.recorded_run('C02')",
        "claims.records()",
        "from molrg.claims import recorded\nx = recorded('C02')['a']",
        "open('../book/results/paper/C01.json')",
    ],
)
def test_foreign_records_are_found(code):
    def notebook(code):
        return json.dumps({"cells": [{"cell_type": "code", "source": [code]}]})

    assert foreign_records(notebook(code), "C01")
    assert not foreign_records(notebook("claims.recorded('C01')"), "C01")
