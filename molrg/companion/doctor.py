"""What is installed, which data and weights are there and whole, what would be downloaded."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from molrg import claims, images
from molrg.companion.layout import stale
from molrg.companion.notebooks import sources
from molrg.denoisers import seals
from molrg.zoo import shipped

_OLDEST = (3, 11)


def report(console: Console) -> bool:
    """Print what is there; returns whether all that the book needs is, and is whole."""
    checks = [_python(console), _packages(console), _data(console), _weights(console)]
    known = len(sources())
    _say(console, f"Notebooks: {known - len(stale())} of {known} have been run as they are now")
    return all(checks)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def _python(console: Console) -> bool:
    cuda = "yes" if torch.cuda.is_available() else "no (none needed)"
    _say(
        console,
        f"Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"torch threads {torch.get_num_threads()}, CUDA {cuda}",
    )
    return sys.version_info >= _OLDEST


def _packages(console: Console) -> bool:
    differing = differing_packages()
    for name, difference in differing.items():
        _say(console, f"  {name}: {difference}")
    if not differing:
        _say(console, "Packages: all as in requirements.lock")
    return not differing


def locked() -> dict[str, str]:
    """Package versions of requirements.lock that apply to this Python."""
    from packaging.requirements import Requirement  # noqa: PLC0415 - only the doctor needs it

    lines = (claims.root() / "requirements.lock").read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {
        r.name: next(iter(r.specifier)).version
        for r in wanted
        if r.marker is None or r.marker.evaluate()
    }


def differing_packages() -> dict[str, str]:
    """Packages whose version is not the locked one, and how they differ."""
    differing = {}
    for name, wanted in locked().items():
        try:
            installed = version(name).partition("+")[0]
        except PackageNotFoundError:
            installed = "not installed"
        if installed != wanted:
            differing[name] = f"{installed}, locked {wanted}"
    return differing


def _data(console: Console) -> bool:
    """A row for each set; returns whether those that need no network are whole."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("images", "offline", "download"):
        table.add_column(name, no_wrap=True)
    table.add_column("licence", overflow="fold")
    table.add_column("where, or what is wrong", overflow="fold")
    whole = True
    for row in images.available():
        problem = row.problem or _altered(row.name)
        size = f"{row.download_megabytes} MB" if row.download_megabytes else "—"
        offline = "yes" if row.offline and not problem else "no"
        table.add_row(row.name, offline, size, row.licence, problem or row.where)
        whole = whole and not (problem and images.record(row.name).place is None)
    console.print(table, markup=False)
    return whole


def _altered(name: str) -> str:
    files = images.altered(name)
    return f"altered in the cache: {', '.join(files)}; remove and fetch again" if files else ""


def _weights(console: Console) -> bool:
    """One line for all models that are whole, one for each that is not."""
    folders = sorted(place for place in shipped.MODELS.glob("[!.]*") if place.is_dir())
    problems = {place: _problem(place) for place in folders}
    whole = [
        f"{place.name} ({_megabytes(place):.1f} MB)" for place in folders if not problems[place]
    ]
    _say(console, f"Weights: {', '.join(whole) or 'none'}")
    damaged = {place: problem for place, problem in problems.items() if problem}
    for place, problem in damaged.items():
        _say(console, f"  {place.name}: {problem}")
    return not damaged


def _problem(place: Path) -> str:
    """What is wrong with a folder of weights; empty where nothing is."""
    try:
        return "" if seals.verify(place) else f"no {seals.SUMS}: cannot be checked"
    except (ValueError, OSError) as error:
        return " ".join(str(error).split())


def _megabytes(place: Path) -> float:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 1e6
