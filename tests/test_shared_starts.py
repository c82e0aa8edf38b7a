"""Two methods from the same starts: what they capture, between the start's share and all of it."""

from __future__ import annotations

import pytest

from molrg.studies import shared_starts


@pytest.fixture(scope="module")
def table():
    return shared_starts.race([0, 1], starts=5, steps=200, n=8, d=1, N_k=15, noise=0.0)


def test_a_row_for_each_start(table):
    assert list(table.seed) == [0] * 5 + [1] * 5
    assert list(table.start) == list(range(5)) * 2


def test_no_method_loses_what_the_start_had_and_the_best_capture_all(table):
    """Without noise two lines capture all the energy."""
    assert (table.clustered >= table.before - 1e-9).all()
    assert (table[["before", "clustered", "trained"]] <= 1 + 1e-9).all(axis=None)
    best = table.groupby("seed")[["clustered", "trained"]].max()
    assert (best > 0.99).all(axis=None)
    assert (table.before < 0.9).all()


def test_a_data_set_does_not_depend_on_those_beside_it(table):
    alone = shared_starts.race([1], starts=5, steps=200, n=8, d=1, N_k=15, noise=0.0)
    pair = table[table.seed == 1].trained.tolist()
    assert alone.trained.tolist() == pytest.approx(pair, abs=1e-6)
