"""Bent assumptions: each method does what it is for, on small data sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from factories import complains

from molrg import stats, sweeps
from molrg.studies import bent_assumptions as bent
from molrg.sweeps.fingerprints import fingerprint

SMALL = {"n": 12, "starts": 6}


def recovered(**cell):
    return bent.recover(0, **({"angle": 90.0, "dims": "2 2", "N": 8} | SMALL | cell))


# oracle


@pytest.mark.parametrize("angle", [90.0, 5.0])
def test_without_noise_true_labels_and_the_whitened_start_give_the_truth(angle):
    row = recovered(angle=angle)
    assert max(row["oracle"], row["rms"], row["whitened"], row["all"]) < 1e-6
    assert row["shuffled"] > stats.tolerance(angle)


def test_true_labels_err_to_first_order_in_the_noise():
    """prop-first-order: tau sqrt((n - d) / (N - d - 1)); 4 % of scatter over 16 sets."""
    cell = {"angle": 90.0, "dims": "2 2", "N": 30, "noise": 0.01, "n": 12, "starts": 2}
    table = sweeps.run(bent.recover, [cell], seeds=range(16))
    law = 0.01 * ((12 - 2) / (30 - 2 - 1)) ** 0.5
    assert (table.rms**2).mean() ** 0.5 == pytest.approx(law, rel=0.15)


def test_samples_follow_the_dimensions_where_no_number_is_given():
    """d_k + 1 samples of each are enough at any angle, for unequal dimensions too."""
    assert recovered(dims="2 3", N=0, angle=20.0)["whitened"] < 1e-6


def test_a_column_of_ones_repairs_means_and_one_dimension_more_does_so_where_there_is_a_mean():
    plain, wider, ones = (recovered(mean=2.0, lift=lift)["all"] for lift in bent.LIFTS)
    assert max(wider, ones) < 1e-6 < 0.1 < plain
    assert recovered(mean=0.0, lift="ones")["all"] < 1e-6


def test_a_component_too_rare_to_have_d_samples_is_not_recovered():
    settings = {"share": 0.02, "angle": 20.0, "d": 3} | SMALL
    assert bent.recover_rare(0, N=8, **settings)["all"] > 0.1
    assert bent.recover_rare(0, N=60, **settings | {"share": 0.5})["all"] < 1e-6


def test_whitening_hides_the_angle_and_the_points_show_it():
    row = bent.whitening(0, angle=5.0, n=12, d=2)
    assert row["whitened"] < 1e-8 < 0.1 < row["plain"]


def test_no_start_has_a_smaller_loss_than_the_truth_and_training_hardly_leaves_it():
    table = bent.train([0, 1], angle=90.0, n=12, d=2, N=40, starts=2, steps=20)
    assert list(table.seed) == [0, 1]
    assert (table.loss > 0.95).all()
    assert (table.from_truth < 0.15).all()


# invariance


def test_only_whole_starts_are_compared():
    """The better of the two has the larger objective, so its error is one of the two."""
    row = recovered(angle=5.0, dims="3 3", N=4)
    assert row["all"] in (row["whitened"], row["random"])
    assert 0 <= row["single"] <= 1


@pytest.mark.parametrize(
    ("study", "cells"),
    [
        (bent.recover, [{"angle": a, "dims": "2 3", "N": 4, "lift": "+1"} for a in (90.0, 5.0)]),
        (bent.recover, [{"angle": 20.0, "dims": "2 2", "noise": 0.1, "lift": "ones"}]),
        (bent.recover_rare, [{"share": 0.3, "angle": 20.0, "d": 2, "N": N} for N in (5, 12)]),
    ],
)
def test_data_sets_of_several_cells_at_once_are_data_sets_alone(study, cells):
    cells = [cell | SMALL for cell in cells]
    columns = ["all"] if study is bent.recover_rare else ["all", "oracle", "shuffled", "single"]
    together = sweeps.run(study, cells, seeds=range(3))[columns]
    alone = sweeps.run(study, cells, seeds=range(3), chunk=1)[columns]
    np.testing.assert_allclose(together, alone, atol=1e-7)


def test_success_depends_on_the_angle_of_the_row():
    table = pd.DataFrame({"angle": [90.0, 5.0], "all": [0.05, 0.05], "other": [1.0, 2.0]})
    done = bent.with_success(table, "all")
    assert list(done["all"]) == [1.0, 0.0]
    assert done.other.equals(table.other)


def test_the_studies_can_be_kept_between_runs():
    assert fingerprint(bent.recover)
    assert fingerprint(bent.recover_rare)
    assert np.isfinite(list(recovered().values())).all()


def test_an_unknown_lift_is_refused():
    with complains("lift"):
        recovered(lift="+2")
