"""Self-checks of Part III: how many samples."""

from __future__ import annotations

from typing import Any

import torch

from molrg import draws, memorization
from molrg.course.compare import Off, function, number, short, within
from molrg.course.registry import self_check
from molrg.studies import tied_splits
from molrg.subspaces import energies, pca, random_bases, subspace_error
from molrg.subspaces.alternation import polar


@self_check("ex-06-edge")
def _edge(answer: Any) -> None:
    hints = {
        "2513a12b9eee0257a50a": "too large: averaging m draws does not divide the deviation by m",
        "033ba762fcaaf029b075": "too large: compare 256 with 16 draws, not with one",
    }
    short("ex-06-edge", answer, "85a7faa0b2d4a9bd62d6", hints, "a whole number")


@self_check("ex-07-odd")
def _odd(answer: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    bases = random_bases(8, [2, 2], generator=generator)
    counts = (2, 3)
    latents = [draws.normal((N, 2), generator=generator, dtype=torch.float64) for N in counts]
    x = torch.cat([a @ U.T for a, U in zip(latents, bases, strict=True)])
    number(answer, len(tied_splits.zero_loss(x, 2, 2)))


@self_check("ex-07-angle")
def _angle(answer: Any) -> None:
    value = within(answer, 0, 90, "an angle between two subspaces, in degrees,")
    number(value, _least_angle(), rtol=0.01)


def _least_angle() -> float:
    """The angle at which the nearest orthogonal pair has an error of a tenth, by bisection."""
    low, high = 10.0, 90.0
    for _ in range(30):
        middle = (low + high) / 2
        generator = torch.Generator().manual_seed(1)
        truth = random_bases(6, [2, 2], angle=middle, generator=generator)
        nearest = polar(torch.cat(truth, dim=1)).split(2, dim=1)
        if subspace_error(list(nearest), truth) > 0.1:
            low = middle
        else:
            high = middle
    return low


@self_check("ex-08-threshold")
def _threshold(answer: Any) -> None:
    hints = {
        "b1990c82a60db64d3bc0": "too small: with so few points, have other splits zero loss?",
        "9572801bfb7722431318": "too large: count the points of one subspace, not of both",
    }
    short("ex-08-threshold", answer, "f07ea59f53fdbcebe1b4", hints, "a list of two whole numbers")


@self_check("ex-08-noise")
def _noise(answer: Any) -> None:
    few, many = _error_with_samples(40), _error_with_samples(80)
    number(answer, few / many, rtol=0.05)


def _error_with_samples(N: int) -> float:
    """Mean error of PCA on N noisy points of a subspace."""
    generator = torch.Generator().manual_seed(2)
    truth = torch.eye(24, 4, dtype=torch.float64, device="cpu")
    errors = []
    for _ in range(100):
        latents = draws.normal((N, 4), generator=generator, dtype=torch.float64)
        noise = draws.normal((N, 24), generator=generator, dtype=torch.float64)
        errors.append(subspace_error(pca(latents @ truth.T + 0.05 * noise, 4), truth))
    return sum(errors) / len(errors)


@self_check("ex-09-copies")
def _copies(answer: Any) -> None:
    for d in (1, 2, 3):
        try:
            value = within(function(answer, d), 0, 1, "a share")
            number(value, _share_of_copies(d), rtol=0.08)
        except Off as off:
            raise Off(f"d = {d}: {off}") from None


def _share_of_copies(d: int) -> float:
    """Share of fresh points in a d-dimensional cube that count as copies of others like them."""
    generator = torch.Generator().manual_seed(3)
    data = draws.uniform((4000, d), generator=generator, dtype=torch.float64)
    fresh = 0.1 + 0.8 * draws.uniform((20_000, d), generator=generator, dtype=torch.float64)
    return float(memorization.memorised(fresh, data).double().mean())


@self_check("ex-09-augmentation")
def _augmentation(answer: Any) -> None:
    for K, d in ((2, 3), (2, 6), (3, 4)):
        try:
            value = within(function(answer, K, d, 48), 0, 1, "a share")
            number(value, _share_after_flip(K, d), rtol=0.1)
        except Off as off:
            raise Off(f"K = {K}, d = {d}, n = 48: {off}") from None


def _share_after_flip(K: int, d: int) -> float:
    """Share of the energy of flipped points, 3 x 4 x 4, on K random subspaces."""
    generator = torch.Generator().manual_seed(4)
    shares = []
    for _ in range(60):
        bases = random_bases(48, [d] * K, generator=generator)
        latents = draws.normal((50, d), generator=generator, dtype=torch.float64)
        flipped = (latents @ bases[0].T).view(50, 3, 4, 4).flip(-1).flatten(1)
        total = flipped.square().sum()
        shares.append(float(energies(flipped, bases).sum() / total))
    return sum(shares) / len(shares)
