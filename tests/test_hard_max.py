"""The price of hard assignment: formula, bounds and sampling against direct computation."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch
from factories import EXACT, rng

from molrg import MoLRG
from molrg.studies import hard_max
from molrg.subspaces import principal_angles


def test_a_pair_has_the_angles_it_should():
    degrees = [5.0, 40.0, 90.0]
    angles = principal_angles(*hard_max.tilted_pair(degrees, rng(1))).rad2deg()
    assert sorted(angles.tolist()) == pytest.approx(degrees, abs=1e-4)


def test_the_coefficient_is_one_for_equal_subspaces_and_that_of_determinants():
    assert hard_max.coefficient([0.0, 0.0], 0.3) == 1.0
    degrees = [10.0, 33.0, 80.0]
    exact = hard_max.by_determinants(hard_max.tilted_pair(degrees, rng(2)), 0.4)
    assert hard_max.coefficient(degrees, 0.4) == pytest.approx(exact, rel=1e-9)


def test_the_lower_bound_is_below_the_upper_and_both_tend_to_a_coin_toss():
    for sigma in (0.05, 0.5, 5.0):
        low, high = hard_max.bounds(3, 30, sigma)
        assert 0 < low < high < 0.5
    assert hard_max.bounds(3, 0, 1.0) == (0.5, 0.5)


def test_importance_sampling_is_the_plain_average():
    """False-fail rate below 1e-4: within five standard errors of two means."""
    mixture = MoLRG.random(4, [2, 2], angle=60, generator=rng(3))
    mean, error = hard_max.smaller_weight(mixture, 0.8, samples=20_000, generator=rng(4))
    x, _ = mixture.sample(20_000, generator=rng(5))
    x_t = x + 0.8 * torch.randn(x.shape, generator=rng(6), dtype=x.dtype)
    t = hard_max.SCHEDULE.t_of_sigma(0.8)
    plain = mixture.responsibilities(x_t, t, hard_max.SCHEDULE).amin(1)
    spread = math.hypot(error, float(plain.std()) / 20_000**0.5)
    assert abs(mean - float(plain.mean())) < 5 * spread
    assert error < float(plain.std()) / 20_000**0.5, "it is worth its trouble"


def test_the_formula_agrees_and_forgetting_the_angles_does_not():
    table = hard_max.formula_deviations([0, 7])
    assert list(table.seed) == [0, 7]
    assert (table.formula < EXACT).all()
    assert (table.forgetful > 0.1).all()


def test_a_survey_keeps_its_bounds_and_breaks_those_of_another_angle():
    """False-fail rate below 1e-4: eight cells within five standard errors of their bounds."""
    table = hard_max.survey([1, 2], [20, 90], [0.2, 0.8], [0, 1], samples=2000)
    assert len(table) == 2 * 2 * 2 * 2
    assert hard_max.violations(table).to_dict() == {0: 0, 1: 0}
    tilted = hard_max.judged_at(table[table.angle == 20], 90)
    assert (hard_max.violations(tilted) > 0).all()


def test_violations_are_counted_by_seed_and_on_both_sides():
    rows = [(0, 0.5, 0.0), (0, 0.1, 0.0), (1, 0.3, 0.0), (1, 0.45, 0.02), (1, 0.9, 0.02)]
    table = pd.DataFrame(rows, columns=["seed", "mean", "error"]).assign(low=0.2, high=0.4)
    assert hard_max.violations(table).to_dict() == {0: 2, 1: 1}


def test_hard_max_errs_to_both_sides():
    table = hard_max.loss_gaps([90], [0.05, 1.0], [0, 1], samples=4000, n=4, d=2)
    assert len(table) == 4
    middle, low = table[table.sigma == 1.0], table[table.sigma == 0.05]
    assert (middle.by_x_t > 1).all()
    assert (middle.by_x0 < -1).all()
    assert (low[["by_x_t", "by_x0"]].abs() < 1.5).all(axis=None)


def test_the_bounds_are_those_of_the_determinants():
    for d, angle, sigma in ((1, 20.0, 0.2), (3, 60.0, 0.7)):
        bc = hard_max.by_determinants(hard_max.tilted_pair([angle] * d, rng(7)), sigma)
        low, high = hard_max.bounds(d, angle, sigma)
        assert low == pytest.approx((1 - math.sqrt(1 - bc**2)) / 2, rel=1e-9)
        assert high == pytest.approx(bc / 2, rel=1e-9)
