"""Forward and backward: the Gaussian whose survival is known, scales, widths, wrong variants."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from factories import EXACT, SCHEDULES, complains, normal, rng

from molrg import sampling, stats
from molrg.mixture import MoLRG
from molrg.studies.forward_backward import (
    chance_corrected,
    intraclass_correlation,
    mean_pairwise_similarity,
    pairwise_agreement,
    run,
    similarity,
    truncated_grid,
    width,
)

LEVELS = (0.3, 1.0, 3.0)


class Recorder:
    """A denoiser that remembers when it was asked, and answers zero."""

    def __init__(self, schedule):
        self.schedule, self.asked = schedule, []

    def __call__(self, x_t, t):
        self.asked.append(float(t))
        return torch.zeros_like(x_t)


def plane(n=3, d=2):
    """One subspace: a Gaussian with unit variance along it."""
    mixture = MoLRG.random(n, [d], generator=rng())
    return mixture, mixture.denoiser(SCHEDULES["VP"])


def survival(x0, x):
    return ((x0 * x).sum() / (x0.square().sum() * x.square().sum()).sqrt()).item()


@pytest.mark.parametrize("sigma", LEVELS)
def test_a_gaussian_survives_as_it_must(sigma):
    """Correlation 1/(1 + sigma^2), with a standard error below 0.012; 400 steps bias it by 0.02.

    They keep 0.95 of the variance.
    """
    mixture, denoiser = plane()
    x0, _ = mixture.sample(4000, generator=rng(1))
    t = float(denoiser.schedule.t_of_sigma(sigma))
    x = run(denoiser, x0, t, steps=400, generator=rng(2))
    assert abs(survival(x0, x) - 1 / (1 + sigma**2)) < 0.06
    assert abs(x.square().sum(-1).mean().item() - 2) < 0.2, "the law is unchanged"


def test_denoising_without_chance_is_told_apart():
    mixture, denoiser = plane()
    x0, _ = mixture.sample(500, generator=rng(1))
    t = float(denoiser.schedule.t_of_sigma(1.0))
    s, gamma = denoiser.schedule.at(t, x0)
    x_t = s * x0 + gamma * normal(*x0.shape, seed=2)
    certain = sampling.finish(
        sampling.ddim(denoiser, x_t, truncated_grid(denoiser.schedule, t, steps=50))
    )
    assert survival(x0, certain) > 0.5 + 0.12


def test_the_yardstick_is_a_sigmoid_of_width_one_half():
    u = np.linspace(-4, 4, 33)
    for variance in (0.1, 1.0, 7.0):
        found = stats.fit_transition(
            u, variance / (variance + np.exp(2 * u)), falls=True, log2=False
        )
        assert abs(found.width + 0.5) < 1e-6
        assert abs(found.centre - 0.5 * math.log(variance)) < 1e-6
    assert width(u, [v / (v + np.exp(2 * u)) for v in (0.2, 5.0)]) == pytest.approx(
        [0.5, 0.5], abs=1e-6
    )
    spectrum = np.array([0.1, 10.0])[:, None]
    assert width(u, (spectrum / (spectrum + np.exp(2 * u))).mean(0))[0] > 0.8, (
        "a mixture of scales is wider"
    )


def test_all_starts_share_their_way():
    schedule = SCHEDULES["DDPM"]
    whole = truncated_grid(schedule, 1.0, steps=12)
    for t in (0.3, 0.55, 0.9):
        recorder = Recorder(schedule)
        run(recorder, normal(2, 4), t, steps=12, generator=rng())
        assert recorder.asked == [t, *whole[(whole < t) & (whole > 0)].tolist()]
    assert truncated_grid(schedule, 0.5, steps=12)[-1] == 0.0


def test_both_noises_come_from_the_generator():
    mixture, denoiser = plane()
    x0, _ = mixture.sample(5, generator=rng(1))
    a, b, c = (run(denoiser, x0, 0.5, generator=rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_similarity_is_a_cosine_and_unrelated_is_over_all_other_pairs():
    features, centre = normal(7, 2, 3), normal(2, 3, seed=1)
    flat = (features - centre).flatten(1)
    cosines = torch.corrcoef(
        torch.cat([flat, -flat], 1)
    )  # rows without a mean: correlation is the cosine
    assert torch.allclose(
        similarity(features[:3], features[3:6], centre=centre), cosines.diagonal(3)[:3], atol=EXACT
    )
    off = cosines[~torch.eye(7, dtype=torch.bool)].mean().item()
    assert abs(mean_pairwise_similarity(features, centre=centre) - off) < EXACT
    assert similarity(features, features, centre=centre).tolist() == pytest.approx([1.0] * 7)
    assert mean_pairwise_similarity(features, centre=torch.zeros(2, 3)) != pytest.approx(
        off, abs=1e-3
    ), "the centre matters"


def test_same_class_counts_pairs():
    classes = torch.tensor([0, 0, 1, 2, 2, 2])
    pairs = [(a, b) for a in range(6) for b in range(6) if a != b]
    assert pairwise_agreement(classes) == pytest.approx(
        np.mean([bool(classes[a] == classes[b]) for a, b in pairs])
    )


def test_above_keeps_one_and_takes_chance_to_zero():
    assert chance_corrected([1.0, 0.1, 0.55], 0.1) == pytest.approx([1.0, 0.0, 0.5])
    assert chance_corrected(np.ones((2, 3)), [0.1, 0.2, 0.3]).shape == (2, 3)


def test_width_of_what_has_none_is_the_range():
    x = np.linspace(0.1, 0.9, 9)
    flat, late = np.zeros(9), np.where(x > 0.95, 0.0, 1.0)
    sharp = 1 / (1 + np.exp((x - 0.5) / 0.05))
    assert width(x, [flat, late, sharp]) == pytest.approx([0.8, 0.8, 0.05], abs=1e-6)
    step = np.where(x < 0.55, 1.0, 0.0)
    assert width(x, [step]) == pytest.approx([0.1 / 4]), "no narrower than the grid can tell"
    raised = 0.2 + 0.5 * sharp
    assert width(x, raised, levels=None) == pytest.approx(0.05, abs=1e-5)
    assert width(x, raised) != pytest.approx(0.05, abs=1e-2), "the levels matter"


def test_between_tells_images_from_chance():
    own = (torch.rand(3000, 1, generator=rng()) < 0.4).expand(-1, 4)
    assert intraclass_correlation(own) == pytest.approx(1.0)
    chance = torch.rand(3000, 4, generator=rng()) < 0.4
    assert abs(intraclass_correlation(chance)) < 0.05  # standard error 0.01
    assert intraclass_correlation(torch.ones(3, 2)) == 0.0
    half = torch.where(torch.rand(4000, 1, generator=rng(1)) < 0.5, 0.8, 0.2)
    drawn = torch.rand(4000, 4, generator=rng(2)) < half
    assert (
        abs(intraclass_correlation(drawn) - 0.36) < 0.06
    )  # variance of the shares, 0.09, over 0.25; standard error 0.011


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: truncated_grid(SCHEDULES["VP"], 0.0), "t"),
        (lambda: run(Recorder(SCHEDULES["VP"]), normal(2, 3), 1.5, generator=rng()), "t"),
        (
            lambda: run(
                Recorder(SCHEDULES["VP"]), normal(2, 3) * float("nan"), 0.5, generator=rng()
            ),
            "x0",
        ),
        (lambda: similarity(normal(2, 3), normal(3, 3), centre=normal(3)), "b.shape"),
        (lambda: similarity(normal(2, 3), normal(2, 3), centre=normal(4)), "a.shape"),
        (lambda: mean_pairwise_similarity(normal(1, 3), centre=normal(3)), "len(features)"),
        (lambda: pairwise_agreement(normal(4)), "classes"),
        (lambda: pairwise_agreement(torch.tensor([True, False])), "classes"),
        (lambda: pairwise_agreement(torch.tensor([0, -1])), "classes"),
        (lambda: intraclass_correlation(torch.full((3, 2), 0.5)), "outcomes"),
        (lambda: chance_corrected([0.5], 1.0), "chance"),
        (lambda: width([0.1, 0.2, 0.2], [1.0, 0.5, 0.0]), "x"),
        (lambda: intraclass_correlation(torch.ones(3, 1)), "outcomes.shape"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()


def test_the_old_address_knows_the_old_names():
    with pytest.warns(DeprecationWarning, match="has moved"):
        old = importlib.reload(importlib.import_module("molrg.forward_backward"))
    assert old.run is run
    assert old.between is intraclass_correlation
    assert old.above is chance_corrected
