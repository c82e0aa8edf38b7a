"""Distances of references to a denoiser: closed forms, and what must not change them."""

from __future__ import annotations

import pytest
import torch
from factories import complains, general, normal, rng

from molrg import MoLRG
from molrg.denoisers import Empirical, Gaussian
from molrg.schedules import EDM, Schedule
from molrg.studies import references


class Constant:
    """A denoiser that answers with one image."""

    def __init__(self, image: torch.Tensor, schedule: Schedule) -> None:
        self.image, self.schedule = image, schedule

    def __call__(self, x_t: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        return self.image.expand_as(x_t)


def setting() -> tuple[MoLRG, torch.Tensor, torch.Tensor]:
    law = general(n=6, noise=0.1)
    x = law.sample(40, generator=rng(1))[0].reshape(40, 1, 2, 3)
    return law, x, x.mean(0)


def test_oracle_of_constants():
    _, x, mean = setting()
    one = Constant(mean + 1, EDM())
    others = {"itself": one, "mean": Constant(mean, EDM()), "twice": Constant(mean + 3, EDM())}
    table = references.compare(one, others, {"data": x}, [0.5, 2.0], mean=mean)
    ratio = references.ratios(table).set_index(["reference", "sigma"])["distance"]
    assert ratio["itself", 0.5] == 0
    assert ratio["mean", 2.0] == pytest.approx(1)
    assert ratio["twice", 2.0] == pytest.approx(4)
    clean = (mean - x).square().sum().item()
    assert table.query("reference == 'mean' and sigma == 0.5")["error"].sum() == pytest.approx(
        clean
    )


def test_distance_to_the_optimal_denoiser_is_the_excess_error():
    law, _, _ = setting()
    x = law.sample(20_000, generator=rng(2))[0].reshape(-1, 1, 2, 3)
    optimal = law.denoiser(EDM())
    others = {"Gaussian": Gaussian(x, EDM())}
    table = references.compare(optimal, others, {"data": x}, [1.0], mean=x.mean(0), batch=5000)
    excess = table["error"] - table["own error"]
    difference = table["distance"] - excess
    standard_error = difference.std() / len(table) ** 0.5
    assert abs(difference.mean()) < 4 * standard_error
    assert table["distance"].mean() > 20 * standard_error


def test_neither_batches_nor_other_references_change_a_row():
    law, x, mean = setting()
    denoiser = law.denoiser(EDM())
    exact, wiener = Empirical(x, EDM()), Gaussian(x, EDM())
    both = {"exact": exact, "Gaussian": wiener}
    whole = references.compare(denoiser, both, {"data": x}, [0.5, 2.0], mean=mean)
    alone = references.compare(
        denoiser, {"Gaussian": wiener}, {"data": x}, [0.5, 2.0], mean=mean, batch=7
    )
    key = ["sigma", "image"]
    rows = whole[whole["reference"] == "Gaussian"].set_index(key).sort_index()
    other = alone.set_index(key).sort_index()
    assert (rows["distance"] - other["distance"]).abs().max() < 1e-12


def test_nearest_and_intervals():
    law, x, mean = setting()
    denoiser = law.denoiser(EDM())
    others = {"itself": law.denoiser(EDM()), "exact": Empirical(x, EDM())}
    points = {"data": x, "noise": normal(15, 1, 2, 3)}
    table = references.compare(denoiser, others, points, [0.5, 2.0], mean=mean)
    bounds = references.intervals(table, generator=rng())
    assert len(table) == 2 * 2 * (40 + 15)
    assert (bounds["distance low"] <= bounds["distance"]).all()
    assert (bounds["distance"] <= bounds["distance high"]).all()
    assert (bounds["error low"] <= bounds["error"]).all()
    assert (bounds["error"] <= bounds["error high"]).all()
    closest = references.nearest(bounds)
    assert len(closest) == 4
    assert (closest["reference"] == "itself").all()


def test_bad_input_is_named():
    law, x, mean = setting()
    denoiser = law.denoiser(EDM())
    with complains("references"):
        references.compare(denoiser, {}, {"data": x}, [1.0], mean=mean)
    with complains("points"):
        references.compare(denoiser, {"a": denoiser}, {"data": x[0]}, [1.0], mean=mean)
