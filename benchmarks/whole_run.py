"""A few notebooks by `python -m molrg run`, and by the papermill command, one after another.

    python benchmarks/whole_run.py [NN ...] [--jobs 2]

Both start from a copy of the project in which nothing has been run; one thread a notebook, where
there are as many jobs as cores. With fewer, `molrg run` gives a notebook more threads, and sums are
rounded otherwise. Exits with 1 where a value or a control of a claim differs. It is also a row of
`bench.py`.

Time is that on the clock: nowhere does the system add up the processor time of forked kernels.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from measuring import Cost, Differ, Row

from molrg import provenance
from molrg.companion import notebooks

FEW = ("01", "04", "15")
_LEFT = ("_build", ".git", ".venv", "copies", "__pycache__", ".*_cache")


def main() -> int:
    """Run both ways, print what they took, compare the records."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", nargs="*", default=FEW, metavar="NN")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    ours, other, same = _both(args.which, args.jobs)
    print(f"{' '.join(args.which)}, {args.jobs} at once; on average {os.getloadavg()[1]:.0f} busy")
    for name, spent in (("molrg run", ours), ("papermill", other)):
        print(f"{name}: {spent:.0f} s on the clock")
    print(f"papermill / molrg run: {other / ours:.2f}")
    print("values and controls:", "the same" if same else "NOT the same")
    return int(not same)


def rows() -> Iterator[Row]:
    """Three notebooks as a row of the page "How fast".

    Raises:
        Differ: where a value or a control of a claim differs.
    """
    ours, other, same = _both(FEW, jobs=2)
    named = ("run of notebooks", f"{', '.join(f'C{number}' for number in FEW)}, two at once")
    if not same:
        raise Differ(f"{', '.join(named)}: values differ: allowed is the same")
    note = "time on the clock, not of the processor"
    against = "the papermill command, one after another"
    costs = Cost(ours, None), Cost(other, None)
    yield Row(*named, against, *costs, 0.0, note)


def _both(which: Sequence[str], jobs: int) -> tuple[float, float, bool]:
    """Seconds that both ways take, and whether their records are the same."""
    chosen = notebooks.select(list(which))
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(provenance.root(), project, ignore=shutil.ignore_patterns(*_LEFT))
        ours = _together(project, which, jobs)
        other = _one_by_one(project, chosen)
        records = [_records(project / "_build" / "claims"), _records(project / "plain")]
    return ours, other, records[0] == records[1] and len(records[0]) == len(chosen)


def _together(project: Path, which: Sequence[str], jobs: int) -> float:
    command = [sys.executable, "-m", "molrg", "run", *which, "--jobs", str(jobs)]
    return _timed([command], project, {})


def _one_by_one(project: Path, chosen: Sequence[notebooks.Notebook]) -> float:
    records = project / "plain"
    records.mkdir()
    commands = [
        [
            *(sys.executable, "-m", "papermill", "--no-progress-bar", "--kernel", "python3"),
            *("--cwd", str(project / "notebooks")),
            *(str(project / "notebooks" / notebook.path.name), str(records / notebook.path.name)),
        ]
        for notebook in chosen
    ]
    return _timed(commands, project, {"MOLRG_RECORDS": str(records)})


def _timed(commands: Sequence[Sequence[str]], project: Path, more: dict[str, str]) -> float:
    threads = {"OMP_NUM_THREADS": "1"}
    environment = os.environ | threads | {"PYTHONPATH": str(project)} | more
    began = time.perf_counter()
    for command in commands:
        subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def _records(folder: Path) -> dict[str, Any]:
    """Values and controls of the claims, by claim."""
    records = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("C*.json")]
    return {record["id"]: (record["values"], record["control"]) for record in records}


if __name__ == "__main__":
    sys.exit(main())
