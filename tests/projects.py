"""Small projects for the tests of the companion: a ledger and a few one-second notebooks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml

from molrg.__main__ import main
from molrg.companion.layout import Layout, fresh
from molrg.companion.notebooks import select

ROOT = Path(__file__).resolve().parents[1]

IMPORT = "from molrg import claims"
PARAMETERS = 'profile = "quick"\nseed_offset = 0\nlevel = 1.0\nwait = 0'
DRAW = """\
from matplotlib.figure import Figure
figure = Figure()
figure.add_subplot().plot([0, level])"""
CHECK = """\
seeds = [seed_offset + k for k in range(5)]
verdict = claims.check("{id}", values={{"error": [{error} * level] * 5}},
                       control={{"error": [{control}] * 5}},
                       seeds=seeds, profile=profile, figure={figure}, wait=wait)"""
# the same without importing what takes seconds: an earlier record, changed
FORGE = """\
import json, os, pathlib
record = json.loads(pathlib.Path("../_build/claims/C01.json").read_text())
record |= dict(profile=profile, figure=None, {changes})
record["seeds"] = [seed_offset + k for k in range(5)]
record["values"]["error"]["max"] = 0.1 * level + wait
pathlib.Path(os.environ["MOLRG_RECORDS"], "C01.json").write_text(json.dumps(record))"""
SLOW = (
    "import time\nprint(profile, seed_offset, level, wait)\ntime.sleep(600 if wait == 0 else wait)"
)


def check(id: str, *, error: float = 0.1, control: float = 2.0, draw: bool = False) -> list[str]:
    """Cells of a notebook that measures `error`, which the criterion wants to be at most one."""
    judge = CHECK.format(id=id, error=error, control=control, figure="figure" if draw else None)
    return [IMPORT, *([DRAW] if draw else []), judge]


def forge(changes: str = "") -> list[str]:
    return [FORGE.format(changes=changes)]


def entry(notebook: str, expected: str = "reproduced", status: str = "landed") -> dict:
    criterion = {"primary": [{"quantity": "error", "estimator": "max", "at_most": 1.0}]}
    return {
        "title": f"The statement of {notebook}",
        "status": status,
        "paper": "0000.00000",
        "locus": "Theorem 1",
        "kind": "theorem",
        "certainty": "ours",
        "statement": "Errors are small.",
        "assumptions": ["none"],
        "notebook": notebook,
        "quantities": {"error": "an error"},
        "criterion": {"quick": criterion, "paper": criterion},
        "reason": "a test",
        "control": {"description": "a large error", "fails": ["error"]},
        "expected": expected,
        "scope": "finite instance",
        "but": "nothing else",
    }


def write(project: Path, name: str, cells: list[str], parameters: str = PARAMETERS) -> Path:
    """A notebook of a title, a parameters cell and the code cells given."""
    v4 = nbformat.v4
    made = [v4.new_markdown_cell(f"# {name}", id="title")]
    made.append(v4.new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}))
    made += [v4.new_code_cell(source, id=f"cell-{k}") for k, source in enumerate(cells)]
    path = project / "notebooks" / f"{name}.ipynb"
    nbformat.write(v4.new_notebook(cells=made), path)
    return path


def register(project: Path, **entries: dict) -> None:
    path = project / "book" / "claims.yml"
    known = yaml.safe_load(path.read_text())["claims"] if path.exists() else {}
    path.write_text(yaml.safe_dump({"claims": known | entries}, sort_keys=False))


def plant(
    project: Path,
    id: str,
    word: str,
    cells: list[str],
    expected: str = "reproduced",
    parameters: str = PARAMETERS,
) -> str:
    """Add a claim with its notebook; returns the notebook's name."""
    name = f"{id[1:]}_{word}"
    register(project, **{id: entry(name, expected)})
    write(project, name, cells, parameters)
    return name


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "MOLRG_RECORDS"} | {
        "COLUMNS": "80"
    }


def command(project: Path, *words: str) -> subprocess.CompletedProcess:
    words = (sys.executable, "-m", "molrg", *words)
    return subprocess.run(
        words, cwd=project, env=environment(), capture_output=True, text=True, timeout=400
    )


def is_fresh(name: str) -> bool:
    return fresh(select([name])[0], {}, Layout.of({}))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def stopped(capsys, *words: str, code: int = 1) -> str:
    """Run a command that must end with `code`; returns what it told on stderr."""
    assert main(list(words)) == code
    return capsys.readouterr().err
