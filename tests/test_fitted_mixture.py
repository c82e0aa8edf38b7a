"""A fitted mixture against a network: the four sets, the shares of spans, the ratios."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from factories import law_of_axes, worst

from molrg import MoLRG, images
from molrg.images import faces
from molrg.schedules import DDPM
from molrg.studies import fitted_mixture as study, mixture_sizes


def table(distances: torch.Tensor) -> pd.DataFrame:
    """Trials with these distances, (seeds, sets, levels, references)."""
    return pd.DataFrame({"distance": distances.tolist()})


def test_the_four_sets_are_what_they_are_called():
    sets = study.points(4, seed=1)
    assert tuple(sets) == study.SETS
    assert {tuple(x.shape) for x in sets.values()} == {(4, 1, 28, 28)}
    own = sets["test images"]
    assert worst(sets["rolled"].roll((-5, 1), (2, 3)), own) == 0
    second = 2 * sets["means of two"] - own
    garments = study.data("test").flatten(1)
    assert all((row - garments).abs().amax(1).min() < 1e-6 for row in second.flatten(1))
    digits = images.load("mnist-slice", "test")[0].flatten(1)
    assert all((digits == row).all(1).any() for row in sets["digits"].flatten(1))
    assert worst(study.points(4, seed=1)["digits"], sets["digits"]) == 0


class Scheduled:
    schedule = DDPM()

    def __call__(self, x_t: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
        return x_t


def test_a_span_in_its_own_component_has_share_one():
    law = law_of_axes(n=6, dims=(2, 2, 2))
    x_t = (3 * law.bases[1][:, 0]).float().reshape(1, 2, 3).to(law.columns.dtype)
    own, others = study.shares(law.bases[1].double(), law, x_t, Scheduled())
    assert own == pytest.approx(1)
    assert others == pytest.approx(0)


def test_shares_of_a_span_between_components_are_squares_of_cosines():
    """One direction, 0.6 in the point's own component and 0.8 in one of the two others."""
    law = law_of_axes(n=6, dims=(2, 2, 2))
    x_t = (3 * law.bases[1][:, 0]).reshape(1, 2, 3)
    span = (0.6 * law.bases[1][:, 0] + 0.8 * law.bases[2][:, 1]).double()[:, None]
    own, others = study.shares(span, law, x_t, Scheduled())
    assert own == pytest.approx(0.36)
    assert others == pytest.approx(0.64 / 2)


def test_advantage_is_over_the_nearer_rival():
    distances = torch.ones(2, len(study.SETS), len(study.LEVELS), len(study.REFERENCES))
    distances[..., study.REFERENCES.index("mixture")] = 0.2
    distances[..., study.REFERENCES.index("training images")] = 0.4
    ratio = study.advantage(table(distances), "digits")
    assert ratio.shape == (2, len(study.LEVELS))
    assert ratio == pytest.approx(0.5)
    control = study.advantage(table(distances), "digits", "random groups")
    assert control == pytest.approx(2.5)
    rolled, level = study.SETS.index("rolled"), 2
    distances[1, rolled, level, study.REFERENCES.index("Gaussian")] = 0.1
    there = study.advantage(table(distances), "rolled")
    assert there[1, level] == pytest.approx(2.0)
    assert (there < 1).sum() == there.size - 1
    assert study.advantage(table(distances), "digits") == pytest.approx(0.5)


def test_a_trial_has_a_number_for_every_set_level_and_reference(monkeypatch):
    """The exact denoiser of two components stands for the network; EM is few steps."""
    monkeypatch.setattr(study, "_ITERATIONS", 2)
    monkeypatch.setattr(study, "LEVELS", (1.0, 3.4))
    monkeypatch.setattr(study, "_DIRECTIONS", 2)
    law = study.mixture.__wrapped__(2, 2, 0)
    network = law.denoiser(DDPM())
    monkeypatch.setattr(study.editing_setting, "network", lambda model: network)
    row = study.trial(0, "exact", K=2, d=2, N=2, pictures=2, weights=0.0)
    distances = torch.tensor(row["distance"])
    assert distances.shape == (len(study.SETS), 2, len(study.REFERENCES))
    mixture = study.REFERENCES.index("mixture")
    assert distances[..., mixture].max() < 1e-6, "the network is the mixture"
    assert (torch.tensor(row["error"])[..., mixture] - 1).abs().max() < 1e-4
    assert distances[..., study.REFERENCES.index("random groups")].min() > 1e-3
    assert row["own"] > max(row["others"], row["own of random groups"])


def test_sizes_are_told_by_images_held_out():
    small = {"N": 240, "held": 40, "compared": 4}
    rows = mixture_sizes.table(["mnist"], [(1, 2), (2, 4), (40, 4)], **small)
    assert rows[["K", "d"]].to_numpy().tolist() == [[1, 2], [2, 4]], "40 need more images"
    assert rows["clean"][1] > rows["clean"][0]
    one = mixture_sizes.trial(0, "mnist", 2, 4, **small)
    assert {name: rows[name][1] for name in one} == pytest.approx(one)
    assert (rows[["distance", "error"]] > 0).to_numpy().all()


def test_em_finds_most_of_a_mixture_of_faces_and_not_all():
    """As exercise ex-19-faces says of one start."""
    generator = torch.Generator().manual_seed(1)
    kinds = torch.randperm(768, generator=generator)[:12].tolist()
    truth = faces.mixture(size=16, kinds=kinds, dtype=torch.float64)
    (x, _), (held, _) = (truth.sample(N, generator=generator) for N in (1500, 400))
    law = MoLRG.fit(x, 12, 7, starts=1, generator=generator)
    columns = torch.stack(list(law.bases))
    shares = torch.stack([(basis.mT @ columns).square().sum((1, 2)) / 7 for basis in truth.bases])
    assert 6 <= (shares.amax(1) >= 0.9).sum() < 12
    assert truth.log_likelihood(held).mean() > law.log_likelihood(held).mean()
