"""The study of dimension from a denoiser: closed forms, groups of images, what a control does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from factories import complains, normal, rng

from molrg import MoLRG, denoisers, schedules
from molrg.studies import denoiser_dimension as study

EDM = schedules.EDM()


def subspace(noise=0.0):
    return MoLRG.random(64, [3], noise=noise, generator=rng())


def test_reading_of_a_subspace_has_error_and_trace_at_its_dimension():
    law = subspace()
    x0, _ = law.sample(500, generator=rng(1))
    table = study.read(law.denoiser(EDM), x0, (0.01, 0.05), seed=0, repeats=4)
    closed = 3 / (1 + np.array([0.01, 0.05]) ** 2)
    assert np.allclose(table["trace"], closed, rtol=1e-9)
    assert np.allclose(table["error"], closed, rtol=0.06)  # 2,000 draws: 1.8 %
    assert np.allclose(table["ratio"], table["error"] / table["trace"])


def test_exact_mixtures_have_their_dimension_and_seeds_are_repeatable():
    table = study.mixtures([0, 1], (2, 3), (0.05,), n=16, K=2, N=3000)
    assert list(table["d"]) == [2, 3, 2, 3]
    assert np.allclose(table["error"] / table["d"], 1, atol=0.08)  # 4 errors of sqrt(2 / (2 N))
    assert np.allclose(table["trace"] / table["d"], 1, atol=0.05)
    pd.testing.assert_frame_equal(table, study.mixtures([0, 1], (2, 3), (0.05,), n=16, K=2, N=3000))


def test_groups_of_a_network_are_disjoint_and_their_number_is_checked():
    pictures = normal(12, 1, 8, 8)
    groups = study._groups(pictures, [3, 4, 5], 4)
    rows = torch.cat([x for _, x in groups]).flatten(1)
    assert len(torch.unique(rows, dim=0)) == 12
    with complains("N"):
        study._groups(pictures, [3, 4, 5], 5)


def test_a_denoiser_of_other_data_breaks_the_identity_and_the_right_one_keeps_it():
    law = subspace(0.1)
    x0 = law.sample(200, generator=rng(1))[0].reshape(-1, 1, 8, 8)
    right = law.denoiser(EDM)
    wrong = MoLRG.random(64, [3], noise=0.1, generator=rng(9)).denoiser(EDM)
    settings = {"seeds": [0, 1], "sigmas": (0.5,), "N": 100}
    kept = study.network(right, x0, **settings, probes=8)
    broken = study.network(wrong, x0, **settings, probes=8)
    assert np.allclose(kept["ratio"], 1, atol=0.2)
    assert (broken["ratio"] > 1.3).all()


def test_a_flat_picture_has_fewer_bytes_than_a_detailed_one():
    flat, detailed = torch.zeros(1, 28, 28), normal(1, 28, 28)
    assert 0 < study.png_bytes(flat) < study.png_bytes(detailed) / 2


def test_traces_that_follow_the_detail_are_ranked_with_it():
    """An exact denoiser of flat and of detailed pictures tells them apart."""
    detailed = MoLRG.random(64, [40], generator=rng())
    plain = torch.linspace(-0.5, 0.5, 20, device="cpu").double()[:, None].expand(20, 64)
    x0 = torch.cat([plain, 0.3 * detailed.sample(20, generator=rng(1))[0]]).reshape(-1, 1, 8, 8)
    covariances = torch.stack(
        [torch.ones(64, 64).double() / 8, 0.09 * detailed.bases[0] @ detailed.bases[0].T]
    )
    denoiser = denoisers.LinearMixture([0.5, 0.5], torch.zeros(2, 64).double(), covariances, EDM)
    table = study.rankings(denoiser, x0, [0], N=40, probes=16)
    assert table["trace"].item() > 0.6
    assert table["flipd"].item() > 0.6


def test_traces_of_one_gaussian_are_those_of_its_denoiser():
    x = normal(300, 5) @ torch.diag(torch.tensor([3.0, 1.0, 0.5, 0.1, 0.01]).double())
    denoiser = denoisers.Gaussian(x, EDM)
    table = study.read(denoiser, x[:2], (0.1, 1.0), seed=0)
    assert np.allclose(study.spectrum_traces(x, (0.1, 1.0)), table["trace"], rtol=1e-9)
    # three points span two directions, of a variance with a divisor of three
    few = normal(3, 5)
    variances = np.linalg.eigvalsh(np.cov(few.T.numpy(), bias=True))[-2:]
    expected = (variances / (variances + 0.25)).sum()
    assert np.allclose(study.spectrum_traces(few, (0.5,)), expected, rtol=1e-9)


def test_exact_faces_have_seven_dimensions_at_low_noise():
    table = study.exact_faces([0], (0.05,), N=4, probes=24)
    # one point: sqrt(2 * 7 / 24) = 0.76, four points 0.38; four standard errors
    assert table["trace"].item() == pytest.approx(study.FACES_DIMENSION, abs=1.6)


def test_the_furthest_reading_is_taken_up_to_a_noise_level_for_each_seed():
    table = pd.DataFrame(
        {"seed": [2, 2, 2, 1], "sigma": [0.1, 0.5, 1.0, 0.1], "trace": [7.0, 14.0, 70.0, 3.5]}
    )
    assert study.furthest(table, "trace", 7, 0.5) == [1.0, 0.5]
    table["sigma"] = table["sigma"].replace({1.0: 1.01 * 0.5})  # to one per cent: counts, too
    assert study.furthest(table, "trace", 7, 0.5) == [9.0, 0.5]
