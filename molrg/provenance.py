"""Where a number comes from: the project folder, versions, commit, and what a process has cost."""

from __future__ import annotations

import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil

_PACKAGES = ("molrg", "torch", "numpy", "scipy", "scikit-learn")
_EARLIER = [0.0]  # CPU seconds of other processes whose results this one goes on from


def root() -> Path:
    """The project folder: the nearest one above here, or above the package, with book/claims.yml.

    Raises:
        FileNotFoundError: where there is none.
    """
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            if (folder / "book" / "claims.yml").is_file():
                return folder
    raise FileNotFoundError(
        "no book/claims.yml above the current folder or the package:"
        " run inside a clone of the project"
    )


def went_before(cpu_seconds: float) -> None:
    """Count what another process has spent on results that this one takes over, as sweeps do."""
    _EARLIER[0] += cpu_seconds


def cost() -> dict[str, float]:
    """CPU seconds and the peak memory in MB of this process so far.

    Its children count, those at work included, and so does what it took over (:func:`went_before`).
    """
    import resource  # noqa: PLC0415 - POSIX only; the rest of the module needs no POSIX

    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "cpu_seconds": round(
            sum(u.ru_utime + u.ru_stime for u in usage) + _at_work() + _EARLIER[0], 2
        ),
        "peak_memory_mb": round(usage[0].ru_maxrss / unit, 1),
    }


def _at_work() -> float:
    """CPU seconds of children that have not ended, such as the workers of a sweep."""
    total = 0.0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ends just now
            total += sum(child.cpu_times()[:4])  # user and system, its own and that of its children
    return total


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def commit() -> str:
    """The commit of the project, with "+" where files differ from it; "unknown" outside git.

    An unpacked archive inside another repository is outside: its files have no commit there.
    """
    top = _git("rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != root().resolve():
        return "unknown"
    return _git("describe", "--always", "--dirty=+", "--exclude=*") or "unknown"


def _git(*words: str) -> str:
    """What git says of the project folder; nothing where it fails or is missing."""
    command = ["git", "-C", str(root()), *words]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.stdout.strip()


def provenance() -> str:
    """Two lines for the end of a notebook: versions; commit, CPU seconds and peak memory so far."""
    spent = cost()
    named = ", ".join(f"{name} {number}" for name, number in versions().items())
    seconds, memory = spent["cpu_seconds"], spent["peak_memory_mb"]
    return f"{named}\ncommit {commit()}; {seconds:.0f} CPU-s, peak {memory:.0f} MB"
