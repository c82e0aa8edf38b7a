"""Right and typical wrong answers to the exercises of Part II."""

from __future__ import annotations

import math

import torch

from molrg.studies import hard_max
from molrg.subspaces import pca


def centred(x, d):
    m = x.mean(0)
    return m, pca(x - m, d)


def uncentred(x, d):
    return torch.zeros_like(x[0]), pca(x, d)


def last_directions(x, d):
    m = x.mean(0)
    return m, torch.linalg.svd(x - m).Vh[-d:].T


def tilt(sigma):
    tilted = hard_max.coefficient([5, 90, 90, 90], sigma)
    return tilted / hard_max.coefficient([90, 90, 90, 90], sigma)


# label: (right answers, {part of what is said: wrong answer})
ANSWERS = {
    "ex-02-slope": (
        [-1, -1.0, torch.tensor(-1.0)],
        {
            "the sign is off": 1,
            "too large by a factor of 2": -2.0,
            "a number is asked for": "minus one",
            "the number is nan": math.nan,
        },
    ),
    "ex-02-scale": (
        [lambda c, s: -c * s * (2 - c * s)],
        {
            "the sign is off": lambda c, s: c * s * (2 - c * s),
            "with c = 1: the number is too": lambda c, s: -s * (1 - s / 2) + c,
            "with a small c": lambda c, s: -s * (2 - s),
            "a function is asked for": -1.0,
        },
    ),
    "ex-02-mean": (
        [centred],
        {
            "the shift is off": uncentred,
            "the basis is off": last_directions,
            "should return two things": lambda x, d: x.mean(0),
            "the shape is off": lambda x, d: (x.mean(0), pca(x, d).T),
            "not orthonormal": lambda x, d: (x.mean(0), 2 * pca(x, d)),
        },
    ),
    "ex-03-bump": (
        [0.95, 1, 1.1],
        {"too small": 0.3, "too large": 3, "the sign is off": -1, "a number is asked": "one"},
    ),
    "ex-04-tilt": (
        [tilt],
        {
            "the number is too": lambda sigma: 1 / tilt(sigma),
            "at low noise": lambda sigma: tilt(sigma) ** 2,
            "a number is asked for": lambda sigma: [tilt(sigma), 1.0],
        },
    ),
    "ex-05-failures": (
        [lambda j, d: math.sqrt(j / d)],
        {
            "one of four exchanged": lambda j, d: j / d,
            "too large by a factor of the square root of 2": lambda j, d: math.sqrt(2 * j / d),
            "a function is asked for": 0.5,
        },
    ),
    "ex-05-k3": (
        [lambda p: math.ceil(math.log(0.1) / math.log(1 - p)), lambda p: math.ceil(2.303 / p)],
        {
            "too few": lambda p: math.ceil(1 / p),
            "too many": lambda p: 100,
            "a whole number": lambda p: 2.302585 / p,
        },
    ),
}
