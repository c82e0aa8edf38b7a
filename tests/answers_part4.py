"""Right and typical wrong answers to the exercises of Part IV, for the tests of the self-checks."""

from __future__ import annotations

# label: (right answers, {part of what is said: wrong answer})
ANSWERS = {
    "ex-11-rule": (
        [50, 50.0],
        {"too large": 51, "the range is off": 3, "a number is asked": "K d"},
    ),
    "ex-11-cancel": ([0.59, 0.6], {"too small": 0.35, "the range is off": 59, "too large": 0.76}),
    "ex-c10-1": (
        [175, 165.0],
        {"too few": 60, "too many: 3,000 points": 300, "the range is off": 3000},
    ),
    "ex-c13-1": (
        [128, 128.0],
        {
            "nearly every sample": 8,
            "some of the samples": 32,
            "at a smaller number": 512,
            "a number of training images": "many",
        },
    ),
    "ex-c14-1": (
        [350, 320.0, 400],
        {"too small": 98, "this is far from it": 5.4, "is positive": -350},
    ),
    "ex-c25-3": ([4.3, 4], {"too small": 0.5, "the range is off": -7, "a number is asked": "four"}),
}
