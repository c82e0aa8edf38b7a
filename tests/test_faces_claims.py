"""What C24 and C25 measure on faces: thresholds seed by seed, edits with names."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from factories import complains, rng
from scipy import integrate
from scipy.special import expit
from scipy.stats import norm

from molrg import denoisers, schedules
from molrg.images import faces
from molrg.studies import faces_forgotten, faces_thresholds, named_edits

DDPM = schedules.DDPM()
ATTRIBUTES = list(faces.ATTRIBUTES)


@pytest.fixture(scope="module")
def exact():
    return faces.mixture(noise=0.0).denoiser(DDPM)


# thresholds


def test_a_threshold_is_where_a_sigmoid_passes_one_half_and_else_an_end_of_the_range():
    x = np.log(faces_forgotten.LEVELS)
    curve = expit((math.log(2.3) - x) / 0.4)
    assert faces_forgotten.threshold(curve) == pytest.approx(2.3, rel=1e-4)
    assert faces_forgotten.threshold(np.zeros(len(x))) == pytest.approx(0.35)
    assert faces_forgotten.threshold(np.ones(len(x))) == pytest.approx(16)


def test_curves_and_thresholds_keep_seeds_and_attributes_apart():
    x = np.log(faces_forgotten.LEVELS)
    centres = {0: (5.0, 2.5, 1.5, 1.4), 1: (4.0, 2.0, 1.2, 1.3)}
    rows = [[expit((math.log(c) - x) / 0.3) for c in centres[seed]] for seed in centres]
    table = pd.DataFrame({"seed": list(centres), "exact": rows})
    found = faces_forgotten.thresholds(table, "exact")
    assert np.allclose(found.to_numpy(), list(centres.values()), rtol=1e-3)
    assert list(found.columns) == ATTRIBUTES
    pooled = faces_forgotten.pooled(table, "exact", draws=5)
    assert 4.0 < math.exp(pooled["hair"].centre) < 5.0


def test_two_equidistant_points_are_told_apart_as_the_integral_says():
    """The log-odds of the true one are normal with mean z^2 / 2 and variance z^2, z = 1 / sigma."""
    for sigma in (0.4, 1.0):
        z = 1 / sigma
        law = norm(z**2 / 2, z)
        mean, _ = integrate.quad(lambda u, law=law: expit(u) * law.pdf(u), -30, 30)
        (kept,) = faces_forgotten.equidistant(2, [sigma], points=20_000)
        assert abs(kept - (2 * mean - 1)) < 4.5 * 2 * 0.5 / math.sqrt(20_000)
    with complains("values"):
        faces_forgotten.equidistant(1, [1.0], points=10)


def test_what_came_back_is_kept_by_its_own_face_and_not_by_another():
    _, factors = faces.draw(40, generator=rng(3))
    read = {
        name: torch.tensor([values.index(v) for v in factors[name]])
        for name, values in faces.ATTRIBUTES.items()
    }
    own = faces_thresholds.kept_by({1.0: read}, factors)
    assert (own["score"] == 1).all()
    rolled = factors.iloc[np.roll(np.arange(40), 1)]
    other = faces_thresholds.kept_by({1.0: read}, rolled)
    assert other["score"].mean() < 0.3


def test_a_trial_has_every_curve_and_begins_at_certain():
    row = faces_forgotten.trial(0, model="faces", N=4, steps=3, weights=0.0)
    assert set(row) == set(faces_forgotten.CURVES)
    shape = (len(ATTRIBUTES), len(faces_forgotten.LEVELS))
    assert all(curve.shape == shape for curve in row.values())
    assert (row["exact"][0, :3] > 0.9).all()
    assert row["unrelated"].mean() < 0.6


def test_seeds_that_go_back_together_do_as_alone():
    cell = {"model": "faces", "N": 3, "steps": 2, "weights": 0.0}
    together = faces_forgotten.trial.batched([cell] * 2, [0, 1])
    for name, curve in faces_forgotten.trial(1, **cell).items():
        assert together[1][name] == pytest.approx(curve, abs=1e-6), name


def test_estimates_are_near_the_face_at_low_noise(exact):
    face, _ = faces.draw(1, generator=rng(4))
    noisy, estimate = faces_forgotten.estimates([exact], face, (0.02, 5.0), DDPM)
    assert noisy.shape == estimate.shape == (2, 3, 32, 32)
    assert (estimate[0] - face).square().mean() < 1e-4
    assert (estimate[1] - face).square().mean() > 1e-3


# edits with names


class Linear:
    """A denoiser that multiplies each pixel by a number: effects of steps are known."""

    schedule = DDPM

    def __init__(self, gains):
        self.gains = gains

    def __call__(self, x_t, t):
        return x_t * self.gains


def test_matched_lengths_have_the_same_effect():
    gains = torch.rand(3, 32, 32, generator=rng(5)) + 0.1
    V, smooth = (torch.randn(4, 3, 32, 32, generator=rng(seed)) for seed in (6, 7))
    smooth = smooth / smooth.flatten(1).norm(dim=1)[:, None, None, None]
    lengths = named_edits.matched_lengths(
        Linear(gains), torch.zeros(1, 3, 32, 32), 0.3, V, smooth, 2.0
    )
    effects = (lengths * smooth * gains).flatten(1).norm(dim=1)
    wanted = (2.0 * V * gains).flatten(1).norm(dim=1).square().mean().sqrt()
    assert torch.allclose(effects, wanted.expand(4), rtol=1e-4)


def test_a_step_along_the_tangent_of_an_attribute_is_given_its_name(exact):
    """The oracle: on the exact law steps along columns of colours move these colours."""
    picture, factors = faces.draw(1, generator=rng(8))
    tangents = faces.tangents(factors)[0].mT.unflatten(1, (3, 32, 32))
    chosen = [list(faces.COLOURS).index(name) for name in ("skin", "shirt_red")]
    shifts = 2.5 * tangents[chosen]
    t = DDPM.t_of_sigma(0.1).item()
    found = named_edits.outcome(exact, DDPM.at(t, picture)[0] * picture, t, shifts)
    assert found["names"] == found["confirmed"] == ["skin", "shirt colour"] * 2
    assert found["flips"] == [0] * 4
    assert all(0.3 < share <= 1 for share in found["purity"])


def test_accuracies_and_counts_are_those_of_the_rows():
    table = pd.DataFrame(
        {
            "names": [["skin", "hair"], ["skin", "skin"]],
            "confirmed": [["skin", "hair"], ["skin", "eyes"]],
        }
    )
    assert named_edits.accuracies(table, "names") == [1.0, 0.5]
    assert named_edits.counted(table).to_dict() == {"skin": 2, "hair": 1, "eyes": 1}


def test_gaussian_directions_of_faces_lie_in_the_principal_ones():
    """Principal directions, as the study takes them, are those that one Gaussian would give."""
    reference = faces.draw(500, size=16, pose=True, generator=rng(9))[0]
    gaussian = denoisers.Gaussian(reference, DDPM)
    right = named_edits.named_directions.leading(gaussian, reference[:1], 0.3, 3)
    span = named_edits.editing.principal(reference, 10).flatten(1).mT
    assert named_edits.named_directions.share(right, span).item() > 0.99


def test_spans_are_compared_with_the_faces_own_tangents(monkeypatch):
    """Directions that are the tangents of a face, or the principal ones, have a share of one."""
    face, factors = faces.draw(2, pose=True, generator=rng(9))
    own = faces.tangents(factors)[0]
    smooth = named_edits.reference()[: named_edits.K]
    network = Linear(1.0)

    def spans(directions):
        basis = torch.linalg.qr(directions).Q[None]
        monkeypatch.setattr(named_edits.named_directions, "leading", lambda *_: basis)
        return named_edits._spans(network, face[:1], factors, smooth, seed=0)

    along = spans(own)
    assert along["own"] == pytest.approx(1, abs=1e-5)
    assert max(along["other"], along["principal"]) < 0.95
    principal = named_edits.editing.principal(named_edits.reference(), named_edits.K)
    assert spans(principal.flatten(1).mT)["principal"] == pytest.approx(1, abs=1e-5)


def test_a_trial_compares_spans_and_names_before_with_after(monkeypatch):
    """Small: the exact law of a few kinds in place of a network, without pose."""
    exact = faces.mixture(kinds=[0, 100], noise=0.1).denoiser(DDPM)
    monkeypatch.setattr(named_edits, "STEPS", 2)
    monkeypatch.setattr(named_edits.editing_setting, "network", lambda model: exact)
    monkeypatch.setattr(named_edits, "K", 3)
    row = named_edits.trial(0, "exact", alpha=2.0, weights=0.0)
    assert len(row["names"]) == len(row["confirmed"]) == len(row["smooth_names"]) == 6
    assert sorted(row["shuffled"]) == sorted(row["names"])
    shares = [row[name] for name in ("own", "other", "principal", "smooth", "smooth_other")]
    assert all(0 <= share <= 1 for share in shares)
    assert row["error"] >= 0
