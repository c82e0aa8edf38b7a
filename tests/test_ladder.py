"""The ladder: problems, reading, judging, rungs as alone and together, and where a curve stays below a level."""

from __future__ import annotations

import pytest
import torch
from factories import complains

from molrg import stats, sweeps
from molrg.memorization import gl
from molrg.studies import ladder
from molrg.sweeps.fingerprints import fingerprint

D, N = 3, 24


def alone(denoiser, seed=0, d=D, N=N, points=256):
    told = ladder.problem(seed, d, N)
    return ladder.read(ladder.Beside([denoiser]), [told], [seed], points=points)


# oracle


def test_the_exact_denoiser_has_no_error_and_its_samples_lie_on_the_subspaces():
    found = ladder.reference(0, "bayes", D, N)
    assert found["errors"].max() == 0 and found["residual"] < 0.05


def test_twice_the_exact_denoiser_is_wrong_by_all_of_it():
    mixture, _ = ladder.problem(0, D, N)
    exact = mixture.denoiser(ladder.SCHEDULE)

    class Twice:
        schedule = ladder.SCHEDULE

        def __call__(self, x_t, t):
            return 2 * exact(x_t, t)

    errors, _ = alone(Twice())
    assert (errors - 1).abs().max() < 1e-5


@pytest.mark.parametrize("d", [2, 3, 6])
def test_a_perfect_denoiser_copies_as_often_as_fresh_points_do(d):
    """prop-calibration: c^d in the limit; 1024 samples, 3 seeds, 4.5 standard errors and 0.02 for finite N."""
    shares = torch.tensor(
        [
            [float(v) for v in ladder.reference(s, "bayes", d, 32 * d, points=2048)["memorised"]]
            for s in range(3)
        ]
    )
    law = torch.tensor([c**d for c in ladder.CS])
    assert ((shares.mean(0) - law).abs() < 4.5 * (law / 3072).sqrt() + 0.02).all()


def test_the_denoiser_of_the_training_set_copies_it():
    found = ladder.reference(0, "empirical", 6, 8 * 6)
    assert found["memorised"][2] > 0.99 and found["spread"] < 0.05


def test_judging_agrees_with_the_score_of_the_package():
    mixture, data = ladder.problem(1, D, N)
    x = ladder.fresh(mixture, 1, 200) + 0.05 * torch.randn(
        200, ladder.n, generator=torch.Generator().manual_seed(0)
    )
    found = ladder.judge(x, mixture, data, ladder.fresh(mixture, 1, 100))
    for row, c in zip(found["gl"], ladder.CS, strict=True):
        for value, most in zip(row, ladder.RESIDUALS, strict=True):
            assert float(value) == gl(x, data, c=c, bases=mixture.bases, residual=most)


def test_problems_have_equal_shares_and_one_mixture_for_all_sizes():
    (mixture, few), (same, many) = ladder.problem(3, 4, 5), ladder.problem(3, 4, 50)
    assert few.shape == (10, ladder.n) and many.shape == (100, ladder.n)
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
    for cell, seed, found in zip(cells, [0, 0, 1], together, strict=True):
        assert torch.allclose(ladder.train(seed=seed, **cell)["errors"], found["errors"], rtol=1e-3)


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
    found = ladder.unet(0, D, N, images=20 * 64, batch=64, lr=5e-3)
    assert found["errors"].shape == (3, 8) and found["samples"].shape == (3, 256, ladder.n)
    assert found["errors"][2].mean() < found["errors"][0].mean()


def test_rungs_can_be_kept_between_runs():
    assert fingerprint(ladder.train) and fingerprint(ladder.unet) and fingerprint(ladder.reference)
    table = sweeps.run(
        ladder.reference, [{"kind": "bayes", "d": 2, "N": 4, "points": 16}], seeds=[0, 1]
    )
    assert list(table.seed) == [0, 1] and len(table.errors[0]) == 8


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
    ("call", "told"),
    [
        (lambda: ladder.train(0, "linear", 8, 2, 4, 10), "kind"),
        (lambda: ladder.train(0, "mlp", 8, 2, 4, 9), "steps"),
        (lambda: ladder.reference(0, "exact", 2, 4), "kind"),
        (lambda: ladder.unet(0, 2, 4, 100, 64, 1e-3), "images"),
        (lambda: ladder.problem(0, 2, 0), "N"),
        (lambda: stats.crossing([2, 1], [0, 1], 0.5), "N"),
        (lambda: stats.crossing([1, 2], [0.0, float("nan")], 0.5), "N"),
    ],
)
def test_bad_input(call, told):
    with complains(told):
        call()
