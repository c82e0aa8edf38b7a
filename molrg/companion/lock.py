"""What can be said of the pinned packages without a network: versions, licences, and when."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from molrg.companion import doctor

NOT_STATED = "not stated in its metadata"
NOT_INSTALLED = "not installed here"


def licence_of(package: str) -> str:
    """The licence that an installed package states."""
    try:
        return licence_in(metadata(package))
    except PackageNotFoundError:
        return NOT_INSTALLED


def licence_in(stated: Any) -> str:
    """The licence in a package's metadata: its expression, else its classifiers, else its text.

    Args:
        stated: as :func:`importlib.metadata.metadata` returns it.
    """
    classifiers = [text for text in stated.get_all("Classifier", []) if text.startswith("License")]
    named = [text.rsplit(" :: ", 1)[-1] for text in classifiers if text.count(" :: ") > 1]
    text = (stated.get("License") or "").strip().split("\n")[0]
    return stated.get("License-Expression") or "; ".join(named) or text or NOT_STATED


def markdown(licences: Mapping[str, str], differing: Mapping[str, str], today: date) -> str:
    """A sentence on the versions, and a table of the licences.

    Args:
        licences: of each pinned package that this Python needs.
        differing: those whose version is not the pinned one, and how.
        today: the day of the check.
    """
    by_licence = defaultdict(list)
    for package, licence in licences.items():
        by_licence[_plain(licence)].append(package)
    others = "; ".join(f"{name} {how}" for name, how in differing.items())
    versions = (
        f"all are installed as pinned, but for {others}"
        if others
        else "all are installed as pinned"
    )
    rows = sorted(by_licence.items(), key=lambda row: (-len(row[1]), row[0]))
    return "\n".join(
        [
            f"On {today.isoformat()}, the lock pins {len(licences)} packages for Python"
            f" {platform.python_version()} on {platform.system()}; {versions}.",
            "",
            "`````{dropdown} Their licences, as their metadata state them",
            "| licence | packages | |",
            "|---|---|---|",
            *(f"| {name} | {len(packages)} | {', '.join(packages)} |" for name, packages in rows),
            "`````",
            "",
        ]
    )


def _plain(text: str) -> str:
    """A text of others, as a cell of a table: without what Markdown or MyST would read."""
    return "".join(c for c in " ".join(text.split())[:80] if c not in "|`<>{}[]$\\*_")


def write(generated: Path) -> None:
    """Write ``lock.md`` into a folder, of the environment that builds the book."""
    licences = {package: licence_of(package) for package in doctor.locked()}
    text = markdown(licences, doctor.differing_packages(), date.today())
    (generated / "lock.md").write_text(text, encoding="utf-8")
