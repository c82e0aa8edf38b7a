"""Models of faces: readers, quality by the known law, studies of thresholds and directions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from factories import EXACT, complains, normal, rng, worst
from rich.console import Console

from molrg import denoisers, draws, images, schedules, zoo
from molrg.images import faces
from molrg.studies import faces_thresholds, named_directions
from molrg.zoo import known_law, readers, reading

DDPM = schedules.DDPM()
ATTRIBUTES = tuple(faces.ATTRIBUTES)


@pytest.fixture(scope="module")
def law():
    return faces.mixture(noise=0.0)


@pytest.fixture(scope="module")
def some():
    return faces.draw(24, generator=rng(7))


# the nearest kind


def test_faces_are_nearest_to_their_own_kind_with_their_own_colours(some):
    pictures, factors = some
    found = faces.nearest(pictures)
    assert found.kinds.tolist() == factors["kind"].tolist()
    assert found.distances.max() < 1e-3
    truth = torch.tensor(factors[list(faces.COLOURS)].to_numpy(copy=True))
    assert worst(found.colours, truth) < 1e-4
    assert worst(found.margins, torch.ones(24).double()) < 1e-3


def test_the_margin_is_one_on_a_kind_and_zero_half_way_to_another():
    others = {"hair": "long", "eyes": "open", "beard": "none"}
    kinds = [faces.kind(mouth=mouth, **others) for mouth in ("lips", "frown")]
    ends = faces.means(torch.tensor(kinds), 32)
    between = torch.stack([ends[0].lerp(ends[1], share) for share in (0.0, 0.25, 0.49)])
    margins = faces.nearest(between).margins
    assert abs(margins[0] - 1) < 1e-6
    assert 0.3 < margins[1] < 0.9
    assert abs(margins[2] - 0.02) < 0.005


def test_the_distance_is_that_to_the_affine_subspace():
    """Against least squares for every kind, on noisy pictures."""
    pictures = faces.draw(3, size=16, generator=rng(1), dtype=torch.float64)[0]
    pictures = pictures + 0.3 * normal(*pictures.shape)
    found = faces.nearest(pictures)
    kinds = torch.arange(faces.KINDS)
    steps = faces.columns(kinds, 16).flatten(2).mT
    for point, kind, distance in zip(pictures, found.kinds, found.distances, strict=True):
        offset = (point.flatten() - faces.means(kinds, 16).flatten(1)).unsqueeze(-1)
        left = (offset - steps @ torch.linalg.lstsq(steps, offset).solution).norm(dim=(1, 2))
        assert int(left.argmin()) == int(kind)
        assert abs(left.min() - distance) < 1e-8
    with complains("pictures.shape"):
        faces.nearest(torch.zeros(2, 3, 28, 28))


# quality by the known law


class Shifted:
    """The exact denoiser with a constant added to every pixel: its excess error is known."""

    def __init__(self, exact, shift):
        self.exact, self.shift, self.schedule = exact, shift, exact.schedule

    def __call__(self, x_t, t):
        return self.exact(x_t, t) + self.shift


def test_the_excess_error_of_the_exact_denoiser_is_zero_and_of_a_shifted_one_its_square(law, some):
    pictures = some[0][:8]
    exact = law.denoiser(DDPM)
    table = known_law.excess_error(exact, pictures, (0.2, 2.0), exact=exact)
    assert (table["excess"] == 0).all()
    assert (table["model"] == table["exact"]).all()
    shifted = known_law.excess_error(Shifted(exact, 0.01), pictures, (0.2, 2.0), exact=exact)
    assert np.allclose(shifted["distance"], 3072 * 1e-4, rtol=1e-3)
    assert np.allclose(shifted["sigma"], [0.2, 2.0], rtol=0.02)


def test_the_exact_denoiser_beats_a_gaussian_and_the_excess_is_the_distance():
    """Orthogonality: E|model - x|^2 - E|exact - x|^2 = E|model - exact|^2, but for scatter."""
    pictures = faces.draw(200, size=16, generator=rng(8))[0]
    gaussian = denoisers.Gaussian(faces.draw(400, size=16, generator=rng(9))[0], DDPM)
    table = known_law.excess_error(gaussian, pictures, (1.0,))
    row = table.iloc[0]
    assert row["exact"] < row["model"]
    assert abs(row["model"] - row["exact"] - row["distance"]) < 0.2 * row["distance"]


def test_samples_of_the_law_are_described_as_such_and_others_are_not():
    samples = faces.draw(800, generator=rng(10))[0]
    training = faces.draw(300, generator=rng(11))[0]
    told = known_law.describe_samples(samples, training)
    assert (told["near"], told["clear"], told["copies"]) == (1, 1, 0)
    # expected 768 (1 - e^(-800/768)) = 497, with a standard deviation near 11
    assert abs(told["kinds"] - told["kinds_expected"]) < 60
    assert max(told["unevenness"].values()) < 0.12
    assert max(map(abs, told["colour_means"].values())) < 5 / math.sqrt(800)
    assert all(abs(value - 1) < 5 / math.sqrt(1600) for value in told["colour_deviations"].values())
    assert told["colour_correlation"] < 5 / math.sqrt(800)
    copied = torch.cat([training[:30], samples[:30]])
    assert known_law.describe_samples(copied, training)["copies"] == 0.5
    blurred = torch.nn.functional.avg_pool2d(samples[:50], 5, stride=1, padding=2)
    assert known_law.describe_samples(blurred, training)["near"] == 0
    one_kind = faces.draw(200, kinds=[5], generator=rng(12))[0]
    assert known_law.describe_samples(one_kind, training)["unevenness"]["hair"] > 0.9


def test_the_section_of_a_card_has_every_figure(law):
    told = {
        "errors": known_law.excess_error(
            law.denoiser(DDPM), faces.draw(2, generator=rng())[0], (1.0,), exact=law.denoiser(DDPM)
        ).to_dict("list"),
        "samples_drawn": 20,
        "samples": known_law.describe_samples(
            faces.draw(20, generator=rng(1))[0], faces.draw(20, generator=rng(2))[0]
        ),
    }
    text = known_law.section(told)
    assert "| sigma | exact | model | distance | excess |" in text
    assert all(name in text for name in (*ATTRIBUTES, *faces.COLOURS, "copies"))


# readers


def quiet():
    return Console(quiet=True)


def test_readers_are_trained_stopped_and_continued_to_the_last_bit(tmp_path, monkeypatch):
    recipe = reading.Reading(seen=24, batch=4)
    monkeypatch.setattr(zoo, "RECIPES", {"faces-readers": recipe})
    monkeypatch.setattr(readers.held_out, "__kwdefaults__", {"N": 8})
    whole = zoo.train("faces-readers", build=tmp_path / "whole", console=quiet())
    zoo.train("faces-readers", build=tmp_path / "parts", console=quiet(), until=2)
    parts = zoo.train("faces-readers", build=tmp_path / "parts", console=quiet())
    first, second = (folder / readers.WEIGHTS for folder in (whole, parts))
    assert first.read_bytes() == second.read_bytes()
    card = (whole / "README.md").read_text()
    assert "CC BY 4.0" in card
    assert all(f"| {name} |" in card for name in (*ATTRIBUTES, *readers.FACTORS))
    model = zoo.load("faces-readers", folder=whole.parent)
    assert isinstance(model, readers.Readers)
    assert not model.training


def test_training_lowers_the_loss_and_sees_fresh_faces():
    training = reading.Reading(seen=16 * 60, batch=16).trainer()
    pictures, table = training.batch()
    again, _ = training.batch()
    assert pictures.shape == (16, 3, 32, 32)
    assert not torch.equal(pictures, again)
    assert (table["right"][:8] != 0).all()
    assert (table["right"][8:] == 0).all()
    losses = [training.step().item() for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_what_is_read_has_a_column_for_everything_and_refuses_other_shapes(some):
    said = readers.read(readers.Readers(), some[0], batch=10)
    assert {name: tuple(value.shape) for name, value in said.items()} == {
        **{name: (24, len(values)) for name, values in faces.ATTRIBUTES.items()},
        **dict.fromkeys(readers.FACTORS, (24,)),
    }
    with complains("x.shape"):
        readers.Readers()(torch.zeros(1, 3, 16, 16))
    with complains("N"):
        readers.held_out(readers.Readers(), N=5000)


def test_damaged_readers_are_refused(tmp_path):
    readers.save(readers.Readers(), tmp_path)
    assert torch.equal(readers.load(tmp_path).head.weight, readers.Readers().head.weight)
    file = tmp_path / readers.WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])
    with complains("weights of"):
        readers.load(tmp_path)


# thresholds


def test_marginals_add_the_kinds_that_share_a_value():
    posterior = torch.rand(5, faces.KINDS, generator=rng(), dtype=torch.float64)
    posterior /= posterior.sum(1, keepdim=True)
    table = faces.kinds()
    for name, share in faces_thresholds.marginals(posterior).items():
        for place, value in enumerate(faces.ATTRIBUTES[name]):
            chosen = torch.tensor((table[name] == value).tolist())
            assert worst(share[:, place], posterior[:, chosen].sum(1)) < EXACT
    with complains("posterior.shape"):
        faces_thresholds.marginals(posterior[:, :100])


def test_exact_posteriors_go_from_certain_to_chance_and_are_calibrated(law):
    pictures, factors = faces.draw(150, generator=rng(13))
    table = faces_thresholds.exact(pictures, factors, DDPM, (0.05, 1.0, 2.0, 100.0), law=law)
    score = table.groupby(["attribute", "sigma"], sort=True)["score"].mean().unstack()
    assert (score.iloc[:, 0] > 0.99).all()
    assert (score.iloc[:, -1].abs() < 0.05).all()
    assert (score.diff(axis=1).iloc[:, 1:] < 0).all().all()
    assert len(table) == 150 * 4 * 4
    # calibration: probability of the truth and sum of squared probabilities have the same mean
    t = DDPM.t_of_sigma(2.0).item()
    s, gamma = DDPM.at(t, pictures)
    noisy = s * pictures + gamma * draws.normal_like(pictures, generator=draws.source(0, 2))
    shares = faces_thresholds.marginals(law.responsibilities(noisy, t, DDPM))
    for name, share in shares.items():
        rows = (table["attribute"] == name) & table["sigma"].between(1.5, 3)
        kept = table["kept"][rows].to_numpy()
        expected = share.square().sum(1).numpy()
        assert abs((kept - expected).mean()) < 4.5 * (kept - expected).std() / math.sqrt(150)


def test_thresholds_are_fitted_in_log_sigma_and_follow_the_contrast(law):
    pictures, factors = faces.draw(48, generator=rng(14))
    table = faces_thresholds.exact(
        pictures, factors, DDPM, (0.2, 0.6, 1.5, 3.0, 6.0, 15.0), law=law
    )
    fits = faces_thresholds.thresholds(table, draws=20)
    assert list(fits) == list(ATTRIBUTES)
    assert all(fit.found and fit.width < 0 for fit in fits.values())
    contrast = faces_thresholds.contrasts()
    assert fits["hair"].centre > fits["eyes"].centre > fits["mouth"].centre
    assert contrast["hair"] > contrast["eyes"] > contrast["mouth"]


def test_contrast_is_the_root_mean_square_distance_of_two_values():
    points = faces.means(torch.arange(faces.KINDS), 16).flatten(1)
    table = faces.kinds()
    squares = []
    others = table.drop(columns="mouth").apply(tuple, axis=1)
    for _, rows in table.groupby(others):
        same = points[rows.index.tolist()]
        distances = torch.cdist(same, same)
        squares.append(distances.square().sum() / 12)
    wanted = torch.stack(squares).mean().sqrt().item()
    assert abs(faces_thresholds.contrasts(16)["mouth"] - wanted) < 1e-9


def test_going_forward_and_backward_keeps_what_the_readers_read(law, some):
    """An oracle for readers: with the exact denoiser at low noise everything is kept."""
    pictures, factors = some[0][:6], some[1][:6]

    class Oracle(readers.Readers):
        def forward(self, x):
            table = faces.kinds().iloc[faces.nearest(x).kinds.numpy()]
            return {
                name: torch.nn.functional.one_hot(readers.places(table, name), len(values)).float()
                for name, values in faces.ATTRIBUTES.items()
            }

    exact = law.denoiser(DDPM)
    table = faces_thresholds.by_network(
        exact, Oracle(), pictures, factors, (0.2, 40.0), steps=6, seed=1
    )
    kept = table.groupby("sigma")["kept"].mean()
    assert kept.iloc[0] == 1
    assert kept.iloc[1] < 0.6


# directions


def test_share_is_the_energy_of_the_projection():
    span = normal(2, 30, 4, seed=1)
    inside = span @ normal(2, 4, 3, seed=2)
    outside = normal(2, 30, 3, seed=3)
    basis = torch.linalg.qr(span).Q
    outside = outside - basis @ (basis.mT @ outside)
    assert worst(named_directions.share(inside, span), torch.ones(2).double()) < EXACT
    assert named_directions.share(outside, span).abs().max() < EXACT
    with complains("span.shape"):
        named_directions.share(inside, span[:, :20])


def test_exact_directions_are_the_colours_at_low_noise_and_smooth_ones_are_not(law):
    pictures, factors = faces.draw(2, generator=rng(15))
    reference = faces.draw(60, generator=rng(16))[0]
    table = named_directions.shares(
        law.denoiser(DDPM), pictures, factors, (0.1, 8.0), reference=reference, k=7
    )
    low, high = (rows for _, rows in table.groupby("sigma"))
    assert (low["own"] > 0.999).all()
    assert (low["other"] < 0.95).all()
    assert (low["smooth"] < 0.2).all()
    assert (high["own"] < 0.9).all()


def test_changes_are_measured_in_probability_and_standard_deviations():
    class Oracle(readers.Readers):
        """Reads the first pixels: an attribute's value from one, the skin from another."""

        def forward(self, x):
            said = {name: torch.zeros(len(x), len(v)) for name, v in faces.ATTRIBUTES.items()}
            said["eyes"][:, 1] = 1e3 * x[:, 0, 0, 0]
            numbers = {name: torch.zeros(len(x)) for name in readers.FACTORS}
            return said | numbers | {"skin": x[:, 1, 0, 0], "down": x[:, 2, 0, 0]}

    before = torch.zeros(3, 3, 32, 32)
    after = before.clone()
    after[0, 0, 0, 0] = 1.0
    after[1, 1, 0, 0] = -3.0
    after[2, 2, 0, 0] = 0.5
    table = named_directions.changes(Oracle(), before, after)
    assert list(table) == list(named_directions.GROUPS)
    assert named_directions.names(table) == ["eyes", "skin", "place"]
    assert np.allclose([table["eyes"][0], table["skin"][1], table["place"][2]], [0.75, 1.5, 0.5])
    with complains("after.shape"):
        named_directions.changes(Oracle(), before, after[:2])


def test_a_rule_with_one_name_scores_one_over_the_number_of_names():
    confirmed = ["skin"] * 7 + ["hair"] * 2 + ["eyes"]
    assert named_directions.balanced_accuracy(confirmed, confirmed) == 1
    assert named_directions.balanced_accuracy(["skin"] * 10, confirmed) == pytest.approx(1 / 3)
    with complains("named"):
        named_directions.balanced_accuracy(["skin"], confirmed)


def test_the_cards_name_the_art():
    for name in faces.SETS:
        assert "Draftbit" in images.record(name).credit


def test_a_model_is_judged_by_the_known_law(law, monkeypatch):
    """The exact denoiser of a few kinds, and few faces in place of the shipped sets."""
    few, _ = faces.draw(24, kinds=[0, 5, 100], generator=rng(11))

    def load(data, split="train", n=None):
        return few[:n], torch.zeros(len(few[:n]))

    monkeypatch.setattr(known_law.images, "load", load)
    monkeypatch.setattr(known_law, "STEPS", 6)
    model = faces.mixture(kinds=[0, 5, 100], noise=0.02).denoiser(DDPM)
    judged = known_law.judge(model, "faces", N=8)
    assert judged["samples_drawn"] == 8 and judged["samples"]["kinds"] <= 3
    assert set(judged["errors"]) == {"sigma", "exact", "model", "distance", "excess"}
    assert all(math.isfinite(value) for value in judged["errors"]["distance"])
    assert "Of 8 samples" in known_law.section(judged)
    with complains("N"):
        known_law.judge(model, "faces", N=4)
