"""What is installed, which data and weights are there, what would be downloaded."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch
from rich.console import Console
from rich.table import Table

from molrg import claims, images, zoo
from molrg.companion.layout import stale
from molrg.companion.notebooks import sources


def locked() -> dict[str, str]:
    """Package versions of requirements.lock that apply to this Python."""
    from packaging.requirements import Requirement

    lines = (claims.root() / "requirements.lock").read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {
        r.name: next(iter(r.specifier)).version
        for r in wanted
        if r.marker is None or r.marker.evaluate()
    }


def report(console: Console) -> bool:
    """Print what is there; returns whether all that the book needs is."""
    console.print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, torch threads {torch.get_num_threads()}, CUDA {'yes' if torch.cuda.is_available() else 'no (none needed)'}"
    )
    differing = _differing_packages()
    for name, told in differing.items():
        console.print(f"  {name}: {told}")
    if not differing:
        console.print("Packages: all as in requirements.lock")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, overflow in (
        ("images", "ellipsis"),
        ("offline", "ellipsis"),
        ("where", "fold"),
        ("download", "ellipsis"),
        ("licence", "fold"),
    ):
        table.add_column(name, overflow=overflow, no_wrap=overflow == "ellipsis")
    for row in images.available():
        size = f"{row.download_megabytes} MB" if row.download_megabytes else "—"
        table.add_row(row.name, "yes" if row.offline else "no", row.where, size, row.licence)
    console.print(table)
    weights = ", ".join(f"{name} ({size / 1e6:.1f} MB)" for name, size in zoo.verify().items())
    console.print(f"Weights: {weights or 'none'}")
    known = len(sources())
    console.print(f"Notebooks: {known - len(stale())} of {known} have been run as they are now")
    offline = all(
        row.offline
        for row in images.available()
        if row.name == "digits" or row.name.endswith("-slice")
    )
    return not differing and offline and sys.version_info >= (3, 11)


def _differing_packages() -> dict[str, str]:
    differing = {}
    for name, wanted in locked().items():
        try:
            found = version(name).partition("+")[0]
        except PackageNotFoundError:
            found = "not installed"
        if found != wanted:
            differing[name] = f"{found}, locked {wanted}"
    return differing
