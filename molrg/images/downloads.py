"""Where files of a set are: a folder of the reader's own, the cache, or a mirror.

The one module that reaches a network for images. Every download has its sha256 checked.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from molrg import files
from molrg.images.dataset import Record


def own_folder(name: str) -> Path | None:
    """The folder of a set inside the folder named by ``MOLRG_DATA``, where there is one.

    Raises:
        FileNotFoundError: where ``MOLRG_DATA`` names no folder.
    """
    root = os.environ.get("MOLRG_DATA")
    if not root:
        return None
    if not Path(root).is_dir():
        allowed = "unset it, or name the folder that holds mnist/ ..."
        raise FileNotFoundError(f"MOLRG_DATA = {root}: no such folder; {allowed}")
    folder = Path(root) / name
    return folder if folder.is_dir() else None


def cache(name: str) -> Path:
    """The folder in which downloads of a set are kept."""
    import pooch  # noqa: PLC0415 - slow to import

    return Path(pooch.os_cache("molrg")) / name


def download(record: Record, file: str) -> Path:
    """One file of a set, from the cache or the first mirror that answers.

    Raises:
        ValueError: where the file does not have its sha256.
        FileNotFoundError: where no mirror answers; says what to do.
    """
    import pooch  # noqa: PLC0415 - slow to import

    place = record.place
    if place is None:
        raise ValueError(f"name = {record.name!r}: allowed is a set that is downloaded")
    known = f"sha256:{place.files[file]}"
    failed = "no mirror"
    for mirror in place.mirrors:
        try:
            return Path(pooch.retrieve(mirror + file, known, fname=file, path=cache(record.name)))
        except OSError as error:  # requests' errors are; a wrong checksum is a ValueError
            failed = type(error).__name__
    raise FileNotFoundError(
        f"{record.name}: {file} ({place.megabytes} MB for the set) could not be downloaded "
        f"({failed}). Put the set under $MOLRG_DATA/{record.name} (formats: "
        f"help(molrg.images.sets)), or use {record.offline!r} or 'digits', which need no network"
    )


def unpack(archive: Path, folder: str) -> Path:
    """Unpack an archive beside itself, once, and return the folder that it holds."""
    target = archive.parent / folder
    if not target.is_dir():
        with files.replacing(target) as aside, tarfile.open(archive) as tar:
            tar.extractall(aside.parent, filter="data")
    return target
