"""Copying: the references do what theory says; a row does not depend on its company."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from factories import complains

from molrg.studies import copying

CELL = {"source": "empirical", "images": "digits", "samples": 16, "N": 8}
CELL |= {"width": 0, "steps": 0, "batch": 0}
NETWORK = CELL | {"source": "network", "width": 8, "steps": 4, "batch": 4}


def test_the_empirical_denoiser_copies_and_the_gaussian_does_not():
    empirical = copying.train_and_sample(seed=0, **CELL)
    gaussian = copying.train_and_sample(seed=0, **CELL | {"source": "Gaussian", "N": 128})
    assert empirical["memorised"] == 1 and empirical["ratio"] < 0.05
    assert gaussian["memorised"] < 0.1 and gaussian["ratio"] > 0.8
    assert gaussian["paired"] > empirical["paired"] and abs(gaussian["shuffled"]) < 0.2


def test_noised_training_images_are_caught_and_held_out_ones_hardly_ever_flagged():
    row = copying.train_and_sample(seed=0, **CELL | {"N": 128})
    assert row["caught"] > 0.7 and row["flagged"] < 0.02


def test_the_gl_of_a_threshold_is_one_minus_the_copies():
    row = copying.train_and_sample(seed=1, **CELL | {"source": "Gaussian"})
    third = copying.CS.index(1 / 3)
    assert row["gl"][third] == pytest.approx(1 - row["memorised"])
    assert list(row["gl"]) == sorted(row["gl"], reverse=True)


def test_the_empirical_denoiser_has_no_error_on_its_own_images_where_there_is_hardly_noise():
    row = copying.train_and_sample(seed=0, **CELL)
    assert row["train"][0] < 1e-3 < 1e-2 < row["test"][0]
    assert len(row["train"]) == len(row["test"]) == len(copying.LEVELS)


def test_a_network_is_the_same_alone_and_in_company():
    cells = [NETWORK, CELL, NETWORK]
    together = copying.train_and_sample.batched(cells, [0, 3, 1])
    for cell, seed, row in zip(cells, [0, 3, 1], together, strict=True):
        alone = copying.train_and_sample(seed=seed, **cell)
        assert torch.allclose(alone["drawn"], row["drawn"], atol=1e-4)
        assert torch.allclose(alone["test"], row["test"], rtol=1e-4)


def test_halves_share_no_image_and_grow_with_n():
    pool = copying.pixels("digits", "train")
    few, many = copying.halves(pool, 8, 3), copying.halves(pool, 32, 3)
    assert torch.equal(many[0][:8], few[0]) and torch.equal(many[1][:8], few[1])
    assert torch.cdist(*many).min() > 0


def test_large_images_are_halved_and_small_ones_stay():
    assert copying.pixels("digits", "test").shape[1] == 64
    assert copying.pixels("mnist-slice", "train").shape[1] == 14 * 14


def test_means_are_over_seeds():
    scores = {"ratio": [0.2, 0.4], "memorised": [1.0, 1.0], "paired": [0, 1], "flagged": [0, 0]}
    errors = [np.arange(5.0), np.arange(5.0) + 1]
    table = pd.DataFrame({"N": 8, "seed": [0, 1], "test": errors} | scores)
    found = copying.means(table)
    assert found["ratio"] == {8: pytest.approx(0.3)} and found["error"] == {8: 2.5}


@pytest.mark.parametrize(("cell", "name"), [({"source": "flow"}, "source"), ({"N": 10_000}, "N")])
def test_bad_input(cell, name):
    with complains(name):
        copying.train_and_sample(seed=0, **CELL | cell)
