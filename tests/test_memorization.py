"""Memorisation: scores against closed forms, the law of fresh samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from factories import EXACT, complains, general, normal, rng, worst
from scipy.spatial import cKDTree

from molrg import MoLRG, memorization, sampling
from molrg.denoisers import Empirical
from molrg.schedules import VP

# distances: oracle and invariance


def test_nearest_is_that_of_a_tree():
    x, data = normal(40, 5), normal(60, 5, seed=1)
    found = memorization.nearest(x, data, 3)
    assert worst(found, torch.from_numpy(cKDTree(data.numpy()).query(x.numpy(), 3)[0])) < EXACT


def test_distances_do_not_depend_on_the_shape_of_events_nor_on_a_rotation():
    x, data = normal(7, 12), normal(9, 12, seed=1)
    Q = torch.linalg.qr(normal(12, 12, seed=2)).Q
    plain = memorization.nearest(x, data)
    assert worst(memorization.nearest(x.reshape(7, 3, 2, 2), data.reshape(9, 3, 2, 2)), plain) == 0
    assert worst(memorization.nearest(x @ Q, data @ Q), plain) < EXACT


def test_the_blocks_do_not_matter(monkeypatch):
    x, data = normal(50, 4), normal(2**12, 4, seed=1)
    whole = memorization.nearest(x, data)
    big = (
        data.repeat(200, 1)
        + 100 * torch.arange(200, dtype=data.dtype).repeat_interleave(2**12)[:, None]
    )
    assert 2**24 // len(big) < 50, "several blocks"
    assert worst(memorization.nearest(x, big), whole) < EXACT


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_single_precision_neither_overflows_nor_underflows(scale):
    x, data = normal(7, 5, dtype=torch.float32), normal(9, 5, seed=1, dtype=torch.float32)
    found = memorization.nearest(scale * x, scale * data)
    assert torch.allclose(found / scale, memorization.nearest(x, data), rtol=1e-5)
    assert (
        worst(
            memorization.copy_ratio(2.0**100 * x, 2.0**100 * data), memorization.copy_ratio(x, data)
        )
        == 0
    ), "powers of two change no bit"
    with complains("x, data"):
        memorization.nearest(1e38 * x, data)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    x, data = normal(7, 5).to(dtype), normal(9, 5, seed=1).to(dtype)
    assert worst(memorization.nearest(x, data), memorization.nearest(x.float(), data.float())) == 0
    assert (memorization.nearest(data, data)[:, 0] == 0).all()


@pytest.mark.gpu
def test_scores_on_a_gpu_are_those_on_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA here")
    x, own, other = normal(40, 3), normal(30, 3, seed=1), normal(30, 3, seed=2)
    moved = memorization.scores(x.cuda(), own.cuda(), other.cuda(), cs=[0.5])
    assert moved == pytest.approx(memorization.scores(x, own, other, cs=[0.5]))
    pair = memorization.halves(own.cuda(), 10, generator=rng(1))
    assert worst(pair[0].cpu(), memorization.halves(own, 10, generator=rng(1))[0]) == 0


@pytest.mark.parametrize("offset", [1e7, -1e9])
def test_points_far_from_the_origin_score_the_same(offset):
    x, own, other = normal(40, 3), normal(30, 3, seed=1), normal(30, 3, seed=2)
    plain = memorization.scores(x, own, other, cs=[0.5])
    moved = memorization.scores(x + offset, own + offset, other + offset, cs=[0.5])
    assert moved["ratio"] == pytest.approx(plain["ratio"], rel=1e-5)
    assert (moved["memorised"], moved["gl"]) == (plain["memorised"], plain["gl"])
    near, far = (memorization.agreement(x[:30] + c, own + c) for c in (0.0, offset))
    assert far == pytest.approx(near, rel=1e-5, abs=1e-5)


def test_samples_that_are_all_one_are_named():
    same = torch.ones(5, 3)
    with complains("b"):
        memorization.agreement(same, same)
    assert memorization.copy_ratio(same, same).tolist() == [1.0] * 5
    assert memorization.distance_ratio(same, same, same).tolist() == [1.0] * 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_copy_has_distance_zero_and_is_memorised(dtype):
    data = 1e3 + normal(
        30, 6, dtype=dtype
    )  # far from the origin, where expanded squares would cancel
    assert (memorization.nearest(data, data)[:, 0] == 0).all()
    assert memorization.memorised(data, data, c=1e-6).all()
    assert memorization.generalisation_score(data, data) == 0
    assert memorization.copy_ratio(data, data).dtype == dtype


def test_a_point_half_way_is_not_memorised_and_the_threshold_is_where_it_is():
    data = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    x = torch.tensor([[0.99, 0.0], [1.01, 0.0], [2.0, 0.0]])  # ratios 0.99/3.01, 1.01/2.99, 1
    assert memorization.memorised(x, data).tolist() == [True, False, False]
    assert memorization.memorised(x, data, c=0.35).tolist() == [True, True, False]


def test_duplicates_hide_a_copy():
    data = torch.tensor([[0.0], [0.0], [1.0]])
    assert memorization.copy_ratio(torch.tensor([[0.0], [1.0]]), data).tolist() == [1, 0]


@pytest.mark.parametrize("d", [1, 2, 4])
def test_fresh_samples_look_memorised_with_probability_c_to_the_d(d):
    """Ours: TwoNN's law. Five standard errors for chance, 8 % for the density that varies."""
    model = MoLRG.random(24, [d] * 2, generator=rng(1))
    x, data = (model.sample(4000, generator=rng(seed))[0] for seed in (2, 3))
    for c in (0.25, 0.5, 0.75):
        share = memorization.memorised(x, data, c=c).double().mean().item()
        assert abs(share - c**d) < 5 * math.sqrt(c**d * (1 - c**d) / 4000) + 0.08 * c**d


def test_the_exact_denoiser_generalises_and_the_empirical_one_copies():
    """Samples of the two denoisers of one training set, from the same noise: c^d against 1."""
    d = 3
    model = MoLRG.random(12, [d] * 2, generator=rng(1))
    own, other = memorization.halves(model.sample(600, generator=rng(2))[0], 300, generator=rng(3))
    times = sampling.time_grid(VP(), 60)
    x_T = sampling.prior((400, 12), VP(), generator=rng(4))
    exact, empirical = (
        sampling.finish(sampling.heun(f, x_T, times))
        for f in (model.denoiser(VP()), Empirical(own, VP()))
    )
    share = memorization.memorised(exact, own).double().mean().item()
    assert (
        abs(share - 3.0**-d) < 5 * math.sqrt(3.0**-d / 400) + 0.1 * 3.0**-d
    )  # five standard errors
    assert memorization.memorised(empirical, own).double().mean() > 0.98
    assert memorization.distance_ratio(exact, own, other).median() > 0.9
    assert memorization.distance_ratio(empirical, own, other).median() < 0.1
    assert memorization.generalisation_score(exact, own, bases=model.bases) > 0.9
    assert memorization.generalisation_score(empirical, own, bases=model.bases) < 0.02


def test_the_distance_ratio_of_fresh_samples_is_symmetric():
    """The halves are exchangeable, so log ratios have mean zero: five standard errors."""
    own, other = memorization.halves(normal(800, 4), 400, generator=rng(1))
    x = normal(2000, 4, seed=5)
    logs = memorization.distance_ratio(x, own, other).log()
    assert abs(logs.mean()) < 5 * logs.std() / math.sqrt(
        200
    )  # about 200 independent: points share neighbours
    assert worst(memorization.distance_ratio(x, other, own).log(), -logs) < EXACT
    assert memorization.distance_ratio(own, own, other).max() == 0
    assert memorization.distance_ratio(own[:1], own[:1], own[:1]).item() == 1


def test_halves_are_disjoint_and_nested():
    data = torch.arange(40.0)[:, None]
    a, b = memorization.halves(data, 20, generator=rng(0))
    assert set(a.flatten().tolist()) | set(b.flatten().tolist()) == set(range(40))
    small = memorization.halves(data, 5, generator=rng(0))
    assert torch.equal(small[0], a[:5])
    assert torch.equal(small[1], b[:5])


def test_off_subspace_is_the_sine_of_the_angle_to_the_nearest():
    bases = [torch.eye(4, dtype=torch.float64)[:, :1], torch.eye(4, dtype=torch.float64)[:, 1:3]]
    x = torch.tensor(
        [[2.0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 3]], dtype=torch.float64
    )
    assert (
        worst(
            memorization.off_subspace(x, bases),
            torch.tensor([0, 0, 0.5**0.5, 1], dtype=torch.float64),
        )
        < EXACT
    )


def test_gl_wants_both_novelty_and_the_subspace():
    model = general(20, (2, 3))  # its bases only: a residual is relative to the origin
    centred = MoLRG(model.bases)
    data, fresh = (centred.sample(200, generator=rng(s))[0] for s in (1, 2))
    noise = normal(200, 20, seed=3)
    assert memorization.generalisation_score(noise, data) > 0.99
    assert memorization.generalisation_score(noise, data, bases=centred.bases) < 0.05
    assert memorization.generalisation_score(fresh, data, bases=centred.bases) > 0.7
    scores = [memorization.generalisation_score(fresh, data, c=c) for c in (0.1, 0.3, 0.6, 0.9)]
    assert scores == sorted(scores, reverse=True), "a larger c calls more samples copies"


def test_scores_are_the_three_of_them():
    x, own, other = normal(50, 2), normal(9, 2, seed=1), normal(9, 2, seed=2)
    found = memorization.scores(x, own, other, c=0.5, cs=[0.2, 0.5])
    assert found["gl"] == [memorization.generalisation_score(x, own, c=c) for c in (0.2, 0.5)]
    assert abs(found["memorised"] + found["gl"][1] - 1) < EXACT
    assert abs(found["ratio"] - memorization.distance_ratio(x, own, other).mean().item()) < EXACT


# agreement


def test_agreement_of_the_same_opposite_and_unrelated_samples():
    a, b = normal(500, 30), normal(500, 30, seed=1)
    zero = torch.zeros(30, dtype=torch.float64)
    same, opposite, unrelated = (
        memorization.agreement(a, other, centre=zero) for other in (a, -a, b)
    )
    assert abs(same.paired - 1) < EXACT
    assert same.distance < EXACT
    assert abs(opposite.paired + 1) < EXACT
    assert abs(unrelated.paired) < 5 / math.sqrt(500 * 30)
    assert abs(unrelated.distance - 1) < 0.1
    assert abs(unrelated.shuffled) < 0.02


def test_a_shared_mean_is_no_agreement():
    mean = 10 * normal(1, 30, seed=2)
    a, b = mean + normal(300, 30), mean + normal(300, 30, seed=1)
    assert abs(memorization.agreement(a, b).paired) < 0.05
    assert memorization.agreement(a, b, centre=torch.zeros(30)).paired > 0.9, (
        "what centring prevents"
    )


def test_shuffled_is_the_mean_over_all_other_pairs():
    a, b = normal(5, 3), normal(5, 3, seed=1)
    found = memorization.agreement(a, b, centre=torch.zeros(3, dtype=torch.float64))
    cosines = [
        torch.cosine_similarity(a[i], b[j], 0).item() for i in range(5) for j in range(5) if i != j
    ]
    assert abs(found.shuffled - np.mean(cosines)) < EXACT


def test_distance_is_of_squares_and_over_all_other_pairs():
    a, b = normal(5, 3), normal(5, 3, seed=1)
    squares = np.array([[(p - q).square().sum().item() for q in b] for p in a])
    others = squares[~np.eye(5, dtype=bool)].mean()
    expected = squares.diagonal().mean() / others
    assert memorization.agreement(a, b).distance == pytest.approx(expected)


# scales

NEAR = normal(3, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-25, 1e-15, 1e25])
def test_agreement_and_residuals_know_no_scale(dtype, scale):
    a = normal(20, 6, dtype=dtype)
    b = a + 0.01 * normal(20, 6, seed=1, dtype=dtype)
    tolerance = 1e3 * torch.finfo(dtype).eps
    for centre in (None, a[0] + 0.3):
        here = memorization.agreement(a, b, centre=centre)
        there = memorization.agreement(
            scale * a, scale * b, centre=None if centre is None else scale * centre
        )
        assert here.paired > 0.99 and there == pytest.approx(here, rel=tolerance, abs=tolerance)
    U = torch.eye(6, dtype=dtype)[:, :2]
    residuals = memorization.off_subspace(a, [U])
    assert residuals.min() > 0.2
    assert worst(memorization.off_subspace(scale * a, [U]), residuals) < tolerance
    assert memorization.generalisation_score(scale * a, scale * b, bases=[U]) == 0


def test_a_sample_at_the_centre_has_no_direction_and_one_near_it_has():
    a = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1e-14], [0.0, 0.0]], dtype=torch.float64)
    centre = torch.zeros(2, dtype=torch.float64)
    assert memorization.agreement(a, a, centre=centre).paired == pytest.approx(0.75)


def test_bases_of_another_precision_are_taken_in_that_of_the_points():
    U = torch.eye(6, dtype=torch.float64)[:, :2]
    x = normal(5, 6, dtype=torch.float32)
    measured = memorization.off_subspace(x, [U])
    assert measured.dtype == torch.float32
    assert torch.equal(measured, memorization.off_subspace(x, [U.float()]))
    assert memorization.off_subspace(x.bfloat16(), [U]).dtype == torch.float32


# bad input


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("N", lambda: memorization.halves(normal(9, 2), 5, generator=rng())),
        ("data.shape", lambda: memorization.memorised(normal(3, 2), normal(1, 2))),
        ("x", lambda: memorization.nearest(normal(3, 2), normal(4, 3))),
        ("x", lambda: memorization.nearest(normal(3, 2, dtype=torch.float32), normal(4, 2))),
        ("x", lambda: memorization.nearest(normal(3, 2) / 0, normal(4, 2))),
        ("c", lambda: memorization.memorised(normal(3, 2), normal(4, 2), c=0)),
        ("c", lambda: memorization.generalisation_score(normal(3, 2), normal(4, 2), c=1.5)),
        (
            "bases[0].shape",
            lambda: memorization.generalisation_score(
                normal(3, 2), normal(4, 2), bases=[torch.eye(3, dtype=torch.float64)[:, :1]]
            ),
        ),
        ("len(bases)", lambda: memorization.off_subspace(normal(3, 2), [])),
        ("b.shape", lambda: memorization.agreement(normal(3, 2), normal(4, 2))),
        ("centre", lambda: memorization.agreement(NEAR, NEAR, centre=NEAR[0] / 0)),
        ("centre.shape", lambda: memorization.agreement(NEAR, NEAR, centre=NEAR[0, :1])),
        ("a.shape", lambda: memorization.agreement(normal(1, 2), normal(1, 2))),
    ],
)
def test_bad_input_is_named(name, call):
    with complains(name):
        call()
