"""The ladder: problems, measures, rungs alone and together, N* and its exponent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from factories import complains

from molrg import stats, sweeps
from molrg.denoisers import Stacked
from molrg.memorization import generalisation_score
from molrg.studies import ladder, ladder_measures as measures
from molrg.sweeps.fingerprints import fingerprint

D, N = 3, 24


def alone(denoiser, seed=0):
    task = measures.problem(seed, D, N)
    return measures.evaluate(Stacked([denoiser]), [task], [seed], points=256)


# oracle


def test_the_exact_denoiser_has_no_error_and_its_samples_lie_on_the_subspaces():
    row = ladder.reference(0, "bayes", D, N)
    assert row["errors"].max() == 0 and row["residual"] < 0.05


def test_twice_the_exact_denoiser_is_wrong_by_all_of_it():
    mixture, _ = measures.problem(0, D, N)
    exact = mixture.denoiser(measures.SCHEDULE)

    class Twice:
        schedule = measures.SCHEDULE

        def __call__(self, x_t, t):
            return 2 * exact(x_t, t)

    errors, _ = alone(Twice())
    assert (errors - 1).abs().max() < 1e-5


@pytest.mark.parametrize("d", [2, 3, 6])
def test_a_perfect_denoiser_copies_as_often_as_fresh_points_do(d):
    """prop-calibration: c^d in the limit; 3 seeds, 4.5 standard errors, and 0.02 for finite N."""
    shares = torch.tensor(
        [
            [float(v) for v in ladder.reference(s, "bayes", d, 32 * d, points=2048)["memorised"]]
            for s in range(3)
        ]
    )
    law = torch.tensor([c**d for c in measures.CS])
    assert ((shares.mean(0) - law).abs() < 4.5 * (law / 3072).sqrt() + 0.02).all()


def test_the_denoiser_of_the_training_set_copies_it():
    row = ladder.reference(0, "empirical", 6, 8 * 6)
    assert row["memorised"][2] > 0.99 and row["spread"] < 0.05


def test_the_scores_of_samples_agree_with_the_score_of_the_package():
    mixture, data = measures.problem(1, D, N)
    x = measures.fresh(mixture, 1, 200) + 0.05 * torch.randn(
        200, measures.n, generator=torch.Generator().manual_seed(0)
    )
    scores = measures.sample_scores(x, mixture, data, measures.fresh(mixture, 1, 100))
    for row, c in zip(scores["gl"], measures.CS, strict=True):
        for value, most in zip(row, measures.RESIDUALS, strict=True):
            score = generalisation_score(x, data, c=c, bases=mixture.bases, residual=most)
            assert float(value) == score


def test_problems_have_equal_shares_and_one_mixture_for_all_sizes():
    (mixture, few), (same, many) = measures.problem(3, 4, 5), measures.problem(3, 4, 50)
    assert few.shape == (10, measures.n) and many.shape == (100, measures.n)
    assert all(torch.equal(a, b) for a, b in zip(mixture.bases, same.bases, strict=True))
    assert [int((few @ basis).norm(dim=1).gt(1e-5).sum()) for basis in mixture.bases] == [5, 5]


# rungs


@pytest.mark.parametrize("kind", ["tied", "free", "mlp"])
def test_a_model_is_the_same_alone_and_in_company(kind):
    cells = [
        {"kind": kind, "width": 8, "d": d, "N": size, "steps": 10}
        for d, size in ((2, 2), (2, 6), (3, 4))
    ]
    together = ladder.train.batched(cells, [0, 0, 1])
    for cell, seed, row in zip(cells, [0, 0, 1], together, strict=True):
        assert torch.allclose(ladder.train(seed=seed, **cell)["errors"], row["errors"], rtol=1e-3)


def test_training_helps_and_too_few_points_do_not():
    cells = [
        {"kind": "tied", "width": 0, "d": 2, "N": size, "steps": steps}
        for size, steps in ((8, 10), (8, 200), (1, 200))
    ]
    untrained, trained, starved = (
        float(row["errors"].mean()) for row in ladder.train.batched(cells, [0, 0, 0])
    )
    assert trained < 0.01 < 0.1 < min(untrained, starved)


def test_a_unet_learns_something_in_twenty_steps():
    budget = {"images": 20 * 64, "batch": 64, "lr": 5e-3}
    row = ladder.unet(0, D, N, **budget)
    assert row["errors"].shape == (3, 8) and row["samples"].shape == (3, 256, measures.n)
    assert row["errors"][2].mean() < row["errors"][0].mean()

    cell = {"d": D, "N": N, "seed": 0} | budget
    scores = ladder.unet_scores(pd.DataFrame([cell | {k: v.tolist() for k, v in row.items()}]))
    assert list(scores.share) == list(ladder.SHARES)
    assert scores.error.tolist() == pytest.approx(row["errors"].mean(1).tolist(), abs=1e-4)


def test_rungs_can_be_kept_between_runs():
    assert fingerprint(ladder.train) and fingerprint(ladder.unet) and fingerprint(ladder.reference)
    table = sweeps.run(
        ladder.reference, [{"kind": "bayes", "d": 2, "N": 4, "points": 16}], seeds=[0, 1]
    )
    assert list(table.seed) == [0, 1] and len(table.errors[0]) == 8


# N* and its exponent


def test_arrivals_are_the_crossings_of_each_curve():
    """Curves 4 d / N reach one half at N = 8 d, whatever the seed."""
    grid = [(seed, d, N) for seed in (0, 1) for d in (2, 4) for N in (4, 16, 64)]
    table = pd.DataFrame(grid, columns=["seed", "d", "N"]).eval("error = 4 * d / N")
    log_table = table.assign(error=np.log(table.error))  # crossings are linear in log N
    arrived = measures.arrivals(log_table, np.log(0.5))
    assert np.allclose(arrived, [[16, 32], [16, 32]])
    assert np.allclose(measures.samples_per_dimension(arrived), 8)
    assert np.allclose(measures.exponent(arrived), 1)


# where a curve stays below a level


@pytest.mark.parametrize(
    ("values", "falls", "expected"),
    [
        ([1.0, 0.5, 0.0], True, 2.0),  # at a point
        ([0.9, 0.7, 0.1], True, 2 * 2 ** (1 / 3)),
        ([0.9, 0.1, 0.9], True, 4.0),  # came back: not reached
        ([0.1, 0.9, 0.1], True, 2 * 2**0.5),  # the last passage counts
        ([0.1, 0.1, 0.1], True, 1.0),
        ([0.0, 0.4, 0.6], False, 2 * 2**0.5),
    ],
)
def test_crossings_by_hand(values, falls, expected):
    assert stats.crossing([1, 2, 4], values, 0.5, falls=falls) == pytest.approx(expected)


# bad input


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: ladder.train(seed=0, kind="linear", width=8, d=2, N=4, steps=10), "kind"),
        (lambda: ladder.train(seed=0, kind="mlp", width=8, d=2, N=4, steps=9), "steps"),
        (lambda: ladder.reference(0, "exact", 2, 4), "kind"),
        (lambda: ladder.unet(0, 2, 4, 100, 64, 1e-3), "images"),
        (lambda: measures.problem(0, 2, 0), "N"),
        (lambda: stats.crossing([2, 1], [0, 1], 0.5), "N"),
        (lambda: stats.crossing([1, 2], [0.0, float("nan")], 0.5), "values"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()


def test_sets_of_unlike_length_take_the_rows_of_the_longest(monkeypatch):
    rows = []

    class Watched(ladder.Trainer):
        def __init__(self, denoiser, data, **settings):
            rows.append(data.shape[1])
            super().__init__(denoiser, data, **settings)

    monkeypatch.setattr(ladder, "Trainer", Watched)
    cells = [{"kind": "mlp", "width": 4, "d": D, "N": N, "steps": 10} for N in (7, 11, 13, 17, 19)]
    together = ladder._together(cells, range(5))
    assert rows == [2 * 19]
    assert torch.allclose(ladder.train(seed=0, **cells[0])["errors"], together[0]["errors"])
