"""Every comparison in one run, written for the page "How fast" of the book: `make bench`.

    python benchmarks/bench.py [--out book/results/benchmarks.json] [--small]

Processor time of one thread; each way in a process of its own; a time is written down only where
both ways gave the same. Exits with 1 where they did not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import comparisons
import denoising_diffusion
import growth
import jacobians
import measuring
import psutil
import whole_run

from molrg import files, provenance


def main() -> int:
    """Measure, print a line for each, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kept = provenance.root() / "book" / "results" / "benchmarks.json"
    parser.add_argument("--out", type=Path, default=kept)
    parser.add_argument("--small", action="store_true", help="the small comparisons alone")
    args = parser.parse_args()
    began = datetime.now(UTC)
    commit = provenance.commit()  # of what is measured, whatever is committed meanwhile
    try:
        rows = list(_rows(large=not args.small))
    except measuring.Differ as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    grown = [] if args.small else list(_growths())
    document = _circumstances(began, commit) | {
        "comparisons": [asdict(row) for row in rows],
        "left_out": denoising_diffusion.left_out(),
        "growth": [asdict(one) for one in grown],
    }
    with files.replacing(args.out) as aside:
        aside.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written: {args.out}")
    return 0


def _rows(*, large: bool) -> Iterator[measuring.Row]:
    listed = chain(comparisons.all_of_them(), jacobians.all_of_them(large=large))
    measured = map(measuring.compare, listed)
    for row in chain(measured, whole_run.rows() if large else ()):
        ratio = "alone" if row.other is None else f"{row.other.seconds / row.ours.seconds:.1f}"
        print(f"{row.name}, {row.size}: {row.ours.seconds:.3g} s; {ratio}", flush=True)
        yield row


def _growths() -> Iterator[growth.Growth]:
    for one in growth.all_of_them():
        print(
            f"{one.name} in {one.variable}: {one.exponent:.2f}, theory {one.theory:g}", flush=True
        )
        yield one


def _circumstances(began: datetime, commit: str) -> dict[str, Any]:
    """Where and when, and how busy the machine was."""
    return {
        "recorded": began.isoformat(timespec="seconds"),
        "minutes": round((datetime.now(UTC) - began).total_seconds() / 60, 1),
        "versions": provenance.versions() | denoising_diffusion.version(),
        "commit": commit,
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "busy": round(os.getloadavg()[2], 1),
    }


if __name__ == "__main__":
    sys.exit(main())
