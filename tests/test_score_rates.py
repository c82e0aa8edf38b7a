"""Score rates: every table at tiny size, against errors computed by hand and what must hold."""

from __future__ import annotations

import pytest
import torch
from factories import complains, rng

from molrg.studies import score_rates
from molrg.studies.curves import Curve

SIGMA = 0.2


def by_hand(x_t, x, nodes):
    """The scaled error from softmax weights, in three lines."""
    scores = [
        (torch.softmax(-(torch.cdist(x_t, points) ** 2) / (2 * SIGMA**2), dim=1) @ points - x_t)
        / SIGMA**2
        for points in (x, nodes)
    ]
    return (SIGMA**2 * (scores[0] - scores[1]).square().sum(1).mean()).item()


def test_a_row_of_the_curves_is_the_error_by_hand():
    table = score_rates.on_curves([(6, 20), (8, 10)], [3], queries=7, training_sets=2)
    assert list(table.columns) == ["D", "N", "seed", "error"]
    assert len(table) == 2
    generator = rng(3)
    for row in table.itertuples():
        curve = Curve.random(row.D, length=6.0, generator=generator)
        x0 = curve.sample(7, generator=generator)
        x_t = x0 + SIGMA * torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
        sets = [curve.sample(row.N, generator=generator) for _ in range(2)]
        errors = [by_hand(x_t, x, curve.nodes()) for x in sets]
        assert row.error == pytest.approx(sum(errors) / 2, rel=1e-8)


def test_a_seed_does_not_depend_on_the_others():
    cells = [(4, 8), (6, 8)]
    alone = score_rates.on_curves(cells, [5], queries=5, training_sets=1)
    beside = score_rates.on_curves(cells, [1, 5], queries=5, training_sets=1)
    assert alone["error"].tolist() == beside[beside["seed"] == 5]["error"].tolist()


def test_for_one_dimension_a_gaussian_is_learned_and_for_many_it_is_not():
    table = score_rates.on_gaussians([(1, 4000), (64, 4000)], [0]).set_index("D")["error"]
    assert table[1] < 0.02, "the true score is -x / (1 + sigma^2)"
    assert table[64] > 50


def test_the_thick_curve_is_compared_with_its_own_law():
    """With many points the error is small: a reference without the ambient noise would be off by
    its share, tau^2 / (sigma^2 + tau^2), squared, in each of eight coordinates: 0.9."""
    table = score_rates.on_thick_curves([8], [0.0, 0.2], [0], N=20_000)
    errors = table.set_index("tau")["error"]
    assert errors[0.0] < 0.01
    assert errors[0.2] < 0.5


def test_ambient_noise_costs_more_in_more_dimensions():
    table = score_rates.on_thick_curves([8, 512], [0.05], [0, 1], queries=30)
    error = table.groupby("D")["error"].mean()
    assert error[512] > 10 * error[8]


def test_training_lowers_the_error_and_the_seed_decides_all():
    short, long = (
        score_rates.by_networks([8], [0], steps=steps, N=64)["error"] for steps in (1, 60)
    )
    assert (long < short / 2).all()
    again = score_rates.by_networks([8], [0], steps=60, N=64)["error"]
    assert again.tolist() == long.tolist()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: score_rates.on_curves([(4, 8)], [0], training_sets=0), "training_sets"),
        (lambda: score_rates.on_curves([(0, 8)], [0]), "D"),
        (lambda: score_rates.on_gaussians([(4, 0)], [0]), "N"),
        (lambda: score_rates.on_thick_curves([7], [0.1], [0]), "D"),
        (lambda: score_rates.by_networks([8], [0], optimisers=["LBFGS"]), "optimiser"),
        (lambda: score_rates.by_networks([8], [0], steps=0), "steps"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()
