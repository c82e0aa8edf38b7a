"""Problems of Parts I to III: their form, and every answer against the package."""

from __future__ import annotations

import itertools
import math
import re

import pytest
import torch
from factories import EXACT, normal, rng, worst
from on_paper import SCHEDULE, axes, rows, time

from molrg import MoLRG, jacobian, memorization, stats, training
from molrg.claims import root
from molrg.denoisers import Empirical, LinearMixture, LowRank
from molrg.subspaces import (
    energies,
    k_subspaces,
    pca,
    projector_distance,
    random_basis,
    subspace_error,
    whitened,
)

ONE = SCHEDULE.t_of_sigma(1.0).item()
EXERCISE = re.compile(
    r"^```\{exercise\} \S[^\n]*\n:label: (prob-\d-\d)\n(?:(?!^```).)*?\n\n(\*[^\n]+\*)\n```$",
    re.MULTILINE | re.DOTALL,
)
SOLUTION = re.compile(r"^```\{solution\} (prob-\d-\d)\n:class: dropdown\n", re.MULTILINE)
DIFFICULTY = re.compile(
    r"\*(Easy|Medium|Hard), (five|ten|fifteen|twenty|thirty|forty|sixty) minutes\.\*"
)


def line(degrees: float) -> torch.Tensor:
    angle = math.radians(degrees)
    return rows([math.cos(angle)], [math.sin(angle)])


def near(samples: torch.Tensor, mean: float) -> bool:
    """Within five standard errors: fails by chance in fewer than one of a million runs."""
    error = samples.std() / len(samples) ** 0.5
    return abs(samples.mean().item() - mean) < 5 * error.item()


@pytest.mark.parametrize(("part", "least"), [(1, 8), (2, 8), (3, 8), (4, 4), (5, 4), (6, 4)])
def test_problems_are_labelled_timed_and_solved_in_order(part, least):
    text = (root() / f"book/problems{part}.md").read_text(encoding="utf-8")
    problems = EXERCISE.findall(text)
    labels = [label for label, _ in problems]
    assert len(labels) == text.count("{exercise}") >= least
    assert labels == [f"prob-{part}-{k}" for k in range(1, len(labels) + 1)]
    assert SOLUTION.findall(text) == labels
    assert all(DIFFICULTY.fullmatch(line) for _, line in problems)


# Part I


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0])
def test_two_points_are_a_hyperbolic_tangent(sigma):
    x_t = torch.linspace(-3, 3, 13, dtype=torch.float64)[:, None]
    denoiser = Empirical(rows([1.0], [-1.0]), SCHEDULE)
    assert worst(denoiser(x_t, time(sigma)), torch.tanh(x_t / sigma**2)) < EXACT
    J = jacobian.dense(denoiser, rows([0.0]), time(sigma))
    assert J.item() == pytest.approx(1 / sigma**2, rel=1e-9)


def test_one_gaussian_leaves_the_error_of_the_solution():
    mean, variance, sigma = 0.7, 2.0, 1.5
    denoiser = LinearMixture([1.0], rows([mean]), rows([variance])[None], SCHEDULE)
    x0 = mean + variance**0.5 * normal(100_000, 1, seed=1)
    x_t = x0 + sigma * normal(100_000, 1, seed=2)
    x0_hat = denoiser(x_t, time(sigma))
    shrunk = mean + variance / (variance + sigma**2) * (x_t - mean)
    assert worst(x0_hat, shrunk) < EXACT
    expected = variance * sigma**2 / (variance + sigma**2)
    assert near((x0_hat - x0).square().sum(-1), expected)
    assert variance * variance / (variance + variance) == variance / 2


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_what_projecting_and_shrinking_save(sigma):
    n, d = 9, 3
    mixture = MoLRG([random_basis(n, d, generator=rng(3)).double()])
    x0, _ = mixture.sample(20_000, generator=rng(4))
    x_t = x0 + sigma * normal(*x0.shape, seed=5)
    projected = x_t @ mixture.bases[0] @ mixture.bases[0].T
    x0_hat = mixture.denoiser(SCHEDULE)(x_t, time(sigma))
    errors = [n * sigma**2, d * sigma**2, d * sigma**2 / (1 + sigma**2)]
    for estimate, expected in zip((x_t, projected, x0_hat), errors, strict=True):
        assert near((estimate - x0).square().sum(-1), expected)


def test_two_orthogonal_lines():
    mixture = MoLRG([axes(2, 0), axes(2, 1)])
    x_t = torch.cat([rows([2.0, 0.0], [1.3, -1.3]), normal(5, 2)])
    weight = torch.sigmoid((x_t[:, 0] ** 2 - x_t[:, 1] ** 2) / 4)
    weights = mixture.responsibilities(x_t, ONE, SCHEDULE)
    assert worst(weights[:, 0], weight) < EXACT
    assert weights[1, 0].item() == pytest.approx(0.5)
    x0_hat = mixture.denoiser(SCHEDULE)(x_t[:1], ONE)
    assert worst(x0_hat, rows([math.e / (1 + math.e), 0.0])) < EXACT


@pytest.mark.parametrize("sigma", [0.01, 0.3, 2.0])
def test_the_plane_wins_beyond_the_threshold(sigma):
    mixture = MoLRG([axes(3, 0), axes(3, 0, 1)])
    threshold = sigma * math.sqrt((1 + sigma**2) * math.log(1 + 1 / sigma**2))
    x_t = rows([0.4, 1.0, 0.2], [0.4, 0.99, 0.2], [0.4, 1.01, 0.2])
    x_t[:, 1] *= threshold
    plane = mixture.responsibilities(x_t, time(sigma), SCHEDULE)[:, 1].tolist()
    assert plane[0] == pytest.approx(0.5, abs=1e-6)
    assert plane[1] < 0.5 < plane[2]


def test_the_trace_of_a_training_set_is_a_sum_over_pairs():
    data, x_t, sigma = normal(5, 7, seed=6), normal(1, 7, seed=7), 1.7
    denoiser = Empirical(data, SCHEDULE)
    J = jacobian.dense(denoiser, x_t, time(sigma))[0]
    w = denoiser.weights(x_t, time(sigma))[0]
    pairs = torch.cdist(data, data).square()
    expected = (w[:, None] * w * pairs).sum() / (2 * sigma**2)
    assert J.trace().item() == pytest.approx(expected.item(), rel=1e-8)
    assert torch.linalg.matrix_rank(J, rtol=1e-9) == len(data) - 1


def test_moved_data_move_the_denoiser_and_other_directions_are_not_seen():
    Q, b, mean = random_basis(6, 6, generator=rng(8)).double(), normal(6, seed=9), normal(6)
    U = random_basis(6, 2, generator=rng(10)).double()
    denoiser = MoLRG([U], means=[mean]).denoiser(SCHEDULE)
    moved = MoLRG([Q @ U], means=[Q @ mean + b]).denoiser(SCHEDULE)
    x_t = normal(4, 6, seed=11)
    assert worst(moved(x_t, ONE), denoiser((x_t - b) @ Q, ONE) @ Q.T + b) < EXACT
    across = normal(4, 6, seed=12)
    across -= across @ U @ U.T
    assert worst(denoiser(x_t + across, ONE), denoiser(x_t, ONE)) < EXACT


def test_the_error_does_not_fall_with_noise_and_has_its_bounds():
    mixture = MoLRG([axes(4, 0), axes(4, 1, 2)])
    x0, _ = mixture.sample(20_000, generator=rng(13))
    noise = normal(*x0.shape, seed=14)
    variance = x0.square().sum(-1).mean().item()
    errors = []
    for sigma in (0.1, 0.4, 1.0, 3.0, 10.0):
        x0_hat = mixture.denoiser(SCHEDULE)(x0 + sigma * noise, time(sigma))
        errors.append((x0_hat - x0).square().sum(-1).mean().item())
        assert errors[-1] < min(4 * sigma**2, 1.05 * variance)
    assert errors == sorted(errors)


# Part II


def one_line_loss(samples: torch.Tensor, u: torch.Tensor) -> float:
    return training.exact_loss(LowRank([u], SCHEDULE), samples, ONE).item()


def test_a_loss_by_hand():
    samples = rows([3.0, 0.0], [0.0, 1.0], [0.0, -1.0])
    assert one_line_loss(samples, line(0)) == pytest.approx(5 / 3)
    assert one_line_loss(samples, line(90)) == pytest.approx(41 / 12)
    cosine = math.cos(math.radians(30)) ** 2
    loss = 11 / 3 + 1 / 4 - (9 * cosine + 2 * (1 - cosine)) / 4
    assert one_line_loss(samples, line(30)) == pytest.approx(loss)


def test_training_finds_the_mean_where_centred_pca_does_not():
    samples = rows([4.0, 1.0], [4.0, -1.0])
    assert subspace_error(pca(samples, 1), line(0)) < EXACT
    assert subspace_error(pca(samples - samples.mean(0), 1), line(90)) < EXACT


class Scaled:
    """A linear denoiser x_t @ matrix."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self.matrix = matrix
        self.schedule = SCHEDULE

    def __call__(self, x_t, t):
        return x_t @ self.matrix


def test_the_best_constant():
    samples, sigma = normal(12, 5, seed=15), 0.8
    U = random_basis(5, 2, generator=rng(16)).double()
    M = energies(samples, [U]).mean().item()
    best = M / (M + 2 * sigma**2)

    def loss(b: float) -> float:
        return training.exact_loss(Scaled(b * U @ U.T), samples, time(sigma)).item()

    assert loss(best) < min(loss(best - 1e-3), loss(best + 1e-3))


def test_one_step_of_k_subspaces():
    samples = rows([3.0, 1.0], [1.0, 2.0], [2.0, -1.0])
    start = LowRank([line(0), line(90)], SCHEDULE)
    before = training.exact_loss(start, samples, ONE, assign_on="x0").item()
    assert before == pytest.approx(8 / 3)
    refitted = LowRank([pca(samples[[0, 2]], 1), pca(samples[[1]], 1)], SCHEDULE)
    after = training.exact_loss(refitted, samples, ONE, assign_on="x0").item()
    assert refitted.hard_weights(samples)[:, 0].tolist() == [1, 0, 1]
    assert before - after == pytest.approx((5 * math.sqrt(5) - 9) / 8)


@pytest.mark.parametrize(
    ("start", "labels", "objective"),
    [
        ((22.5, 75), [0, 0, 1], 2 + math.sqrt(2) / 2),
        ((0, 60), [0, 1, 1], 2 + math.sqrt(3) / 2),
    ],
)
def test_k_subspaces_stops_in_two_places(start, labels, objective):
    samples = torch.cat([line(angle).T for angle in (0, 45, 75)])
    stopped = k_subspaces(samples, 2, 1, init=[line(a) for a in start], generator=rng(0))
    assert stopped.labels.tolist() == labels
    assert energies(samples, stopped.bases).amax(-1).sum().item() == pytest.approx(objective)


def test_k_subspaces_leaves_the_third_split():
    samples = torch.cat([line(angle).T for angle in (0, 45, 75)])
    left = k_subspaces(samples, 2, 1, init=[line(37.5), line(45)], generator=rng(0))
    assert left.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("d", "low", "high"),
    [(1, 1 / 3, math.sqrt(2) / 3), (2, (1 - math.sqrt(17) / 9) / 2, 4 / 9)],
)
def test_the_price_lies_within_its_bounds(d, low, high):
    mixture = MoLRG([axes(5, *range(d)), axes(5, *range(d, 2 * d))])
    x0, _ = mixture.sample(40_000, generator=rng(17))
    x_t = x0 + normal(*x0.shape, seed=18)
    price = mixture.responsibilities(x_t, ONE, SCHEDULE).amin(-1)
    error = 5 * price.std() / len(price) ** 0.5
    assert low - error < price.mean() < high + error


def test_the_gap_of_losses_for_three_components():
    """Both sides are means over the same points: their difference within five standard errors."""
    bases = [random_basis(6, d, generator=rng(20 + d)).double() for d in (1, 2, 3)]
    mixture = MoLRG(bases, [0.2, 0.3, 0.5])
    x0, labels = mixture.sample(40_000, generator=rng(19))
    x_t = x0 + normal(*x0.shape, seed=24)
    experts = torch.stack([x_t @ U @ U.T / 2 for U in bases], 1)
    w = mixture.responsibilities(x_t, ONE, SCHEDULE)
    x0_hat = LowRank(bases, SCHEDULE, weights=[0.2, 0.3, 0.5])(x_t, ONE).detach()
    oracle = experts[torch.arange(len(x0)), labels]
    gap = (x0_hat - x0).square().sum(-1) - (oracle - x0).square().sum(-1)
    pairs = itertools.combinations(range(3), 2)
    formula = sum(
        w[:, k] * w[:, j] * (experts[:, k] - experts[:, j]).square().sum(-1) for k, j in pairs
    )
    assert formula.mean() > 0.05
    assert near(gap - formula, 0.0)


def test_one_free_column():
    samples, sigma = 2 * normal(9, 4, seed=25), 1.3
    u, other = pca(samples, 1), normal(4, 1, seed=26)
    other = other / other.norm()
    a = 1 / (1 + sigma**2)

    def loss(direction: torch.Tensor, alpha: float) -> float:
        matrix = a * alpha * direction @ direction.T
        return training.exact_loss(Scaled(matrix), samples, time(sigma)).item()

    def best(direction: torch.Tensor) -> tuple[float, float]:
        q = energies(samples, [direction]).mean().item()
        return q / (a * q + 1 - a), a * q**2 / (a * q + 1 - a)

    total = samples.square().sum(-1).mean().item()
    for direction in (u, other):
        alpha, gain = best(direction)
        assert loss(direction, alpha) == pytest.approx(total - gain)
        around = min(loss(direction, alpha - 1e-3), loss(direction, alpha + 1e-3))
        assert loss(direction, alpha) < around
    assert best(u)[1] > best(other)[1]


# Part III


def splits(points: torch.Tensor, d: int) -> int:
    """Ways to cover all points by subspaces of dimension d, one for each d points or more."""
    if len(points) == 0:
        return 1
    count = 0
    for others in itertools.combinations(range(1, len(points)), d - 1):
        U = pca(points[[0, *others]], d)
        inside = (points - points @ U @ U.T).norm(dim=-1) < 1e-9
        held = inside.nonzero().flatten().tolist()
        if held[:d] == [0, *others]:
            count += splits(points[~inside], d)
    return count


@pytest.mark.parametrize(("counts", "expected"), [((2, 2, 2), 15), ((3, 2, 2), 3), ((2, 2), 3)])
def test_splits_are_counted(counts, expected):
    points = [normal(N, 2, seed=30 + k) @ normal(2, 6, seed=40 + k) for k, N in enumerate(counts)]
    assert splits(torch.cat(points), 2) == expected


@pytest.mark.parametrize(("n", "mean", "largest"), [(10, 3.0, 4.0), (5, 4 / 3, 2.0)])
def test_random_completion(n, mean, largest):
    truth, xi = axes(n, 0, 1, 2, 3), normal(2000, 2, 4, seed=31)
    estimate = pca(xi @ truth.T, 4, completion="random", generator=rng(32))
    squares = 8 * torch.stack([projector_distance(U, truth).square() for U in estimate])
    assert near(squares, mean)  # the package divides by the root of 2 d
    assert squares.max() < largest + EXACT


def test_the_noisy_boundary_is_at_one_more_than_the_coordinates():
    n, d, tau = 50, 5, 1e-4
    truth = axes(n, *range(d))
    samples = normal(400, n + 1, d, seed=33) @ truth.T + tau * normal(400, n + 1, n, seed=34)
    errors = [subspace_error(U, truth) for U in pca(samples, d)]
    assert near((rows(errors)[0] / tau).square(), 1.0)


@pytest.mark.parametrize("theta", [90, 40, 3, 0.2])
def test_the_tolerance_accepts_neither_one_line_twice_nor_the_bisector(theta):
    truth = [line(0), line(theta)]
    sine = math.sin(math.radians(theta))
    twice, bisector = [line(0)] * 2, [line(theta / 2)] * 2
    assert subspace_error(twice, truth) == pytest.approx(sine)
    assert subspace_error(bisector, truth) == pytest.approx(math.sin(math.radians(theta / 2)))
    tolerance = stats.tolerance(theta)
    assert tolerance == pytest.approx(min(0.1, sine / 4))
    assert min(subspace_error(twice, truth), subspace_error(bisector, truth)) > tolerance


def test_five_samples_tell_two_planes_in_space():
    points = torch.cat([normal(3, 2, seed=35) @ normal(2, 3), normal(2, 2) @ normal(2, 3, seed=36)])
    flat = [
        three
        for three in itertools.combinations(range(5), 3)
        if torch.linalg.matrix_rank(points[list(three)], rtol=1e-9) == 2
    ]
    assert flat == [(0, 1, 2)]


@pytest.mark.parametrize("theta", [60, 20])
def test_the_joint_constraint_attains_its_bound(theta):
    truth = [line(theta / 2), line(-theta / 2)]
    turns = torch.linspace(-90, 90, 721).tolist()
    errors = [subspace_error([line(45 + phi), line(-45 + phi)], truth) for phi in turns]
    assert min(errors) == pytest.approx(math.sin(math.radians((90 - theta) / 2)))
    assert math.sin(math.radians(15)) == pytest.approx((math.sqrt(6) - math.sqrt(2)) / 4)


@pytest.mark.parametrize("d", [1, 4])
def test_a_perfect_model_copies_now_and_then(d):
    """Seen from the middle of a cube of uniform points the law holds at every N."""
    repeats, N = 4000, 30
    points = torch.rand(repeats, N, d, generator=rng(37), dtype=torch.float64)
    away = (points - 0.5).norm(dim=-1)
    nearest = away.sort(dim=-1).values[:, :2]
    inside = nearest[:, 1] < 0.5
    ratio = nearest[inside, 0] / nearest[inside, 1]
    assert inside.double().mean() > 0.9
    assert near((ratio < 1 / 3).double(), 3.0**-d)
    assert near(ratio, d / (d + 1))
    assert 3**4 < 100 < 3**5


def test_copies_of_the_package_follow_the_law():
    data = normal(4000, 2, seed=38)
    fresh = normal(4000, 2, seed=39)
    share = memorization.memorised(fresh, data).double()
    assert abs(share.mean().item() - 1 / 9) < 0.03


def test_one_sample_more_connects_all():
    d = 3
    A = normal(d + 1, d, seed=41)
    H = whitened(A @ normal(d, 7, seed=42), d)
    H = H @ H.T
    v = torch.linalg.svd(A).U[:, -1:]
    assert worst(H, torch.eye(d + 1, dtype=torch.float64) - v @ v.T) < 1e-8
    assert H.abs().min() > 1e-6
    assert H.trace().item() == pytest.approx(d)
    two = whitened(rows([3.0, 0.0], [4.0, 0.0]), 1)
    assert worst(two @ two.T, rows([9.0, 12.0], [12.0, 16.0]) / 25) < EXACT
