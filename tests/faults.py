"""Places where something is amiss: small disks, no network, folders that cannot be written."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from projects import ROOT, environment

# What a command prints and returns, several of them in one process: imports take seconds.
COMMANDS = """
import signal, subprocess, sys
from molrg.__main__ import main
def tell(*words):
    print(*words, flush=True)
def molrg(*words):
    tell("returned", main(list(words)))
def shell(line):
    subprocess.run(line, shell=True, check=True)
"""


@functools.cache
def _apart() -> list[str] | None:
    """The words that give a command mounts and a network of its own; None where not allowed."""
    if not shutil.which("unshare"):
        return None
    for words in (["unshare", "-mn"], ["unshare", "-Urmn"]):
        tried = "mount -t tmpfs none /mnt && ip link set lo up"
        done = subprocess.run([*words, "sh", "-c", tried], capture_output=True)
        if done.returncode == 0:
            return words
    return None


def apart(project: Path, script: str, *words: str) -> subprocess.CompletedProcess:
    """Run Python code in a project with mounts of its own and no network, loopback included.

    Args:
        project: the working folder.
        script: the code, after `COMMANDS`; it may mount, and bring up what network there is.
        words: its arguments.
    """
    unshare = _apart()
    if unshare is None:
        pytest.skip("namespaces of one's own are not allowed here")
    command = [*unshare, sys.executable, "-c", COMMANDS + script, *words]
    return subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, timeout=300
    )


def without(project: Path, *packages: str) -> dict[str, str]:
    """An environment in which some packages are not installed."""
    folder = project / "without"
    folder.mkdir(exist_ok=True)
    lines = "".join(f"sys.modules[{name!r}] = None\n" for name in packages)
    (folder / "sitecustomize.py").write_text(f"import sys\n{lines}")
    return with_path(folder)


def with_path(folder: Path) -> dict[str, str]:
    """An environment with a folder of modules before all others."""
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return environment() | {"PYTHONPATH": os.pathsep.join(paths)}


def one_sentence(error: str, start: str) -> bool:
    """Whether what was said on stderr is one line that begins so, and no traceback."""
    return error.startswith(start) and error.count("\n") == 1


def unpacked_wheel(folder: Path) -> Path:
    """Make a wheel of the package, and unpack it as an installation does; where it then lies."""
    pytest.importorskip("setuptools")
    source, site = folder / "source", folder / "site"
    shutil.copytree(ROOT / "molrg", source / "molrg", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, source)
    words = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation"]
    words += ["--no-index", "-qq", "-w", str(folder)]
    subprocess.run(words, cwd=source, check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    return site
