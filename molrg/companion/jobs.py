"""One notebook at work: papermill in a process of its own, and what went wrong in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import psutil
import yaml

from molrg import claims
from molrg.companion.layout import Layout, sha256
from molrg.companion.notebooks import Notebook

_HEADING = re.compile(
    r"^-{20,}$|Traceback \(most recent call last\)"
)  # the two lines above a traceback


class RunStopped(RuntimeError):
    """A notebook raised, its control passed, or its verdict was not the expected one."""


@dataclass
class Job:
    """One notebook being run by papermill, in a process and a folder of its own."""

    notebook: Notebook
    layout: Layout
    overrides: Mapping[str, Any]
    threads: int
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.key = self.notebook.key(
            self.overrides
        )  # now: what is edited while it runs has not been run
        self.layout.partial.mkdir(parents=True, exist_ok=True)
        # a new name every time, so that a kernel left over by a killed run cannot write into it
        self.folder = Path(
            tempfile.mkdtemp(prefix=f"{self.notebook.name}-", dir=self.layout.partial)
        )
        self.output = self.folder / self.notebook.path.name
        command = [
            sys.executable,
            "-m",
            "papermill",
            str(self.notebook.path),
            str(self.output),
            "--kernel",
            "python3",
            "--language",
            "python",
            "--cwd",
            str(self.notebook.path.parent),
            "--no-progress-bar",
        ]
        if self.overrides:
            command += ["--parameters_yaml", yaml.safe_dump(dict(self.overrides))]
        threads = {
            name: str(self.threads)
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        }
        environment = {
            **os.environ,
            **threads,
            "MOLRG_RECORDS": str(self.folder),
            "PYTHONWARNINGS": "ignore",
        }
        environment.pop(
            "MPLBACKEND", None
        )  # any value would turn off the backend that puts figures into notebooks
        self.log = open(self.folder / "log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            command,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )

    @property
    def elapsed(self) -> str:
        """Seconds since the start."""
        return f"{time.monotonic() - self.started:.0f} s"

    def progress(self) -> str:
        """How many cells are done, "7/21", from what papermill has written so far."""
        total = len(self.notebook.cells)
        try:
            cells = json.loads(self.output.read_text(encoding="utf-8"))["cells"]
        except (FileNotFoundError, ValueError):  # not yet written, or being written just now
            return f"0/{total}"
        done = sum(c["metadata"].get("papermill", {}).get("status") == "completed" for c in cells)
        return f"{min(done, total)}/{total}"  # papermill adds a cell for new parameters

    def abandon(self) -> None:
        """Keep a result that is complete and as expected; else end the work and remove what it wrote."""
        if self.process.poll() == 0:
            with suppress(RunStopped):
                self.finish()
            return
        try:
            tree = psutil.Process(self.process.pid)
            family = [*tree.children(recursive=True), tree]
        except psutil.NoSuchProcess:
            family = []
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self) -> dict:
        """Move a good result into place and return its record; put any other aside.

        Raises:
            RunStopped: where a cell raised, no record was written, or the verdict is not as expected.
        """
        self.log.close()
        if complaint := self._complaint():
            raise RunStopped(self._put_aside(complaint))
        _clean(self.output)
        stamp = self.layout.stamp(self.notebook)
        for folder in (self.layout.records, stamp.parent):
            folder.mkdir(parents=True, exist_ok=True)
        for old in (
            stamp,
            *self.layout.files(self.notebook),
        ):  # the stamp first: without it nothing counts as done
            old.unlink(missing_ok=True)
        for path in self.folder.glob(f"{self.notebook.claim}.*"):
            os.replace(path, self.layout.records / path.name)
        os.replace(self.output, self.layout.notebooks / self.output.name)
        files = {path.name: sha256(path) for path in self.layout.files(self.notebook)}
        written = self.folder / "stamp"
        written.write_text(
            json.dumps({"key": self.key, "files": files}, indent=2), encoding="utf-8"
        )
        os.replace(written, stamp)
        shutil.rmtree(self.folder)
        shutil.rmtree(self.layout.failed / self.notebook.name, ignore_errors=True)
        return json.loads(self.layout.record(self.notebook).read_text(encoding="utf-8"))

    def _complaint(self) -> str | None:
        """What is wrong with the finished work, in a line or a few."""
        if self.process.returncode != 0:
            return self._error()
        file = self.folder / f"{self.notebook.claim}.json"
        if not file.is_file():
            return f"no cell called claims.check for {self.notebook.claim}"
        record = json.loads(file.read_text(encoding="utf-8"))
        profile = self.overrides.get("profile", "quick")
        if record["profile"] != profile:
            return f"it was run with profile {profile!r}, and {record['id']} was checked with {record['profile']!r}"
        if record["as_expected"]:
            return None
        missed = [
            f"\n    missed: {c['condition']}; measured {c['estimate']}"
            for c in record["conditions"]
            if not c["met"]
        ]
        return f"{record['id']} is {record['verdict']}, expected: {record['expected']}" + "".join(
            missed
        )

    def _error(self) -> str:
        """The cell that raised, what, and the end of its traceback."""
        added = {
            "injected-parameters",
            "papermill-error-cell-tag",
        }  # by papermill; they are not in the source
        cells = nbformat.read(self.output, as_version=4).cells if self.output.is_file() else []
        cells = [cell for cell in cells if not added & set(cell.metadata.get("tags", []))]
        for number, cell in reversed(
            list(enumerate(cells, 1))
        ):  # the last: earlier ones may be allowed to raise
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    first = next((line for line in cell.source.splitlines() if line.strip()), "")
                    lines = [
                        line
                        for line in _plain("\n".join(output.traceback))[:-1]
                        if not _HEADING.search(line)
                    ][-8:]
                    told = f"cell {number} of {len(cells)} (`{first}`) raised {output.ename}: {output.evalue}"
                    return "\n    ".join([told, *lines])
        lines = _plain((self.folder / "log").read_text(encoding="utf-8"))[-5:]
        return "\n    ".join([f"papermill ended with exit code {self.process.returncode}", *lines])

    def _put_aside(self, complaint: str) -> str:
        target = self.layout.failed / self.notebook.name
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.folder, target)
        shown = target / self.output.name
        shown = shown if shown.is_file() else target / "log"
        return f"{self.notebook.name}: {complaint}\n  as far as it got: {shown.relative_to(claims.root())}"


def _plain(text: str) -> list[str]:
    """The lines of a terminal's output that hold something, without its colours."""
    return [line for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]


def _clean(path: Path) -> None:
    """Drop papermill's metadata, which differ from run to run, and join what was printed in pieces."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        joined: list[Any] = []
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
                joined[-1].text += output.text
            else:
                joined.append(output)
        if cell.cell_type == "code":
            cell.outputs = joined
    nbformat.write(notebook, path)
