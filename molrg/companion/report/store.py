"""What has been measured, one file a part, so that a report goes on from where it was stopped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from molrg import files


class Store:
    """A folder of parts, each a JSON file with a seal of what is in it and of what it is of.

    Args:
        folder: made when the first part is put.
        fingerprint: of model, images and options; parts with another one count as missing.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint

    def get(self, name: str) -> dict[str, Any] | None:
        """The part of a name with "value" and "seconds"; None where there is none of this report.

        Args:
            name: of the part.
        """
        try:
            part = json.loads(self._file(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return None  # never written, or by something else: it is measured again
        if not isinstance(part, dict) or not {"value", "seconds"} <= set(part):
            return None
        return part if part.get("seal") == self._seal(part["value"], part["seconds"]) else None

    def put(self, name: str, value: dict[str, Any], seconds: float) -> None:
        """Keep a part.

        Args:
            name: of the part.
            value: what JSON can hold.
            seconds: that it took.

        Raises:
            ValueError: where a number is not finite.
            OSError: where the folder cannot be written.
        """
        part = {"seal": self._seal(value, seconds), "seconds": seconds, "value": value}
        with files.replacing(self._file(name)) as aside:
            aside.write_text(json.dumps(part, allow_nan=False) + "\n", encoding="utf-8")

    def _seal(self, value: Any, seconds: Any) -> str:
        """A digest of a part and of what it is of: a part that was altered does not fit it."""
        text = json.dumps([self.fingerprint, value, seconds], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"
