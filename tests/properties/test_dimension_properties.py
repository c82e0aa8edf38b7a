"""Properties of estimates of the intrinsic dimension, which know distances and nothing else."""

from __future__ import annotations

import math

import numpy as np
import torch
from factories import normal, rng
from hypothesis import given, settings, strategies as st
from strategies import (
    Border,
    dtypes,
    no_count,
    no_share,
    permutations,
    rotations,
    same,
    seeds,
    spoiled,
)

from molrg import dimension, stats
from molrg.dimension.estimators import NeighbourTable, method_name
from molrg.dimension.neighbours import as_cloud, by_differences, nearest_neighbours, numbers
from molrg.sweeps import batched, key_of, plain

POINTS = normal(24, 3)
LABELS = torch.arange(24) % 2
ragged = st.sampled_from([POINTS[:, 0] * math.nan, POINTS[:1], np.array(["a", "b"])])
no_points = st.one_of(st.just(POINTS.clone().fill_(math.nan)), st.just(POINTS[:3]))
no_floats = st.sampled_from([POINTS * math.nan, POINTS[:1]])

BORDERS = [
    Border(
        dimension.estimate,
        lambda: {"x": POINTS, "k": 5},
        {
            "x": no_points,
            "k": no_count(3),
            "method": st.just("none"),
            "level": no_share(),
            "splits": no_count(2),
        },
    ),
    Border(
        dimension.readings,
        lambda: {"x": POINTS, "ks": [5]},
        {"x": no_points, "ks": st.sampled_from([[2], [5, 1.5]])},
    ),
    Border(
        NeighbourTable(POINTS, 5).estimate,
        lambda: {"method": "mle", "k": 5},
        {"level": no_share(), "method": st.just("none"), "k": no_count(3, 5)},
    ),
    Border(
        NeighbourTable,
        lambda: {"x": POINTS, "largest": 5},
        {"x": no_floats, "largest": no_count(2, 6), "splits": no_count(2)},
        {"largest": "(?:largest|x)"},  # more neighbours ask for more points
    ),
    Border(
        dimension.calibration,
        lambda: {"N": 24, "dims": [2], "k": 5, "generator": rng()},
        {"N": no_count(20), "dims": st.sampled_from([[0], [1.5]]), "k": no_count(3, 6)},
        {"k": "(?:k|N)"},  # more neighbours ask for more points
    ),
    Border(
        dimension.gaussian_twin,
        lambda: {"x": POINTS, "generator": rng()},
        {"x": st.one_of(spoiled(POINTS), st.just(POINTS[:1])), "N": no_count()},
    ),
    Border(as_cloud, lambda: {"x": POINTS}, {"x": ragged}),
    Border(numbers, lambda: {"x": POINTS}, {"x": ragged}),
    Border(
        dimension.describe,
        lambda: {"x": POINTS, "ks": [5]},
        {"x": no_points, "labels": st.just(LABELS[:3])},
    ),
    Border(
        dimension.tangent_pairs,
        lambda: {"x": POINTS, "anchors": 12, "neighbours": 4, "d": 2, "generator": rng()},
        {
            "x": no_floats,
            "anchors": no_count(1, 24),
            "neighbours": no_count(3, 24),
            "d": no_count(1, 3),
        },
    ),
    Border(
        dimension.tangent_affinity,
        lambda: {
            "x": POINTS,
            "labels": LABELS,
            "anchors": 16,
            "neighbours": 3,
            "d": 1,
            "generator": rng(),
        },
        {"x": st.just(POINTS * math.nan), "labels": st.just(LABELS[:3])},
    ),
]


@given(seeds, dtypes, st.data())
def test_readings_know_neither_place_nor_unit_nor_order(seed, dtype, data):
    x = normal(30, 3, seed=seed).to(dtype)
    Q, order = data.draw(rotations(3, dtype)), data.draw(permutations(30))
    here = dimension.readings(x, ks=[5])
    loose = 1e-6 if dtype == torch.float64 else 2e-2
    for there in (x @ Q.T, x[order], 8 * x, x + 1, torch.cat([x, 0 * x], dim=1), x.numpy()):
        for name, value in dimension.readings(there, ks=[5]).items():
            assert math.isclose(value, here[name], rel_tol=loose), name
    estimate = dimension.estimate(x, "mle", k=5)
    assert math.isclose(estimate.value, here[method_name("mle", 5)], rel_tol=1e-9)
    assert estimate.low <= estimate.value <= estimate.high and estimate.N == 30
    twice = dimension.estimate(torch.cat([x, x[:3]]), "mle", k=5)
    assert twice.duplicates == 3 and math.isclose(twice.value, estimate.value, rel_tol=1e-9)
    table = NeighbourTable(x, 5)
    assert math.isclose(
        table.estimate("twonn", 5).value, here[method_name("twonn", 5)], rel_tol=1e-9
    )


@given(seeds, st.integers(1, 4))
def test_neighbours_are_those_of_all_distances(seed, k):
    cloud = as_cloud(normal(12, 3, seed=seed))
    distances, rows = nearest_neighbours(cloud.points, k)
    full = torch.cdist(*[torch.as_tensor(cloud.points)] * 2).fill_diagonal_(math.inf)
    same(torch.as_tensor(distances), full.sort().values[:, :k], 1e-6)
    exact, other = by_differences(cloud.points, k, np.arange(12))
    same(torch.as_tensor(exact), torch.as_tensor(distances), 1e-6)
    assert np.array_equal(other, rows)
    assert np.abs(numbers(normal(4, 2, seed=seed)) - normal(4, 2, seed=seed).numpy()).max() == 0


@settings(max_examples=3)
@given(seeds)
def test_twins_and_calibrations_are_gaussians(seed):
    x = normal(24, 2, seed=seed).float()
    twin = dimension.gaussian_twin(x, N=9, generator=rng(seed))
    assert twin.shape == (9, 2) and twin.dtype == torch.float32
    table = dimension.calibration(24, [1, 3], k=5, generator=rng(seed))
    assert (table["mle"].diff().dropna() > 0).all() and np.isfinite(
        table.to_numpy(dtype=float)
    ).all()


@settings(max_examples=2)
@given(seeds)
def test_a_report_is_of_all_methods(seed):
    report = dimension.describe(normal(40, 3, seed=seed), LABELS.repeat(2)[:40], ks=[5])
    assert report.low <= report.reference.value <= report.high
    assert len(report.table()) >= 2 and report.statements()


@given(seeds, st.data())
def test_tangents_turn_with_the_points(seed, data):
    x = normal(20, 3, seed=seed)
    Q = data.draw(rotations(3))
    sizes = {"anchors": 10, "neighbours": 5, "d": 2}
    here = dimension.tangent_pairs(x, **sizes, generator=rng(seed))
    there = dimension.tangent_pairs(3 * x @ Q.T + 1, **sizes, generator=rng(seed))
    same(there.affinity, here.affinity, 1e-6)
    assert (here.affinity >= -1e-12).all() and (here.affinity <= 1 + 1e-9).all()
    assert torch.equal(here.disjoint, there.disjoint)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(values, st.integers(-5, 5), seeds)
def test_what_a_store_keeps_comes_back(value, whole, seed):
    assert plain(value) == value
    assert plain(torch.tensor([whole])) == plain(np.array([whole])) == [whole]
    assert key_of({"N": whole, "kind": "a"}, seed) == key_of({"N": whole, "kind": "a"}, seed)
    assert key_of({"N": whole}, seed) != key_of({"N": float(whole)}, seed)
    one = batched(
        lambda cells, seeds: [{"sum": cell["N"] + s} for cell, s in zip(cells, seeds, strict=True)]
    )
    assert one(seed=seed, N=whole) == {"sum": whole + seed}


@given(seeds)
def test_a_summary_of_many_is_its_interval(seed):
    estimates = normal(8, seed=seed).numpy()
    summary = stats.Summary.of(estimates)
    assert math.isclose(summary.sum, estimates.sum(), rel_tol=1e-9, abs_tol=1e-12)
