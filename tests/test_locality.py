"""Windows of a network against posterior means over patches, at tiny sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from factories import EXACT, complains, normal, worst

from molrg.denoisers import Gaussian, Patches
from molrg.schedules import EDM
from molrg.studies import locality

SCHEDULE = EDM()
DATA, POOL = normal(40, 1, 8, 8), normal(12, 1, 8, 8, seed=1)
SEEDS, LEVELS, SIZES = [0, 1], (0.5, 2.0), (3, 5)


def trials(network, **settings):
    settings = {"images": 4, "sizes": SIZES, "levels": LEVELS} | settings
    return locality.trials(network, DATA, POOL, SEEDS, **settings)


def test_the_window_of_patches_is_recovered():
    """A network that is patches of one width: that width is chosen, at no distance."""
    table = trials(Patches(DATA, SCHEDULE, 5))
    best = locality.best_windows(table)
    assert (best == 5).all(axis=None)
    assert (locality.against_gaussian(table, best) < EXACT).all(axis=None)
    assert np.abs(locality.growth(best)).max() < EXACT


def test_a_gaussian_is_nearer_to_a_gaussian_than_patches():
    table = trials(Gaussian(DATA[1:], SCHEDULE))
    ratios = locality.against_gaussian(table, locality.best_windows(table))
    assert (ratios > 2).all(axis=None)


def test_growth_is_a_slope_of_logarithms():
    best = locality.best_windows(trials(Patches(DATA, SCHEDULE, 3)))
    best.loc[:, 2.0] = 12  # four times the width at four times the noise
    assert np.allclose(locality.growth(best), 1)


def test_growth_is_the_least_squares_slope_of_every_seed():
    best = pd.DataFrame([[3, 3, 9, 21], [5, 3, 3, 5]], columns=[0.25, 0.5, 1.0, 4.0])
    x = np.log(best.columns.to_numpy(float))
    expected = [np.polyfit(x, np.log(row.to_numpy(float)), 1)[0] for _, row in best.iterrows()]
    assert np.allclose(locality.growth(best), expected)


def test_windows_are_chosen_on_one_half_and_judged_on_the_other():
    """Made-up distances: the half to judge on prefers another window, and the Gaussian is least."""
    chosen_on, judged_on = locality.HALVES
    distances = {chosen_on: {"3": 2.0, "5": 1.0}, judged_on: {"3": 1.0, "5": 6.0}}
    rows = [
        {"set": half, "seed": seed, "sigma": 0.5, "image": image, "reference": name}
        | {"distance": 1 / 8 if name == "Gaussian" else widths[name] * (1 + image)}
        for half, widths in distances.items()
        for seed in (0, 7)
        for image in (0, 1)
        for name in ("Gaussian", "3", "5")
    ]
    table = pd.DataFrame(rows)
    best = locality.best_windows(table)
    assert best.to_dict() == {0.5: {0: 5, 7: 5}}
    assert np.allclose(locality.against_gaussian(table, best), (6 + 12) / (1 / 8 + 1 / 8))


def test_halves_are_disjoint_and_of_the_seed():
    table = trials(Patches(DATA, SCHEDULE, 3))
    sums = table[table["reference"] == "Gaussian"].groupby(["seed", "set"])["scale"].sum()
    assert sums.nunique() == 4


def test_a_permutation_hurts_patches():
    network = Patches(DATA, SCHEDULE, 3)
    best = locality.best_windows(trials(network))
    control = locality.permuted_trials(network, DATA, POOL, best, images=4)
    assert (locality.against_gaussian(control, best) > 0.01).all(axis=None)


def test_permuted_puts_back():
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    gaussian = Gaussian(DATA, SCHEDULE)
    turned = Gaussian(locality.permute(DATA, order), SCHEDULE)
    permuted = locality.Permuted(turned, order)
    assert worst(permuted(POOL, 0.5), gaussian(POOL, 0.5)) < EXACT


def test_a_mixture_on_windows_of_one_component_is_a_gaussian_of_windows():
    local = locality.mixture_on_windows(DATA, SCHEDULE, 3, 1)
    windows = DATA.unfold(2, 3, 1).unfold(3, 3, 1).flatten(0, 3).flatten(1)
    expected = Gaussian(windows, SCHEDULE)(POOL[..., :3, :3], 0.5)
    assert worst(local(POOL, 0.5)[..., 1, 1], expected[..., 1, 1]) < 0.01  # its ridge of 1e-3


def test_bad_input():
    with complains("images"):
        trials(Patches(DATA, SCHEDULE, 3), images=3)
