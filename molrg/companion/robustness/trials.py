"""One run of a notebook's code cells, in a process that starts with everything imported.

Papermill starts a kernel and imports torch for each run. Here one process imports what the
notebooks do, and each trial is a fork of it: the same cells, the same parameters, nothing shared.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import matplotlib as mpl
import torch
from IPython.display import display
from matplotlib.figure import Figure

from molrg import claims, interrupts
from molrg.companion import imported, overview
from molrg.companion.notebooks import Notebook

CONTROL_PASSED, FAILED, TOO_LONG = "control passed", "failed", "took too long"
_ERROR = "error.json"
_FORKING = threading.Lock()  # a fork amid another thread's import would never end
if sys.platform == "linux":
    _PROCESSES = multiprocessing.get_context("fork")
else:  # where a fork of a process with threads is not safe
    _PROCESSES = multiprocessing.get_context("spawn")
_LONGEST = 200  # characters of an error that are kept
_SAVEFIG = Figure.savefig


def trial(path: Path, overrides: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Run a notebook with some parameters changed; never raises for what the notebook does.

    Args:
        path: of the notebook.
        overrides: values of parameters that differ from the defaults.
        limit: seconds after which the run is ended.

    Returns:
        "verdict": that of the claim, or "control passed", "failed", "took too long"; "why", one
        line where there is no verdict; "estimates", what each condition of the criterion judges;
        "missed", which of them were; "seconds", and "cpu_seconds".

    Raises:
        KeyboardInterrupt: where it was asked for, once the run is ended.
    """
    notebook = Notebook(path)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="molrg-trial-") as folder:
        ended = measure(notebook, overrides, Path(folder), limit)
        outcome = _outcome(notebook.claim, Path(folder), ended)
    return outcome | {"seconds": round(time.monotonic() - begun, 1)}


def measure(
    notebook: Notebook,
    overrides: Mapping[str, Any],
    folder: Path,
    limit: float,
    threads: int = 1,
) -> int | None:
    """Run the code cells in a process of their own, which leaves the claim's record in a folder.

    Args:
        notebook: whose cells.
        overrides: values of parameters that differ from the defaults.
        folder: for the record, or for the error that ended it.
        limit: seconds after which it is ended.
        threads: of torch.

    Returns:
        The exit code, None where it took too long.

    Raises:
        KeyboardInterrupt: where it was asked for, once the process is ended.
    """
    what = (notebook.path, dict(overrides), folder, threads, os.getpid())
    process = _PROCESSES.Process(target=_work, args=what)
    with _FORKING:
        _import_what_it_imports(notebook)
        process.start()
    assert process.pid is not None, "a process that has started has a number"
    deadline = time.monotonic() + limit
    try:
        with interrupts.held_back() as asked:
            while process.is_alive() and time.monotonic() < deadline:
                process.join(0.05)
                if asked.is_set():
                    raise KeyboardInterrupt
        return None if process.is_alive() else process.exitcode
    finally:
        if process.is_alive():  # the number of one that has ended may be another's by now
            interrupts.end(process.pid)
        process.join()


def _import_what_it_imports(notebook: Notebook) -> None:
    """Import here what the cells import, so that every fork has it; a failure is left to them."""
    mpl.use("Agg")
    imported.bring_in(imported.names([notebook]))


def _code_cells(notebook: Notebook) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _work(
    path: Path, overrides: Mapping[str, Any], folder: Path, threads: int, parent: int
) -> None:
    """What the process does: the cells, and a file that says what ended them, where it was one."""
    with suppress(OSError):  # a group of its own, so that Ctrl-C reaches the parent alone
        os.setsid()
    interrupts.follow(parent)
    os.environ["MOLRG_RECORDS"] = str(folder)
    os.chdir(path.parent)
    torch.set_num_threads(threads)
    try:
        with (
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
            patch.object(Figure, "savefig", _leave_blank),
        ):
            run_cells(Notebook(path), overrides)
    except BaseException as error:
        passed = isinstance(error, claims.ControlPassed)
        lines = f"{type(error).__name__}: {error}".splitlines()
        said = {"verdict": CONTROL_PASSED if passed else FAILED, "why": lines[0][:_LONGEST]}
        (folder / _ERROR).write_text(json.dumps(said), encoding="utf-8")
        os._exit(1)
    os._exit(0)


def _leave_blank(figure: Figure, place: Any, **options: Any) -> None:
    """Nobody looks at the figure of a trial; what a cell draws for itself is drawn."""
    if isinstance(place, Path):
        place.touch()
    else:
        _SAVEFIG(figure, place, **options)


def run_cells(notebook: Notebook, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Execute the code cells in order, new values right after the parameters as papermill does.

    Returns:
        The names that the cells leave.
    """
    names: dict[str, Any] = {"__name__": "__main__", "display": display}
    for number, cell in enumerate(_code_cells(notebook)):
        exec(compile(cell.source, f"{notebook.name}, code cell {number + 1}", "exec"), names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= overrides
    return names


def _outcome(claim: str, folder: Path, ended: int | None) -> dict[str, Any]:
    """What a process has left, in numbers and words."""
    nothing: dict[str, Any] = {"why": "", "estimates": [], "missed": [], "cpu_seconds": 0.0}
    if ended is None:
        return nothing | {"verdict": TOO_LONG, "why": "ended at the limit"}
    if (folder / _ERROR).is_file():
        return nothing | json.loads((folder / _ERROR).read_text(encoding="utf-8"))
    record = claims.records(folder).get(claim)
    if record is None:
        how = f"ended by signal {-ended}" if ended < 0 else "no cell called claims.check"
        return nothing | {"verdict": FAILED, "why": how}
    return nothing | {
        "verdict": record["verdict"],
        "estimates": _estimates(record),
        "missed": [k for k, line in enumerate(record["conditions"]) if not line["met"]],
        "cpu_seconds": record["cpu_seconds"],
    }


def complaint(folder: Path) -> str:
    """Why a process has left no record in a folder."""
    if (folder / _ERROR).is_file():
        return json.loads((folder / _ERROR).read_text(encoding="utf-8"))["why"]
    return "ended without a word, or at the limit"


def _estimates(record: Mapping[str, Any]) -> list[float]:
    """The number that each condition judges, in four digits, as the criterion lists them."""
    primary, secondary = claims.criterion(record["id"], record["profile"])
    judged = [overview.judged(c, record["values"][c.quantity]) for c in primary + secondary]
    return [float(f"{value:.4g}") for value in judged]
