"""Ways to the posterior mean that share no code, each against the closed form."""

from __future__ import annotations

import pytest
import torch
from factories import rng

from molrg import MoLRG
from molrg.studies import closed_form
from molrg.subspaces import random_bases

T = 0.4


@pytest.fixture(scope="module")
def case():
    mixture = closed_form.random_mixture(rng(3))
    x_t = closed_form.noised(mixture, T, 6, rng(4))
    return mixture, x_t, mixture.denoiser(closed_form.SCHEDULE)(x_t, T)


def test_the_mixture_has_everything_unequal(case):
    mixture, _, _ = case
    assert [U.shape for U in mixture.bases] == [(10, 1), (10, 2), (10, 3)]
    assert len(set(mixture.weights.tolist())) == 3


def test_tweedie_and_quadrature_are_the_closed_form(case):
    mixture, x_t, closed = case
    assert torch.allclose(closed_form.tweedie(mixture, x_t, T), closed, atol=1e-9)
    assert torch.allclose(closed_form.quadrature(mixture, x_t, T, 40), closed, atol=1e-9)


def test_quadrature_with_few_nodes_is_not(case):
    mixture, x_t, closed = case
    assert (closed_form.quadrature(mixture, x_t, T, 3) - closed).abs().max() > 1e-3


def test_without_determinants_only_equal_components_are_right(case):
    mixture, x_t, closed = case
    wrong = closed_form.without_determinant(mixture, x_t, T)
    assert (wrong - closed).abs().max() > 1e-2
    equal = MoLRG(random_bases(10, [2, 2], angle=50, generator=rng(5)))
    right = equal.denoiser(closed_form.SCHEDULE)(x_t, T)
    assert torch.allclose(closed_form.without_determinant(equal, x_t, T), right, atol=1e-9)


def test_importance_sampling_tells_them_apart(case):
    """False-fail rate below 1e-4: six normal deviates within five."""
    mixture, x_t, closed = case
    estimates = [closed, closed + 1.0]
    samples, _ = mixture.sample(20_000, generator=rng(6))
    z = closed_form.sampled_z(samples, x_t, T, estimates, generator=rng(7))
    assert z[0] < 5 < z[1]


def test_a_row_for_each_seed_and_formula():
    table = closed_form.deviations([2, 5], draws=4000, nodes=40, times=[T], points=6)
    assert list(table.seed) == [2, 2, 5, 5]
    lemma = table[table.formula == "closed form"]
    control = table[table.formula == "without determinant"]
    assert (lemma[["tweedie", "quadrature"]] < 1e-8).all(axis=None)
    assert (control[["tweedie", "quadrature"]] > 1e-3).all(axis=None)


def test_certainty_falls_with_noise_and_grows_with_the_angle():
    table = closed_form.certainty([90, 10], [0.01, 0.3, 8.0], [0], points=100)
    largest = table.pivot(index="angle", columns="sigma", values="largest")
    assert (largest.diff(axis=1).iloc[:, 1:] < 0).all(axis=None)
    assert (largest.loc[90] > largest.loc[10]).all()
    assert largest.loc[90, 0.01] > 0.999
    assert largest.loc[10, 8.0] < 0.6
