"""Files: written aside and put in place once they are whole, and known by their sha256."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal sha256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_NUMBER = r"\(os error (\d+)\)"  # how libraries written in Rust quote the system


@contextmanager
def system_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise what the system said inside the block as OSError, as safetensors does not.

    Args:
        path: what is written, to be named.

    Raises:
        OSError: with the number of the system's error.
    """
    try:
        yield
    except Exception as error:
        number = None if isinstance(error, OSError) else re.search(_NUMBER, str(error))
        if number is None:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), str(path)) from error


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A place to write to; what is written there replaces `path` where the block ends well.

    The place is beside `path` and has its name, so that endings keep their meaning, in a hidden
    folder that is removed in any case. The mode is what the umask asks for, whoever writes. Where
    nothing was written, nothing is replaced.

    Args:
        path: the file, or folder, to make or to replace; the folder above it is made where it is
            missing.

    Raises:
        OSError: where the folder cannot be written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=".part-", dir=target.parent))
    old = hidden / ".old"
    try:
        usual = hidden / ".mode"
        usual.touch()
        aside = hidden / target.name
        with system_errors(target):
            yield aside
        if aside.is_file():
            aside.chmod(usual.stat().st_mode)
        elif aside.is_dir() and target.is_dir():
            target.replace(old)
        if aside.exists():
            aside.replace(target)
    finally:
        if old.exists() and not target.exists():  # the new one could not take its place
            old.replace(target)
        shutil.rmtree(hidden, ignore_errors=True)


def is_hub_id(name: str) -> bool:
    """Whether a name can only be that of a model of the hub, owner/name.

    Args:
        name: of a model.
    """
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) is not None and not Path(name).exists()
