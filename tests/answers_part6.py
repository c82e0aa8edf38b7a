"""Right and typical wrong answers to the exercises of Part VI, for the tests of the self-checks."""

from __future__ import annotations

# label: (right answers, {part of what is said: wrong answer})
ANSWERS = {
    "ex-c20-1": (
        [lambda variances, sigma: sum(v / (v + sigma**2) for v in variances)],
        {
            "all variances alike": lambda variances, sigma: len(variances),
            "a gap in the spectrum": lambda variances, sigma: sum(
                v / (v + sigma) for v in variances
            ),
            "a function is asked for": 3.0,
        },
    ),
    "ex-c21-1": (
        [[1, 2], (2, 1), [1.0, 2.0]],
        {"both are too low": [0.5, 1], "both are too high": [2, 4], "a list of two": 1.5},
    ),
    "ex-c22-3": (
        [lambda variance, sigma: 2 * (variance + sigma**2)],
        {
            "too small by a factor of 2": lambda variance, sigma: variance + sigma**2,
            "little noise: the number": lambda variance, sigma: 2 * variance,
        },
    ),
    "ex-c23-1": (
        [[16, 128], (128, 16)],
        {"above the line already": [128, 512], "a list of two": 64},
    ),
    "ex-c23-3": (
        [lambda D, w, sigma: sigma**2 * (D - w)],
        {
            "another noise level: too small by a factor of 2": lambda D, w, s: s * (D - w),
            "noise as large as the signal": lambda D, w, s: s**2 * D,
        },
    ),
}
