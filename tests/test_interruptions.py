"""Fault: runs that are interrupted, killed, hung up on, or out of disk leave nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from projects import SLOW, environment, forge, is_fresh, plant, stopped, write

from molrg import interrupts
from molrg.__main__ import main
from molrg.companion import jobs
from molrg.companion.layout import Layout
from molrg.companion.notebooks import select


@pytest.fixture
def at_work(project) -> Iterator[subprocess.Popen]:
    """A run that is done with the first notebook, and busy with a third that would take minutes."""
    yield from started(project)


@pytest.fixture
def at_work_under_nohup(project) -> Iterator[subprocess.Popen]:
    """The same, by a shell that ignores the end of its terminal."""
    yield from started(project, ignored=signal.SIGHUP)


def started(project: Path, ignored: signal.Signals | None = None) -> Iterator[subprocess.Popen]:
    """Start a run, wait until it is busy, and end it if it still is."""

    def usual_signals() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if ignored:
            signal.signal(ignored, signal.SIG_IGN)

    write(project, "01_holds", forge())
    plant(project, "C04", "slow", [SLOW])
    words = (sys.executable, "-m", "molrg", "run", "--jobs", "2")
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        words,
        cwd=project,
        env=environment(),
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
        preexec_fn=usual_signals,
    )
    deadline = time.monotonic() + 200
    while not ("time.sleep" in executing(project) and is_fresh("01")):  # the cheaper one first
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def executing(project: Path) -> str:
    """The cell of the slow notebook that its kernel is busy with."""
    for path in (project / "_build" / "src" / ".partial").glob("04_slow-*/04_slow.ipynb"):
        try:
            cells = json.loads(path.read_text())["cells"]
        except ValueError:
            continue
        return "".join(
            "".join(c["source"])
            for c in cells
            if c["metadata"].get("papermill", {}).get("status") == "running"
        )
    return ""


def family(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.fault(
    "SIGTERM, Ctrl-C of a run; two runs at once",
    "each, while one notebook is done and another hangs; a second run and a build meanwhile",
    "no process is left, what is done stays, the same command goes on; the second is refused",
)
def test_an_interrupted_run_cleans_up_and_goes_on_from_there(project, at_work, capsys, number):
    kernels = family(at_work)
    assert len(kernels) >= 2, "papermill and its kernel"
    if number == signal.SIGINT:
        assert "another run or build is at work in _build/src/notebooks" in stopped(
            capsys, "run", "01"
        )
        assert "another run or build is at work" in stopped(capsys, "book")
        assert (
            main(["run", "01", "-p", "wait=0", "--jobs", "0"]) == 2
        )  # told before the folders are touched
    at_work.send_signal(number)
    _, error = at_work.communicate(timeout=60)
    assert at_work.returncode == 130
    assert error == "interrupted; what was done is kept, and the same command goes on from there\n"
    _, alive = psutil.wait_procs(kernels, timeout=5)
    assert not alive
    assert not (project / "_build" / "src" / ".partial").exists()
    assert not (project / "_build" / "claims" / "C04.json").exists()
    assert is_fresh("01") and is_fresh("02") and not is_fresh("04")
    capsys.readouterr()
    assert main(["run", "01", "02"]) == 0
    assert "2 of 2 unchanged" in capsys.readouterr().out


@pytest.mark.fault(
    "SIGKILL of a run",
    "half-written work and a lock that a killed run leaves",
    "swept away by the next run",
)
def test_a_killed_run_is_no_obstacle(project, capsys):
    """Files that a killed run leaves behind: partial work and a lock that nobody holds."""
    left = project / "_build" / "src" / ".partial" / "01_holds-dead"
    left.mkdir(parents=True)
    (left / "C01.json").write_text("{")
    (project / "_build" / "src" / "notebooks" / ".lock").touch()
    assert main(["run"]) == 0
    assert not left.parent.exists()


@pytest.mark.fault(
    "SIGTERM, Ctrl-C of a run",
    "Ctrl-C eight times in a fifth of a second",
    "no kernel is left, nothing half-written",
)
def test_a_key_that_is_held_down_leaves_no_kernel(project, at_work):
    """Ctrl-C eight times within a fifth of a second: the clean-up itself is not interrupted."""
    kernels = family(at_work)
    for _ in range(8):
        at_work.send_signal(signal.SIGINT)
        time.sleep(0.025)
    at_work.communicate(timeout=60)
    assert at_work.returncode in (130, -signal.SIGINT)  # the last ones come after the clean-up
    _, alive = psutil.wait_procs(kernels, timeout=5)
    assert not alive
    assert not (project / "_build" / "src" / ".partial").exists()


@pytest.mark.fault(
    "SIGKILL of a run",
    "kill -9 while a notebook hangs",
    "its kernels end too, what is done stays",
)
def test_kernels_end_with_a_run_that_is_killed(project, at_work):
    """Else a notebook of the paper's size would compute on for hours."""
    kernels = family(at_work)
    at_work.kill()
    _, alive = psutil.wait_procs(kernels, timeout=30)
    assert not alive
    assert is_fresh("01")
    assert not is_fresh("04")


@pytest.mark.fault(
    "hang-up of a run",
    "the terminal closed, under nohup",
    "the run goes on",
)
def test_a_run_under_nohup_outlives_its_terminal(project, at_work_under_nohup):
    at_work_under_nohup.send_signal(signal.SIGHUP)
    time.sleep(2)
    assert at_work_under_nohup.poll() is None
    assert "time.sleep" in executing(project)


@pytest.mark.parametrize("written", ["", None], ids=["empty", "nothing"])
@pytest.mark.fault(
    "full disk",
    "an executed notebook that is empty or missing",
    "the disk is named, and nothing about JSON",
)
def test_a_full_disk_is_named(project, monkeypatch, written):
    """What was written is empty then, the log included."""
    job = object.__new__(jobs.Job)
    job.notebook, job.layout = select(["01"])[0], Layout.of({})
    job.folder = project / "_build" / "src" / ".partial" / "01_holds-x"
    job.folder.mkdir(parents=True)
    (job.folder / "log").touch()
    job.output = job.folder / "01_holds.ipynb"
    if written is not None:
        job.output.write_text(written)
    job.process = SimpleNamespace(returncode=1)
    assert job._error().startswith("papermill ended with exit code 1")
    monkeypatch.setattr(jobs.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    assert job._error() == (
        f"the disk that holds {job.folder.parent} is full: make room; the same command goes on from"
        " there"
    )


# processes

CHILD = "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {code!r}]); {then}"
SLEEP = "import time; time.sleep(600)"


def generations(code: str) -> tuple[subprocess.Popen, psutil.Process]:
    """A process that has started another one, and that other."""
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not (children := psutil.Process(parent.pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return parent, children[0]


def test_an_end_is_that_of_the_whole_family():
    parent, child = generations(CHILD.format(code=SLEEP, then=SLEEP))
    interrupts.end(parent.pid)
    assert parent.wait(timeout=30) != 0
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    interrupts.end(parent.pid)


def test_a_follower_ends_with_whom_it_follows():
    follow = f"import os\nfrom molrg import interrupts\ninterrupts.follow(os.getppid())\n{SLEEP}"
    parent, child = generations(CHILD.format(code=follow, then=SLEEP))
    time.sleep(2)
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([child], timeout=30)
    assert not alive
