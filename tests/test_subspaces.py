"""Subspaces: angles, errors, matchings against scipy and brute force; what the learners find."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from factories import EXACT, bases, complains, normal, rng, worst
from scipy import stats

from molrg import MoLRG, subspaces as sub
from molrg.subspaces.geometry import bottleneck_assignment


def projector(U):
    return U @ U.mT


def turned(U, seed=7):
    """Another orthonormal basis of the same subspace."""
    return U @ sub.random_basis(U.shape[-1], U.shape[-1], generator=rng(seed))


def tilted(n, d, degrees, seed=0):
    """Two bases with all principal angles equal to `degrees`, by construction."""
    Q = sub.random_basis(n, 2 * d, generator=rng(seed))
    a = math.radians(degrees)
    return Q[:, :d], math.cos(a) * Q[:, :d] + math.sin(a) * Q[:, d:]


# oracle: whitened coordinates


@pytest.mark.parametrize("degrees", [90, 45, 5, 1])
def test_whitened_points_of_different_subspaces_are_orthogonal_at_every_angle(degrees):
    x, labels = MoLRG.random(20, [3, 2, 4], angle=degrees, generator=rng()).sample(
        [4, 3, 5], generator=rng(1)
    )
    white = sub.whitened(x)
    apart = labels[:, None] != labels
    assert white.shape == (12, 9)
    assert (white.mT @ white - torch.eye(9)).abs().max() < EXACT
    assert (white @ white.mT)[
        apart
    ].abs().max() < 1e-9  # rounding times the condition number, at most 1e2
    assert (torch.nn.functional.normalize(x, dim=-1) @ x.mT)[apart].abs().max() > (
        0.1 if degrees < 90 else -1
    )


def test_whitening_does_not_see_an_invertible_map_and_keeps_the_leading_part_of_noisy_data():
    x, A = normal(12, 5), normal(5, 5, seed=1)
    assert (projector(sub.whitened(x)) - projector(sub.whitened(x @ A))).abs().max() < EXACT
    assert (
        worst(
            projector(sub.whitened(x, 2)) @ x,
            projector(sub.whitened(x, 2)) @ projector(sub.whitened(x, 4)) @ x,
        )
        < EXACT
    )
    assert sub.whitened(x, 2).shape == (12, 2)
    assert sub.whitened(x, 9).shape == (12, 5)


# oracle: bases


@pytest.mark.parametrize(("n", "d"), [(1, 1), (5, 5), (48, 4)])
def test_random_basis_is_orthonormal(n, d):
    U = sub.random_basis(n, d, generator=rng(), ensemble=(2, 3))
    assert U.shape == (2, 3, n, d)
    assert U.dtype == torch.float64
    assert worst(U.mT @ U, torch.eye(d, dtype=torch.float64).expand(2, 3, d, d)) < EXACT


def test_random_basis_is_uniformly_distributed():
    """Energy of a fixed direction is Beta(d/2, (n-d)/2) under the Haar law. False fail 1e-4."""
    n, d = 7, 3
    U = sub.random_basis(n, d, generator=rng(1), ensemble=(4000,))
    for direction in (
        torch.eye(n, dtype=torch.float64)[0],
        torch.full((n,), n**-0.5, dtype=torch.float64),
    ):
        energy = (direction @ U).square().sum(-1)
        assert stats.kstest(energy.numpy(), stats.beta(d / 2, (n - d) / 2).cdf).pvalue > 5e-5


def test_orthonormalise_is_qr():
    x = normal(3, 9, 4)
    Q, R = torch.linalg.qr(x)
    Q = Q * R.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    assert worst(sub.orthonormalise(x), Q) < EXACT


def test_orthonormalise_survives_poor_conditioning():
    x = (
        normal(30, 4)
        @ torch.diag(torch.tensor([1.0, 1e-2, 1e-4, 1e-6], dtype=torch.float64))
        @ normal(4, 4, seed=1)
    )
    U = sub.orthonormalise(x)
    assert worst(U.T @ U, torch.eye(4, dtype=torch.float64)) < EXACT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_orthonormalise_leaves_padding_and_dtype(dtype):
    x = torch.nn.functional.pad(normal(2, 9, 3, dtype=dtype), (0, 2))
    U = sub.orthonormalise(x)
    assert U.dtype == dtype
    assert (U[..., 3:] == 0).all()
    assert worst(U[..., :3], sub.orthonormalise(x[..., :3])) < (
        EXACT if dtype == torch.float64 else 1e-5
    )


@pytest.mark.parametrize("angle", [0.0, 3.0, 20.0, 45.0, 60.0, 85.0, 90.0])
@pytest.mark.parametrize("dims", [[3, 3], [1, 4], [2, 3, 4], [2, 2, 2, 2]])
def test_random_bases_meet_at_the_angle(angle, dims):
    found = sub.random_bases(24, dims, angle=angle, generator=rng(3))
    for U, d in zip(found, dims, strict=True):
        assert U.shape == (24, d)
        assert worst(U.T @ U, torch.eye(d, dtype=torch.float64)) < EXACT
    for U, V in itertools.combinations(found, 2):
        assert (
            np.abs(np.degrees(scipy.linalg.subspace_angles(U, V)) - angle).max() < 1e-5
        )  # scipy's digits near 0


@pytest.mark.parametrize(
    ("n", "dims", "angle"),
    [
        (6, [3, 3], 90),
        (6, [1, 2, 3], 90),
        (4, [3, 3], 0),
        (2, [1, 1, 1], 60),
        (4, [2, 2, 2], 60),
        (6, [3, 3], 10),
    ],
)
def test_random_bases_in_the_least_room(n, dims, angle):
    sub.random_bases(n, dims, angle=angle, generator=rng())
    with complains("dims[0]" if 2 < n <= max(dims) + 1 else "n"):
        sub.random_bases(n - 1, dims, angle=angle, generator=rng())


def test_random_bases_are_randomly_oriented():
    first, second = (sub.random_bases(8, [2, 2], angle=30, generator=rng(seed)) for seed in (0, 1))
    assert worst(projector(first[0]), projector(second[0])) > 0.1
    assert torch.equal(first[1], sub.random_bases(8, [2, 2], angle=30, generator=rng(0))[1])


# oracle: angles and errors


@pytest.mark.parametrize(("d1", "d2"), [(1, 1), (3, 3), (2, 5), (5, 2)])
def test_principal_angles_are_scipys(d1, d2):
    U, V = bases(9, [d1, d2])
    ours = sub.principal_angles(U, V)
    assert ours.shape == (min(d1, d2),)
    assert (ours.diff() >= 0).all()
    assert np.abs(ours.numpy() - scipy.linalg.subspace_angles(U, V)[::-1]).max() < EXACT


@pytest.mark.parametrize(
    "angle", [0.0, 1e-12, 1e-9, 1e-4, 0.5, math.pi / 4, 1.5, math.pi / 2 - 1e-9, math.pi / 2]
)
def test_principal_angles_keep_small_and_right_angles(angle):
    Q = sub.random_basis(9, 2, generator=rng())
    U, V = Q[:, :1], math.cos(angle) * Q[:, :1] + math.sin(angle) * Q[:, 1:]
    assert abs(sub.principal_angles(U, V).item() - angle) < 1e-15 + 1e-13 * angle


def test_principal_angles_of_an_ensemble():
    U, V = (sub.random_basis(9, d, generator=rng(d), ensemble=(4,)) for d in (2, 3))
    one_by_one = torch.stack([sub.principal_angles(u, v) for u, v in zip(U, V, strict=True)])
    assert worst(sub.principal_angles(U, V), one_by_one) < EXACT
    assert worst(sub.principal_angles(V, U), one_by_one) < EXACT


@pytest.mark.parametrize(("d1", "d2"), [(3, 3), (2, 5)])
def test_projector_distance_is_that_of_projectors(d1, d2):
    U, V = bases(9, [d1, d2])
    plain = torch.linalg.matrix_norm(projector(U) - projector(V)) / math.sqrt(d1 + d2)
    assert abs(sub.projector_distance(U, V).item() - plain.item()) < EXACT


@pytest.mark.parametrize("degrees", [0, 5, 30, 90])
def test_subspace_error_of_tilted_subspaces_is_the_sine(degrees):
    U, V = tilted(12, 3, degrees)
    assert abs(sub.subspace_error(U, V) - math.sin(math.radians(degrees))) < EXACT


def test_subspace_error_keeps_its_digits():
    U, V = tilted(12, 3, 1e-10)
    assert (
        abs(sub.subspace_error(U, V) / math.radians(1e-10) - 1) < 1e-3
    )  # projectors would give 0 or 1e-8
    assert sub.subspace_error(U, turned(U)) < 1e-14


def brute_force(estimate, truth):
    def largest(order):
        pairs = [(estimate[k], truth[order[k]]) for k in range(len(truth))]
        scaled = [
            torch.linalg.matrix_norm(projector(u) - projector(v))
            / math.sqrt(u.shape[1] + v.shape[1])
            for u, v in pairs
        ]
        return max(x.item() for x in scaled)

    return min(largest(order) for order in itertools.permutations(range(len(truth))))


@pytest.mark.parametrize("seed", range(8))
def test_subspace_error_minimises_the_largest_over_permutations(seed):
    estimate, truth = bases(6, [2, 1, 3, 2], seed), bases(6, [2, 2, 1, 3], seed + 100)
    assert abs(sub.subspace_error(estimate, truth) - brute_force(estimate, truth)) < EXACT


def test_matching_minimises_the_largest_not_the_sum():
    distances = np.array(
        [[0.0, 0.6], [0.6, 0.9]]
    )  # the sum prefers the diagonal, 0.9, the maximum 0.6 twice
    assert bottleneck_assignment(distances).tolist() == [1, 0]


def test_match_undoes_a_permutation():
    truth = bases(12, [2, 2, 3, 3])
    order = [2, 0, 3, 1]
    estimate = [turned(truth[k]) for k in order]
    assert sub.match(estimate, truth) == order
    assert sub.subspace_error(estimate, truth) < 1e-14


def test_subspace_error_ignores_basis_order_and_orientation():
    estimate, truth, Q = (
        bases(9, [2, 3]),
        bases(9, [2, 3], 5),
        sub.random_basis(9, 9, generator=rng(8)),
    )
    expected = sub.subspace_error(estimate, truth)
    assert abs(sub.subspace_error([turned(U) for U in estimate[::-1]], truth) - expected) < EXACT
    assert (
        abs(sub.subspace_error([Q @ U for U in estimate], [Q @ U for U in truth]) - expected)
        < EXACT
    )
    assert abs(sub.subspace_error(truth, estimate) - expected) < EXACT


def test_clustering_accuracy_is_brute_force():
    labels_hat, labels = (torch.randint(4, (30,), generator=rng(seed)) for seed in (0, 1))
    shares = [
        (torch.tensor(order)[labels_hat] == labels).double().mean()
        for order in itertools.permutations(range(4))
    ]
    assert sub.clustering_accuracy(labels_hat, labels) == max(shares).item()


def test_clustering_accuracy_of_renamed_and_of_constant_labels():
    labels = torch.tensor([0, 0, 1, 2, 2, 2])
    assert sub.clustering_accuracy(torch.tensor([2, 2, 0, 1, 1, 1]), labels) == 1
    assert sub.clustering_accuracy(torch.zeros(6), labels) == 0.5
    assert sub.clustering_accuracy(torch.tensor([5, 5, 9, 0, 0, 0]), labels) == 1


# oracle: learning


@pytest.mark.parametrize(("N", "d"), [(40, 3), (3, 3), (20, 1)])
def test_pca_is_the_leading_eigenspace(N, d):
    x = normal(N, 8) + 0.7  # no mean is removed
    vectors = np.linalg.eigh((x.T @ x).numpy())[1][:, ::-1][:, :d].copy()
    assert worst(projector(sub.pca(x, d)), projector(torch.from_numpy(vectors))) < EXACT
    energies = (x @ sub.pca(x, d)).square().sum(0)
    assert (energies.diff() <= 0).all()


def test_pca_maximises_its_objective():
    x = normal(40, 8) * torch.linspace(1, 2, 8, dtype=torch.float64)
    best = (x @ sub.pca(x, 3)).square().sum()
    others = sub.random_basis(8, 3, generator=rng(), ensemble=(500,))
    assert ((x @ others).square().sum((-2, -1)) < best).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pca_of_an_ensemble(dtype):
    x = normal(3, 2, 20, 8, dtype=dtype)
    together = sub.pca(x, 3)
    assert together.shape == (3, 2, 8, 3)
    assert together.dtype == dtype
    alone = torch.stack([torch.stack([sub.pca(x[i, j], 3) for j in range(2)]) for i in range(3)])
    assert worst(projector(together), projector(alone)) < (
        EXACT if dtype == torch.float64 else 1e-4
    )


def test_pca_of_fewer_points_than_dimensions_contains_them():
    x = normal(2, 8)
    U = sub.pca(x, 4)
    assert worst(U.T @ U, torch.eye(4, dtype=torch.float64)) < EXACT
    assert worst(x @ projector(U), x) < EXACT


def naive_k_subspaces(x, start, iterations):
    """Alternation as it is written on the blackboard, one cluster after the other."""
    U = list(start)
    for _ in range(iterations):
        labels = torch.stack([(x @ u).square().sum(-1) for u in U], -1).argmax(-1)
        U = [
            sub.pca(x[labels == k], u.shape[1]) if (labels == k).any() else u
            for k, u in enumerate(U)
        ]
    return torch.stack([(x @ u).square().sum(-1) for u in U], -1).max(-1)


@pytest.mark.parametrize("d", [2, [1, 2, 3]])
def test_k_subspaces_is_plain_alternation(d):
    x, _ = MoLRG.random(12, [2, 2, 2], angle=60, noise=0.1, generator=rng(1)).sample(
        90, generator=rng(2)
    )
    start = bases(12, [2, 2, 2] if d == 2 else d, seed=4)
    for iterations in (1, 3, 50):
        energy, labels = naive_k_subspaces(x, start, iterations)
        found = sub.k_subspaces(x, 3, d, init=start, max_iterations=iterations, generator=rng())
        assert abs(found.objective - energy.mean().item()) < EXACT
        assert torch.equal(found.labels, labels)


def test_k_subspaces_keeps_the_best_start_and_its_objective():
    x, _ = MoLRG.random(12, [3, 3], noise=0.2, generator=rng(1)).sample(60, generator=rng(2))
    found = sub.k_subspaces(x, 2, 3, restarts=20, generator=rng(3))
    assert found.objectives.shape == (20,)
    assert found.objective == found.objectives.max().item()
    energy = torch.stack([(x @ U).square().sum(-1) for U in found.bases], -1)
    assert abs(energy.amax(-1).mean().item() - found.objective) < EXACT
    assert torch.equal(energy.argmax(-1), found.labels)
    assert found.objectives.std() > 0, "all starts ended alike: nothing was chosen"


def test_k_subspaces_never_descends():
    x = normal(80, 10)
    start = bases(10, [3, 3, 3])
    path = [
        sub.k_subspaces(x, 3, 3, init=start, max_iterations=i, generator=rng()).objective
        for i in range(1, 12)
    ]
    assert all(b >= a - EXACT for a, b in itertools.pairwise(path))
    assert path[-1] > path[0] + 0.01


@pytest.mark.parametrize("init", ["random", "spectral"])
@pytest.mark.parametrize("dims", [[3, 3], [1, 2, 3]])
def test_k_subspaces_recovers_separated_subspaces(init, dims):
    truth = MoLRG.random(24, dims, generator=rng(1))
    x, labels = truth.sample([25] * len(dims), generator=rng(2))
    found = sub.k_subspaces(x, len(dims), dims, restarts=30, init=init, generator=rng(3))
    assert sub.clustering_accuracy(found.labels, labels) == 1
    assert sub.subspace_error(found.bases, truth.bases) < 1e-7


def test_k_subspaces_with_one_subspace_is_pca():
    x = normal(30, 8)
    assert sub.subspace_error(sub.k_subspaces(x, 1, 3, generator=rng()).bases, sub.pca(x, 3)) < 1e-7


def test_k_subspaces_is_reproducible_and_keeps_the_dtype():
    x = normal(30, 8, dtype=torch.float32)
    for init in ("random", "spectral"):
        first, second = (
            sub.k_subspaces(x, 2, 2, restarts=3, init=init, generator=rng(4)) for _ in range(2)
        )
        assert torch.equal(first.bases[0], second.bases[0])
        assert torch.equal(first.labels, second.labels)
        assert first.bases[0].dtype == torch.float32


def test_spectral_labels_separate_orthogonal_subspaces_and_not_noise():
    x, labels = MoLRG.random(24, [2, 2, 2], generator=rng()).sample([30, 30, 30], generator=rng(1))
    assert sub.clustering_accuracy(sub.spectral_labels(x, 3, seed=0), labels) == 1
    assert sub.clustering_accuracy(sub.spectral_labels(normal(90, 24), 3, seed=0), labels) < 0.7


def test_a_single_point_orthogonal_to_all_others_is_a_cluster():
    labels = torch.tensor([0, 0, 1, 0, 0, 0, 0, 0])
    x, _ = MoLRG.random(9, [3], generator=rng()).sample(8, generator=rng(1))
    x[2] = torch.linalg.svd(x).Vh[-1]
    for seed in range(4):
        assert sub.clustering_accuracy(sub.spectral_labels(x, 2, seed=seed), labels) == 1


# bad input

U = sub.random_basis(6, 2, generator=rng())
X = normal(10, 6)
NAN = torch.full((10, 6), math.nan)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: sub.random_basis(3, 4, generator=rng()), "d"),
        (lambda: sub.random_bases(6, [], generator=rng()), "dims"),
        (lambda: sub.random_bases(6, [2, 0], generator=rng()), "dims[1]"),
        (lambda: sub.random_bases(6, [6], generator=rng()), "dims[0]"),
        (lambda: sub.random_bases(6, [2, 2.5], generator=rng()), "dims[1]"),  # type: ignore[list-item]
        (lambda: sub.random_bases(6, [2, 2], angle=91.0, generator=rng()), "angle"),
        (lambda: sub.random_bases(6, [2, 2], angle=-1.0, generator=rng()), "angle"),
        (lambda: sub.random_bases(6, [2, 2], angle=math.nan, generator=rng()), "angle"),
        (lambda: sub.random_bases(6, [2] * 4, generator=rng()), "n"),
        (lambda: sub.pca(X, 6), "d"),
        (lambda: sub.pca(X, 0), "d"),
        (lambda: sub.pca(NAN, 2), "x"),
        (lambda: sub.pca(X[:0], 2), "x.shape"),
        (lambda: sub.pca(X.long(), 2), "x"),
        (lambda: sub.principal_angles(U, normal(5, 2)), "second.shape"),
        (lambda: sub.principal_angles(NAN, X), "first"),
        (lambda: sub.subspace_error(2 * U, U), "estimate[0]"),
        (lambda: sub.subspace_error(U, U[:, [0, 0]]), "truth[0]"),
        (lambda: sub.subspace_error([U, U], [U]), "len(estimate)"),
        (lambda: sub.subspace_error([], []), "len(estimate)"),
        (
            lambda: sub.subspace_error(U, sub.random_basis(5, 2, generator=rng())),
            "ambient dimensions",
        ),
        (lambda: sub.subspace_error(torch.eye(6), U), "estimate[0].shape"),
        (lambda: sub.clustering_accuracy(torch.zeros(3), torch.zeros(4)), "labels_hat.shape"),
        (lambda: sub.clustering_accuracy(torch.zeros(0), torch.zeros(0)), "labels_hat.shape"),
        (lambda: sub.k_subspaces(X.float() * 1e-23, 2, 2, generator=rng()), "x"),
        (lambda: sub.k_subspaces(X.float() * 1e-18, 2, 2, generator=rng()), "x"),
        (lambda: sub.k_subspaces(X.float() * 1e23, 2, 2, generator=rng()), "x"),
        (
            lambda: sub.k_subspaces(torch.stack([X, X * 1e-170]), 2, 2, generator=rng()),
            "x",
        ),
        (lambda: sub.k_subspaces(X, 11, 2, generator=rng()), "K"),
        (lambda: sub.k_subspaces(X, 0, 2, generator=rng()), "K"),
        (lambda: sub.k_subspaces(X, 2, 6, generator=rng()), "d[0]"),
        (lambda: sub.k_subspaces(X, 2, [2], generator=rng()), "len(d)"),
        (lambda: sub.k_subspaces(X, 2, 2, restarts=0, generator=rng()), "restarts"),
        (lambda: sub.k_subspaces(X, 2, 2, max_iterations=0, generator=rng()), "max_iterations"),
        (lambda: sub.k_subspaces(X, 2, 2, init="best", generator=rng()), "init"),
        (lambda: sub.k_subspaces(X, 2, 2, init=[U], generator=rng()), "len(init)"),
        (lambda: sub.k_subspaces(X, 2, 2, init=[U, 2 * U], generator=rng()), "init[1]"),
        (lambda: sub.k_subspaces(NAN, 2, 2, generator=rng()), "x"),
        (lambda: sub.k_subspaces(X[0], 2, 2, generator=rng()), "x.shape"),
        (lambda: sub.spectral_labels(X, 11, seed=0), "K"),
        (lambda: sub.spectral_labels(NAN, 2, seed=0), "x"),
        (lambda: sub.whitened(NAN), "x"),
        (lambda: sub.whitened(X[None]), "x.shape"),
        (lambda: sub.whitened(0 * X), "x"),
        (lambda: sub.whitened(X, 0), "rank"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()


@pytest.mark.parametrize("value", [math.nan, math.inf, "3", None, True, 2.5, torch.tensor([1, 2])])
def test_counts_that_are_none(value):
    with complains("d"):
        sub.pca(X, value)


def test_starting_bases_of_another_shape_are_refused():
    with complains("init[0].shape"):
        sub.k_subspaces(
            X, 2, 2, init=[sub.random_basis(5, 2, generator=rng())] * 2, generator=rng()
        )
    with complains("init[0].shape"):
        sub.k_subspaces(
            X, 2, 2, init=[sub.random_basis(6, 3, generator=rng())] * 2, generator=rng()
        )


def test_whole_numbers_of_numpy_are_counts():
    assert sub.pca(X, np.int64(2)).shape == (6, 2)


def test_negative_labels_are_refused():
    with complains("labels_hat"):
        sub.clustering_accuracy(torch.tensor([-1, 0, 1]), torch.tensor([0, 1, 2]))


def test_bases_of_two_precisions_can_be_compared():
    U = sub.random_basis(9, 3, generator=rng())
    assert sub.subspace_error(U.float(), U) < 1e-6
    assert sub.principal_angles(U.float(), U).max() < 1e-6


# what PCA does where the data do not determine it


@pytest.mark.parametrize(("N", "d"), [(2, 5), (5, 5), (9, 4)])
def test_a_random_completion_is_an_optimum(N, d):
    x = normal(3, N, 12) @ torch.diag(torch.linspace(1, 3, 12, dtype=torch.float64))
    U, reference = sub.pca(x, d, completion="random", generator=rng()), sub.pca(x, d)
    assert U.shape == (3, 12, d)
    assert worst(U.mT @ U, torch.eye(d, dtype=torch.float64).expand(3, d, d)) < EXACT
    assert worst((x @ U).square().sum((-2, -1)), (x @ reference).square().sum((-2, -1))) < 1e-9
    if d <= N:
        assert worst(projector(U), projector(reference)) < EXACT


def test_repeated_points_leave_directions_open_too():
    x = normal(2, 10).repeat(3, 1)  # six points in a plane
    first, second = (sub.pca(x, 4, completion="random", generator=rng(seed)) for seed in (0, 1))
    assert worst(x @ projector(first), x) < EXACT
    assert worst(x @ projector(second), x) < EXACT
    assert sub.projector_distance(first, second) > 0.1


def test_a_random_completion_obeys_the_exact_law():
    """Mean squared error (d-N)(1-(d-N)/(n-N))/d; 4 cells, each within 4 s.e.: false fail 3e-4."""
    n, d = 12, 5
    U = sub.random_basis(n, d, generator=rng(3))
    for N in range(1, d):
        x = (normal(N, d, seed=N) @ U.T).expand(4000, N, n)
        squares = sub.projector_distance(
            sub.pca(x, d, completion="random", generator=rng(N)), U
        ).square()
        law = (d - N) * (1 - (d - N) / (n - N)) / d
        assert abs(squares.mean() - law) < 4 * squares.std() / 4000**0.5
        assert law < (d - N) / d - 0.02, "and the worst case is another law"


def test_a_random_completion_keeps_the_dtype_and_needs_a_generator():
    assert (
        sub.pca(normal(2, 9, dtype=torch.float32), 4, completion="random", generator=rng()).dtype
        == torch.float32
    )
    with complains("generator"):
        sub.pca(normal(2, 9), 4, completion="random")
    with complains("completion"):
        sub.pca(normal(2, 9), 4, completion="best")


# small angles, poor bases, large numbers


@pytest.mark.parametrize("small", [1e-6, 1e-8, 1e-10, 1e-13])
@pytest.mark.parametrize("seed", range(3))
def test_the_smallest_angles_are_exact_beside_larger_ones(small, seed):
    """Known by construction; bases turned so that no column shows an angle by itself."""
    angles = torch.tensor([small, 3 * small, 1e-3, 0.7, 1.5], dtype=torch.float64)
    Q = sub.random_basis(40, 10, generator=rng(seed))
    U = turned(Q[:, :5], seed)
    V = turned(Q[:, :5] * angles.cos() + Q[:, 5:] * angles.sin(), seed + 10)
    measured = sub.principal_angles(U, V)
    assert (measured.diff() >= 0).all()
    assert ((measured - angles).abs() <= 3e-15 + 1e-13 * angles).all()
    theirs = torch.from_numpy(scipy.linalg.subspace_angles(U.numpy(), V.numpy())).flip(0)
    assert (measured - angles).abs().max() <= (theirs - angles).abs().max() + 2e-15


def test_angles_are_sorted():
    for seed in range(20):
        U = sub.random_basis(12, 6, generator=rng(seed))
        V = sub.random_basis(12, 6, generator=rng(seed + 50))
        assert (sub.principal_angles(U, V).diff() >= 0).all()


def test_angles_are_those_of_the_spans_whatever_the_columns():
    U, V = sub.random_basis(20, 3, generator=rng(1)), sub.random_basis(20, 4, generator=rng(2))
    A, B = U @ normal(3, 3, seed=3), 1e6 * V @ normal(4, 4, seed=4)
    assert worst(sub.principal_angles(A, B), sub.principal_angles(U, V)) < EXACT
    assert sub.principal_angles(2 * U, U).max() < 1e-14
    for dependent in (U[:, [0, 1, 0]], torch.zeros_like(U)):
        with complains("first"):
            sub.principal_angles(dependent, V)
        with complains("second"):
            sub.principal_angles(V, dependent)


@pytest.mark.parametrize("power", [6, 8, 10, 12])
def test_nearly_dependent_columns_become_orthonormal(power):
    """Householder QR takes over where Cholesky QR fails; alone, or one among good ones."""
    scales = torch.logspace(0, -power, 5, dtype=torch.float64)
    poor = sub.random_basis(30, 5, generator=rng(1)) * scales @ turned(torch.eye(5).double())
    good = normal(30, 5)
    for basis in (poor, torch.stack([good, poor, good])):
        U = sub.orthonormalise(basis)
        assert worst(U.mT @ U, torch.eye(5, dtype=torch.float64).expand_as(U.mT @ U)) < EXACT
    together = sub.orthonormalise(torch.stack([good, poor, good]))
    assert worst(together[0], sub.orthonormalise(good)) == 0
    residual = poor - together[1] @ (together[1].mT @ poor)
    assert residual.abs().max() < 1e-14


def test_dependent_columns_have_no_basis():
    x = normal(6, 3)
    for dependent in (x[:, [0, 0]], torch.cat([x, x.sum(1, keepdim=True)], 1), x * math.nan):
        with complains("basis"):
            sub.orthonormalise(dependent)


def test_dimensions_may_be_numpys():
    x = normal(9, 4)
    ours = sub.k_subspaces(x, 2, 1, generator=rng())
    theirs = sub.k_subspaces(x, 2, np.int64(1), generator=rng())
    assert theirs.objective == ours.objective


def test_numbers_whose_squares_overflow_are_refused():
    x = normal(9, 4)
    with complains("x"):
        sub.k_subspaces(1e30 * x.float(), 2, 1, generator=rng())
    with complains("x"):
        sub.k_subspaces(1e200 * x, 2, 1, generator=rng())
    large = sub.k_subspaces(1e30 * x, 2, 1, generator=rng())
    assert abs(large.objective / sub.k_subspaces(x, 2, 1, generator=rng()).objective - 1e60) < 1e48


@pytest.mark.parametrize("K", [2, 6])
def test_errors_are_nan_for_a_model_with_nan(K):
    truth = bases(9, [1] * K)
    estimate = [torch.stack([U, U]) for U in truth]
    estimate[1][0, 0, 0] = math.nan
    errors = sub.subspace_errors(estimate, truth)
    assert errors.isnan().tolist() == [True, False] and errors[1] < EXACT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_length_of_a_column_does_not_count(dtype):
    x = normal(5, 3, dtype=dtype)
    basis = sub.orthonormalise(x)
    for lengths in ([1e-25, 1e-25, 1e-25], [1e25, 1e25, 1e25], [1e-38, 1.0, 1e30]):
        columns = sub.orthonormalise(x * torch.tensor(lengths, dtype=dtype))
        assert worst(columns, basis) < 1e3 * torch.finfo(dtype).eps
    padded = torch.cat([1e-25 * x, torch.zeros(5, 1, dtype=dtype)], 1)
    assert worst(sub.orthonormalise(padded)[:, :3], basis) < 1e3 * torch.finfo(dtype).eps
    assert not sub.orthonormalise(padded)[:, 3].any()
    for scale in (1e-25, 1e25):
        with complains("basis"):
            sub.orthonormalise(scale * x[:, [0, 0]])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_orthonormalised_in_single(dtype):
    x = normal(20, 3).to(dtype)
    basis = sub.orthonormalise(x)
    assert basis.dtype == dtype
    assert torch.equal(basis, sub.orthonormalise(x.float()).to(dtype))


def test_labels_may_be_large_numbers():
    labels = torch.tensor([10**12, 10**12, 5, 7, 7])
    assert sub.clustering_accuracy(labels, torch.tensor([0, 0, 1, 2, 2])) == 1
    assert sub.clustering_accuracy(torch.tensor([0, 0, 1, 1, 1]), labels) == 0.8
    assert sub.clustering_accuracy(torch.zeros(5), labels) == 0.4


def test_points_of_value_zero_are_clustered():
    result = sub.k_subspaces(0 * X, 2, 2, restarts=1, generator=rng())
    assert result.objective == 0
