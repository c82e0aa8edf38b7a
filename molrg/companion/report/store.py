"""What has been measured, one file a part, so that a report goes on from where it was stopped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from molrg import files
from molrg.companion import machine

_PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n")[:10]  # how every picture in a part begins


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Name the folder in the error where its disk is full: writing itself names no file.

    Args:
        folder: that is written to in the block.

    Raises:
        OSError: with the folder, where the disk is full; any other as it is.
    """
    try:
        yield
    except OSError as error:
        if not machine.is_full(error):
            raise
        raise OSError(error.errno, error.strerror, str(folder)) from error


class Store:
    """A folder of parts, each a JSON file with a seal of what is in it and of what it is of.

    Args:
        folder: made when the first part is put.
        fingerprint: of model, images and seed; parts with another one count as missing.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder, so that no other report is written to the same place meanwhile.

        Raises:
            ValueError: where another process holds it.
            OSError: where the folder cannot be written.
        """
        with naming(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            page = self.folder.with_suffix(".html")
            allowed = "one report at a time; wait for that one, or choose another --out"
            raise ValueError(
                f"out = {page}, which another report is writing: allowed is {allowed}"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def get(self, name: str) -> dict[str, Any] | None:
        """The part of a name with "value", "seconds" and "settings"; None where there is none.

        Args:
            name: of the part.
        """
        try:
            part = json.loads(self._file(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return None  # never written, or by something else: it is measured again
        if not isinstance(part, dict) or not {"value", "seconds", "settings"} <= set(part):
            return None
        seal = self._seal(part["value"], part["seconds"], part["settings"])
        return part if part.get("seal") == seal else None

    def put(
        self, name: str, value: dict[str, Any], seconds: float, settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Keep a part.

        Args:
            name: of the part.
            value: what JSON can hold.
            seconds: that it took.
            settings: what it was measured with.

        Returns:
            The part, as `get` returns it.

        Raises:
            ValueError: where a number is not finite.
            OSError: where the folder cannot be written; a full disk is named by it.
        """
        seal = self._seal(value, seconds, settings)
        part = {"seal": seal, "seconds": seconds, "settings": dict(settings), "value": value}
        with naming(self.folder), files.replacing(self._file(name)) as aside:
            aside.write_text(json.dumps(part, allow_nan=False) + "\n", encoding="utf-8")
        return part

    def remove_pictures(self) -> list[str]:
        """Remove every part with a picture, whatever model and images it is of.

        Returns:
            Their names, in order.

        Raises:
            OSError: where one cannot be removed.
        """
        shown = [path for path in self.folder.rglob("*.json") if _PNG in path.read_bytes()]
        for path in shown:
            path.unlink()
        return sorted(path.stem for path in shown)

    def _seal(self, value: Any, seconds: Any, settings: Any) -> str:
        """A digest of a part and of what it is of: a part that was altered does not fit it."""
        text = json.dumps([self.fingerprint, value, seconds, settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"
