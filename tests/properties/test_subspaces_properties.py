"""Properties of subspaces: rotations, orders and names of points and clusters change nothing."""

from __future__ import annotations

import math

import torch
from factories import normal, rng, worst
from hypothesis import assume, given, strategies as st
from strategies import (
    Border,
    bases,
    close,
    clouds,
    no_count,
    no_real,
    permutations,
    rotations,
    same,
    seeds,
    spoiled,
)

from molrg import subspaces

POINTS = normal(7, 4)
PAIR = list(torch.eye(4, dtype=torch.float64).split([2, 1, 1], dim=1))[:2]
LABELS = torch.tensor([0, 1, 1])


def cluster(**changed):
    arguments = {"x": POINTS, "K": 2, "d": 2, "restarts": 2, "generator": rng()}
    return subspaces.k_subspaces(**(arguments | changed)).bases


BORDERS = [
    Border(
        subspaces.random_basis,
        lambda: {"n": 4, "d": 2, "generator": rng()},
        {"d": no_count(1, 4), "n": no_count(2)},
    ),
    Border(
        subspaces.orthonormalise,
        lambda: {"basis": PAIR[0]},
        {"basis": st.one_of(spoiled(PAIR[0]), st.just(PAIR[0][:, [0, 0]]))},
    ),
    Border(
        subspaces.random_bases,
        lambda: {"n": 6, "dims": [2, 2], "generator": rng()},
        {
            "n": no_count(4),
            "dims": st.sampled_from([[0, 1], [6, 1], []]),
            "angle": no_real(0, 90),
        },
    ),
    Border(
        subspaces.pca,
        lambda: {"x": POINTS, "d": 2, "generator": rng()},
        {"x": spoiled(POINTS), "d": no_count(1, 3), "completion": st.sampled_from(["", "none"])},
    ),
    Border(
        cluster,
        lambda: {"K": 2},
        {
            "x": spoiled(POINTS),
            "K": no_count(1, 7),
            "d": st.one_of(no_count(1, 3), st.just([1, 2, 1])),
            "restarts": no_count(),
            "init": st.sampled_from(["", "none"]),
            "max_iterations": no_count(),
        },
    ),
    Border(
        subspaces.spectral_labels,
        lambda: {"x": POINTS, "K": 2, "seed": 0},
        {"x": spoiled(POINTS), "K": no_count(1, 7)},
    ),
    Border(
        subspaces.whitened,
        lambda: {"x": POINTS, "rank": 2},
        {"x": st.one_of(spoiled(POINTS), st.just(0 * POINTS)), "rank": no_count()},
    ),
    Border(
        subspaces.clustering_accuracy,
        lambda: {"labels_hat": LABELS, "labels": LABELS},
        {"labels_hat": st.just(LABELS[:2]), "labels": st.just(LABELS - 1)},
    ),
    Border(
        subspaces.principal_angles,
        lambda: {"first": PAIR[0], "second": PAIR[1]},
        {"first": st.one_of(spoiled(PAIR[0]), st.just(PAIR[0] * 0)), "second": spoiled(PAIR[1])},
    ),
    Border(
        subspaces.subspace_error,
        lambda: {"estimate": PAIR, "truth": PAIR},
        {"estimate": st.just([PAIR[0] * 2, PAIR[1]]), "truth": st.just([PAIR[0], PAIR[1] * 0])},
    ),
    Border(
        subspaces.subspace_errors,
        lambda: {"estimate": PAIR, "truth": PAIR},
        {"estimate": st.just(PAIR[:1])},
    ),
]


def projector(basis: torch.Tensor) -> torch.Tensor:
    return basis @ basis.mT


@given(st.integers(2, 6), st.data())
def test_random_bases_are_orthonormal_and_meet_at_the_angle(n, data):
    d = data.draw(st.integers(1, n))
    basis = subspaces.random_basis(n, d, generator=rng(data.draw(seeds)), ensemble=(2,))
    eye = torch.eye(d, dtype=torch.float64).expand(2, d, d)
    assert worst(basis.mT @ basis, eye) < close(torch.float64)
    angle = data.draw(st.floats(1.0, 90.0))
    two = subspaces.random_bases(2 * n, [d, 1], angle=angle, generator=rng(data.draw(seeds)))
    angles = subspaces.principal_angles(*two)
    assert angles.shape == (1,) and math.isclose(math.degrees(angles[0]), angle, rel_tol=1e-6)


@given(clouds(N=(6, 9), n=(2, 4)), st.data())
def test_orthonormalising_keeps_the_span_and_is_done_once(x, data):
    once = subspaces.orthonormalise(x)
    same(subspaces.orthonormalise(once), once)
    coordinates = once.mT @ x
    same(once @ coordinates, x)
    assert (coordinates.diagonal(dim1=-2, dim2=-1) > 0).all()
    stacked = subspaces.orthonormalise(torch.stack([x, 2 * x]))
    same(stacked[1], once)


@given(clouds(N=(5, 9), n=(3, 5)), st.data())
def test_pca_turns_with_the_data_and_knows_no_order(x, data):
    N, n = x.shape
    d = data.draw(st.integers(1, n - 1))
    basis = subspaces.pca(x, d)
    gap = torch.linalg.svdvals(x.double())
    tolerance = close(x.dtype) * float(gap[0] ** 2 / (gap[d - 1] ** 2 - gap[d] ** 2))
    assert basis.dtype == x.dtype and basis.shape == (n, d)
    turn = data.draw(rotations(n, x.dtype))
    expected = projector(turn @ basis)
    same(projector(subspaces.pca(x @ turn.mT, d)), expected, tolerance)
    order = data.draw(permutations(N))
    same(projector(subspaces.pca(x[order], d)), projector(basis), tolerance)
    both = subspaces.pca(torch.stack([x, x[order]]), d)
    same(projector(both[0]), projector(basis), tolerance)


@given(st.integers(1, 3), st.integers(1, 3), seeds, seeds)
def test_a_random_completion_contains_the_data(N, more, seed, other):
    x = normal(N, N + more + 2, seed=seed)
    basis = subspaces.pca(x, N + more, completion="random", generator=rng(other))
    same(projector(basis) @ x.mT, x.mT)
    assert worst(basis.mT @ basis, torch.eye(N + more, dtype=torch.float64)) < 1e-10


@given(st.integers(1, 3), st.integers(1, 3), st.data())
def test_angles_and_distances_are_of_subspaces(first, second, data):
    a, b = data.draw(bases(6, [first, second]))
    turn = data.draw(rotations(6))
    angles = subspaces.principal_angles(a, b)
    assert (angles >= 0).all() and (angles <= math.pi / 2 + 1e-12).all()
    assert (angles.diff() >= -1e-12).all()
    same(subspaces.principal_angles(b, a), angles, 1e-10)
    same(subspaces.principal_angles(turn @ a, turn @ b), angles, 1e-8)
    same(subspaces.principal_angles(3 * a, b), angles, 1e-8)  # columns need not be orthonormal
    distance = subspaces.projector_distance(a, b)
    dense = (projector(a) - projector(b)).norm() / math.sqrt(first + second)
    assert 0 <= distance <= 1 + 1e-12
    same(distance, dense, 1e-8)
    same(subspaces.projector_distance(turn @ b, turn @ a), distance, 1e-8)
    both = subspaces.projector_distance(torch.stack([a, turn @ a]), torch.stack([b, turn @ b]))
    same(both, torch.stack([distance, distance]), 1e-8)
    assert subspaces.projector_distance(a, a) < 1e-12


@given(clouds(n=(4, 4)), st.data())
def test_energies_are_those_of_dense_projectors(x, data):
    parts = data.draw(bases(4, [1, 3, 2], x.dtype))
    measured = subspaces.energies(x, parts)
    dense = torch.stack([(x @ projector(U)).square().sum(-1) for U in parts], -1)
    same(measured, dense)
    turn = data.draw(rotations(4, x.dtype))
    same(subspaces.energies(x @ turn.mT, [turn @ U for U in parts]), measured)
    ensemble = subspaces.energies(x, [torch.stack([U, U]) for U in parts])
    same(ensemble[1], measured)


@given(st.data())
def test_errors_know_neither_order_nor_orientation(data):
    truth = data.draw(bases(6, [2, 2, 1]))
    estimate = data.draw(bases(6, [2, 2, 1]))
    order = data.draw(permutations(3)).tolist()
    turn = data.draw(rotations(6))
    error = subspaces.subspace_error(estimate, truth)
    assert 0 <= error <= 1 + 1e-12
    shuffled = [truth[k] for k in order]
    assert subspaces.subspace_error(shuffled, truth) < 1e-12
    assert [order[k] for k in range(3)] == subspaces.match(shuffled, truth)
    turned = subspaces.subspace_error([turn @ U for U in estimate], [turn @ U for U in shuffled])
    assert math.isclose(turned, error, abs_tol=1e-9)
    batch = subspaces.subspace_errors([torch.stack([U, turn @ U]) for U in estimate], truth)
    assert math.isclose(float(batch[0]), error, abs_tol=1e-9)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_accuracy_knows_no_names(labels, data):
    names = torch.tensor(labels)
    guess = torch.tensor(
        data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)))
    )
    accuracy = subspaces.clustering_accuracy(guess, names)
    assert 0 < accuracy <= 1
    renamed = data.draw(permutations(4))
    assert subspaces.clustering_accuracy(renamed[guess], names) == accuracy
    assert subspaces.clustering_accuracy(renamed[names], names) == 1
    order = data.draw(permutations(len(labels)))
    assert subspaces.clustering_accuracy(guess[order], names[order]) == accuracy


@given(clouds(N=(8, 12), n=(4, 4), dtype=torch.float64), st.data())
def test_clustering_from_a_given_start_turns_with_the_data(x, data):
    start = data.draw(bases(4, [2, 1]))
    source = rng()
    result = subspaces.k_subspaces(x, 2, [2, 1], init=start, generator=source)
    energies = subspaces.energies(x, result.bases)
    assert torch.equal(energies.argmax(-1), result.labels)
    assert math.isclose(float(result.objective), float(energies.amax(-1).mean()), rel_tol=1e-9)
    assert float(result.objective) >= float(subspaces.energies(x, start).amax(-1).mean()) * (
        1 - 1e-12
    )
    # a cluster with fewer points than dimensions is completed by draws, which do not turn
    assume(torch.equal(source.get_state(), rng().get_state()))
    turn = data.draw(rotations(4))
    there = subspaces.k_subspaces(
        x @ turn.mT, 2, [2, 1], init=[turn @ U for U in start], generator=rng()
    )
    assert torch.equal(there.labels, result.labels)
    order = data.draw(permutations(len(x)))
    moved = subspaces.k_subspaces(x[order], 2, [2, 1], init=start, generator=rng())
    assert torch.equal(moved.labels, result.labels[order])


@given(seeds, seeds)
def test_data_sets_beside_one_another_change_nothing(seed, other):
    x = torch.stack([normal(9, 4, seed=seed), normal(9, 4, seed=other)])
    both = subspaces.k_subspaces(x, 2, 1, restarts=2, generator=[rng(seed), rng(other)])
    for e, of in enumerate((seed, other)):
        alone = subspaces.k_subspaces(x[e], 2, 1, restarts=2, generator=rng(of))
        assert torch.equal(both.labels[e], alone.labels)


@given(seeds, st.data())
def test_labels_by_spectrum_know_neither_length_nor_place(seed, data):
    parts = torch.eye(6, dtype=torch.float64).split(2, dim=1)
    x = torch.cat([normal(6, 2, seed=seed + k) @ U.T for k, U in enumerate(parts)])
    labels = subspaces.spectral_labels(x, 3, seed=0)
    turn = data.draw(rotations(6))
    there = subspaces.spectral_labels(5 * x @ turn.T, 3, seed=0)
    assert subspaces.clustering_accuracy(there, labels) == 1
    truth = torch.arange(3).repeat_interleave(6)
    assert (
        subspaces.clustering_accuracy(
            subspaces.spectral_labels(subspaces.whitened(x), 3, seed=0), truth
        )
        == 1
    )


@given(clouds(N=(5, 8), n=(2, 4), dtype=torch.float64), seeds)
def test_whitened_points_do_not_know_the_map(x, seed):
    white = subspaces.whitened(x)
    assert worst(white.T @ white, torch.eye(white.shape[1], dtype=torch.float64)) < 1e-9
    A = (
        torch.eye(x.shape[1], dtype=torch.float64)
        + 0.2 * normal(x.shape[1], x.shape[1], seed=seed).tanh()
    )
    there = subspaces.whitened(x @ A)
    same(projector(there), projector(white), 1e-6)
    assert subspaces.whitened(x, 1).shape == (len(x), 1)
