"""K-subspaces over data sets and starts, under either constraint; what is unique at its edge."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from factories import EXACT, bases, complains, normal, rng, worst

from molrg import MoLRG, subspaces as sub, training
from molrg.denoisers import LowRank
from molrg.schedules import VP
from molrg.subspaces import alternation


def points(N, d=2, K=2, n=12, *, angle=90.0, noise=0.0, seed=0):
    mixture = MoLRG.random(n, [d] * K, angle=angle, noise=noise, generator=rng(seed))
    return mixture.sample([N] * K, generator=rng(seed + 100))[0], mixture.bases


def jointly(U):
    return torch.cat(list(U), -1)


# oracle: polar factors and row spaces


def test_polar_is_the_nearest_frame_and_maximises_the_trace():
    x = normal(3, 7, 4)
    U = alternation.polar(x)
    root = U.mT @ x  # symmetric and positive: the other factor
    assert worst(U.mT @ U, torch.eye(4, dtype=torch.float64).expand(3, 4, 4)) < EXACT
    assert worst(root, root.mT) < EXACT
    assert (torch.linalg.eigvalsh(root) > 0).all()
    others = sub.random_basis(7, 4, generator=rng(1), ensemble=(500, 3))
    assert ((others * x).sum((-2, -1)) < (U * x).sum((-2, -1))).all()


@pytest.mark.parametrize(("N", "rank"), [(3, 3), (9, 4), (9, 7)])
def test_row_space_keeps_the_points(N, rank):
    x = normal(2, N, min(rank, N)) @ normal(min(rank, N), 7, seed=1)
    V, z = alternation.row_space(x)
    assert V.shape == (2, 7, min(rank, N))
    assert worst(z @ V.mT, x) < EXACT


# equivalence: many at once are one at a time, the row space is the whole space


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("init", ["random", "balanced", "spectral", "whitened", "random+whitened"])
def test_data_sets_at_once_are_data_sets_alone(init, joint):
    x = torch.stack([points(5, seed=s, noise=0.01)[0] for s in range(6)]).reshape(2, 3, 10, 12)
    settings = {"restarts": 4, "init": init, "joint": joint}
    together = sub.k_subspaces(x, 2, 2, generator=[rng(s) for s in range(6)], **settings)
    total = 4 + ("+" in init)
    assert together.objectives.shape == (2, 3, total)
    assert together.start_labels.shape == (
        2,
        3,
        total,
        10,
    )
    assert together.starts[0].shape == (2, 3, total, 12, 2)
    assert together.objective.shape == (2, 3)
    for s, (i, j) in enumerate(itertools.product(range(2), range(3))):
        alone = sub.k_subspaces(x[i, j], 2, 2, generator=rng(s), **settings)
        assert worst(alone.objectives, together.objectives[i, j]) < EXACT
        assert torch.equal(alone.labels, together.labels[i, j])
        assert sub.subspace_error(alone.bases, [U[i, j] for U in together.bases]) < 1e-7
        assert abs(alone.objective - together.objective[i, j]) < EXACT


def test_blocks_do_not_matter(monkeypatch):
    x = torch.stack([points(5, seed=s)[0] for s in range(5)])
    whole = sub.k_subspaces(x, 2, 2, generator=[rng(s) for s in range(5)])
    monkeypatch.setattr(alternation, "_BLOCK", 1)
    assert torch.equal(
        sub.k_subspaces(x, 2, 2, generator=[rng(s) for s in range(5)]).labels, whole.labels
    )


@pytest.mark.parametrize("joint", [False, True])
def test_a_rotation_of_space_rotates_the_result(joint):
    x, start, Q = normal(14, 9), bases(9, [2, 3]), sub.random_basis(9, 9, generator=rng(5))
    for extra in (
        0,
        20,
    ):  # with 20 coordinates of nothing the row space is a true part of the space
        wide = torch.nn.functional.pad(x @ Q, (0, extra))
        turned = [torch.nn.functional.pad(Q.T @ U, (0, 0, 0, extra)) for U in start]
        found = sub.k_subspaces(wide, 2, [2, 3], init=turned, joint=joint, generator=rng())
        plain = sub.k_subspaces(x, 2, [2, 3], init=start, joint=joint, generator=rng())
        assert torch.equal(found.labels, plain.labels)
        assert abs(found.objective - plain.objective) < 1e-9


@pytest.mark.parametrize("more", [[], [1, 1, 1, 1]])
def test_errors_of_an_ensemble_are_those_of_each(more):
    each = [bases(9, [2, 2, 3, *more], seed=s) for s in range(6)]
    estimate = [torch.stack(subspace) for subspace in zip(*each, strict=True)]
    truth = bases(9, [2, 3, 3, *more], seed=50)
    found = sub.subspace_errors(estimate, truth)
    for s in range(6):
        assert abs(found[s] - sub.subspace_error([U[s] for U in estimate], truth)) < EXACT
    with complains("len(estimate)"):
        sub.subspace_errors(estimate, truth[:2])


# invariance: what the steps never do


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("dims", [[2, 2, 2], [1, 3, 2]])
def test_no_step_descends(joint, dims):
    x, start = normal(40, 8), bases(8, dims)
    path = [
        sub.k_subspaces(
            x, 3, dims, init=start, joint=joint, max_iterations=i, generator=rng()
        ).objective
        for i in range(1, 15)
    ]
    assert all(b >= a - EXACT for a, b in itertools.pairwise(path))
    assert path[-1] > path[0] + 0.01


@pytest.mark.parametrize("N", [1, 2, 3, 6])
@pytest.mark.parametrize("dims", [[3, 3], [1, 3]])
def test_the_joint_constraint_holds_whatever_the_number_of_points(N, dims):
    x, _ = points(N, d=3)
    found = sub.k_subspaces(x, 2, dims, restarts=6, joint=True, generator=rng())
    for r in range(6):
        frame = jointly(U[r] for U in found.starts)
        assert worst(frame.T @ frame, torch.eye(sum(dims), dtype=torch.float64)) < EXACT


@pytest.mark.parametrize("N", [1, 2, 3])
def test_separate_bases_are_orthonormal_and_hold_their_points(N):
    x, _ = points(N, d=3, seed=N)
    found = sub.k_subspaces(x, 2, 3, restarts=10, init="balanced", generator=rng())
    for k, U in enumerate(found.starts):
        assert worst(U.mT @ U, torch.eye(3, dtype=torch.float64).expand(10, 3, 3)) < EXACT
        inside = x - (x @ U) @ U.mT
        assert (
            inside.norm(dim=-1)[found.start_labels == k].max() < 1e-7
        )  # N <= d: all splits have zero loss


def test_open_directions_are_random():
    """One point on each of two subspaces of dimension 2 in R^12.

    The open direction of each is uniform in the complement, so its mean energy in the true subspace
    is 1/11. 400 runs, five standard errors: false fail 1e-6.
    """
    x, truth = points(1)
    found = sub.k_subspaces(x, 2, 2, restarts=400, init="balanced", generator=rng(3))
    energy = []
    for k in range(2):
        U = found.starts[k]
        own = x[(found.start_labels == k).long().argmax(-1)]
        own = own / own.norm(dim=-1, keepdim=True)
        both = torch.stack([(U.mT @ P).square().sum((-2, -1)) for P in truth], -1).amax(-1)
        energy.append(both - 1)
    energy = torch.cat(energy)
    standard_error = float(energy.std() / math.sqrt(len(energy)))
    assert abs(float(energy.mean()) - 1 / 11) < 5 * standard_error
    assert standard_error < 0.01


def test_a_point_in_two_bases_does_not_hop_for_ever():
    x, _ = points(2, K=3)
    rounds = [sub.k_subspaces(x, 3, 2, restarts=50, generator=rng(s)).iterations for s in range(10)]
    assert max(rounds) < 50


# oracle: the joint optimum between two tilted subspaces, and uniqueness at the edge


@pytest.mark.parametrize("angle", [20.0, 45.0, 70.0])
def test_jointly_orthonormal_bases_meet_tilted_subspaces_half_way(angle):
    truth = MoLRG.random(12, [3, 3], angle=angle, generator=rng())
    frames = [math.sqrt(3) * U.T for U in truth.bases]  # second moment: the projectors
    found = sub.k_subspaces(
        torch.cat(frames), 2, 3, init=truth.bases, joint=True, max_iterations=2000, generator=rng()
    )
    assert (
        abs(sub.subspace_error(found.bases, truth.bases) - math.sin(math.radians(45 - angle / 2)))
        < 1e-4
    )


def zero_loss_splits(x, d, joint):
    """Unordered splits of the points into two clusters that two subspaces of dimension d hold."""
    N, count, pure = len(x), 0, 0
    for size in range(N // 2 + 1):
        for chosen in itertools.combinations(range(N), size):
            if 2 * size == N and 0 not in chosen:
                continue
            mask = torch.zeros(N, dtype=torch.bool)
            mask[list(chosen)] = True
            spans = [
                torch.linalg.svd(part, full_matrices=False)
                for part in (x[mask], x[~mask])
                if len(part)
            ]
            ranks = [int((values > 1e-9 * values[0]).sum()) for _, values, _ in spans]
            apart = (
                len(spans) < 2
                or float((spans[0][2][: ranks[0]] @ spans[1][2][: ranks[1]].T).abs().max()) < 1e-9
            )
            good = max(ranks) <= d and (apart or not joint)
            count, pure = (
                count + good,
                pure + (good and set(chosen) in ({*range(N // 2)}, {*range(N // 2, N)})),
            )
    return count, pure


@pytest.mark.parametrize("d", [2, 3, 4])
def test_zero_loss_splits_at_the_edge(d):
    for angle, joint, N, expected in [
        (90, False, d, math.comb(2 * d, d) // 2),
        (90, True, d, 1),
        (45, False, d, math.comb(2 * d, d) // 2),
        (45, True, d, 0),
        (90, False, d + 1, 1),
        (45, False, d + 1, 1),
    ]:
        count, pure = zero_loss_splits(points(N, d, angle=angle, seed=d)[0], d, joint)
        assert (count, pure) == (expected, min(expected, 1))


# the denoiser under the joint constraint, and training in ragged ensembles


def test_a_joint_denoiser_stays_jointly_orthonormal():
    start = sub.random_basis(9, 5, generator=rng(), ensemble=(3,)).split([2, 3], -1)
    model = LowRank(list(start), VP(), joint=True)
    training.fit(model, normal(3, 8, 9), steps=5, generator=rng())
    frame = jointly(model.bases)
    assert worst(frame.mT @ frame, torch.eye(5, dtype=torch.float64).expand(3, 5, 5)) < EXACT
    assert worst(frame, jointly(start)) > 1e-2
    with complains("[U_1 ... U_K]"):
        LowRank(bases(9, [2, 3]), VP(), joint=True)


@pytest.mark.parametrize("joint", [False, True])
def test_ragged_training_of_several_subspaces_is_training_alone(joint):
    """Whatever stands beside a model, and without padding exactly `fit`."""
    shapes = [(7, [2, 3]), (5, [2, 2]), (6, [1, 4]), (12, [2, 2])]
    data = [normal(N, 12, seed=N) for N, _ in shapes]
    starts = [
        list(sub.random_basis(12, sum(dims), generator=rng(N)).split(dims, 1)) for N, dims in shapes
    ]
    train = lambda e: training.train_cells(
        [data[i] for i in e],
        [starts[i] for i in e],
        VP(),
        generators=[rng(i) for i in e],
        joint=joint,
        steps=20,
    )
    for e, together in enumerate(train(range(4))):
        assert [U.shape[1] for U in together] == shapes[e][1]
        assert worst(jointly(together), jointly(train([e])[0])) < 1e-7
    model = LowRank(starts[0], VP(), joint=joint)
    training.fit(model, data[0], steps=20, generator=rng(0))
    assert worst(jointly(model.bases), jointly(train([0])[0])) < 1e-9


# bad input


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: sub.k_subspaces(x, 2, 2, init="random+balanced", generator=rng()), "init"),
        (lambda x: sub.k_subspaces(x[None], 2, 2, generator=[rng(), rng()]), "len(generator)"),
        (lambda x: sub.k_subspaces(x, 4, 4, joint=True, generator=rng()), "joint"),
        (lambda x: sub.k_subspaces(x[0], 2, 2, generator=rng()), "x.shape"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call(points(3)[0])
