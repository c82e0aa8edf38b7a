"""One subspace: PCA and training against direct computation, completions against their laws."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from factories import EXACT, complains, worst

from molrg import sweeps
from molrg.studies import one_subspace
from molrg.subspaces import pca, projector_distance

SETTINGS = {"n": 10, "noise": 0.0, "low": 0.001, "high": 0.01, "draws": 1, "steps": 60, "lr": 0.8}


def test_a_trial_has_the_same_latents_in_every_space():
    small, large = (one_subspace.draw(3, 2, n) for n in (8, 30))
    assert worst(small.samples @ small.truth, large.samples @ large.truth) < EXACT
    assert worst(small.samples @ small.truth @ small.truth.T, small.samples) < EXACT


def test_pca_is_right_from_as_many_samples_as_dimensions_on_and_never_before():
    table = one_subspace.pca_errors([{"d": d, "n": 12, "noise": 0.0} for d in (2, 4)], [0, 1])
    assert len(table) == 2 * 2 * one_subspace.SAMPLES
    assert (table.success == (table.d <= table.N)).all()


def test_pca_in_the_span_is_pca_in_the_whole_space():
    trial = one_subspace.draw(5, 3, 40, 0.1)
    errors = one_subspace.errors_by_pca(5, d=3, n=40, noise=0.1)["error"]
    for N in (3, 4, 10, 24):
        direct = projector_distance(pca(trial.samples[:N], 3), trial.truth)
        assert abs(errors[N - 1] - direct) < 1e-8


def test_random_subspaces_do_not_look_at_the_samples():
    table = one_subspace.random_errors([2, 3], [1, 5, 9], [0, 1], n=20)
    assert len(table) == 2 * 3 * 2
    assert (table.groupby(["d", "seed"]).error.nunique() == 1).all()
    assert not table.success.any()


def test_training_finds_what_pca_finds():
    """Twice as many samples as dimensions, so that no direction is weak."""
    table = one_subspace.training_errors([2], [1, 6], [0, 1], n=10, steps=200)
    assert table.groupby("N").success.all().to_dict() == {1: False, 6: True}


def test_a_cell_of_training_does_not_depend_on_those_beside_it():
    cells = [SETTINGS | {"d": d, "N": N} for d, N in ((2, 3), (3, 3), (2, 6))]
    together = one_subspace.errors_by_training.batched(cells, [0, 1, 2])
    alone = [one_subspace.errors_by_training(seed, **cell) for seed, cell in enumerate(cells)]
    pairs = zip(together, alone, strict=True)
    assert all(a["error"] == pytest.approx(b["error"], abs=1e-3) for a, b in pairs)


def test_completions_follow_their_laws_and_not_each_other():
    """False-fail rate 1e-4: the z of the sum over cells and seeds is below 4."""
    table = one_subspace.completions([2, 3, 5], range(4), n=12, draws=60)
    assert len(table) == 4 * (1 + 2 + 4)
    assert (table.worst - table.worst_law).abs().max() < 1e-9
    error = table.variance.sum() ** 0.5
    assert abs((table.random - table.random_law).sum()) < 4 * error
    assert abs((table.random - table.worst_law).sum()) > 8 * error


def test_offsets_count_from_d_and_stop_at_the_end_of_the_grid():
    rows = [
        {"n": n, "d": d, "N": N, "seed": seed, "success": d + extra <= N}
        for n, extra in ((10, 0), (20, 2), (30, 99))
        for d in (2, 3)
        for N in range(1, 7)
        for seed in (4, 7)
    ]
    table = one_subspace.offsets(pd.DataFrame(rows))
    assert list(table.index) == [4, 7]
    assert table.loc[4].to_dict() == {10: 0.0, 20: 2.0, 30: 4.5}


def test_the_weakest_direction_is_that_of_the_latents():
    trial = one_subspace.draw(2, 3, 15)
    values = torch.linalg.svdvals((trial.samples @ trial.truth)[:3])
    assert one_subspace.weakest_direction([2], d=3, n=15)[2] == pytest.approx(float(values.min()))


@pytest.mark.parametrize(
    "fn", [one_subspace.errors_by_pca, one_subspace.errors_by_training], ids=lambda fn: fn.__name__
)
def test_what_is_swept_over_can_be_stored(fn):
    assert sweeps.fingerprint(fn)


@pytest.mark.parametrize("counts", [[0, 3], range(20, one_subspace.SAMPLES + 2)])
def test_more_samples_than_are_drawn_are_refused(counts):
    with complains("counts"):
        one_subspace.training_errors([2], counts, [0], n=8, steps=2)
