"""Contract: runner, scorecard, staging and doctor, on a project of one-second notebooks."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from projects import (
    PARAMETERS,
    check,
    entry,
    forge,
    is_fresh,
    plant,
    register,
    snapshot,
    stopped,
    write,
)
from rich.console import Console

from molrg import claims, zoo
from molrg.__main__ import main
from molrg.companion import book, built, doctor, drawings, readme, runner, scorecard
from molrg.companion.layout import Layout
from molrg.companion.notebooks import Notebook, parse_parameters, select, sources

# ---- a good run


def test_a_good_run_leaves_notebook_record_figure_and_stamp(project, finished):
    build = project / "_build"
    assert {p.name for p in (build / "claims").iterdir()} == {"C01.json", "C01.svg", "C02.json"}
    record = json.loads((build / "claims" / "C01.json").read_text())
    assert (
        record["verdict"] == "reproduced"
        and record["as_expected"]
        and record["figure"]["file"] == "C01.svg"
    )
    executed = nbformat.read(build / "src" / "notebooks" / "01_holds.ipynb", as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
    assert str(finished[0]) not in (build / "src" / "notebooks" / "01_holds.ipynb").read_text(), (
        "names a folder of this machine"
    )
    assert is_fresh("01") and is_fresh("02")
    assert not (build / "src" / ".partial").exists() and not (build / "failed").exists()


def test_a_run_shows_verdicts_cost_and_places(finished):
    shown = finished[1]
    assert re.search(r"01_holds +done +\d+ s +\d+ CPU-s +reproduced\n", shown)
    assert re.search(r"1 reproduced, 1 not reproduced; \d+ CPU-s\n", shown)
    assert "_build/claims" in shown and "_build/src/notebooks" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_the_table_fits_eighty_columns(project):
    def rendered(width: int) -> str:
        console = Console(width=width, record=True, force_terminal=True, file=io.StringIO())
        plant(project, "C05", "x" * 31, check("C05"))  # as long as the longest real name
        board = runner._Board(sources(), console)
        board.done(
            "05_" + "x" * 31,
            "unchanged",
            "9999 s",
            {"cpu_seconds": 9999.0, "verdict": "not reproduced"},
        )
        console.print(board.table())
        return console.export_text()

    assert "…" not in rendered(80) and "9999 s   9999  not reproduced" in rendered(80)
    assert max(map(len, rendered(40).splitlines())) <= 40


def test_an_expected_not_reproduced_is_a_good_run(project):
    record = claims.records()["C02"]
    assert record["verdict"] == "not reproduced" and record["as_expected"]
    assert main(["run", "02"]) == 0


def test_a_second_run_reuses_everything(project, capsys):
    before = snapshot(project / "_build")
    assert main(["run"]) == 0
    assert capsys.readouterr().out.count("unchanged") == 3  # a line for each of two, and the sum
    assert snapshot(project / "_build") == before


def change_notebook(project: Path) -> None:
    write(project, "01_holds", [*check("C01"), "level + 1"])


def change_default(project: Path) -> None:
    write(project, "01_holds", check("C01"), PARAMETERS.replace("1.0", "0.5"))


def change_claim(project: Path) -> None:
    register(project, C01=entry("01_holds") | {"reason": "another"})


def change_lock(project: Path) -> None:
    path = project / "requirements.lock"
    path.write_text(path.read_text() + "# changed\n")


def change_executed(project: Path) -> None:
    path = project / "_build" / "src" / "notebooks" / "01_holds.ipynb"
    path.write_text(path.read_text().replace("holds", "folds"))


def change_record(project: Path) -> None:
    path = project / "_build" / "claims" / "C01.json"
    path.write_text(
        path.read_text().replace('"verdict": "reproduced"', '"verdict": "not reproduced"')
    )


def change_figure(project: Path) -> None:
    (project / "_build" / "claims" / "C01.svg").write_text("<svg/>")


def lose_figure(project: Path) -> None:
    (project / "_build" / "claims" / "C01.svg").unlink()


def tear_stamp(project: Path) -> None:
    path = project / "_build" / "src" / "notebooks" / ".stamps" / "01_holds.json"
    path.write_text(path.read_text()[:40])


CHANGES = (
    change_notebook,
    change_default,
    change_claim,
    change_lock,
    change_executed,
    change_record,
    change_figure,
    lose_figure,
    tear_stamp,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.fault(
    "torn or altered results",
    "notebook, claim, lock, record, figure or stamp changed, lost or torn",
    "not taken for done; the same command runs it again",
)
def test_whatever_changes_is_not_reused(project, change):
    assert is_fresh("01")
    change(project)
    assert not is_fresh("01")
    assert is_fresh("02") == (change is not change_lock)


def test_a_change_of_metadata_only_is_reused(project):
    path = project / "notebooks" / "01_holds.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "mine",
        "language": "python",
    }
    nbformat.write(notebook, path)
    assert is_fresh("01")


def test_a_changed_notebook_runs_again_and_the_other_does_not(project, capsys):
    write(project, "01_holds", forge())
    (project / "_build" / "failed" / "01_holds").mkdir(parents=True)
    assert main(["run"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"01_holds +done", shown) and re.search(
        r"02_fails_as_expected +unchanged", shown
    )
    assert claims.records()["C01"]["figure"] is None
    assert not (project / "_build" / "claims" / "C01.svg").exists(), "the figure of the earlier run"
    assert not (project / "_build" / "failed" / "01_holds").exists(), "put aside by an earlier run"
    assert is_fresh("01") and is_fresh("02")


# ---- another profile, seed or parameter


def test_other_runs_leave_the_book_alone_and_keep_makes_them_part_of_it(project, capsys):
    figure = 'pathlib.Path(os.environ["MOLRG_RECORDS"], "C01.svg").write_text("<svg/>")'
    write(project, "01_holds", [*forge(), figure])
    before = snapshot(project / "_build")
    assert main(["run", "1", "--profile", "paper", "--keep"]) == 0
    shown = capsys.readouterr().out
    assert "_build/runs/profile-paper" in shown and "book/results/paper" in shown
    after = snapshot(project / "_build")
    assert {name: after[name] for name in before} == before
    assert all(name.startswith("runs/profile-paper") for name in after.keys() - before.keys())
    kept = project / "book" / "results" / "paper"
    was_there = {"C06.svg"}  # the figure that the README shows
    assert {path.name for path in kept.iterdir()} - was_there == {"C01.json", "C01.svg"}
    record = scorecard.kept()["C01"]
    assert record["profile"] == "paper"
    assert main(["run", "1", "--profile", "paper", "-p", "level=0.5", "--keep"]) == 2


def test_parameters_reach_the_notebook(project):
    write(project, "01_holds", forge())
    assert main(["run", "01", "-p", "level=5e-1", "--seed", "7"]) == 0
    (folder,) = (project / "_build" / "runs").iterdir()
    (record,) = claims.records(folder / "claims").values()
    assert record["seeds"] == [7, 8, 9, 10, 11] and record["values"]["error"]["max"] == 0.05
    assert claims.records()["C01"]["values"]["error"]["max"] == 0.1


def test_other_parameters_are_shown_beside_what_the_book_found(project, capsys):
    line = """dict(record["conditions"][0], estimate="9.87", met=False)"""
    write(project, "01_holds", forge(f"conditions=[{line}]"))
    assert main(["run", "01", "-p", "level=9.87"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "largest of error ≤ 1 9.87 NO 2 0.1 yes" in shown and "the book's quick run" in shown
    page = shown.split("the executed page: ")[1].split()[0]
    assert (project / page).is_file() and page.endswith("01_holds.ipynb")


def test_the_books_own_run_is_compared_with_nothing(project, capsys):
    assert main(["run", "01"]) == 0
    assert "the executed page" not in capsys.readouterr().out


def test_layouts_of_different_parameters_differ(project):
    folders = [
        Layout.of(o).notebooks
        for o in (
            {},
            {"a": 1},
            {"a": "1/2"},
            {"a": "1 2"},
            {"a": "x" * 300},
            {"a": "x" * 301},
            {"b": 1},
        )
    ]
    assert len(set(folders)) == len(folders)
    assert all(
        len(folder.parent.name) <= 80 and folder.is_relative_to(project) for folder in folders
    )


def test_options_given_as_parameters_are_the_same_run(project):
    told = runner._overrides("quick", 0, {"profile": "paper", "seed_offset": 3})
    assert told == runner._overrides("paper", 3, {}) == {"profile": "paper", "seed_offset": 3}
    assert runner._overrides("quick", 0, {"profile": "quick"}) == {}


# ---- bad input: one line, exit code 2, nothing runs

BAD = {
    "unknown notebook": (["run", "07"], "notebook 07: allowed are 01_holds, 02_fails_as_expected"),
    "planned notebook": (["run", "C03"], "notebook C03"),
    "unknown profile": (
        ["run", "--profile", "huge"],
        "profile = 'huge': allowed is 'quick' or 'paper'",
    ),
    "unknown profile as parameter": (
        ["run", "-p", "profile=huge"],
        "profile = 'huge': allowed is 'quick' or 'paper'",
    ),
    "no jobs": (["run", "--jobs", "0"], "jobs = 0: allowed is a whole number >= 1"),
    "negative seed": (["run", "--seed", "-1"], "seed = -1: allowed is a whole number >= 0"),
    "unknown parameter": (
        ["run", "-p", "levle=2.0"],
        "parameter levle: unknown to 01_holds: allowed are profile, seed_offset, level",
    ),
    "another type": (
        ["run", "-p", "level=high"],
        "parameter level = 'high': allowed in 01_holds is float, such as 1.0",
    ),
    "bool for float": (["run", "-p", "level=True"], "parameter level = True"),
    "float for int": (
        ["run", "-p", "wait=1.5"],
        "parameter wait = 1.5: allowed in 01_holds is int",
    ),
    "no value": (["run", "-p", "level"], "-p level: allowed is NAME=VALUE"),
    "no name": (["run", "-p", "=2"], "-p =2: allowed is NAME=VALUE"),
    "no identifier": (["run", "-p", "le vel=2"], "-p le vel=2: allowed is NAME=VALUE"),
    "twice": (
        ["run", "-p", "level=2.0", "-p", "level=3.0"],
        "-p level=3.0: allowed is NAME=VALUE, each name once",
    ),
    "torn value": (["run", "-p", "level=[1,"], "parameter level = '[1,'"),
    "kept with a parameter": (
        ["run", "--keep", "-p", "level=2.0"],
        "keep = True: allowed is no -p and no --seed",
    ),
    "kept with a seed": (
        ["run", "--keep", "--seed", "1"],
        "keep = True: allowed is no -p and no --seed",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_before_anything_runs(project, capsys, monkeypatch, case):
    words, told = BAD[case]
    monkeypatch.setattr(runner, "Job", lambda *_: pytest.fail("a notebook was started"))
    before = snapshot(project)
    error = stopped(capsys, *words, code=2)
    assert error.startswith(f"error: {told}") and error.count("\n") == 1
    assert snapshot(project) == before


BAD_NOTEBOOKS = {
    "unread parameter": (
        lambda p: write(p, "01_holds", check("C01"), PARAMETERS + "\nunused = 3"),
        "01_holds: parameters unused: read by no cell",
    ),
    "computed parameter": (
        lambda p: write(p, "01_holds", check("C01"), PARAMETERS + "\nn = 2 * 3"),
        "01_holds: parameters cell, line 5: allowed is `name = literal`",
    ),
    "call as parameter": (
        lambda p: write(p, "01_holds", check("C01"), "print(1)"),
        "01_holds: parameters cell, line 1: allowed is `name = literal`",
    ),
    "broken cell": (lambda p: write(p, "01_holds", ["for"]), "01_holds: cell 3, line 1: "),
    "no claim": (
        lambda p: write(p, "09_stray", check("C01")),
        "09_stray: registered by no claim in book/claims.yml",
    ),
    "two claims": (
        lambda p: register(p, C09=entry("01_holds")),
        "01_holds: registered by ['C01', 'C09']",
    ),
    "no notebook": (
        lambda p: (p / "notebooks" / "01_holds.ipynb").write_text("{}x"),
        "01_holds.ipynb: not a notebook: ",
    ),
    "another file": (
        lambda p: (p / "notebooks" / "01_holds.ipynb").write_text("{}"),
        "01_holds.ipynb: not a notebook: ",
    ),
}


@pytest.mark.parametrize("case", BAD_NOTEBOOKS)
def test_a_notebook_that_cannot_be_judged_is_refused_before_anything_runs(
    project, capsys, monkeypatch, case
):
    damage, told = BAD_NOTEBOOKS[case]
    damage(project)
    monkeypatch.setattr(runner, "Job", lambda *_: pytest.fail("a notebook was started"))
    error = stopped(capsys, "run", code=2)
    assert error.startswith(f"error: {told}") and error.count("\n") == 1


def test_a_draft_is_run_with_the_others_only_once_its_claim_has_landed(project, capsys):
    write(project, "03_later", forge())
    assert [notebook.name for notebook in sources()] == ["01_holds", "02_fails_as_expected"]
    error = stopped(capsys, "run", "03", code=2)
    told = "03_later: registered by ['C03'] in book/claims.yml: allowed is one landed claim"
    assert error == f"error: {told}\n"
    register(project, C03=entry("03_later"))
    assert len(sources()) == 3


def test_a_notebook_without_parameters_cell_is_refused(project):
    path = project / "notebooks" / "01_holds.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), path)
    with pytest.raises(ValueError, match="01_holds: 0 cells tagged 'parameters': allowed is one"):
        _ = Notebook(path).parameters


def test_lines_of_ipython_are_no_obstacle(project):
    path = write(
        project,
        "01_holds",
        [
            "%matplotlib inline\nif level:\n    x = profile\n    !ls",
            "%%bash\necho $x",
            "wait, seed_offset",
        ],
    )
    assert Notebook(path).unread() == set()


def test_values_of_parameters_are_read_as_python_writes_them():
    told = parse_parameters(
        ["a=1", "b=1e-3", "c=[1, 2]", "d=paper", "e=True", "f=-2.5", "g='1'", "h=a=b"]
    )
    assert told == {
        "a": 1,
        "b": 1e-3,
        "c": [1, 2],
        "d": "paper",
        "e": True,
        "f": -2.5,
        "g": "1",
        "h": "a=b",
    }
    assert [type(v) for v in told.values()] == [int, float, list, str, bool, float, str, str]


@pytest.mark.parametrize(
    "word", ["01", "1", "C01", "c01", "01_holds", "01_holds.ipynb", "notebooks/01_holds.ipynb"]
)
def test_notebooks_have_short_names(project, word):
    assert [n.name for n in select([word])] == ["01_holds"]


@pytest.mark.parametrize("place", ["_build", "_build/claims", "_build/src/notebooks"])
@pytest.mark.fault(
    "folder that cannot be written",
    "a file where a folder has to be",
    "one line that names the folder",
)
def test_folders_that_cannot_be_written_are_told_in_one_line(project, capsys, place):
    shutil.rmtree(project / "_build")
    (project / place).parent.mkdir(parents=True, exist_ok=True)
    (project / place).write_text("a file in the way")
    error = stopped(capsys, "run", code=2)
    assert (
        error.startswith("error: folder _build/src/notebooks: cannot be written: ")
        and error.count("\n") == 1
    )


# ---- what stops a run


def bad_project(project: Path, cells: list[str], expected: str = "reproduced") -> dict[str, bytes]:
    """Change the first, finished notebook to a bad one; returns the files of its earlier result."""
    plant(project, "C01", "holds", cells, expected)
    return snapshot(project / "_build" / "claims") | snapshot(project / "_build" / "src")


def nothing_half_written(project: Path, before: dict[str, bytes]) -> None:
    """The earlier results are as they were; the first notebook's is not served, the second's is."""
    assert snapshot(project / "_build" / "claims") | snapshot(project / "_build" / "src") == before
    assert not (project / "_build" / "src" / ".partial").exists()
    assert not is_fresh("01") and is_fresh("02")
    with pytest.raises(
        book.BuildFailed, match=r"not run as they are now: 01_holds\. First: python -m molrg run"
    ):
        book.stage(project)


@pytest.mark.fault(
    "notebook that dies",
    "a cell that raises",
    "the cell and its error are named, earlier results stay, the page is kept aside",
)
def test_a_raising_cell_stops_the_run(project, capsys):
    cells = [
        "print(profile, seed_offset, level, wait)",
        "def ratio(a):\n    return a / 0",
        "x = 1\nratio(x)",
        "print('not reached')",
    ]
    before = bad_project(project, cells)
    error = stopped(capsys, "run")
    assert error.startswith(
        "stopped: 01_holds: cell 5 of 6 (`x = 1`) raised ZeroDivisionError: division by zero\n"
    )
    assert "return a / 0" in error, "the end of the traceback"
    assert (
        "as far as it got: _build/failed/01_holds/01_holds.ipynb" in error and "\x1b" not in error
    )
    assert len(error.splitlines()) <= 12
    aside = (project / "_build" / "failed" / "01_holds" / "01_holds.ipynb").read_text()
    assert "ZeroDivisionError" in aside
    nothing_half_written(project, before)


def test_cells_are_counted_as_in_the_source_and_a_raise_that_is_wanted_is_not_blamed(
    project, capsys
):
    path = write(
        project, "01_holds", ["wait, profile, seed_offset", "1 / 0", "raise KeyError(level)"]
    )
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[3].metadata["tags"] = ["raises-exception"]
    nbformat.write(notebook, path)
    error = stopped(
        capsys, "run", "01", "-p", "level=0.5"
    )  # papermill adds a cell with the new value
    assert "01_holds: cell 5 of 5 (`raise KeyError(level)`) raised KeyError: 0.5\n" in error


def test_a_passing_control_stops_the_run(project, capsys):
    before = bad_project(project, check("C01", control=0.5))
    error = stopped(capsys, "run")
    assert "01_holds: cell 4 of 4" in error
    assert (
        "ControlPassed: C01: the control gives 0.5,"
        " which does not clearly fail: largest of error ≤ 1" in error
    )
    nothing_half_written(project, before)


def test_a_verdict_that_is_not_the_expected_one_stops_the_run(project, capsys):
    before = bad_project(project, check("C01", error=1.5))
    error = stopped(capsys, "run")
    assert error.startswith(
        "stopped: 01_holds: C01 is not reproduced, expected: reproduced\n"
        "    missed: largest of error ≤ 1; measured 1.5\n"
    )
    nothing_half_written(project, before)


def test_a_success_that_was_not_expected_stops_the_run_too(project, capsys):
    before = bad_project(
        project, forge('expected="not reproduced", as_expected=False'), expected="not reproduced"
    )
    assert "C01 is reproduced, expected: not reproduced" in stopped(capsys, "run")
    nothing_half_written(project, before)


def test_a_notebook_that_never_checks_stops_the_run(project, capsys):
    before = bad_project(project, ["print(profile, seed_offset, level, wait)"])
    assert "01_holds: no cell called claims.check for C01" in stopped(capsys, "run")
    nothing_half_written(project, before)


def test_a_check_of_another_profile_stops_the_run(project, capsys):
    bad_project(project, [forge()[0].replace("profile=profile", "asked=profile")])
    error = stopped(capsys, "run", "01", "--profile", "paper")
    assert "it was run with profile 'paper', and C01 was checked with 'quick'" in error


@pytest.mark.fault(
    "notebook that dies",
    "a kernel that ends without a word",
    "said, with what to try; earlier results stay",
)
def test_a_kernel_that_dies_stops_the_run(project, capsys):
    before = bad_project(
        project, ["print(profile, seed_offset, level, wait)", "import os\nos._exit(3)"]
    )
    error = stopped(capsys, "run")
    assert "01_holds: papermill ended with exit code" in error and "died" in error.lower()
    nothing_half_written(project, before)


@pytest.mark.fault(
    "torn or altered results",
    "a notebook edited while it runs",
    "its result does not count for the new one",
)
def test_what_is_edited_while_it_runs_has_not_been_run(project, monkeypatch):
    class EditedMeanwhile(runner.Job):
        def finish(self) -> dict:
            change_notebook(project)
            return super().finish()

    write(project, "01_holds", forge())
    monkeypatch.setattr(runner, "Job", EditedMeanwhile)
    assert main(["run", "01"]) == 0
    assert not is_fresh("01")


# ---- scorecard, staging, doctor


def test_tables_are_made_from_the_records_and_from_nothing_else(project):
    records = claims.records()
    assert (
        scorecard.sentence(records)
        == "3 claims registered: 1 reproduced, 1 not reproduced, 1 planned."
    )
    tables = (
        scorecard.summary_markdown,
        readme.readme_table,
        lambda r: scorecard.full_markdown(r, {}, {}),
    )
    before = [table(records) for table in tables]
    records["C01"]["verdict"] = "with deviation"
    for table, earlier in zip(tables, before, strict=True):
        assert "with deviation" in table(records) and "with deviation" not in earlier
        assert "not run" in table({}) and "not run" not in earlier
    records["C01"]["conditions"][0]["estimate"] = "0.4321"
    assert "0.4321" in scorecard.full_markdown(records, {}, {})
    kept = {"C01": records["C01"] | {"profile": "paper", "recorded": "2026-11-22T10:00:00+00:00"}}
    assert "Recorded run: paper profile, 5 seeds" in scorecard.full_markdown(
        claims.records(), kept, {}
    )
    for figure, shown in ((None, False), ({"file": "C01.svg"}, True)):
        kept["C01"]["figure"] = figure
        assert (
            "```{image} results/paper/C01.svg"
            in scorecard.full_markdown(claims.records(), kept, {})
        ) is shown


def test_the_command_shows_what_the_records_say(project, capsys):
    assert main(["claims"]) == 0
    shown = capsys.readouterr().out
    assert (
        "1 reproduced, 1 not reproduced, 1 planned" in shown
        and "Not run as they are now" not in shown
    )
    change_record(project)
    assert main(["claims"]) == 0
    shown = capsys.readouterr().out
    assert "2 not reproduced, 1 planned" in shown and "Not run as they are now: 01_holds." in shown
    assert main(["claims", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"C01", "C02"}


ALL_MARKERS = [marker for pair in readme._MARKERS.values() for marker in pair]


def test_the_readme_holds_the_table_between_its_markers(project, capsys):
    readme = project / "README.md"
    readme.write_text("before\n\n" + "\n".join(ALL_MARKERS) + "\n\nafter\n")
    assert main(["claims", "--write-readme"]) == 0
    text = readme.read_text()
    assert text.startswith("before\n\n<!--") and text.endswith("-->\n\nafter\n")
    spent = sum(record["cpu_seconds"] for record in claims.records().values())
    assert f"```\n1 reproduced, 1 not reproduced; {spent:.0f} CPU-s\n" in text
    assert (
        "| C01 | The statement of 01_holds | reproduced | nothing else |" in text
        and "| C03 | The statement of 03_later | planned | nothing else |" in text
    )
    assert main(["claims", "--write-readme"]) == 0 and readme.read_text() == text
    change_record(project)
    assert "not run as they are now: 01_holds" in stopped(capsys, "claims", "--write-readme")
    assert readme.read_text() == text


@pytest.mark.parametrize(
    "text",
    ["no markers", ALL_MARKERS[0], "\n".join(reversed(ALL_MARKERS)), "\n".join(ALL_MARKERS[:2])],
)
def test_a_readme_without_its_markers_is_refused(project, capsys, text):
    (project / "README.md").write_text(text)
    error = stopped(capsys, "claims", "--write-readme", code=2)
    assert (
        error.startswith("error: README.md: the lines")
        and (project / "README.md").read_text() == text
    )


def test_a_site_is_current_until_what_it_was_built_from_changes(project):
    html = project / "_build" / "html"
    html.mkdir()
    (html / "index.html").touch()
    (project / "book" / "_static").mkdir()
    sheet = project / "book" / "_static" / "own.css"
    sheet.write_text("a {}")
    assert not built.current(project)
    built.note(project)
    (project / ".coverage").touch()
    assert built.current(project)
    sheet.write_text("b {}")
    assert not built.current(project)
    built.note(project)
    (project / "_build" / "claims" / "C01.json").write_text("{}")
    assert not built.current(project)
    built.note(project)
    (html / "index.html").unlink()
    assert not built.current(project)


def draw_nothing(folder):
    for name in (*drawings.VECTORS, *drawings.PICTURES, "estimates.md"):
        (folder / name).touch()


def test_staging_mirrors_the_prose_and_drops_what_is_gone(project, monkeypatch):
    monkeypatch.setattr(drawings, "write", draw_nothing)  # drawn in test_generated_pages
    (project / "book" / "intro.md").write_text("# Introduction\n")
    stray = project / "_build" / "src" / "notebooks" / "08_gone.ipynb"
    stray.write_text("{}")
    (project / "_build" / "src" / "book").mkdir()
    (project / "_build" / "src" / "book" / "old.md").touch()
    src = book.stage(project)
    assert (
        (src / "book" / "intro.md").is_file()
        and not (src / "book" / "old.md").exists()
        and not stray.exists()
    )
    assert {path.name for path in (src / "book" / "_generated").iterdir()} == {
        "scorecard.md",
        "scorecard_overview.md",
        "scorecard_strip.md",
        "scorecard_summary.md",
        "robustness.md",
        "elsewhere.md",
        "api_index.md",
        *drawings.VECTORS,
        *drawings.PICTURES,
        "estimates.md",
        "images.md",
        "figures",
        "figures.md",
        "models.md",
        "models",
        "faults.md",
        "lock.md",
        "mutations.md",
    }
    assert sorted(p.stem for p in (src / "notebooks").glob("*.ipynb")) == [
        n.name for n in sources()
    ]
    told = (src / "book" / "_generated" / "models.md").read_text()
    for name in zoo.names():
        pictured = (src / "book" / "_generated" / "models" / f"{name}.png").is_file()
        assert f"| `{name}` |" in told and pictured == (f"Samples of `{name}`" in told) == (
            not name.endswith(("-classifier", "-readers"))
        )


@pytest.mark.parametrize(
    "change", [change_notebook, change_executed, change_record], ids=lambda change: change.__name__
)
def test_staging_refuses_what_has_not_been_run(project, capsys, change):
    change(project)
    assert "not run as they are now: 01_holds. First: python -m molrg run" in stopped(
        capsys, "book"
    )
    assert not (project / "_build" / "src" / "book").exists()


def test_the_doctor_reports_what_differs_from_the_lock(project, capsys):
    def shown() -> str:
        code = main(["doctor"])
        text = capsys.readouterr().out
        assert code == (0 if "all as in requirements.lock" in text else 1)
        return text

    lock = project / "requirements.lock"
    have = doctor.version("numpy")
    lock.write_text(
        f"# a comment\nnumpy=={have}\nno-such-package==1.0\nnumpy==0.1 ; python_version < '3'\n"
    )
    assert "no-such-package: not installed, locked 1.0" in shown()
    lock.write_text("numpy==0.1\n")
    assert f"numpy: {have}, locked 0.1" in shown()
    lock.write_text(f"numpy=={have}\n")
    assert "Packages: all as in requirements.lock" in shown()
    assert "Notebooks: 0 of 2 have been run as they are now" in shown(), "the lock has changed"
