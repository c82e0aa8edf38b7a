"""Execute notebooks with papermill, several at once, and stop where a claim is not as expected.

Each notebook runs in a process of its own into a folder of partial work; what is complete and as
expected is moved into place, all else is removed or, where it failed, kept apart to look at.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import filelock
from rich.console import Console
from rich.live import Live
from rich.table import Table

from molrg import checks, claims, files, interrupts
from molrg.companion import comparison, machine, scorecard, settings
from molrg.companion.forkserver import ForkServer
from molrg.companion.jobs import Job, RunStopped
from molrg.companion.layout import Layout, fresh
from molrg.companion.notebooks import Notebook, select

__all__ = ["RunStopped", "alone", "run"]


def run(
    wanted: tuple[str, ...] = (),
    *,
    profile: str = "quick",
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    keep: bool = False,
    console: Console | None = None,
) -> dict[str, dict]:
    """Run notebooks and return their records by claim.

    Args:
        wanted: numbers, claims or names of notebooks; all where empty.
        profile: "quick" or "paper".
        seed: offset added to all seeds.
        parameters: new values for parameters, which every chosen notebook must know.
        jobs: notebooks at once; as many as there are cores and free memory for, at most four, where
            omitted.
        keep: whether to keep records and figures under book/results.
        console: where progress is shown.

    Raises:
        ValueError: where an argument is not allowed: before anything runs.
        OSError: where the folders cannot be written, or kernels cannot be spoken to.
        ModuleNotFoundError: where what runs notebooks is not installed.
        RunStopped: at the first notebook that fails; those that are done stay done.
    """
    overrides = _overrides(profile, seed, parameters or {})
    registered = not set(overrides) - {"profile"}
    checks.require(
        registered or not keep,
        "keep",
        keep,
        "no -p and no --seed: a recorded run is the registered one",
    )
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    jobs = checks.count("jobs", machine.jobs(cores) if jobs is None else jobs)
    for package in ("papermill", "ipykernel"):
        checks.installed(package, "book")
    machine.require_loopback()
    settings.refuse_settings_of_figures()
    chosen = select(wanted)
    for notebook in chosen:
        notebook.accept(overrides)
    layout, board = Layout.of(overrides), _Board(chosen, console or Console())
    with alone(layout), interrupts.held_back() as asked:
        records = _run(chosen, overrides, layout, jobs, max(1, cores // jobs), board, asked)
    board.summary(records, layout)
    if not registered:
        _compare(chosen, records, layout, board.console)
    if keep:
        _keep(chosen, layout, overrides.get("profile", "quick"), board.console)
    return records


def _overrides(profile: str, seed: int, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that differ from the book's own run, profile and seed_offset among them."""
    overrides = {"profile": profile, "seed_offset": seed, **parameters}
    checks.one_of("profile", overrides["profile"], claims.PROFILES)
    overrides["seed_offset"] = checks.count("seed", overrides["seed_offset"], 0)
    usual = {"profile": "quick", "seed_offset": 0}
    return {
        name: value
        for name, value in overrides.items()
        if name not in usual or value != usual[name]
    }


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Hold the folders of a layout, so that no other run or build works in them meanwhile.

    Raises:
        RunStopped: where another one does.
        OSError: where they cannot be written.
    """
    shown = layout.notebooks.relative_to(claims.root())
    lock = filelock.FileLock(layout.notebooks / ".lock")
    try:
        for folder in (layout.notebooks, layout.records):
            folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RunStopped(f"another run or build is at work in {shown}") from None
    except OSError as error:
        raise OSError(f"folder {shown}: cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _run(
    chosen: list[Notebook],
    overrides: Mapping[str, Any],
    layout: Layout,
    jobs: int,
    threads: int,
    board: _Board,
    asked: threading.Event,
) -> dict[str, dict]:
    waiting = list(chosen)
    running: list[Job] = []
    records: dict[str, dict] = {}
    shutil.rmtree(layout.partial, ignore_errors=True)  # of a run that was killed
    server = ForkServer(chosen, threads, layout.partial)
    with board.live():
        try:
            while waiting or running:
                while waiting and len(running) < jobs and not server.importing():
                    notebook = waiting[0]
                    if fresh(notebook, overrides, layout):
                        records[notebook.claim] = json.loads(
                            layout.record(notebook).read_text(encoding="utf-8")
                        )
                        board.done(notebook.name, "unchanged", "", records[notebook.claim])
                    elif server.ready():
                        running.append(Job(notebook, layout, overrides, threads, server))
                    else:
                        break
                    waiting.pop(0)
                for job in list(running):
                    board.rows[job.notebook.name] = [job.progress(), job.elapsed, "", ""]
                    job.refuse_flood()
                    if job.process.poll() is not None:
                        running.remove(job)
                        board.rows[job.notebook.name][0] = "stopped"
                        records[job.notebook.claim] = job.finish()
                        board.done(
                            job.notebook.name, "done", job.elapsed, records[job.notebook.claim]
                        )
                if asked.wait(0.1):
                    raise KeyboardInterrupt
        finally:
            for job in running:
                board.rows[job.notebook.name][0] = "cut short"
                job.abandon()
            server.close()
            shutil.rmtree(layout.partial, ignore_errors=True)
    return records


class _Board:
    """What is shown of a run: a table that is redrawn, or, in a file, a line per notebook."""

    def __init__(self, chosen: list[Notebook], console: Console) -> None:
        self.console = console
        self.rows = {notebook.name: ["waiting", "", "", ""] for notebook in chosen}

    def live(self) -> Any:
        live = Live(get_renderable=self.table, console=self.console, refresh_per_second=4)
        return live if self.console.is_terminal else nullcontext()

    def table(self) -> Table:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name, justify in (
            ("notebook", "left"),
            ("cell", "left"),
            ("elapsed", "right"),
            ("CPU s", "right"),
            ("verdict", "left"),
        ):
            table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
        for name, row in self.rows.items():
            table.add_row(name, *row)
        return table

    def done(self, name: str, how: str, elapsed: str, record: Mapping[str, Any]) -> None:
        self.rows[name] = [how, elapsed, f"{record['cpu_seconds']:.0f}", record["verdict"]]
        if not self.console.is_terminal:
            spent = self.rows[name][2]
            line = f"  {name:34s} {how:9s} {elapsed:>6s} {spent:>4s} CPU-s {record['verdict']}"
            self.console.print(line, highlight=False, soft_wrap=True)

    def summary(self, records: Mapping[str, dict], layout: Layout) -> None:
        """Verdicts, cost, and where the results are."""
        told, spent = scorecard.totals(records)
        unchanged = sum(row[0] == "unchanged" for row in self.rows.values())
        again = f", {unchanged} of {len(records)} unchanged" if unchanged else ""
        self.console.print(f"{told}{again}; {spent:.0f} CPU-s", highlight=False, soft_wrap=True)
        shown = [folder.relative_to(claims.root()) for folder in (layout.records, layout.notebooks)]
        self.console.print(
            f"records: {shown[0]}   executed notebooks: {shown[1]}", highlight=False, soft_wrap=True
        )


def _compare(
    chosen: list[Notebook], records: Mapping[str, dict], layout: Layout, console: Console
) -> None:
    """What other parameters changed, and where the pages are that show it."""
    for notebook in chosen:
        console.print()
        console.print(comparison.table(records[notebook.claim]), highlight=False)
        page = layout.files(notebook)[0].relative_to(claims.root())
        console.print(f"the executed page: {page}", highlight=False, soft_wrap=True)


def _keep(chosen: list[Notebook], layout: Layout, profile: str, console: Console) -> None:
    """Copy records and the figures that they name to book/results."""
    folder = claims.root() / "book" / "results" / profile
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in chosen:
        _, *kept = layout.files(notebook)
        for old in folder.glob(f"{notebook.claim}.*"):
            if old.name not in {path.name for path in kept}:
                old.unlink()
        for path in kept:
            with files.replacing(folder / path.name) as aside:
                shutil.copyfile(path, aside)
    console.print(f"kept: {folder.relative_to(claims.root())}", highlight=False, soft_wrap=True)
