"""Right and typical wrong answers to the exercises of Part III."""

from __future__ import annotations

import math

# label: (right answers, {part of what is said: wrong answer})
ANSWERS = {
    "ex-06-edge": (
        [4, 4.0],
        {"does not divide the deviation": 16, "not with one": 256, "a whole number is asked": 2},
    ),
    "ex-07-odd": ([1], {"too large by a factor of 2": 2, "too small": 0, "type is off": "one"}),
    "ex-07-angle": (
        [78.5, 90 - 2 * math.degrees(math.asin(0.1))],
        {"too large": 84.3, "too small": 11.5, "the range is off": 120},
    ),
    "ex-08-threshold": (
        [[4, 4], (4, 4)],
        {"too small": [3, 3], "too large": [8, 8], "a list of two whole numbers": 4},
    ),
    "ex-08-noise": (
        [math.sqrt(2), 1.4],
        {"too large by a factor of the square root of 2": 2, "too small": 1.0},
    ),
    "ex-09-copies": (
        [lambda d: 3.0**-d],
        {
            "too large by a factor of 2": lambda d: 2 / 3 if d == 1 else 3.0**-d,
            "d = 2": lambda d: 1 / 3,
            "the range is off": lambda d: 3.0**d,
        },
    ),
    "ex-09-augmentation": (
        [lambda K, d, n: K * d / n],
        {
            "too small by a factor of 2": lambda K, d, n: d / n,
            "the range is off": lambda K, d, n: K * d,
            "your function stops with": lambda K, d: K * d,
        },
    ),
}
