"""Splits without loss: counted against formulas and ranks, ties broken as often as chance says."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from molrg import sweeps
from molrg.studies import several_subspaces, tied_splits


def test_the_number_of_balanced_splits():
    """Pairs of four points, and the 10 ways to halve six."""
    assert tied_splits.balanced_splits(2, 2) == 3
    assert tied_splits.balanced_splits(2, 3) == 10
    assert tied_splits.balanced_splits(3, 2) == 15


@pytest.mark.parametrize(("points", "K", "number"), [(4, 2, 8), (4, 3, 14), (5, 3, 41), (3, 5, 5)])
def test_all_groupings_once(points, K, number):
    """Numbers: sums of Stirling's numbers of the second kind."""
    labels = tied_splits.groupings(points, K)
    every = {
        frozenset(frozenset(np.flatnonzero(np.equal(each, k))) for k in set(each))
        for each in itertools.product(range(K), repeat=points)
    }
    mine = {
        frozenset(frozenset(np.flatnonzero(each == k)) for k in set(each))
        for each in labels.numpy()
    }
    assert len(labels) == number == len(mine)
    assert mine == every


def test_zero_loss_is_a_matter_of_ranks():
    x, _ = several_subspaces.draw(0, 2, 2, 3, n=9)
    x = torch.cat([x, x[:1]])  # a duplicate, which may be anywhere that its twin is
    wanted = [
        grouping.tolist()
        for grouping in tied_splits.groupings(len(x), 2)
        if all(np.linalg.matrix_rank(x[grouping == k].numpy(), tol=1e-8) <= 2 for k in (0, 1))
    ]
    assert tied_splits.zero_loss(x, 2, 2).tolist() == wanted
    assert [0, 0, 0, 1, 1, 1, 0] in wanted


def test_the_counts_are_the_law_at_the_edge_and_one_above():
    table = tied_splits.counts([{"K": 2, "d": 2}, {"K": 2, "d": 3}], [0, 1], n=14)
    assert list(table["law"]) == [3, 3, 10, 10]
    for column in ("N_k = d", "45 degrees", "isotropic"):
        assert (table[column] == table["law"]).all()
    assert (table["jointly"] == 1).all()
    assert (table["N_k = d + 1"] == 1).all()
    assert (table["jointly, 45 degrees"] == 0).all()
    assert (table["isotropic, d + 1"] == 0).all()


def test_spans_that_are_not_orthogonal_are_not_counted():
    x = torch.eye(4, dtype=torch.float64)
    labels = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    assert tied_splits.orthogonal(x, labels, 2, 2) == 2
    x[2, 0] = 1.0
    assert tied_splits.orthogonal(x, labels, 2, 2) == 1


def test_ties_are_broken_by_chance_in_whitened_coordinates():
    """False-fail rate 1e-4: a binomial count within four standard deviations."""
    table = tied_splits.broken_ties([2], range(4), n=9, draws=100)
    assert (table.true <= table.hits).all()
    assert (table.hits <= 100).all()
    assert (table.expected == table.hits / 3).all()
    white = table[table.white]
    deviation = (white.hits.sum() * 2 / 9) ** 0.5
    assert abs(white.true.sum() - white.expected.sum()) < 4 * deviation


def test_ratios_are_of_sums():
    table = pd.DataFrame(
        {"white": [True, True, False], "seed": [3, 3, 3], "true": [1, 3, 5], "expected": [2, 2, 10]}
    )
    ratio = tied_splits.tie_ratios(table)
    assert ratio.loc[3].to_dict() == {True: 1.0, False: 0.5}


def test_high_noise_ranks_the_truth_last():
    """A denoiser that cannot tell subspaces apart does better with subspaces that overlap."""
    table = tied_splits.soft_ranks([2], range(3), n=9)
    below = np.array(table.below.tolist())
    assert below.shape == (3, len(tied_splits.SIGMAS))
    assert (below[:, -1] == 1).all()
    assert (np.isin(below, (0, 0.5, 1))).all(), "two wrong solutions"


@pytest.mark.parametrize(
    "fn",
    [tied_splits.enumerated, tied_splits.tie_broken, tied_splits.soft_rank],
    ids=lambda fn: fn.__name__,
)
def test_what_is_swept_over_can_be_stored(fn):
    assert sweeps.fingerprint(fn)


def test_the_spans_are_those_of_the_groups_and_not_of_the_others():
    points = torch.eye(6, dtype=torch.float64)
    points[4:] *= 5  # the others of groups 0 and 1 share the longest two
    labels = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 2, 2]])
    assert tied_splits.orthogonal(points, labels, 3, 2) == 2
    tilted = points.clone()
    tilted[2, 0] = 1.0
    assert tied_splits.orthogonal(tilted, labels[:1], 3, 2) == 0
