"""What a fork server does: import once, and fork for each notebook that it is asked for.

It has one thread, opens nothing and computes nothing, so that its forks are sound. Each is
papermill for one notebook, and forks the kernel in turn.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket

from papermill.cli import papermill

from molrg import interrupts
from molrg.companion import imported, kernels

_LARGEST = 2**20  # bytes of a request
# as in every kernel, which says so before it imports anything
_BACKEND = "module://matplotlib_inline.backend_inline"


def serve(channel: int, run: int) -> None:
    """Import what the first message names, then fork at each further one, until the run ends.

    Args:
        channel: socket whose other end the run has.
        run: number of the run's process.
    """
    os.environ["MPLBACKEND"] = _BACKEND
    with socket.socket(fileno=channel) as asked:
        imported.bring_in(json.loads(asked.recv(_LARGEST)))
        gc.freeze()  # what is shared stays shared
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # it waits for no fork
        asked.send(b"!")
        request, files = _next_fork(asked)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log, report = files
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    kernels.prepare(report)
    interrupts.follow(run)
    _papermill(request["words"], report)


def _next_fork(asked: socket.socket) -> tuple[dict, list[int]]:
    """Fork at each request; returns in the forks alone, with a request and the files sent along."""
    while True:
        request, files, _, _ = socket.recv_fds(asked, _LARGEST, 2, socket.MSG_CMSG_CLOEXEC)
        if not request:
            os._exit(0)
        process = os.fork()
        if process == 0:
            return json.loads(request), files
        asked.send(str(process).encode())
        for file in files:
            os.close(file)


def _papermill(words: list[str], report: int) -> None:
    """Run one notebook, and end as its command would, with the exit code reported to the run."""
    code = 1
    try:
        papermill(words, "papermill")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
        raise
    finally:
        os.write(report, str(code).encode())
