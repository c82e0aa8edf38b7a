"""Prediction targets: the exact denoiser against oracles, rows that do not depend on company."""

from __future__ import annotations

import pytest
import torch
from factories import complains

from molrg import draws
from molrg.studies import prediction_targets as study
from molrg.subspaces import random_basis

TINY = {"width": 8, "steps": 3, "batch": 4, "N": 16, "samplers": (4,), "rows": 8}


def basis(D, planes):
    return random_basis(D, 2 * planes, generator=draws.source(1))


def test_the_spiral_is_evenly_spread_in_area():
    x = study.spiral(torch.linspace(0, 1, 20_001, dtype=torch.float64))
    assert x.square().sum(-1).mean().item() == pytest.approx(study.RADIUS**2 / 2, rel=1e-3)
    assert x.norm(dim=-1).max().item() == pytest.approx(study.RADIUS)


def test_points_have_no_energy_off_their_planes_and_noise_has_all_but_its_share():
    planes = basis(12, 2)
    x = study.points(50, planes, generator=draws.source(2))
    assert study.off_planes(x, planes) < 1e-25
    outside = torch.eye(12, dtype=torch.float64) - planes @ planes.T
    assert study.off_planes(x + outside[0], planes).item() == pytest.approx(
        outside[0].square().sum().item() / 4
    )


def test_the_exact_denoiser_is_the_posterior_mean_over_all_pairs_of_points():
    planes = basis(5, 2)
    denoiser = study.Spirals(planes, nodes=20)
    x_t = draws.normal((3, 5), generator=draws.source(3), dtype=torch.float64)
    t = study.SCHEDULE.t_of_sigma(0.7)
    s, gamma = study.SCHEDULE.at(t, x_t)
    nodes = study.spiral((torch.arange(20, dtype=torch.float64) + 0.5) / 20)
    pairs = torch.cat([nodes.repeat_interleave(20, 0), nodes.repeat(20, 1)], -1) @ planes.T
    weights = (-(torch.cdist(x_t, s * pairs) ** 2) / (2 * gamma**2)).softmax(-1)
    torch.testing.assert_close(denoiser(x_t, t), weights @ pairs)


def test_the_exact_denoiser_turns_with_its_planes():
    planes = basis(6, 2)
    turn = random_basis(6, 6, generator=draws.source(4))
    x_t = draws.normal((4, 6), generator=draws.source(5), dtype=torch.float64)
    turned = study.Spirals(turn @ planes)(x_t @ turn.T, 0.5)
    torch.testing.assert_close(turned, study.Spirals(planes)(x_t, 0.5) @ turn.T)


def test_the_exact_denoiser_leaves_nothing_off_the_plane_and_errs_least():
    table = study.trials([0, 1], 6, **TINY).set_index(["target", "seed"])
    assert table.loc["exact"].off_4.max() < 1e-10
    assert (table.error >= 1).all() and len(table) == 8
    assert (table.loss.loc["exact"] <= table.loss.groupby("seed").min()).all()


def test_a_row_is_the_same_alone_and_in_company():
    together = study.trials([0, 3], 6, targets=["v"], **TINY).query("seed == 3")
    alone = study.trials([3], 6, targets=["v"], **TINY)
    for name in ("rate", "loss", "error", "off_4"):
        assert alone[name].tolist() == pytest.approx(together[name].tolist(), rel=1e-3, nan_ok=True)


def test_data_may_fill_the_space():
    table = study.trials([0], 6, planes=3, targets=["x0"], **TINY)
    assert table.off_4.max() < 1e-10


@pytest.mark.parametrize(
    ("change", "name"), [({"planes": 4}, "planes"), ({"targets": ["flow"]}, "targets")]
)
def test_bad_input(change, name):
    with complains(name):
        study.trials([0], 6, **TINY | change)
