"""Equivalence: a kernel forked from a process with everything imported is the usual kernel."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
import psutil
import pytest
from projects import environment, forge, write

from molrg.__main__ import main
from molrg.companion import forkserver, imported, keys
from molrg.companion.notebooks import Notebook, select

pytestmark = pytest.mark.skipif(
    not hasattr(psutil.Process, "rlimit"), reason="forks are those of Linux"
)

# beside the notebooks: importing it takes half a second of the processor, and memory for a moment
BURNER = """\
import time
filled = len(bytearray(400 * 2**20))
begun = time.process_time()
while time.process_time() - begun < 0.5:
    pass
"""
SEEN = """\
import os, signal, sys, threading, time
import burner
import matplotlib.pyplot as plt
from molrg import provenance
ignored = [s.name for s in signal.Signals if signal.getsignal(s) is signal.SIG_IGN]
told = {
    "arguments": [sys.argv[0].split("/")[-1].removesuffix(".py"), len(sys.argv)],
    "path": [place for place in sys.path if "/tmp" not in place],
    "folder": os.getcwd(),
    "session": os.getsid(0) == os.getpid(),
    "backend": plt.get_backend(),
    "records": os.path.isdir(os.environ["MOLRG_RECORDS"]),
    "ignored": ignored,
    "threads": [os.environ["OMP_NUM_THREADS"], threading.active_count()],
    "parent": "papermill" in sys.modules,
    "input": os.read(0, 1).decode(),
    "cost": provenance.cost(),
}
print(json.dumps(told))
display(plt.figure())"""


@pytest.fixture
def seen(project, monkeypatch):
    """What a notebook of a run sees of its kernel."""
    (project / "notebooks" / "burner.py").write_text(BURNER)
    write(project, "01_holds", [*forge(), SEEN])

    def of_a_run(*, forked: bool) -> dict:
        monkeypatch.setattr(forkserver, "_SOUND", forked)
        assert main(["run", "01"]) == 0
        page = project / "_build" / "src" / "notebooks" / "01_holds.ipynb"
        cell = nbformat.read(page, as_version=4).cells[-1]
        (project / "_build" / "src" / "notebooks" / ".stamps" / "01_holds.json").unlink()
        kinds = [set(output.get("data", {})) for output in cell.outputs[1:]]
        return json.loads(cell.outputs[0].text) | {"pictures": [sorted(kind) for kind in kinds]}

    return of_a_run


def test_a_forked_kernel_sees_what_the_usual_one_sees(seen):
    forked = seen(forked=True)
    usual = seen(forked=False)
    assert forked.pop("parent") and not usual.pop("parent"), "papermill was imported before"
    cost = forked.pop("cost")
    usual_cost = usual.pop("cost")
    assert forked == usual
    assert cost["cpu_seconds"] < usual_cost["cpu_seconds"] - 0.5, "imports are not its own"
    assert cost["peak_memory_mb"] < 400 < usual_cost["peak_memory_mb"], "nor is their memory"


PAPERMILL = version("papermill")  # what its command says when asked for its version


@pytest.fixture
def server(project):
    """The fork server of a run of one notebook, before it has begun."""
    made = forkserver.ForkServer(select(["01"]), 1, project / "_build" / "partial")
    yield made
    made.close()


def await_ready(server: forkserver.ForkServer) -> psutil.Process:
    deadline = time.monotonic() + 100
    while not server.ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server._process is not None
    return psutil.Process(server._process.pid)


def begin(server: forkserver.ForkServer, folder: Path, *words: str):
    with open(folder / "log", "w") as log:
        return server.start([*words], environment(), log)


def test_a_fork_reports_its_end(server, tmp_path):
    await_ready(server)
    process = begin(server, tmp_path, "--version")
    assert isinstance(process, forkserver.Fork)
    process.wait()
    assert process.poll() == process.returncode == 0
    assert (tmp_path / "log").read_text().startswith(PAPERMILL)
    process = begin(server, tmp_path, "no such notebook", "out.ipynb")
    process.wait()
    assert process.returncode > 0


def test_a_fork_that_fails_leaves_nothing_open(server, tmp_path):
    await_ready(server)
    server._process.kill()
    server._process.wait()
    before = psutil.Process().num_fds()
    for _ in range(3):
        with open(tmp_path / "log", "w") as log, pytest.raises((OSError, ValueError)):
            server._fork(["--version"], environment(), log)
    assert psutil.Process().num_fds() == before


def test_a_fork_that_is_killed_says_so_and_takes_its_kernel_along(server, tmp_path):
    await_ready(server)
    (tmp_path / "notebooks").mkdir()
    slow = write(tmp_path, "slow", ["import time; time.sleep(600)"], "x = 1")
    words = ["--kernel", "python3", "--language", "python"]
    process = begin(server, tmp_path, str(slow), str(tmp_path / "out.ipynb"), *words)
    deadline = time.monotonic() + 100
    while not (tmp_path / "out.ipynb").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    kernels = psutil.Process(process.pid).children()
    assert len(kernels) == 1, "the kernel is its child, so that it ends with its family"
    psutil.Process(process.pid).kill()
    process.wait()
    assert process.returncode == -9
    _, alive = psutil.wait_procs(kernels, timeout=30)
    assert not alive


def test_a_package_that_has_changed_is_imported_anew(server, monkeypatch):
    """Else a notebook would run with the code of before, and count as one of the new code."""
    first = await_ready(server)
    assert await_ready(server) == first
    monkeypatch.setattr(keys, "of_package", lambda: "another")
    assert not server.ready()
    assert await_ready(server) != first
    assert not first.is_running()


@pytest.mark.fault(
    "SIGKILL of a run",
    "kill -9 of the process whose forks the kernels are",
    "the next notebook starts as it would without it",
)
def test_without_its_fork_server_a_run_starts_kernels_as_usual(server, tmp_path):
    await_ready(server).kill()
    process = begin(server, tmp_path, "--version")
    assert process.wait(timeout=60) == 0
    assert (tmp_path / "log").read_text().startswith(PAPERMILL)


def test_a_fork_server_that_fails_at_once_stops_no_run(project, monkeypatch):
    monkeypatch.setattr(forkserver, "_SERVER", "raise SystemExit(1)")
    write(project, "01_holds", forge())
    assert main(["run", "01"]) == 0


def test_nothing_outlives_a_run(project):
    write(project, "01_holds", forge())
    before = psutil.Process().children(recursive=True)
    assert main(["run", "01"]) == 0
    assert psutil.Process().children(recursive=True) == before


def test_what_cells_import_is_found_once_and_brought_in(tmp_path, monkeypatch):
    for folder in ("notebooks", "planted"):
        (tmp_path / folder).mkdir()
    for module in ("below", "beside"):
        (tmp_path / "planted" / f"{module}.py").write_text("thing = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    cells = ["import json, planted.beside", "from planted import below\nimport json", "text", "f("]
    names = [("json", ""), ("planted.beside", ""), ("planted", "below")]
    assert imported.names([Notebook(write(tmp_path, "any", cells))]) == names
    imported.bring_in([("no.such.module", ""), ("planted.beside", "thing"), ("planted", "below")])
    assert {"planted.below", "planted.beside"} <= set(sys.modules)
