"""Sampling rates: every table at tiny size, closed forms and samples against each other."""

# mypy: disable-error-code="arg-type, call-arg, list-item"
# bad input is handed over on purpose

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from factories import complains, slope

from molrg.schedules import VP
from molrg.studies import sampling_rates
from molrg.studies.manifold_rates import endpoint, endpoint_variance
from molrg.studies.reverse_schemes import SCHEMES, level_grid

FEW = {"steps": 8, "stop": 0.1}


def test_rows_are_the_endpoints_of_every_scheme():
    table = sampling_rates.endpoints([5, 9], d=3, **FEW)
    assert len(table) == 2 * (len(SCHEMES) + 1)
    grid = level_grid(VP(), **FEW)
    for row in table.itertuples():
        d = row.D if row.scheme == "full rank" else 3
        scheme = "posterior mean" if row.scheme == "full rank" else row.scheme
        assert row.kl == endpoint(scheme, VP(), grid, D=row.D, d=d).kl


def test_slopes_are_those_of_the_proposition():
    table = sampling_rates.slopes_in_dimension([8, 64, 512, 4096], [0, 1])
    assert table["d"].between(1, 6).all()
    assert table["steps"].between(150, 400).all()
    assert table["stop"].between(0.03, 0.1).all()
    assert (table["spread"] < 1e-9).all()
    assert (table["others"] > 1).all()
    assert np.allclose(table["full"], 1)
    assert table["w2"].between(0.4, 0.55).all()
    assert table[["score", "euler"]].stack().between(0.9, 1.1).all()


def test_a_seed_has_its_setting_whatever_the_others():
    alone = sampling_rates.slopes_in_dimension([8, 32, 128], [4])
    beside = sampling_rates.slopes_in_dimension([8, 32, 128], [2, 4])
    assert alone.iloc[0].equals(beside.iloc[1])


def test_samples_agree_with_the_closed_form():
    """KL to 10 per cent, with 4,000 walkers; that of the other schemes is twice as large."""
    table = sampling_rates.sampled_endpoints([24], [0], d=4, walkers=4000, **FEW)
    assert np.allclose(table["kl"], table["exact"], rtol=0.1)
    exact = table.set_index("scheme")["exact"]
    assert exact["euler"] > 2 * exact["posterior mean"]


def test_steps_grow_as_the_root_of_the_dimension_or_not_at_all():
    table = sampling_rates.steps_by_ambient([64, 1024], d=4)
    steps = {scheme: rows["steps"].tolist() for scheme, rows in table.groupby("scheme")}
    assert steps["posterior mean"][0] == steps["posterior mean"][1]
    for scheme in SCHEMES[1:]:
        assert steps[scheme][1] / steps[scheme][0] == pytest.approx(math.sqrt(16), rel=0.2)


def test_paths_need_steps_in_proportion_to_the_intrinsic_dimension():
    table = sampling_rates.steps_by_intrinsic([2, 8], D=16)
    d = torch.tensor(table["d"].to_numpy())
    assert slope(d, torch.tensor(table["path"].to_numpy())) == pytest.approx(1, abs=0.1)
    assert slope(d, torch.tensor(table["end"].to_numpy())) == pytest.approx(0.5, abs=0.1)


def test_noise_across_a_curve_is_that_across_a_subspace():
    """150 walkers in 64 dimensions: a standard error of 1.5 per cent, and the curve is not flat."""
    table = sampling_rates.noise_across_curve([64], [0], walkers=150, **FEW)
    grid = level_grid(VP(), **FEW)
    left_over = VP().gamma(grid[-1]).item() ** 2
    for row in table.itertuples():
        flat = endpoint_variance(row.scheme, VP(), grid, 0.0) / left_over
        assert row.ratio == pytest.approx(flat, rel=0.1)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: sampling_rates.endpoints([3], d=4, **FEW), "D"),
        (lambda: sampling_rates.endpoints([3], d=2, steps=0, stop=0.1), "steps"),
        (lambda: sampling_rates.slopes_in_dimension([8, 16], [0]), "dims"),
        (
            lambda: sampling_rates.sampled_endpoints([8], [0], d=2, walkers=0, **FEW),
            "walkers",
        ),
        (lambda: sampling_rates.noise_across_curve([8], [0], walkers=0, **FEW), "walkers"),
        (lambda: sampling_rates.steps_by_ambient([8], d=2, kl=0.0), "kl"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()
