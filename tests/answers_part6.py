"""Right and typical wrong answers to the exercises of Part VI, for the tests of the self-checks."""

from __future__ import annotations

import torch


def _count(share, least):
    """How many of the first bases have a share in one of the second that is large enough."""
    return lambda bases, bases_hat: sum(
        bool(max(share(U.T @ U_hat) for U_hat in bases_hat) >= least(U.shape[1])) for U in bases
    )


def _components_that_meet_one(bases, bases_hat):
    return _count(_energy, lambda d: 0.9 * d)(bases_hat, bases)


def _energy(M):
    return M.square().sum()


# label: (right answers, {part of what is said: wrong answer})
ANSWERS = {
    "ex-19-read": (
        [2.2, 2.0, 2.5],
        {"too small": 1.2, "too large": 3.4, "far from it": 17, "a number is asked for": "two"},
    ),
    "ex-19-faces": (
        [_count(_energy, lambda d: 0.9 * d)],
        {
            "another order: the number is too small": _count(torch.norm, lambda d: 0.9 * d),
            "one component like two: too large by a factor of 2": _components_that_meet_one,
            "a little off: too small by a factor of 2": _count(torch.norm, lambda d: d**0.5),
            "a little off: the number is too large": _count(torch.norm, lambda d: 0.9 * d**0.5),
            "a function is asked for": 9,
        },
    ),
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
