"""What a report consists of: parts, times, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Measured:
    """What a report consists of.

    Attributes:
        parts: by name.
        left_out: what was not measured, and why.
        seconds: that measuring took, in all runs.
        timing: of each part, the seconds that were predicted and those that it took.
    """

    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0
    timing: list[dict[str, Any]] = field(default_factory=list)
