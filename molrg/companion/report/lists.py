"""Lists in sentences: noise levels, and names."""

from __future__ import annotations

from collections.abc import Sequence


def levels(some: Sequence[float], among: Sequence[float]) -> str:
    """Noise levels, three or more in a row as "a to b".

    Args:
        some: in order; not empty.
        among: all noise levels, in order.
    """
    runs: list[list[float]] = []
    for sigma in some:
        place = among.index(sigma)
        if runs and among[place - 1] == runs[-1][-1]:
            runs[-1].append(sigma)
        else:
            runs.append([sigma])
    named = []
    for run in runs:
        ends = [f"{run[0]:g} to {run[-1]:g}"]
        named += ends if len(run) > 2 else [f"{sigma:g}" for sigma in run]
    return words(named)


def words(names: Sequence[str]) -> str:
    """Names with commas and an "and".

    Args:
        names: not empty.
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
