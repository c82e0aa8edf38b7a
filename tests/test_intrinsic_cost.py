"""What samples cost: pools of like scale, scores of made-up tables, networks in company."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from factories import normal

from molrg.studies import intrinsic_cost as cost

CELL = {"source": "rendered", "d": 4, "size": 8, "objects": 4, "curvature": 1.0, "kinds": "x y"}
CELL |= {"N": 12, "largest": 12, "width": 8, "steps": 4, "batch": 4, "lr": 0.003, "high": 1.0}


@pytest.mark.parametrize(("source", "d", "curvature"), [("rendered", 4, 1.0), ("digits", 6.3, 0.0)])
def test_a_pool_is_centred_and_has_total_variance_d(source, d, curvature):
    train, test = cost.pool(source, d, 8, 4, curvature, 50, seed=0)
    both = torch.cat([train, test])
    assert train.shape == (50, 64) and test.shape == (256, 64)
    assert float(both.var(0).sum()) == pytest.approx(d, rel=1e-4)
    assert both.mean(0).abs().max() < 1e-5


def test_more_pixels_show_the_same_scenes():
    """The same factors at two sizes: distances between images agree, noise counts in factors."""
    small, large = (cost.pool("rendered", 4, size, 4, 1.0, 20, 0)[0] for size in (16, 32))
    assert torch.allclose(torch.pdist(small), torch.pdist(large), rtol=0.1)


def test_a_network_is_the_same_alone_and_in_company():
    cells = [CELL, CELL | {"N": 4}, CELL | {"curvature": 0.0}, CELL]
    together = cost.train.batched(cells, [0, 0, 0, 1])
    for cell, seed, row in zip(cells, [0, 0, 0, 1], together, strict=True):
        assert cost.train(seed=seed, **cell) == pytest.approx(row, rel=1e-4)


def test_training_helps_and_copies_are_counted_where_all_noise_is_trained_on():
    short, long = (cost.train(seed=0, **CELL | {"steps": k, "lr": 0.01})["train"] for k in (4, 100))
    assert long < short
    row = cost.train(seed=0, **CELL | {"high": 12.0})
    assert 0 <= row["gl"] <= 1 and row["gl_fresh"] > 0.9


def made_up(d, N=(2, 4, 8, 16, 32, 64)):
    """Test errors that pass one half at N = 2 d, as a sigmoid in log2 N."""
    u = np.log2(np.array(N) / (2 * d))
    test = 1 - 1 / (1 + np.exp(-4 * u))
    return pd.DataFrame(
        {"seed": seed, "N": size, "test": error, "train": 1 - error}
        for seed in (0, 1)
        for size, error in zip(N, test, strict=True)
    )


def test_samples_needed_and_their_slope_are_those_put_in():
    needed = [cost.samples_needed(made_up(d)) for d in (2, 4, 8)]
    for d, each in zip((2, 4, 8), needed, strict=True):
        assert each["error"] == pytest.approx([2 * d, 2 * d], rel=0.02)
    assert cost.slopes(needed, [2, 4, 8], "error") == pytest.approx([1, 1], abs=0.02)
    assert cost.slopes(needed, [8, 4, 2], "error") == pytest.approx([-1, -1], abs=0.02)


def test_scores_end_at_one_and_at_the_ratio_of_the_errors():
    N, scores = cost.scores(made_up(4))
    assert list(N) == [2, 4, 8, 16, 32, 64] and scores["error"].shape == (2, 6)
    assert (scores["error"][:, -1] == 1).all() and (np.diff(scores["gap"]) > 0).all()
    test = made_up(4)["test"].to_numpy().reshape(2, 6)
    assert scores["gap"] == pytest.approx((1 - test) / test)
    assert scores["error"] == pytest.approx((1 - test) / (1 - test[:, [5]]))


def test_the_linear_dimension_of_a_flat_cloud_is_its_rank():
    x = normal(200, 3) @ normal(3, 20, seed=1)
    assert cost.linear_dimension(x, share=1 - 1e-9) == 3


def test_the_span_of_d_plus_one_points_holds_the_others_and_of_d_does_not():
    x = normal(20, 3) @ normal(3, 10, seed=1) + 1
    assert cost.span_residual(x, 4) < 1e-10 < 1e-2 < cost.span_residual(x, 3)


def test_the_linear_family_has_its_edge_at_d_plus_one_and_a_curved_one_has_none():
    assert cost.linear_edge(0, curvature=0.0, dims=(4,)) == 1
    assert cost.linear_edge(0, curvature=1.0, dims=(4,)) < 1
