"""Right and typical wrong answers to the exercises of Part V, for the tests of the self-checks."""

from __future__ import annotations

# label: (right answers, {part of what is said: wrong answer})
ANSWERS = {
    "ex-15-knee": (
        [0.9, "0.9"],
        {"thickness itself": 0.4, "not the inverse": 0.2, "a noise level, rounded": 0.87},
    ),
    "ex-17-unstable": ([0.25, 0.24], {"too small": 1 / 16, "the range is off": 25}),
    "ex-17-rules": ([2 / 15, 0.1333], {"too large": 7 / 8, "the range is off": -0.1}),
}
