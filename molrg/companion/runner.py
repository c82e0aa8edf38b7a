"""Execute notebooks with papermill, several at once, and stop where a claim is not as expected.

Each notebook runs in a process of its own into a folder of partial work; what is complete and as
expected is moved into place, all else is removed or, where it failed, kept apart to look at.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import nbformat
import psutil
import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from molrg import checks, claims
from molrg.companion import scorecard
from molrg.companion.notebooks import Notebook, select


class RunStopped(RuntimeError):
    """A notebook raised, its control passed, or its verdict was not the expected one."""


@dataclass(frozen=True)
class Layout:
    """Where a run puts things: the book's own run, or a folder of its own for any other."""

    notebooks: Path
    records: Path
    failed: Path

    @classmethod
    def of(cls, overrides: Mapping[str, Any]) -> Layout:
        build = claims.root() / "_build"
        if not overrides:
            return cls(build / "src" / "notebooks", build / "claims", build / "failed")
        told = "_".join(f"{name}-{value}" for name, value in sorted(overrides.items()))
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in told)[:60]
        folder = build / "runs" / f"{safe}_{hashlib.sha256(told.encode()).hexdigest()[:6]}"
        return cls(folder / "notebooks", folder / "claims", folder / "failed")

    def stamp(self, notebook: Notebook) -> Path:
        return self.notebooks / ".stamps" / f"{notebook.name}.json"

    def files(self, notebook: Notebook) -> list[Path]:
        """The finished files of a notebook: itself, its record, and its figure where there is one."""
        record = self.records / f"{notebook.claim}.json"
        figure = self.records / f"{notebook.claim}.svg"
        return [self.notebooks / notebook.path.name, record, *([figure] if figure.is_file() else [])]


@dataclass
class Job:
    """One notebook being run."""

    notebook: Notebook
    layout: Layout
    overrides: Mapping[str, Any]
    threads: int
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.folder = self.layout.notebooks.parent / ".partial" / self.notebook.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.output = self.folder / self.notebook.path.name
        command = [
            sys.executable, "-m", "papermill", str(self.notebook.path), str(self.output), "--kernel", "python3",
            "--cwd", str(self.notebook.path.parent), "--no-progress-bar",
        ]  # fmt: skip
        if self.overrides:
            command += ["--parameters_yaml", yaml.safe_dump(dict(self.overrides))]
        threads = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        environment = {**os.environ, **threads, "MOLRG_RECORDS": str(self.folder), "PYTHONWARNINGS": "ignore"}
        environment.pop("MPLBACKEND", None)  # any value would turn off the backend that puts figures into notebooks
        self.log = open(self.folder / "log", "w+", encoding="utf-8")  # noqa: SIM115 - closed in finish()
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=environment, start_new_session=True,
        )  # fmt: skip

    def progress(self) -> str:
        """ "cell 7/21", from what papermill has written so far."""
        total = len(self.notebook.cells)
        try:
            cells = json.loads(self.output.read_text(encoding="utf-8"))["cells"]
        except (FileNotFoundError, json.JSONDecodeError):  # not yet written, or being written just now
            return f"0/{total}"
        done = sum(c["metadata"].get("papermill", {}).get("status") == "completed" for c in cells)
        return f"{done}/{total}"

    def kill(self) -> None:
        """End papermill and its kernel, and remove what they had written."""
        try:
            tree = psutil.Process(self.process.pid)
            family = [*tree.children(recursive=True), tree]
        except psutil.NoSuchProcess:
            family = []
        for member in family:
            with _gone_is_fine():
                member.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self) -> dict:
        """Move a good result into place and return its record.

        Raises:
            RunStopped: where a cell raised, no record was written, or the verdict is not as expected.
        """
        self.log.close()
        record_file = self.folder / f"{self.notebook.claim}.json"
        if self.process.returncode != 0:
            raise RunStopped(self._keep_failed(self._error()))
        if not record_file.is_file():
            raise RunStopped(self._keep_failed(f"it never called claims.check for {self.notebook.claim}"))
        record = json.loads(record_file.read_text(encoding="utf-8"))
        if not record["as_expected"]:
            missed = "; ".join(f"{c['condition']}, measured {c['estimate']}" for c in record["conditions"] if not c["met"])
            told = f"{record['id']} is {record['verdict']}, expected: {record['expected']}"
            raise RunStopped(self._keep_failed(told + (f". Missed: {missed}" if missed else "")))
        _clean(self.output)
        for folder in (self.layout.notebooks, self.layout.records, self.layout.stamp(self.notebook).parent):
            folder.mkdir(parents=True, exist_ok=True)
        self.layout.stamp(self.notebook).unlink(missing_ok=True)
        for path in self.folder.glob(f"{self.notebook.claim}.*"):
            os.replace(path, self.layout.records / path.name)
        os.replace(self.output, self.layout.notebooks / self.output.name)
        _write_stamp(self.notebook, self.overrides, self.layout)
        shutil.rmtree(self.folder)
        return record

    def _error(self) -> str:
        if self.output.is_file():
            for number, cell in enumerate(nbformat.read(self.output, as_version=4).cells, 1):
                for output in cell.get("outputs", []):
                    if output.output_type == "error":
                        first = next((line for line in cell.source.splitlines() if line.strip()), "")
                        return f"cell {number} (`{first}`) raised {output.ename}: {output.evalue}"
        return (self.folder / "log").read_text(encoding="utf-8").strip()[-2000:] or f"exit code {self.process.returncode}"

    def _keep_failed(self, reason: str) -> str:
        target = self.layout.failed / self.notebook.name
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.folder, target)
        shown = (target / self.output.name).relative_to(claims.root())
        return f"{self.notebook.name}: {reason}\n  as far as it got: {shown}"


@contextmanager
def _gone_is_fine():
    try:
        yield
    except psutil.NoSuchProcess:
        return


def _clean(path: Path) -> None:
    """Drop papermill's metadata: times and paths of this machine, which differ from run to run."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_stamp(notebook: Notebook, overrides: Mapping[str, Any], layout: Layout) -> None:
    stamp = {"key": notebook.key(overrides), "files": {p.name: _hash(p) for p in layout.files(notebook)}}
    layout.stamp(notebook).write_text(json.dumps(stamp, indent=2), encoding="utf-8")


def fresh(notebook: Notebook, overrides: Mapping[str, Any], layout: Layout) -> bool:
    """Whether an earlier result is complete, untouched, and of exactly this code and these parameters."""
    try:
        stamp = json.loads(layout.stamp(notebook).read_text(encoding="utf-8"))
        found = {path.name: _hash(path) for path in layout.files(notebook)}
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return stamp == {"key": notebook.key(overrides), "files": found}


def run(
    wanted: tuple[str, ...] = (),
    *,
    profile: str = "quick",
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    console: Console | None = None,
) -> dict[str, dict]:
    """Run notebooks and return their records by claim.

    Args:
        wanted: numbers, claims or names of notebooks; all where empty.
        profile: "quick" or "paper".
        seed: offset added to all seeds.
        parameters: new values for parameters, which every chosen notebook must know.
        jobs: notebooks at once; half the cores, at least one and at most four, where omitted.
        console: where progress is shown.

    Raises:
        ValueError: where an argument is not allowed: before anything runs.
        RunStopped: at the first notebook that fails; those that are done stay done.
    """
    checks.one_of("profile", profile, claims.PROFILES)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = checks.count("jobs", min(4, cores) if jobs is None else jobs)
    overrides = dict(parameters or {})
    if profile != "quick":
        overrides["profile"] = profile
    if checks.count("seed", seed, 0):
        overrides["seed_offset"] = seed
    chosen = select(wanted)
    for notebook in chosen:
        notebook.accept(overrides)
        checks.require(bool(notebook.claim), "notebook", notebook.name, "one with a landed claim")
    layout = Layout.of(overrides)
    layout.notebooks.mkdir(parents=True, exist_ok=True)
    console = console or Console()
    with _only_run(layout), _terminate_as_interrupt():
        return _run(chosen, overrides, layout, jobs, max(1, cores // jobs), console)


@contextmanager
def _only_run(layout: Layout):
    lock = filelock.FileLock(layout.notebooks / ".lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except filelock.Timeout:
        raise RunStopped(f"another run is at work in {layout.notebooks.relative_to(claims.root())}") from None


@contextmanager
def _terminate_as_interrupt():
    """Let SIGTERM clean up as Ctrl-C does."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _run(
    chosen: list[Notebook], overrides: Mapping[str, Any], layout: Layout, jobs: int, threads: int, console: Console
) -> dict[str, dict]:
    waiting, running, rows = list(chosen), [], {n.name: ["waiting", "", ""] for n in chosen}
    records: dict[str, dict] = {}
    shown = Live(get_renderable=lambda: _table(rows), console=console, refresh_per_second=4)
    with shown if console.is_terminal else nullcontext():
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    notebook = waiting.pop(0)
                    if fresh(notebook, overrides, layout):
                        records[notebook.claim] = json.loads(layout.files(notebook)[1].read_text(encoding="utf-8"))
                        rows[notebook.name] = ["unchanged", "", records[notebook.claim]["verdict"]]
                        _say(console, notebook.name, rows)
                    else:
                        running.append(Job(notebook, layout, overrides, threads))
                for job in list(running):
                    elapsed = f"{time.monotonic() - job.started:.0f} s"
                    rows[job.notebook.name] = [job.progress(), elapsed, ""]
                    if job.process.poll() is not None:
                        running.remove(job)
                        rows[job.notebook.name] = ["stopped", elapsed, ""]
                        record = job.finish()
                        records[record["id"]] = record
                        rows[job.notebook.name] = ["done", elapsed, record["verdict"]]
                        _say(console, job.notebook.name, rows)
                time.sleep(0.1)
        finally:
            for job in running:
                job.kill()
            shutil.rmtree(layout.notebooks.parent / ".partial", ignore_errors=True)
    console.print(scorecard.sentence(records))
    return records


def _say(console: Console, name: str, rows: Mapping[str, list[str]]) -> None:
    """One line a notebook where there is no terminal to redraw."""
    if not console.is_terminal:
        cell, elapsed, verdict = rows[name]
        console.print(f"  {name:40s} {cell:10s} {elapsed:>6s}  {verdict}", highlight=False)


def _table(rows: Mapping[str, list[str]]) -> Table:
    table = Table("notebook", "cell", "elapsed", "verdict", box=None, header_style="bold")
    for name, row in rows.items():
        table.add_row(name, *row)
    return table
