"""Edits by an exact linear denoiser: directions, linearity, transfer, and tables by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from factories import complains, normal, rng

from molrg import draws, editing, sweeps
from molrg.denoisers import Gaussian
from molrg.editing import attributes
from molrg.schedules import VP
from molrg.studies import edit_properties, editing_setting, named_changes
from molrg.studies.editing_setting import Setting

SIZE = 8


def pictures():
    """Fifty pictures with a steep spectrum: few patterns, and a little of everything."""
    patterns = torch.linalg.qr(normal(SIZE**2, 5))[0] * torch.tensor([3.0, 2.0, 1.5, 1.0, 0.7])
    flat = normal(50, 5, seed=1) @ patterns.T.double() + 0.05 * normal(50, SIZE**2, seed=2)
    return flat.reshape(50, 1, SIZE, SIZE).float(), torch.arange(50) % 10


class Linear:
    """The denoiser of one Gaussian, as a network of the zoo looks."""

    event = (1, SIZE, SIZE)
    prediction = "x0"

    def __init__(self):
        self.exact = Gaussian(pictures()[0].double(), VP())
        self.schedule = self.exact.schedule

    def parameters(self):
        return iter([torch.tensor([1.5, -2.0])])

    def __call__(self, x_t, t):
        return self.exact(x_t.double(), t).to(x_t.dtype)


@pytest.fixture
def setting(monkeypatch, request):
    toy = Linear()
    monkeypatch.setattr(editing_setting, "network", lambda model, device="cpu": toy)
    monkeypatch.setattr(editing_setting, "_pictures", lambda *about: pictures())
    return Setting(request.node.name, "toys", 0.4, 6)


def trial(setting, seed=0, kinds="own smooth white"):
    return named_changes.trial(seed, **vars(setting), kinds=kinds, weights=0.0)


def test_ten_seeds_go_through_the_classes(setting):
    x, y = pictures()
    for seed in (0, 7, 13, 60):
        found = editing_setting.picture(setting, seed)[0]
        row = int((x == found).flatten(1).all(1).nonzero()[0])
        assert y[row] == seed % 10
    assert not torch.equal(
        editing_setting.picture(setting, 3), editing_setting.picture(setting, 13)
    )


def test_directions_of_a_gaussian_are_its_principal_ones(setting):
    own = editing_setting.candidates(setting, "own", 0)
    principal = editing_setting.candidates(setting, "principal", 0)
    assert edit_properties._affinity(own, principal) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", ["own", "white", "smooth", "other", "drawn", "principal"])
def test_directions_are_unit_and_of_their_seed(setting, kind):
    V = editing_setting.candidates(setting, kind, 1, 2)
    assert V.shape == (2, 1, SIZE, SIZE)
    assert torch.allclose(V.flatten(1).norm(dim=1), torch.ones(2), atol=1e-5)
    assert torch.equal(V, editing_setting.candidates(setting, kind, 1, 2))
    if kind not in ("own", "principal"):
        assert not torch.allclose(V, editing_setting.candidates(setting, kind, 2, 2))


def test_the_sources_are_those_of_draws(setting):
    white = editing.white((1, SIZE, SIZE), 4, generator=draws.source(1, 5))
    assert torch.equal(editing_setting.candidates(setting, "white", 5), white)


def test_a_trial_of_a_linear_denoiser(setting):
    row = trial(setting)
    assert row["error"] < 1e-4
    assert row["error_of_noise"] > 100 * row["error"]
    assert np.allclose(row["own_r2"], 1, atol=1e-4), "all edits are linear"
    assert np.allclose(row["smooth_r2"], 1, atol=1e-4)
    assert row["own_gain"] == sorted(row["own_gain"], reverse=True)
    assert row["own_gain"][0] > max(row["smooth_gain"] + row["white_gain"])
    assert np.shape(row["own_effect"]) == np.shape(row["own_steady"]) == (4, 10)
    assert "white_moved" not in row
    assert "own_kept" not in row, "there is no classifier of toys"


def test_matched_directions_have_the_effect_of_the_singular_ones(setting):
    row = trial(setting, kinds="own smooth matched")
    assert row["matched_gain"] == pytest.approx(row["own_gain"], rel=1e-3)


def test_properties_of_a_linear_denoiser(setting):
    row = edit_properties.properties(0, **vars(setting), weights=0.0)
    assert set(edit_properties.COLUMNS) == set(row)
    for kind in ("own", "smooth"):
        assert torch.stack(row[f"{kind}_r2"]).tolist() == pytest.approx([1] * 4, abs=1e-3)
        assert row[f"{kind}_mixing"].tolist() == pytest.approx([0] * 4, abs=1e-2)
        assert row[f"{kind}_alike"].tolist() == pytest.approx([1, 1], abs=1e-3)
        assert row[f"{kind}_size"].tolist() == pytest.approx([1, 1], abs=1e-3)
    assert row["leak"].shape == row["within"].shape == (3,)
    assert ((row["leak"] >= 0) & (row["leak"] <= 1)).all()


def test_networks_that_are_the_same_share_all_directions(setting):
    shared = edit_properties.shared_directions(setting, ("a", "b"), [0, 1])
    assert shared["seed"].tolist() == [0, 1]
    assert shared[["twins", "two_images", "one_gaussian"]].min(axis=None) > 0.98


def table(images=3):
    """A table of trials by hand: direction k of image i moves attribute k by i + k."""
    generator = rng(3)
    rows = []
    for seed in range(images):
        effect, steady = np.zeros((4, 10)), np.zeros((4, 10), dtype=bool)
        for k in range(4):
            effect[k, k] = -(seed + k)
            steady[k, k] = seed + k > 1
        row = {"seed": seed, "own_effect": effect.tolist(), "own_steady": steady.tolist()}
        row |= {"smooth_steady": np.zeros((4, 10)).tolist(), "own_moved": steady.any(1).tolist()}
        for kind in ("own", "smooth", "white"):
            row[f"{kind}_gain"] = torch.rand(4, generator=generator).tolist()
            row[f"{kind}_r2"] = [0.5] * 4
        rows.append(row)
    return pd.DataFrame(rows)


def test_the_furthest_by_hand():
    chosen = named_changes.furthest(table(), 2)
    names = attributes.NAMES
    assert chosen.to_dict("records") == [
        {"attribute": names[3], "seed": 2, "direction": 3, "effect": -5.0},
        {"attribute": names[2], "seed": 1, "direction": 2, "effect": -3.0},
    ]


def test_means_of_outcomes_by_hand():
    trials = table()
    means = named_changes.outcome_means(trials, ("own", "smooth")).set_index(["kind", "outcome"])
    assert means.loc[("own", "moved"), "mean"] == pytest.approx((2 + 3 + 4) / 12)
    gain = np.array(trials["own_gain"].tolist()).mean()
    assert means.loc[("own", "gain"), "mean"] == pytest.approx(gain)
    assert ("smooth", "moved") not in means.index, "it was not measured"
    shares = named_changes.shares_by_attribute(trials)
    assert shares["own"].iloc[:5].tolist() == pytest.approx([1 / 12, 2 / 12, 3 / 12, 3 / 12, 0])


def test_the_summary_is_what_the_tables_say():
    trials = table()
    summary = named_changes.summarise(trials, {0.3: trials})
    assert list(summary["kinds"]) == ["own", "smooth"]
    assert summary["times"]["0.3"]["own_gain"] == summary["kinds"]["own"]["gain"]
    first = np.array(trials["own_gain"].tolist())[:, 0].mean()
    assert summary["first"]["mean"] == pytest.approx(first)
    assert "over_matched" not in summary
    matched = trials.assign(matched_moved=[[True] * 4] * 3, matched_r2=trials["own_r2"])
    matched["matched_gain"] = trials["own_gain"]
    lead = named_changes.summarise(matched, {})["over_matched"]
    assert lead["mean"] == pytest.approx(9 / 12 - 1)


def test_a_store_tells_settings_and_trials_apart():
    assert sweeps.fingerprint(named_changes.trial) != sweeps.fingerprint(edit_properties.properties)


def test_bad_input(setting):
    with complains("kinds"):
        trial(setting, kinds="own rough")


def test_a_strip_shows_the_edits_that_were_measured(setting):
    x_t, V = editing_setting.start(setting, 0)
    edited = editing_setting.edit(setting, x_t, V[1:2] * -2)[0, 0]
    shown = named_changes.strip(setting, 0, 1, (0.0, -2.0))
    assert torch.allclose(shown[0], editing_setting.finish(setting, x_t)[0], atol=1e-5)
    assert torch.allclose(shown[1], edited, atol=1e-5)
    with complains("lengths"):
        named_changes.strip(setting, 0, 1, (3.0,))
