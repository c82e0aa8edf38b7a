"""Small factories shared by the tests: seeded numbers, mixtures, schedules, form of an error."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from molrg import schedules
from molrg.mixture import MoLRG
from molrg.subspaces import random_basis

SCHEDULES = {"VP": schedules.VP(), "EDM": schedules.EDM(), "DDPM": schedules.DDPM()}
EXACT = 1e-10  # what float64 identities are held to


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=dtype)


def bases(
    n: int, dims: list[int], seed: int = 0, dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    generator = rng(seed)
    return [random_basis(n, d, generator=generator).to(dtype) for d in dims]


def general(
    n: int = 6,
    dims: tuple[int, ...] = (1, 2, 3),
    *,
    noise: float = 0.0,
    seed: int = 0,
    dtype=torch.float64,
) -> MoLRG:
    """A mixture with everything unequal: dimensions, weights, means, spectra."""
    K = len(dims)
    weights = torch.arange(1.0, K + 1) / sum(range(1, K + 1))
    means = [normal(n, seed=seed + 10 + k, dtype=dtype) for k in range(K)]
    spectra = [
        0.5 + 2 * torch.rand(d, generator=rng(seed + 20 + k), dtype=dtype)
        for k, d in enumerate(dims)
    ]
    return MoLRG(bases(n, list(dims), seed, dtype), weights, means, spectra, noise)


def covariances(mixture: MoLRG) -> Tensor:
    """Covariances of the components as full matrices, (K, n, n)."""
    identity = torch.eye(mixture.n, dtype=mixture.bases[0].dtype)
    pairs = zip(mixture.bases, mixture.variances, strict=True)
    return torch.stack([U * spectrum @ U.T + mixture.noise**2 * identity for U, spectrum in pairs])


def worst(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference; the shapes have to agree, too."""
    assert a.shape == b.shape, f"{tuple(a.shape)} against {tuple(b.shape)}"
    return (a - b).abs().max().item()


def slope(x: Tensor, y: Tensor) -> float:
    """Least-squares slope of log y in log x."""
    x, y = x.double().log(), y.double().log()
    return (((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()


@contextmanager
def complains(name: str):
    """A ValueError of one line that begins with the argument and says what is allowed."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared below
        yield
    text = str(caught.value)
    assert re.match(rf"{re.escape(name)}(?!\w).* = ", text), f"does not begin with {name!r}: {text}"
    assert ": allowed is " in text, text
    assert "\n" not in text, text


def law_of_axes(n: int, dims: tuple[int, ...], noise: float = 0.1) -> MoLRG:
    """Components along the axes of the space, so that their subspaces are orthogonal."""
    parts = torch.eye(n, dtype=torch.float64).split(list(dims), dim=1)
    return MoLRG(list(parts), noise=noise)
