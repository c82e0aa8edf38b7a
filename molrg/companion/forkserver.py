"""Notebooks that start with everything imported: forks of a process that has imported it.

A run starts that process, the fork server (:mod:`molrg.companion.forks`). On other systems than
Linux, and wherever it fails, papermill and its kernel start as usual.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from molrg.companion import imported, keys, settings
from molrg.companion.notebooks import Notebook

_SOUND = sys.platform == "linux"  # elsewhere libraries may not survive a fork
_SERVER = """\
from molrg.companion import lean; lean.leave_out()
from molrg.companion import forks; forks.serve({channel}, {run})"""
_AS_USUAL = """\
from molrg import interrupts; interrupts.follow({run})
from molrg.companion import lean; lean.leave_out()
from papermill.cli import papermill; papermill()"""


class Fork:
    """A process that the fork server began, with what a job asks of a Popen."""

    def __init__(self, pid: int, report: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._report = report
        self._said = b""
        os.set_blocking(report, False)

    def poll(self) -> int | None:
        """Its exit code, -9 where it was killed; None while it runs."""
        if self.returncode is None:
            with suppress(BlockingIOError):
                while more := os.read(self._report, 32):
                    self._said += more
                os.close(self._report)
                self.returncode = int(self._said or -signal.SIGKILL)
        return self.returncode

    def wait(self) -> None:
        """Return once it has ended."""
        while self.poll() is None:
            select.select([self._report], [], [])


class ForkServer:
    """The fork server of a run, seen from the run; it begins when the first notebook asks for it.

    Args:
        notebooks: whose imports it imports.
        threads: of each of them.
        place: folder for what it leaves, removed by the caller.
    """

    def __init__(self, notebooks: Sequence[Notebook], threads: int, place: Path) -> None:
        self._notebooks = notebooks
        self._threads = threads
        self._place = place
        self._package = ""  # hash of the package that it has imported
        self._process: subprocess.Popen[bytes] | None = None
        self._awaited = False

    def importing(self) -> bool:
        """Whether it is busy with its imports: it has neither said that it is ready nor ended."""
        if self._awaited and select.select([self._channel], [], [], 0)[0]:
            with suppress(ConnectionError):  # it has ended
                self._channel.recv(1)
            self._awaited = False
        return self._awaited

    def ready(self) -> bool:
        """Whether a notebook can start; where the package has changed, all is imported anew."""
        package = keys.of_package()
        if _SOUND and package != self._package:
            self.close()
            self._package = package
            self._begin()
        return not self.importing()

    def _begin(self) -> None:
        """Start it as a kernel starts, and say what to import."""
        self._place.mkdir(parents=True, exist_ok=True)
        own = Path(tempfile.mkdtemp(prefix="forks-", dir=self._place))
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = _SERVER.format(channel=theirs.fileno(), run=os.getpid())
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=self._notebooks[0].path.parent,
                env=settings.neutral(own, settings.threads(self._threads)),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._awaited = True
        with suppress(OSError):  # it has ended already
            self._channel.send(json.dumps(imported.names(self._notebooks)).encode())

    def start(
        self, words: list[str], environment: Mapping[str, str], log: IO[str]
    ) -> Fork | subprocess.Popen[bytes]:
        """Papermill, in a session of its own, which ends when this process does.

        Args:
            words: for papermill.
            environment: of the process.
            log: where it writes what it says.
        """
        if self._process is not None:
            with suppress(OSError, ValueError):  # it has failed, or the environment is too large
                return self._fork(words, environment, log)
        return subprocess.Popen(
            [sys.executable, "-c", _AS_USUAL.format(run=os.getpid()), *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,
        )

    def _fork(self, words: list[str], environment: Mapping[str, str], log: IO[str]) -> Fork:
        request = json.dumps({"words": words, "environment": dict(environment)}).encode()
        report, theirs = os.pipe()
        try:
            try:
                socket.send_fds(self._channel, [request], [log.fileno(), theirs])
            finally:
                os.close(theirs)
            return Fork(int(self._channel.recv(32)), report)  # ValueError: it has ended
        except BaseException:
            os.close(report)
            raise

    def close(self) -> None:
        """End the fork server; what it began goes on."""
        if self._process is not None:
            self._channel.close()
            self._process.kill()
            self._process.wait()
            self._process = None
