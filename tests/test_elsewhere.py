"""Contract: records of two places compared, on a project of one-second notebooks."""

from __future__ import annotations

import ast
import json
import os
import shutil
from collections.abc import Iterator

import pytest
from projects import ROOT, check, plant, stopped

from molrg import claims
from molrg.__main__ import main
from molrg.companion import elsewhere, elsewhere_tables
from molrg.companion.notebooks import sources


@pytest.fixture
def places(project):
    """Two folders of records of two claims; in the second, numbers of one are a little larger."""
    here, there = project / "here", project / "there"
    here.mkdir()
    for id in ("C01", "C02"):
        shutil.copy(project / "_build" / "claims" / f"{id}.json", here)
    (here / "place.json").write_text(json.dumps(elsewhere._here(1)))
    shutil.copytree(here, there)
    (there / "place.json").write_text(json.dumps(elsewhere._here(2)))
    change(there, "C01", 0.19)
    return here, there


def change(folder, id, value, verdict=None):
    """Let a record have another number for every seed."""
    record = json.loads((folder / f"{id}.json").read_text())
    summary = record["values"]["error"]
    summary |= dict.fromkeys(("mean", "lower", "upper", "min", "max"), value)
    summary["per_seed"] = [value] * len(summary["per_seed"])
    record["verdict"] = verdict or record["verdict"]
    (folder / f"{id}.json").write_text(json.dumps(record))


def test_the_move_is_a_share_of_the_distance_from_the_bound(places):
    (moved,) = elsewhere.compare(*places)["claims"]["C01"]["conditions"]
    assert moved["estimates"] == [0.1, 0.19]
    assert moved["of_distance"] == pytest.approx(0.09 / 0.9)  # the bound is one
    assert moved["relative"] == pytest.approx(0.09 / 0.19)
    (still,) = elsewhere.compare(*places)["claims"]["C02"]["conditions"]
    assert still["of_distance"] == still["relative"] == 0


def test_the_page_says_which_verdict_and_which_number_move(places):
    here, there = places
    page = elsewhere_tables.markdown([{"name": "two threads"} | elsewhere.compare(here, there)])
    assert "| two threads (threads 2) | 2 | none | 2 | 1 | 2 | 1.0e-01 (C01) |" in page
    change(there, "C01", 1.1, "not reproduced")
    page = elsewhere_tables.markdown([{"name": "x"} | elsewhere.compare(here, there)])
    assert "| 2 | C01 | 2 | 1 | 1 | 1.1e+00 (C01) |" in page
    assert "| x | C01 | largest of error ≤ 1 | 0.1 | 1.1 | 1.1e+00 |" in page
    change(here, "C02", 1.0)
    assert "off the bound (C02)" in elsewhere_tables.markdown(
        [{"name": "x"} | elsewhere.compare(here, there)]
    )
    still = elsewhere_tables.markdown([{"name": "x"} | elsewhere.compare(here, here)])
    assert "| x | 2 | none | 2 | 2 | 2 | none moves |" in still
    assert still.startswith("**2 runs in 1 place: every verdict is the same.**")
    assert page.startswith("**2 runs in 1 place: 1 other verdicts.**")
    assert "No place" in elsewhere_tables.markdown([])


def test_the_command_compares_and_keeps(places, capsys):
    words = ["elsewhere", "there", "--against", "here"]
    assert main([*words, "--keep", "two threads"]) == 0
    assert "C01" in capsys.readouterr().out
    (kept,) = elsewhere.kept()
    assert kept["name"] == "two threads" and kept["other"]["threads"] == 2
    change(places[1], "C01", 1.1, "not reproduced")
    assert main(words) == 1


def test_the_command_records_a_place_and_goes_on(project, capsys, monkeypatch):
    monkeypatch.delitem(os.environ, "OMP_WAIT_POLICY", raising=False)
    assert main(["elsewhere", "here", "01"]) == 0
    assert os.environ.pop("OMP_WAIT_POLICY") == "PASSIVE"  # threads that wait sleep
    assert "C01 reproduced" in capsys.readouterr().out
    own, run = claims.records(project / "here")["C01"], claims.records()["C01"]
    assert own["values"] == run["values"]
    assert main(["elsewhere", "here", "01"]) == 0
    assert capsys.readouterr().out == ""
    plant(project, "C04", "raises", [*check("C04"), "raise ValueError('odd')"])
    assert "04_raises: ValueError: odd" in stopped(capsys, "elsewhere", "here", "04")
    assert not (project / "here" / "C04.json").exists()
    error = stopped(capsys, "elsewhere", "here", "01", "--threads", "2", code=2)
    assert "here = records of" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["there", "--against", "nowhere"], "nowhere = no records"),
        (["there", "--against", "here", "--keep", "../x"], "keep = '../x': allowed are letters"),
        (["new", "01", "--threads", "0"], "threads = 0: allowed"),
    ],
)
def test_bad_arguments_are_refused(places, capsys, words, said):
    assert said in stopped(capsys, "elsewhere", *words, code=2)


def test_folders_that_share_no_claim_are_refused(places, capsys):
    (places[1] / "C01.json").unlink()
    (places[0] / "C02.json").unlink()
    assert "no claim of here" in stopped(capsys, "elsewhere", "there", "--against", "here", code=2)


# with and without bfloat16


def code_that_decides() -> Iterator[tuple[str, ast.AST]]:
    """All that a verdict can come from: the package but for its command line, and the notebooks."""
    for path in sorted((ROOT / "molrg").rglob("*.py")):
        name = path.relative_to(ROOT / "molrg").as_posix()
        if not name.startswith("companion/"):
            yield name, ast.parse(path.read_text(encoding="utf-8"))
    for notebook in sources():
        for cell in notebook.cells:
            if cell.cell_type == "code":
                yield notebook.name, ast.parse(cell.source)


def users(*names: str) -> set[str]:
    """Where an attribute, a keyword of a call, or what a room has, `zoo.train`, is used."""
    return {place for place, tree in code_that_decides() if set(names) & set(_used(tree))}


def _used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Attribute):
            yield node.attr
            if isinstance(node.value, ast.Name):
                yield f"{node.value.id}.{node.attr}"


def test_no_verdict_depends_on_bfloat16():
    """Only recipes of the zoo choose it; only the zoo trains by one, and no notebook asks it to."""
    assert users("bfloat16", "autocast") == {"training/trainer.py", "zoo/recipes.py"}
    assert users("trainer") == {"zoo/__init__.py", "zoo/running.py"}
    assert users("zoo.train") == set()
