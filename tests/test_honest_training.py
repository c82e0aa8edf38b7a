"""Clustering by training: a row for each start, and objectives against a known optimum."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from factories import EXACT

from molrg.studies import honest_training
from molrg.subspaces import energies, pca

EASY = honest_training.Problem(n=6, K=2, d=1, N_k=12)
SINGLE = honest_training.Problem(n=6, K=1, d=2, N_k=9)
SHARED = {"starts": 3, "steps": 150, "start_seed": 0}


def test_points_lie_in_as_many_dimensions_as_they_should():
    problem = honest_training.Problem(n=9, K=2, d=2, N_k=30)
    x, labels = problem.draw(4)
    assert labels.bincount().tolist() == [30, 30]
    ranks = [int(torch.linalg.matrix_rank(part, tol=1e-8)) for part in (x, x[labels == 0])]
    assert ranks == [4, 2]


def test_isotropic_points_have_the_same_energy_and_no_subspaces():
    """False-fail rate below 1e-4: 600 sums of 9 squares, within five standard deviations."""
    problem = honest_training.Problem(n=9, K=2, d=2, N_k=300, structured=False)
    x, _ = problem.draw(4)
    values = torch.linalg.svdvals(x).square() / len(x)
    assert abs(float(values.sum()) - 2) < 5 * 2 * (2 / (9 * 600)) ** 0.5
    assert values.max() / values.min() < 2


def test_with_one_subspace_every_method_reaches_pca():
    captured = {seed: float(energies(x, [pca(x, 2)]).mean()) for seed, x in _points(SINGLE, (0, 1))}
    alternated = honest_training.by_alternation(SINGLE, [0, 1], starts=2)
    ascended = honest_training.by_ascent(SINGLE, [0, 1], **SHARED)
    for table, slack in ((alternated, EXACT), (ascended, 1e-3)):
        wanted = table.seed.map(captured)
        assert ((table.objective + wanted).abs() < slack).all()
        assert (table.accuracy == 1).all()


def _points(problem, seeds):
    return [(seed, problem.draw(seed)[0]) for seed in seeds]


def test_every_method_separates_two_orthogonal_lines():
    trained = honest_training.by_training(EASY, [0, 1], **SHARED)
    assert list(trained.seed) == [0, 0, 0, 1, 1, 1]
    assert list(trained.start) == [0, 1, 2] * 2
    for table in (
        trained,
        honest_training.by_training(EASY, [0, 1], assign_on="x0", **SHARED),
        honest_training.by_alternation(EASY, [0, 1], starts=12),
        honest_training.by_ascent(EASY, [0, 1], starts=12, steps=150, start_seed=0),
    ):
        assert (honest_training.chosen(table) == 1).all()
    assert (honest_training.by_spectrum(EASY, [0, 1]) == 1).all()


def test_ranges_are_trained_one_after_the_other():
    """The second range is trained, too, and does no harm."""
    once, twice = (
        honest_training.by_training(EASY, [0], starts=4, steps=steps, start_seed=0, ranges=ranges)
        for steps, ranges in ((100, [(0.1, 1.0)]), (200, [(0.1, 1.0), (0.1, 0.1)]))
    )
    assert (twice.objective < once.objective + 1e-3).all()
    assert (twice.objective != once.objective).any()


def test_the_start_is_chosen_by_the_objective_and_not_by_accuracy():
    table = pd.DataFrame(
        {
            "seed": [7, 7, 9, 9],
            "start": [0, 1, 0, 1],
            "accuracy": [1.0, 0.5, 0.6, 0.96],
            "objective": [3.0, 2.0, 1.0, 5.0],
        }
    )
    assert honest_training.chosen(table).to_dict() == {7: 0.5, 9: 0.6}
    assert honest_training.worst(table).to_dict() == {7: 1.0, 9: 0.96}
    assert honest_training.success_rates(table).to_dict() == {7: 0.5, 9: 0.5}


def test_a_data_set_of_alternation_does_not_depend_on_those_beside_it():
    both = honest_training.by_alternation(EASY, [0, 5], starts=2)
    alone = honest_training.by_alternation(EASY, [5], starts=2)
    assert both[both.seed == 5].objective.tolist() == pytest.approx(alone.objective.tolist())
