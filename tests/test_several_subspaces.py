"""Several subspaces: trials, K-subspaces and training on small cells, sums over their tables."""

from __future__ import annotations

import pandas as pd
import pytest
from factories import EXACT, worst

from molrg import sweeps
from molrg.studies import several_subspaces

CELL = {"K": 2, "d": 2, "N": 3, "n": 12, "angle": 90.0, "joint": False, "starts": 3}


def test_a_trial_has_the_same_latents_at_all_angles_and_cells_are_nested():
    (upright, U), (tilted, V) = (
        several_subspaces.draw(1, 2, 2, 4, n=10, angle=angle) for angle in (90.0, 40.0)
    )
    for k, group in enumerate((slice(0, 4), slice(4, 8))):
        assert worst(upright[group] @ U[k], tilted[group] @ V[k]) < EXACT
        assert worst(upright[group] @ U[k] @ U[k].T, upright[group]) < EXACT
    fewer, _ = several_subspaces.draw(1, 2, 2, 3, n=10)
    assert worst(fewer[:3], upright[:3]) == 0


def clustered(counts, **more):
    return several_subspaces.clustered(2, [2], counts, range(3), n=12, starts=6, **more)


def test_k_subspaces_needs_one_sample_more_than_dimensions():
    """At N = d all three balanced splits tie, and the worst of the starts that tie counts."""
    table = clustered([2, 3])
    assert (table.success == (table.N > 2)).all()
    assert (table.errors.map(len) == 13).all()
    assert (table[table.N == 2].errors.map(min) < 1e-6).all(), "the truth is among them"


def test_the_joint_constraint_needs_as_many_samples_as_dimensions():
    table = clustered([2, 3], joint=True)
    assert table.success.all()
    assert not clustered([3], joint=True, angle=45.0).success.any()


@pytest.mark.parametrize(
    ("fn", "more"),
    [
        (several_subspaces.by_clustering, {}),
        (several_subspaces.by_clustering, {"angle": 45.0}),
        (several_subspaces.by_training, {"steps": 9}),
        (several_subspaces.by_training, {"steps": 9, "joint": True}),
    ],
)
def test_a_trial_does_not_depend_on_those_beside_it(fn, more):
    cell = CELL | more
    together = fn.batched([cell] * 2, [4, 6])
    for seed, row in zip((4, 6), together, strict=True):
        alone = fn(seed, **cell)
        assert row["error"] == pytest.approx(alone["error"], abs=1e-3)
        assert worst(row["errors"], alone["errors"]) < 1e-3


def test_training_finds_two_lines_and_takes_the_lowest_loss():
    table = several_subspaces.trained(2, [1], [6], [0, 1], n=8, starts=3, steps=240)
    assert table.success.all()
    assert (table.errors.map(len) == 3).all()


def test_each_start_is_a_trial_and_shares_count_the_first():
    table = pd.DataFrame(
        {"d": [2, 2], "N": [4, 4], "seed": [5, 8], "errors": [[0.0, 0.5, 0.0], [0.5, 0.02, 0.0]]}
    )
    each = several_subspaces.each_start(table.assign(error=9.0), 2)
    assert list(each.seed) == [0, 1, 2, 3]
    assert list(each.success) == [True, False, False, True]
    assert list(several_subspaces.share_of_starts(table, 2)) == [0.5, 0.5]
    assert list(several_subspaces.share_of_starts(table, 1)) == [1.0, 0.0]


def test_beyond_the_edge_is_one_diagonal_of_the_map():
    rows = [
        {"d": d, "N": N, "seed": seed, "success": 10 * d + N + 100 * seed}
        for d in (2, 3, 5)
        for N in (2, 3, 4, 6)
        for seed in (0, 1)
    ]
    means = several_subspaces.beyond_edge(pd.DataFrame(rows), 1)
    assert means.to_dict() == {0: (23 + 34) / 2, 1: 100 + (23 + 34) / 2}


@pytest.mark.parametrize(
    "fn",
    [several_subspaces.by_clustering, several_subspaces.by_training],
    ids=lambda fn: fn.__name__,
)
def test_what_is_swept_over_can_be_stored(fn):
    assert sweeps.fingerprint(fn)
