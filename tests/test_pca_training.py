"""Training with one subspace ends at PCA; on halves of data, where there is a subspace."""

from __future__ import annotations

import pytest
import torch
from factories import bases, normal, rng

from molrg import MoLRG
from molrg.studies import pca_training
from molrg.subspaces import pca

TRUTH = torch.stack([bases(8, [2], seed=seed)[0] for seed in (1, 2)])


def data(noise):
    mixtures = [MoLRG([U], noise=noise) for U in TRUTH]
    return torch.stack([m.sample(40, generator=rng(k))[0] for k, m in enumerate(mixtures)])


def sources():
    return [rng(5), rng(6)]


def test_the_sine_is_that_of_the_largest_angle():
    e = torch.eye(4, dtype=torch.float64)
    tilted = torch.stack([e[0], (e[1] + e[2]) / 2**0.5], dim=1)
    assert float(pca_training.sine(e[:, :2], tilted)) == pytest.approx(0.5**0.5)


def test_training_ends_at_pca_and_not_at_the_truth():
    x = data(0.6)
    table = pca_training.distances(x, TRUTH, [5, 150], sources())
    assert list(table.trial) == [0, 1, 0, 1]
    short, long = (table[table.steps == steps].reset_index() for steps in (5, 150))
    assert (long.to_pca < 0.1).all()
    assert (long.to_pca < short.to_pca).all()
    assert (long.to_truth - long.pca_to_truth).abs().max() < 0.1
    assert (long.pca_to_truth > 0.15).all()


def test_a_data_set_does_not_depend_on_those_beside_it():
    x = data(0.1)
    both = pca_training.trained(x, 2, 20, sources())
    alone = pca_training.trained(x[1:], 2, 20, sources()[1:])
    assert pca_training.sine(both[1], alone[0]) < 1e-5


def test_halves_agree_where_there_is_a_subspace():
    structured = pca_training.halves(data(0.05), 2, 100, sources())
    isotropic = pca_training.halves(normal(2, 40, 8) / 2, 2, 100, sources())
    assert (structured < 0.1).all()
    assert (isotropic > 0.3).all()
    assert pca_training.sine(pca(data(0.05), 2), TRUTH).max() < 0.1
