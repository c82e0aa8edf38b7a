"""Fault: machines without room, memory, network or permission say so."""

from __future__ import annotations

import psutil
import pytest
from faults import apart, one_sentence
from projects import forge, is_fresh, snapshot, stopped, write

from molrg.__main__ import main
from molrg.companion import machine

AGAIN = "make room; the same command goes on from there"


# a full disk


@pytest.mark.nightly
@pytest.mark.fault(
    "full disk",
    "a run into a folder without any room",
    "the disk is named; with room, the same command ends well",
)
def test_a_run_on_a_full_disk(project):
    write(project, "01_holds", forge())
    script = """
shell("mkdir small && mount -t tmpfs -o size=1m none small && ip link set lo up")
shell("cp -r _build/claims small && mount --move small _build")
shell("cat /dev/zero > _build/filler 2> /dev/null || true")
molrg("run", "01")
shell("rm _build/filler")
molrg("run", "01")
"""
    done = apart(project, script)
    assert "returned 0" in done.stdout, done
    first, _, rest = done.stdout.partition("returned")
    assert "reproduced" not in first and rest[:2] in (" 1", " 2")
    assert "1 reproduced" in rest
    assert AGAIN in done.stderr and "Traceback" not in done.stderr


@pytest.mark.fault(
    "full disk",
    "a sweep's store and a training's resume file on a disk that fills up",
    "what was whole stays whole; with room, the rest is done and nothing twice",
)
def test_stores_and_states_on_a_full_disk(tmp_path):
    script = """
import torch
from pathlib import Path
from molrg import sweeps
from molrg.sweeps import stores
from molrg.zoo import states
shell("mkdir disk && mount -t tmpfs -o size=32k none disk")
log = Path("log")
def fn(d, seed):
    with log.open("a") as file:
        file.write(f"{seed}\\n")
    return {"x": [0.5] * 300}
def sweep():
    return sweeps.run(fn, [{"d": 1}], seeds=range(40), store="disk/store", executor=None)
def attempt(act):
    try:
        act()
    except Exception as error:
        tell("refused", type(error).__name__, "No space left" in str(error))
def seen():
    return log.read_text().split()
tell("before")
attempt(sweep)
kept = len(stores.lines("disk/store"))
tell("kept", 0 < kept < 40, kept == len(set(seen())) - 1)
shell("mount -o remount,size=300k disk")
begun = len(seen())
table = sweep()
tell("rows", len(table), len(seen()) - begun == 40 - kept)
file = Path("disk/state")
states.save(file, {"x": torch.zeros(100)}, {"n": 1})
before = file.read_bytes()
attempt(lambda: states.save(file, {"x": torch.zeros(10**6)}, {"n": 2}))
tell("whole", file.read_bytes() == before, sorted(p.name for p in Path("disk").iterdir()))
"""
    done = apart(tmp_path, script)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1] == "refused OSError True", lines
    assert lines[2] == "kept True True", lines
    assert lines[3] == "rows 40 True", lines
    assert lines[4] == "refused OSError True", lines
    assert lines[5].startswith("whole True") and ".part" not in lines[5]


# folders that cannot be written


@pytest.mark.nightly
@pytest.mark.fault(
    "folder that cannot be written",
    "a project on a read-only disk: run, book, train, claims",
    "one line each that names the folder; written again, the same command ends well",
)
def test_a_project_that_cannot_be_written(project):
    write(project, "01_holds", forge())
    script = """
shell("ip link set lo up; mount --bind . . && mount -o remount,bind,ro .")
import os
os.chdir(os.getcwd())
for words in ("run 01", "book", "train digits", "claims"):
    tell(words)
    molrg(*words.split())
shell("mount -o remount,bind,rw .")
molrg("run", "01")
"""
    before = snapshot(project)
    done = apart(project, script)
    assert "Traceback" not in done.stderr
    errors = done.stderr.splitlines()
    assert len(errors) == 3, errors
    assert all("Read-only file system" in line or "cannot be written" in line for line in errors)
    assert done.stdout.count("returned 2") == 3, done.stdout
    assert done.stdout.rstrip().endswith("returned 0")
    after = snapshot(project)
    assert before.keys() - after.keys() <= {"_build/claims/C01.svg"}  # the last run draws none


# no network


@pytest.mark.nightly
@pytest.mark.fault(
    "no network",
    "a run without any interface but loopback, a download of data, and a model of the hub",
    "the run ends well; the downloads say that they need a network, and leave nothing",
)
def test_without_a_network(project):
    write(project, "01_holds", forge())
    script = """
import os
os.environ["XDG_CACHE_HOME"] = os.environ["HF_HOME"] = os.path.abspath("cache")
shell("ip link set lo up")
molrg("run", "01")
molrg("fetch", "mnist")
molrg("fetch", "nobody/nothing")
"""
    done = apart(project, script)
    assert done.stdout.count("returned 0") == 1, done.stdout + done.stderr
    assert done.stdout.count("returned 2") == 2
    assert "Traceback" not in done.stderr and done.stderr.count("error: ") == 2
    cache = project / "cache"
    assert not [p for p in cache.rglob("*") if p.is_file() and p.stat().st_size > 1000]


@pytest.mark.fault(
    "no network",
    "a machine whose loopback is down, over which kernels are spoken to",
    "said at once, with the command that brings it up",
)
def test_without_loopback(project):
    write(project, "01_holds", forge())
    done = apart(project, 'molrg("run", "01")\nshell("ip link set lo up")\nmolrg("run", "01")')
    assert one_sentence(done.stderr, "error: this machine's own address 127.0.0.1 does not answer")
    assert "`ip link set lo up`" in done.stderr
    assert done.stdout.startswith("returned 2") and done.stdout.rstrip().endswith("returned 0")


# memory

HUNGRY = """\
import pathlib, resource
if pathlib.Path("../tight").exists():
    size = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**27, size + 2**27))
x = bytearray(2**29)
del x"""


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="limits are those of Linux")
@pytest.mark.fault(
    "memory that ends",
    "a limit on the memory of a kernel, which a cell hits",
    "memory is named, with the cell; without the limit, the same command ends well",
)
def test_memory_that_ends_in_a_notebook(project, capsys):
    write(project, "01_holds", [HUNGRY, *forge()])
    (project / "tight").touch()
    error = stopped(capsys, "run", "01")
    assert error.startswith("stopped: 01_holds: memory ran out: --jobs 1 leaves more")
    assert "raised MemoryError" in error
    assert not is_fresh("01")
    (project / "tight").unlink()
    assert main(["run", "01"]) == 0


@pytest.mark.fault(
    "memory that ends",
    "a machine with little free memory",
    "fewer notebooks run at once",
)
@pytest.mark.parametrize(("gigabytes", "jobs"), [(0.2, 1), (2.9, 1), (3.1, 2), (64, 4)])
def test_as_many_at_once_as_memory_holds(monkeypatch, gigabytes, jobs):
    free = type("Free", (), {"available": gigabytes * 1e9})
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: free)
    assert machine.jobs(8) == jobs
    assert machine.jobs(1) == 1


@pytest.mark.fault(
    "memory that ends",
    "a command that asks for more than there is",
    "one line, no traceback",
)
def test_memory_that_ends_in_a_command(monkeypatch, capsys, project):
    def hungry(*args):
        raise MemoryError("400 GB")

    monkeypatch.setattr("molrg.companion.scorecard.terminal_table", hungry)
    assert one_sentence(stopped(capsys, "claims", code=2), "error: memory ran out (400 GB)")


# notebooks that go wrong


@pytest.mark.nightly
@pytest.mark.fault(
    "notebook that floods",
    "a cell that prints without end",
    "ended at 50 MB, with its page kept aside; the results of others stay",
)
def test_a_notebook_that_prints_without_end(project, capsys, monkeypatch):
    monkeypatch.setattr(machine, "MOST_OUTPUT", 2**20)
    flood = "print(profile, seed_offset, level, wait)\nwhile True: print('x' * 1000)"
    write(project, "01_holds", [flood])
    error = stopped(capsys, "run", "01")
    assert error.startswith("stopped: 01_holds: it printed more than 1 MB: print less")
    assert not (project / "_build" / "src" / ".partial").exists()
    assert is_fresh("02") and not is_fresh("01")
    write(project, "01_holds", forge())
    assert main(["run", "01"]) == 0
