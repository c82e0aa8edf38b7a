"""What a run needs of the machine: kernels that can be spoken to, memory, and room on the disk."""

from __future__ import annotations

import errno
import shutil
import socket
from pathlib import Path

import psutil

MEMORY_OF_A_JOB = 1.5e9  # bytes: the largest notebook of the default profile peaks below
MOST_OUTPUT = 50 * 2**20  # bytes of an executed notebook; the book's own are below one megabyte
AGAIN = "the same command goes on from there"
DEAD = f"its kernel died, mostly because memory ran out: try --jobs 1; {AGAIN}"

_LITTLE = 2**20  # bytes of free disk below which nothing useful can be written
_FULL = (errno.ENOSPC, errno.EDQUOT)
_WORDS_OF_A_FULL_DISK = ("No space left on device", "Disk quota exceeded")
_WORDS_OF_MEMORY = (
    "MemoryError",
    "Cannot allocate memory",
    "can't allocate memory",
    "failed to map segment",
)


def require_loopback() -> None:
    """Check that a kernel on this machine can be spoken to, which needs no other network.

    Raises:
        OSError: where 127.0.0.1 does not answer.
    """
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        raise OSError(
            f"this machine's own address 127.0.0.1 does not answer ({error.strerror or error}), and"
            " notebooks are run over it: bring it up (`ip link set lo up`); no other network is"
            " needed"
        ) from error


def jobs(cores: int) -> int:
    """Notebooks at once for which there are cores and free memory: at least one, at most four."""
    free = psutil.virtual_memory().available
    return max(1, min(4, cores, int(free // MEMORY_OF_A_JOB)))


def is_full(error: OSError) -> bool:
    """Whether an error says that a disk, or somebody's share of it, is full."""
    return error.errno in _FULL


def want(folder: Path, said: str) -> str | None:
    """What the machine lacked when a notebook ended, in a sentence; None where that is not known.

    Args:
        folder: where its results were written.
        said: all that it and its kernel have said.
    """
    full = any(words in said for words in _WORDS_OF_A_FULL_DISK)
    if full or shutil.disk_usage(folder).free < _LITTLE:
        return f"the disk that holds {folder.parent} is full: make room; {AGAIN}"
    if any(words in said for words in _WORDS_OF_MEMORY):
        return f"memory ran out: --jobs 1 leaves more for each notebook, and {AGAIN}"
    return None
