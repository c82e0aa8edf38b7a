"""Class flips: toy images whose survival is known; references and widths by closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from factories import complains, normal, rng

from molrg.mixture import MoLRG
from molrg.schedules import DDPM
from molrg.studies import class_flips, survival_references, width_ratios
from molrg.studies.class_flips import LAYERS, Observer
from molrg.studies.forward_backward import pairwise_agreement

TIMES = [0.2, 0.6]


class Sees:
    """A classifier that reads the class off the first ten pixels; its layers are the pixels."""

    def layers(self, x):
        return [x] * 7 + [self(x)]

    def __call__(self, x):
        return x.flatten(1)[:, :10]


class Returns:
    """A denoiser that gives what it was told, whatever it is shown."""

    schedule = DDPM()

    def __init__(self, x0_hat):
        self.x0_hat = x0_hat

    def __call__(self, x_t, t):
        return self.x0_hat


def pictures():
    """Six images of each of ten classes, in [-1, 1]."""
    labels = torch.arange(60) % 10
    x = 0.2 * normal(60, 1, 4, 8).clamp(-1, 1)
    x.flatten(1)[torch.arange(60), labels] += 0.8
    return x, labels


def observed(of_originals, draws=2, seeds=(0, 1)):
    """Outcomes where the denoiser returns a function of the originals."""
    x, labels = pictures()
    tables = []
    for seed in seeds:
        observer = Observer.of(Returns(None), Sees(), x, labels)
        observer.denoiser.x0_hat = of_originals(
            observer.originals(seed).repeat_interleave(draws, 0)
        )
        tables.append(class_flips.outcomes(observer, TIMES, [seed], draws=draws, steps=3))
    return pd.concat(tables), observer


def test_what_comes_back_survives():
    table, observer = observed(lambda x0: x0)
    assert len(table) == 2 * len(TIMES) * 10 * 2
    survival = class_flips.survival(table, observer)
    assert (survival["class"] == 1).all()
    assert (survival[list(LAYERS)] > 0.99).all(axis=None), "but for the noise left at t = 0"
    assert (survival[["brightness", "left or right"]] >= 0.8).all(axis=None)
    assert (table["class of another"] == 0).all()


def test_another_image_is_another_class():
    table, observer = observed(lambda x0: x0.roll(2, 0))
    survival = class_flips.survival(table, observer)
    chance = pairwise_agreement(pictures()[1])
    assert np.allclose(survival["class"], -chance / (1 - chance))
    assert np.allclose(survival["class of another"], 1)


def test_the_typical_image_of_a_class_is_like_the_others_of_its_class():
    """An original that comes back is more like itself than like the others of its class."""
    table, _ = observed(lambda x0: x0)
    own, others = table["pixels"], (table["pixels, others 0"] + table["pixels, others 1"]) / 2
    assert (own > others).all()
    assert (others > 0.3).all(), "images of one class are alike"
    away, _ = observed(lambda x0: x0.roll(2, 0))
    assert (away["pixels, others 0"] < 0.3).all()


def test_inherited_parts_by_hand():
    row = {"t": 0.5, "seed": [0, 0, 1], "class": [0.0, 1.0, 0.0]}
    columns = {f"{layer}{end}": 0.0 for layer in LAYERS for end in (", others 0", ", others 1")}
    table = pd.DataFrame(row | columns | {layer: [0.4, 9.0, 0.6] for layer in LAYERS})
    table["1, others 0"] = [0.2, 9.0, 0.1]
    parts = class_flips.inherited_parts(table, 0.5).set_index(["layer", "seed"])
    assert parts.loc[("1", 0), ["own", "control"]].tolist() == pytest.approx([0.3, 0.2])
    assert parts.loc[("1", 1), ["own", "control"]].tolist() == pytest.approx([0.55, 0.1])
    assert parts.loc[("2", 1), "own"] == pytest.approx(0.6)


def test_places_and_widths_of_classes():
    """Two sigmoids that are known, and a class that never falls, which is left out."""
    t = np.linspace(0.1, 0.9, 17)
    falls = {0: (0.4, 0.05), 1: (0.6, 0.1)}
    rows = [
        pd.DataFrame({"image": k, "t": t, "class": 0.1 + 0.9 / (1 + np.exp((t - c) / w))})
        for k, (c, w) in falls.items()
    ]
    table = pd.concat([*rows, pd.DataFrame({"image": 2, "t": t, "class": 1.0})])
    fits = class_flips.class_transitions(table).set_index("image")
    assert list(fits.index) == [0, 1]
    for k, expected in falls.items():
        assert fits.loc[k].tolist() == pytest.approx(expected, abs=1e-5)


def test_examples_mark_what_changed():
    x, labels = pictures()
    observer = Observer.of(Returns(None), Sees(), x, labels)
    observer.denoiser.x0_hat = observer.originals(0)[::3].roll(1, 0)
    images, changed = class_flips.examples(observer, [0.5], seed=0, steps=2)
    assert images.shape == (4, 2, 1, 4, 8)
    assert changed.tolist() == [[False, True]] * 4


# references


def test_posterior_draws_keep_the_law_and_the_correlation():
    """One Gaussian: correlation 1 / (1 + sigma^2), 20,000 points; false fail 1e-6."""
    mixture = MoLRG.random(4, [2], generator=rng())
    x0, _ = mixture.sample(20_000, generator=rng(1))
    t = DDPM().t_of_sigma(1.0).item()
    sigma2 = DDPM().sigma(t).item() ** 2
    x = survival_references.posterior_draw(mixture, x0, t, DDPM(), generator=rng(2))
    assert ((x0 * x).sum() / x0.square().sum()).item() == pytest.approx(1 / (1 + sigma2), abs=0.03)
    assert x.square().sum(1).mean().item() == pytest.approx(2, abs=0.08)
    assert (x - x @ mixture.bases[0] @ mixture.bases[0].T).abs().max() < 1e-10


def test_posterior_draws_know_the_class_at_little_noise_only():
    mixture = MoLRG.random(5, [2, 2], generator=rng())
    x0, labels = mixture.sample(400, generator=rng(1))

    def kept(t):
        x = survival_references.posterior_draw(mixture, x0, t, DDPM(), generator=rng(2))
        inside = torch.stack([(x @ U).norm(dim=1) for U in mixture.bases], 1)
        return (inside.argmax(1) == labels).double().mean().item()

    assert kept(0.01) > 0.95
    assert kept(1.0) == pytest.approx(0.5, abs=0.1)


def test_everything_is_kept_at_little_noise_and_lost_at_much():
    tree = survival_references.of_tree([0.01, 0.95], [0], trees=32, depth=3)
    assert (tree.loc[0, "half of the leaves":] == 1).all()
    assert (tree.loc[1, "half of the leaves":].abs() < 0.35).all()
    flat = survival_references.of_mixture([0.01, 0.95], [0], points=200, d=4, K=3)
    assert (flat.loc[0, ["coordinates", "class"]] > 0.95).all()
    assert (flat.loc[1, ["coordinates", "class"]].abs() < 0.25).all()


def test_many_sampling_steps_are_near_the_exact_draw():
    exact, sampled = (
        survival_references.of_mixture([0.25], [0], points=500, d=4, K=3, steps=steps)
        for steps in (None, 100)
    )
    for name in ("coordinates", "class"):
        assert sampled[name].item() == pytest.approx(exact[name].item(), abs=0.12)


def test_one_gaussian_by_its_variances():
    x = normal(5000, 1, 1, 2) * torch.tensor([2.0, 0.5])
    variances = x.flatten(1).var(0)
    table = survival_references.of_gaussian(x, [0.3])
    sigma2 = DDPM().sigma(0.3).item() ** 2
    by_hand = (variances**2 / (variances + sigma2)).sum() / variances.sum()
    assert table["pixels"].item() == pytest.approx(by_hand.item(), rel=1e-3)


# widths


def table_of(width, seeds=(0, 1)):
    """A table of survival with a sigmoid of known width in ln sigma, and one of twice the width."""
    t = np.linspace(0.05, 0.6, 24)
    u = survival_references.log_levels(t.tolist())
    curves = {"a": 1 / (1 + np.exp((u + 1) / width)), "b": 1 / (1 + np.exp((u + 1) / width / 2))}
    return pd.concat([pd.DataFrame({"seed": s, "t": t} | curves) for s in seeds])


def test_ratios_of_known_widths():
    table = table_of(0.3)
    assert width_ratios.ratio(table, "b", "a", "ln sigma") == pytest.approx([2, 2], rel=1e-4)
    compared = width_ratios.compare({"two": (table, "b", "a")}).set_index("clock")
    row = compared.loc["ln sigma"]
    expected = {"width": 0.6, "reference_width": 0.3, "ratio": 2, "pooled": 2, "place": -1}
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-4)
    assert row["lower"] <= row["typical"] <= row["upper"]
    assert compared.loc["t", "ratio"] != pytest.approx(2, rel=0.01), "the clock matters"


def test_the_interval_of_a_ratio_stays_positive_where_seeds_differ_much():
    tables = [table_of(width, (seed,)) for seed, width in enumerate((0.05, 0.3, 0.3))]
    tables[0]["a"], tables[0]["b"] = tables[2]["b"], tables[0]["a"]  # a ratio far below the others
    row = width_ratios.compare({"unlike": (pd.concat(tables), "b", "a")}).iloc[0]
    ratios = width_ratios.ratio(pd.concat(tables), "b", "a")
    assert ratios.max() > 4 * ratios.min()
    assert 0 < row["lower"] < row["typical"] < row["upper"]
    assert row["typical"] == pytest.approx(np.prod(ratios) ** (1 / 3))


def test_widths_by_quantity():
    widths = width_ratios.by_quantity(table_of(0.3), ["b", "a"], "ln sigma")
    assert widths["quantity"].tolist() == ["b", "b", "a", "a"]
    assert widths["width"].tolist() == pytest.approx([0.6, 0.6, 0.3, 0.3], rel=1e-4)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: observed(lambda x0: x0, draws=0), "draws"),
        (lambda: class_flips.inherited_parts(observed(lambda x0: x0)[0], 0.3), "t"),
        (lambda: width_ratios.ratio(table_of(0.3), "a", "b", "log"), "clock"),
        (lambda: survival_references.of_tree([0.1], [0], trees=0), "trees"),
        (lambda: survival_references.of_mixture([0.1], [0], points=0), "points"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()
