"""How far directions with names go: what the tables of C24's further questions hold."""

from __future__ import annotations

import pandas as pd
import pytest
from factories import complains

from molrg.images import faces
from molrg.studies import named_edits, named_reach


def test_agreement_counts_places_and_wants_lists_of_one_length():
    assert named_reach.agreement(["eyes", "skin", "eyes"], ["eyes", "eyes", "eyes"]) == 2 / 3
    with pytest.raises(ValueError, match="shorter"):
        named_reach.agreement(["eyes", "skin"], ["eyes"])


def test_rows_are_means_over_seeds(monkeypatch):
    def table(seed, model, given):
        return pd.DataFrame({"seed": seed, "alpha": given, "flips": [seed + a for a in given]})

    def spans(seed, model, given):
        return pd.DataFrame({"sigma": given, "face": 0, "own": [seed * s for s in given]})

    def others(seed, model, alpha):
        return pd.DataFrame({"seed": seed, "to": ["any", "same"], "agreement": [seed, alpha]})

    monkeypatch.setattr(named_reach, "over_noise", spans)
    monkeypatch.setattr(named_reach, "lengths", table)
    monkeypatch.setattr(named_reach, "transfer", others)
    rows = named_reach.measured([1, 3], "none", alpha=2.0, sigmas=(0.5, 4.0), alphas=(1.0, 9.0))
    assert rows["noise"] == [{"sigma": 0.5, "own": 1.0}, {"sigma": 4.0, "own": 8.0}]
    assert rows["lengths"] == [{"alpha": 1.0, "flips": 3.0}, {"alpha": 9.0, "flips": 11.0}]
    assert rows["transfer"] == [{"to": "any", "agreement": 2}, {"to": "same", "agreement": 2}]


def test_a_direction_agrees_with_itself_and_a_longer_step_changes_more(monkeypatch):
    """On the shipped network, with two directions and four steps, so that it stays short."""
    monkeypatch.setattr(named_reach, "K", 2)
    for module in (named_reach, named_edits):
        monkeypatch.setattr(module, "STEPS", 4)
    short, long = named_reach.lengths(0, "faces-pose", (1.0, 40.0)).itertuples()
    assert short.flips == 0 and long.flips > 0
    face, _ = faces.draw(1, pose=True, generator=named_reach.draws.source(named_reach._FACE, 0))
    monkeypatch.setattr(named_reach.faces, "draw", lambda *a, **k: (face, _))
    table = named_reach.transfer(0, "faces-pose", 3.0)
    assert (table["agreement"] == 1).all() and (table["own"] == 1).all()
    assert named_edits.K == 10


def test_a_strip_has_no_more_directions_than_are_measured():
    with complains("k"):
        named_edits.strips(0, "faces-pose", (0.0, 1.0), alpha=3.0, k=named_edits.K + 1)
