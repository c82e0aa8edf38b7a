"""Identities of the loss: the line against PCA, exact and wrong losses against the line."""

from __future__ import annotations

import pytest
import torch
from factories import EXACT, bases, normal, rng

from molrg.studies import identities
from molrg.subspaces import pca


def test_the_line_falls_with_what_pca_maximises():
    x = normal(30, 8, seed=1)
    best = identities.affine_loss(x, [pca(x, 2)], 0.3)
    others = [identities.affine_loss(x, bases(8, [2], seed=seed), 0.3) for seed in range(20)]
    assert best < min(others)


def test_the_line_at_the_ends_of_the_noise():
    """Without noise the residual of PCA, at high noise the energy of the data."""
    x = normal(30, 8, seed=1)
    (U,) = bases(8, [3], seed=2)
    residual = (x - x @ U @ U.T).square().sum(-1).mean()
    assert identities.affine_loss(x, [U], 0.0) == pytest.approx(float(residual), rel=1e-9)
    energy = float(x.square().sum(-1).mean())
    assert identities.affine_loss(x, [U], 1.0) == pytest.approx(energy, rel=1e-3)


def test_the_exact_loss_is_on_the_line_and_others_are_not():
    data = [normal(20, 7, seed=seed) for seed in (1, 2)]
    tried = [[bases(7, [2], seed=10 * seed + k)[0] for k in range(3)] for seed in (1, 2)]
    table = identities.with_one_subspace(data, tried)
    assert (table.orthonormal < EXACT).all()
    assert (table.stretched > 1e-4).all()
    unstretched = identities.with_one_subspace(data, tried, stretch=0.0)
    assert (unstretched.stretched < EXACT).all()


@pytest.mark.parametrize("dims", [[2, 2], [1, 3]])
def test_only_hard_assignment_by_the_clean_point_is_on_the_line(dims):
    table = identities.with_several_subspaces(dims, [0, 3], n=9, N=15, draws=100, random_sets=2)
    assert list(table.seed) == [0, 3]
    assert (table.modified < EXACT).all()
    assert (table.original > 1e-3).all()


def test_with_one_subspace_there_is_no_gap():
    """False-fail rate below 1e-4: the mean of 40,000 draws, whose error is below a thousandth."""
    x = normal(20, 6, seed=3)
    table = identities.gaps(x, {"one": bases(6, [2])}, [0.3], draws=2000, generator=rng(1))
    assert abs(table.gap[0]) < 5e-3


def test_gaps_vanish_at_both_ends_of_the_noise():
    U = list(torch.eye(6, dtype=torch.float64).split(2, 1))[:2]
    x = torch.cat([normal(20, 2, seed=4 + k) @ U[k].T for k in range(2)])
    times = [0.01, 0.25, 1.0]
    table = identities.gaps(x, {"true": U}, times, draws=200, generator=rng(2))
    assert list(table.t) == times
    assert table.gap[1] > 0.02
    assert table.gap[[0, 2]].abs().max() < table.gap[1] / 2
