"""One notebook at work: papermill in a process of its own, and what went wrong in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import yaml

from molrg import claims, files, interrupts
from molrg.companion import keys, machine, settings
from molrg.companion.forkserver import ForkServer
from molrg.companion.layout import Layout
from molrg.companion.notebooks import Notebook
from molrg.companion.stopped import Stopped

# the two lines above a traceback
_HEADING = re.compile(r"^-{20,}$|Traceback \(most recent call last\)")


class RunStopped(Stopped):
    """A notebook raised, its control passed, or its verdict was not the expected one."""


@dataclass
class Job:
    """One notebook being run by papermill, in a process and a folder of its own."""

    notebook: Notebook
    layout: Layout
    overrides: Mapping[str, Any]
    threads: int
    server: ForkServer
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        # now: what is edited while it runs has not been run
        self.key = keys.of(self.notebook, self.overrides)
        self.layout.partial.mkdir(parents=True, exist_ok=True)
        # a new name every time, so that a kernel left over by a killed run cannot write into it
        self.folder = Path(
            tempfile.mkdtemp(prefix=f"{self.notebook.name}-", dir=self.layout.partial)
        )
        self.output = self.folder / self.notebook.path.name
        self.settings = self.folder / "settings"
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            environment = settings.neutral(self.settings, self._environment())
            self.process = self.server.start(self._words(), environment, log)

    def _words(self) -> list[str]:
        """What papermill is told."""
        words = [str(self.notebook.path), str(self.output), "--no-progress-bar"]
        words += ["--kernel", "python3", "--language", "python"]
        words += ["--autosave-cell-every", "5"]  # seconds: so that a flood is seen
        # in seconds; a kernel that dies is noticed at once, but a clock may jump by days meanwhile
        words += ["--start-timeout", "1000000"]
        words += ["--cwd", str(self.notebook.path.parent)]
        if self.overrides:
            words += ["--parameters_yaml", yaml.safe_dump(dict(self.overrides))]
        return words

    def _environment(self) -> dict[str, str]:
        """Where the record goes, and how many threads there are."""
        return settings.threads(self.threads) | {"MOLRG_RECORDS": str(self.folder)}

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

    def refuse_flood(self) -> None:
        """End work that prints without end.

        Raises:
            RunStopped: where its page is larger than any browser would show.
        """
        if not self.output.is_file() or self.output.stat().st_size <= machine.MOST_OUTPUT:
            return
        interrupts.end(self.process.pid)
        self.process.wait()
        most = machine.MOST_OUTPUT // 2**20
        raise RunStopped(
            self._put_aside(f"it printed more than {most} MB: print less; what was done is kept")
        )

    def abandon(self) -> None:
        """Keep a result that is complete and as expected; else end the work and remove it."""
        if self.process.poll() == 0:
            with suppress(RunStopped):
                self.finish()
            return
        if self.process.poll() is None:
            interrupts.end(self.process.pid)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self) -> dict:
        """Move a good result into place and return its record; put any other aside.

        Raises:
            RunStopped: where a cell raised, no record was written, or the verdict is not as
                expected.
        """
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
        sums = {path.name: files.sha256(path) for path in self.layout.files(self.notebook)}
        with files.replacing(stamp) as aside:
            text = json.dumps({"key": self.key, "files": sums}, indent=2)
            aside.write_text(text, encoding="utf-8")
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
            checked = f"{record['id']} was checked with {record['profile']!r}"
            return f"it was run with profile {profile!r}, and {checked}"
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
        said = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
        what = self._raised()
        told = "\n".join([what or "", said, self._last_words()])
        if lacking := machine.want(self.folder, told):
            return f"{lacking}\n    {what}" if what else lacking
        if what:
            return what
        ended = f"papermill ended with exit code {self.process.returncode}"
        if "Kernel died" in said:
            return f"{ended}: {machine.DEAD}"
        return "\n    ".join([ended, *_plain(said)[-5:]])

    def _raised(self) -> str | None:
        """The last error of a cell, because earlier ones may be allowed to raise."""
        cells = self._executed_cells()
        for number, cell in reversed(list(enumerate(cells, 1))):
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    first = next((line for line in cell.source.splitlines() if line.strip()), "")
                    where = f"cell {number} of {len(cells)} (`{first}`)"
                    what = f"{where} raised {output.ename}: {output.evalue}"
                    return "\n    ".join([what, *_end_of(output.traceback)])
        return None

    def _last_words(self) -> str:
        """What cells have written to stderr; a kernel without memory cannot say more."""
        return "".join(
            output.text
            for cell in self._executed_cells()
            for output in cell.get("outputs", [])
            if output.output_type == "stream" and output.name == "stderr"
        )

    def _executed_cells(self) -> list[Any]:
        """The cells as far as they got, without those that papermill adds."""
        added = {"injected-parameters", "papermill-error-cell-tag"}
        try:
            cells = nbformat.read(self.output, as_version=4).cells
        except (FileNotFoundError, ValueError):  # ended before it was written, or on a full disk
            return []
        return [cell for cell in cells if not added & set(cell.metadata.get("tags", []))]

    def _put_aside(self, complaint: str) -> str:
        shutil.rmtree(self.settings, ignore_errors=True)
        target = self.layout.failed / self.notebook.name
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.folder, target)
        shown = target / self.output.name
        shown = shown if shown.is_file() else target / "log"
        place = shown.relative_to(claims.root())
        return f"{self.notebook.name}: {complaint}\n  as far as it got: {place}"


def _end_of(traceback: list[str]) -> list[str]:
    """The last lines of a traceback, without the error itself and what is above the first frame."""
    lines = _plain("\n".join(traceback))[:-1]
    return [line for line in lines if not _HEADING.search(line)][-8:]


def _plain(text: str) -> list[str]:
    """The lines of a terminal's output that hold something, without its colours."""
    return [line for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]


def _clean(path: Path) -> None:
    """Drop papermill's metadata, which differ each time, and join what was printed in pieces."""
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
