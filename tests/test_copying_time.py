"""Time to copy: the law against its moments, courses that do not depend on company, first steps."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from factories import complains

from molrg import draws, images
from molrg.studies import copying_time as study
from molrg.studies.copying import SCHEDULE

TINY = {"width": 8, "steps": 20, "batch": 4, "rows": 4}


def test_the_law_has_the_mean_and_the_covariance_of_the_digits():
    pictures, _ = images.load("digits", "train")
    digits = pictures.flatten(1)
    x = study.points(40_000, study.law(), generator=draws.source(1))
    torch.testing.assert_close(x.mean(0), digits.mean(0), atol=0.03, rtol=0)
    torch.testing.assert_close(x.T.cov(), digits.T.cov(correction=0), atol=0.03, rtol=0)


def test_the_exact_denoiser_errs_less_than_any_shrunk_copy_of_it():
    mixture = study.law()
    x = study.points(2000, mixture, generator=draws.source(2))
    t = SCHEDULE.t_of_sigma(study.LEVEL)
    x_t = SCHEDULE.add_noise(x, t, draws.normal_like(x, generator=draws.source(3)))
    x0_hat, mean = mixture(x_t, t), mixture.weights @ mixture.means
    errors = [
        (mean + scale * (x0_hat - mean) - x).square().sum(-1).mean().item()
        for scale in (0.9, 1.0, 1.1)
    ]
    assert errors[1] < min(errors[0], errors[2])


def test_larger_sets_of_a_seed_have_keys_of_their_own():
    first, second = (
        study.points(4, study.law(), generator=draws.source(0, 7, N)) for N in (16, 32)
    )
    assert not torch.equal(first, second)


@pytest.mark.parametrize("steps", [1, 15, 100, 3000])
def test_looks_rise_to_the_last_step_by_no_more_than_their_ratio(steps):
    looks = study.looks(steps)
    assert looks[-1] == steps and looks == sorted(set(looks))
    later = np.array(looks[1:]) / np.array(looks[:-1])
    assert (later < study.RATIO * 1.1).all()


def test_courses_have_a_row_for_each_look_and_fresh_sets_only_one_share_of_copies():
    table = study.courses([0, 1], [2, 3, study.FRESH], **TINY)
    assert len(table) == 2 * 3 * len(study.looks(20))
    assert (table.error > 1).all()
    fresh = table[table.N == study.FRESH]
    assert (fresh.copies.notna() == (fresh.step == 20)).all()
    assert table[table.N > 0].copies.between(0, 1).all()


def test_a_course_is_the_same_alone_and_in_company():
    together = study.courses([0, 1], [2, 5], **TINY).query("seed == 1 and N == 2")
    alone = study.courses([1], [2], **TINY)
    assert together.error.tolist() == pytest.approx(alone.error.tolist(), rel=1e-4)


def test_a_killed_run_goes_on_from_its_store_and_gives_the_same_table(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "TOGETHER", 2)
    job = ([0, 1], [2, 5, study.FRESH])
    store = tmp_path / "courses.jsonl"
    whole = study.courses(*job, store=store, **TINY)
    kept = store.read_bytes().splitlines(keepends=True)
    assert len(kept) == 3  # a task for every two networks
    store.write_bytes(b"".join(kept[:2]) + kept[2][:100])  # the last one torn
    resumed = study.courses(*job, store=store, **TINY)
    assert store.read_bytes().splitlines(keepends=True)[:2] == kept[:2]  # not trained again
    pd.testing.assert_frame_equal(resumed, whole)
    pd.testing.assert_frame_equal(resumed, study.courses(*job, **TINY), rtol=1e-4)


def test_a_sample_beyond_the_range_of_numbers_is_no_copy():
    training = draws.normal((4, 3), generator=draws.source(4))
    samples = torch.stack([training[0], torch.full((3,), math.nan), torch.full((3,), 9.0)])
    assert study._share(samples, training) == pytest.approx(1 / 3)
    assert study._share(samples[1:2], training) == 0


def test_two_points_are_copied_in_the_end():
    table = study.courses([0], [2], width=32, steps=400, batch=8, rows=16)
    last = table[table.step == 400]
    assert last.copies.item() > 0.5


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.25, 0.75], math.sqrt(1000)), ([0.6, 0.0, 0.0], 1.0), ([0.1, 0.2, 0.3], math.nan)],
)
def test_the_first_step_at_a_level(values, expected):
    assert study.first([1, 10, 100], values, 0.5) == pytest.approx(expected, nan_ok=True)


def test_times_of_made_up_courses_and_their_slopes():
    mean, steps = study.error_of_mean(), np.array([10, 100, 1000])
    courses = []
    for N in (4, 16):
        error, copies = np.array([mean, 1.0, 1.0]), (steps >= 25 * N).astype(float)
        rows = {"seed": 3, "N": N, "step": steps, "error": error, "copies": copies}
        courses.append(pd.DataFrame(rows))
    moments = study.times(pd.concat(courses)).set_index("N")
    assert moments.quarter.tolist() == pytest.approx([10**1.25] * 2)
    assert moments.half.tolist() == pytest.approx([10**1.5] * 2)
    assert moments.best.tolist() == pytest.approx([10 ** (2 - 0.1 / (mean - 1))] * 2)
    assert moments["copy"].tolist() == pytest.approx([10**1.5, 10**2.5])
    found = study.slopes(moments.reset_index(), "copy")
    assert found == pytest.approx([1 / math.log10(4)])
    assert study.slopes(moments.reset_index(), "half") == pytest.approx([0.0], abs=1e-12)


def test_the_best_error_counts_from_a_tenth_above_it():
    course = {"seed": 0, "N": 2, "step": [10, 100, 1000], "error": [4.0, 2.0, 2.4], "copies": 0.0}
    moments = study.times(pd.DataFrame(course))
    assert moments.best.item() == pytest.approx(10**1.9)  # 2.2 is nine tenths of the way to 2
    assert math.isnan(moments["copy"].item())


def test_a_censored_time_does_not_count_and_one_time_gives_no_slope():
    moments = pd.DataFrame({"seed": [0, 0, 0, 1], "N": [2, 4, 8, 2], "copy": [1, 2, math.nan, 1]})
    slopes = study.slopes(moments, "copy")
    assert slopes[0] == pytest.approx(1.0) and math.isnan(slopes[1])


@pytest.mark.parametrize(
    ("sizes", "change", "name"),
    [
        ([1], {}, "sizes"),
        ([4], {"steps": 0}, "steps"),
        ([4], {"width": 0}, "width"),
        ([4], {"lr": 0.0}, "lr"),
    ],
)
def test_bad_input(sizes, change, name):
    with complains(name):
        study.courses([0], sizes, **TINY | change)
