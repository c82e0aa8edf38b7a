"""What a report consists of: parts, times, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Measured:
    """What a report consists of.

    Attributes:
        parts: by name.
        settings: what each part was measured with, by its name.
        left_out: what was not measured, and why.
        unfinished: parts that were left out because the minutes were over: what they are for a
            reader, and their kinds.
        minutes: that would be enough for them; 0 where there are none.
        timing: of each part, the seconds that were predicted and those that it took, in all runs.
        lost: seconds of parts that could not be measured.
    """

    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    unfinished: dict[str, str] = field(default_factory=dict)
    minutes: float = 0.0
    timing: dict[str, dict[str, Any]] = field(default_factory=dict)
    lost: float = 0.0

    @property
    def seconds(self) -> float:
        """That measuring took, in all runs."""
        return self.lost + sum(row["seconds"] for row in self.timing.values())

    def take(self, name: str, part: dict[str, Any], predicted: float) -> None:
        """Add a part, in place of an earlier one.

        Args:
            name: of it.
            part: with value, seconds and settings.
            predicted: seconds.
        """
        self.parts[name] = part["value"]
        self.settings[name] = part["settings"]
        row = {"part": name, "predicted": predicted, "seconds": part["seconds"]}
        self.timing[name] = row

    def sort(self, names: Sequence[str]) -> None:
        """Put the parts into an order.

        Args:
            names: all that may be there, in order.
        """
        for of_parts in (self.parts, self.settings, self.timing):
            ordered = {name: of_parts[name] for name in names if name in of_parts}
            of_parts.clear()
            of_parts.update(ordered)
