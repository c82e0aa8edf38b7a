"""Notebooks: what a run has printed is what the sources store, compared as nbval compares it.

The notebooks are executed once, by ``python -m molrg run``; nbval finds the marked cells and
compares.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from molrg.companion.layout import Layout, fresh
from molrg.companion.notebooks import Notebook, sources

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sources()


@pytest.fixture
def marked(request, monkeypatch):
    """Finds the cells of a notebook that nbval would compare: those marked NBVAL_CHECK_OUTPUT."""
    monkeypatch.setattr(request.config.option, "nbval_lax", True)

    def cells(path: Path) -> list[IPyNbCell]:
        file = IPyNbFile.from_parent(request.session, path=path)
        return [cell for cell in file.collect() if cell.options["check"]]

    return cells


def differences(cells: list[IPyNbCell], executed: Path) -> list[str]:
    """What nbval says of stored outputs that are not those of the executed notebook."""
    ran = nbformat.read(executed, as_version=4).cells
    found = []
    for cell in cells:
        same = [other for other in ran if other.get("id") == cell.cell.get("id")]
        assert len(same) == 1, (
            f"{executed.name}: the cell with {cell.cell.source[:40]!r} was not run"
        )
        if not cell.compare_outputs(same[0].outputs, cell.cell.outputs):
            found.append("\n".join(map(str, cell.comparison_traceback)))
    return found


@pytest.mark.book
@pytest.mark.parametrize("notebook", SOURCES, ids=lambda notebook: notebook.name)
def test_a_run_prints_what_is_stored(notebook, marked):
    layout = Layout.of({})
    assert fresh(notebook, {}, layout), f"first: python -m molrg run {notebook.name[:2]}"
    cells = marked(notebook.path)
    assert cells, "nothing to compare"
    assert not differences(cells, layout.notebooks / notebook.path.name)


def printed(text: str) -> nbformat.NotebookNode:
    """A stored notebook with one marked cell that printed `text`, and one that is not marked."""
    v4 = nbformat.v4
    output = v4.new_output("stream", name="stdout", text=text)
    code = "# NBVAL_CHECK_OUTPUT\nprint(verdict)"
    cell = v4.new_code_cell(code, id="verdict", outputs=[output], execution_count=1)
    other = v4.new_code_cell("print(1)", id="other", outputs=[output], execution_count=2)
    return v4.new_notebook(cells=[cell, other])


@pytest.mark.parametrize(
    ("stored", "same"),
    [
        ("C01: reproduced; the control fails\n", True),
        ("C01: not reproduced; the control fails\n", False),
        ("C01: reproduced; the control fails, 0.1\n", False),
        ("", False),
    ],
)
def test_a_stored_line_altered_by_hand_is_found(tmp_path, marked, stored, same):
    source, executed = tmp_path / "source.ipynb", tmp_path / "executed.ipynb"
    nbformat.write(printed(stored), source)
    nbformat.write(printed("C01: reproduced; the control fails\n"), executed)
    cells = marked(source)
    assert [cell.cell.id for cell in cells] == ["verdict"]
    assert (differences(cells, executed) == []) is same


def test_an_altered_line_of_a_real_notebook_is_found(tmp_path, marked):
    """Against the stored outputs themselves, which need no run."""
    path = Path(shutil.copy(SOURCES[0].path, tmp_path))
    assert differences(marked(path), SOURCES[0].path) == []
    altered = path.read_text(encoding="utf-8").replace(
        "; the control fails", "; the control passes"
    )
    path.write_text(altered, encoding="utf-8")
    assert len(differences(marked(path), SOURCES[0].path)) == 1


def test_the_comparison_does_not_depend_on_what_counts_as_fresh(tmp_path):
    """A notebook is not run again for an altered output: only this comparison sees it."""
    path = Path(shutil.copy(SOURCES[0].path, tmp_path))
    before = Notebook(path).cells
    altered = path.read_text(encoding="utf-8").replace(
        "; the control fails", "; the control passes"
    )
    path.write_text(altered, encoding="utf-8")
    after = Notebook(path).cells
    assert [cell.source for cell in before] == [cell.source for cell in after]
