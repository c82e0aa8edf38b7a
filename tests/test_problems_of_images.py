"""Problems of Parts IV to VI: every answer against the package, quadrature or Monte Carlo."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from factories import EXACT, normal, rng, slope, worst
from on_paper import SCHEDULE, axes, rows, time
from scipy import integrate
from scipy.special import ndtr

from molrg import MoLRG, hierarchy, jacobian, memorization, sampling
from molrg.denoisers import Empirical, LinearMixture
from molrg.schedules import VP
from molrg.subspaces import pca, principal_angles, random_basis


def gaussian(*variances: float) -> LinearMixture:
    covariance = rows(list(variances)).squeeze(0).diag()
    return LinearMixture([1.0], torch.zeros_like(covariance[:1]), covariance[None], SCHEDULE)


def near(samples: torch.Tensor, mean: float) -> bool:
    """Within five standard errors: fails by chance in fewer than one of a million runs."""
    error = samples.std() / len(samples) ** 0.5
    return abs(samples.mean().item() - mean) < 5 * error.item()


def symmetric_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


# Part IV


def test_inverses_are_unbiased_and_the_estimate_is_not():
    d, N = 6, 5
    uniform = torch.rand(40_000, N, generator=rng(1), dtype=torch.float64)
    logs = -uniform.log() / d
    assert near(logs.mean(-1), 1 / d)
    assert near(1 / logs.mean(-1), N * d / (N - 1))
    logs[:, 0] = 1e6
    assert (1 / logs.mean(-1)).max() < 1e-4


def test_rank_of_a_spectrum_falls_at_the_threshold():
    denoiser, x_t, g = gaussian(4.0, 1.0), rows([0.3, -0.2]), 8.0
    for factor, expected in ((0.99, 2), (1.01, 1)):
        J = jacobian.dense(denoiser, x_t, time((factor * g) ** 0.5))
        values = torch.linalg.svdvals(J)
        assert jacobian.numerical_rank(values, math.sqrt(0.9)).item() == expected
    values = torch.linalg.svdvals(jacobian.dense(denoiser, x_t, time(79.0)))
    assert jacobian.numerical_rank(values, math.sqrt(16 / 17)).item() == 2


@pytest.mark.parametrize(("r", "sigma"), [(0.0, 0.7), (1.3, 0.7), (2.0, 3.0)])
def test_jacobian_of_two_lines(r, sigma):
    mixture = MoLRG([axes(2, 0), axes(2, 1)])
    x_t, a = rows([r, 0.0]), 1 / (1 + sigma**2)
    first, second = mixture.responsibilities(x_t, time(sigma), SCHEDULE)[0].tolist()
    J = jacobian.dense(mixture.denoiser(SCHEDULE), x_t, time(sigma))[0]
    diagonal = [first * a + first * second * (a * r / sigma) ** 2, second * a]
    assert worst(J, rows(diagonal)[0].diag()) < 1e-8
    assert second / first == pytest.approx(math.exp(-a * r**2 / (2 * sigma**2)))
    if r == 0:
        assert diagonal == pytest.approx([a / 2, a / 2])


def test_one_direction_is_left_at_low_noise():
    mixture = MoLRG([axes(2, 0), axes(2, 1)])
    J = jacobian.dense(mixture.denoiser(SCHEDULE), rows([1.0, 0.0]), time(0.05))[0]
    assert worst(J, rows([1.0, 0.0], [0.0, 0.0])) < 0.01


def test_the_flow_ends_in_a_copy_and_stays_above_its_bound():
    sigma, data = 0.9, rows([-1.0], [1.0])
    y = rows([0.01], [0.4], [3.0], [-0.2])
    zero = 0.5
    for _ in range(200):
        zero = math.tanh(zero / sigma**2)
    times = sampling.time_grid(SCHEDULE, 400, start=time(sigma))
    steps = list(sampling.heun(Empirical(data, SCHEDULE), y, times))
    path = torch.stack([step.x_t for step in steps])
    bound = y.abs().clamp_max(zero)
    assert (path * y.sign() > bound - 1e-3).all()
    assert worst(path[-1], y.sign()) < 10 * SCHEDULE.sigma_min  # in proportion to sigma
    assert memorization.memorised(path[-1], data).all()


# Part V


@pytest.mark.parametrize(("d", "T"), [(3, 4), (2, 50)])
def test_divergence_of_a_geometric_grid(d, T):
    """The formula against the integral that it solves, with mmse = d y at y = gamma^2."""
    first, last = 0.999, 1e-3
    length = math.log(first / last)
    grid = first * np.exp(-length * np.arange(T + 1) / T)
    steps = [
        integrate.quad(lambda y, high=high: d * (high - y) / y**2, low, high)[0] / 2
        for high, low in itertools.pairwise(grid)
    ]
    divergence = d * T / 2 * (math.exp(length / T) - 1 - length / T)
    assert sum(steps) == pytest.approx(divergence, rel=1e-6)
    low = d * length**2 / (4 * T)
    assert low < divergence < low * math.exp(length / T)
    if length <= T:
        assert divergence <= math.e * low


def test_wasserstein_distance_before_and_after_the_last_step():
    d, D, schedule = 2, 102, VP()
    t = schedule.t_of_sigma(0.1 / math.sqrt(0.99)).item()
    mixture = MoLRG([axes(D, *range(d))])
    x0, _ = mixture.sample(4000, generator=rng(2))
    s, gamma = schedule.s(t).item(), schedule.gamma(t).item()
    assert gamma == pytest.approx(0.1)
    x0_hat = mixture.denoiser(schedule)(s * x0 + gamma * normal(*x0.shape, seed=3), t)
    assert near(x0_hat[:, 0].square(), s**2)
    assert x0_hat[:, d:].abs().max() < EXACT

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        """Of order two between centred Gaussians, by the general formula of Bures."""
        root = symmetric_root(first)
        cross = np.trace(symmetric_root(root @ second @ root))
        return math.sqrt(np.trace(first) + np.trace(second) - 2 * cross)

    along = np.arange(D) < d
    data = np.diag(along.astype(float))
    assert distance(np.diag(np.where(along, 1, gamma**2)), data) == pytest.approx(1.0)
    after = math.sqrt(2) * (1 - math.sqrt(0.99))
    assert distance(s**2 * data, data) == pytest.approx(after, rel=1e-4)
    assert after < 0.01


def test_two_leaves():
    model = hierarchy.RHM([torch.tensor([[[0, 1]], [[1, 0]]])])
    evidence = hierarchy.epsilon_evidence(torch.tensor([[0, 1]]), 0.5, 2)
    assert worst(evidence.exp()[0], rows([3, 1], [1, 3]) / 4) < EXACT
    assert worst(model.class_posterior(evidence), rows([0.9, 0.1])) < EXACT
    assert worst(model.marginals(evidence)[0][0, 0], rows([0.9, 0.1])[0]) < EXACT
    evidence[0, 1] = 0.0
    assert worst(model.class_posterior(evidence), rows([0.75, 0.25])) < EXACT


def test_a_threshold_by_hand():
    s, v, m = 2, 8, 2
    assert hierarchy.fixed_point(s, v, m) == pytest.approx(1 / 6)
    assert hierarchy.epsilon_threshold(s, v, m) == pytest.approx(20 / 21)
    small = 1e-6
    assert (1 - hierarchy.mean_field_map(1 - small, s, v, m)) / small == pytest.approx(4 / 9, 1e-4)
    assert [k for k in range(1, 9) if hierarchy.fixed_point(s, v, k) is not None] == [2, 3, 4]


# Part VI


def test_error_over_variance_is_the_trace():
    mixture, sigma = MoLRG([axes(5, 0), axes(5, 1, 2)], [0.3, 0.7]), 0.8
    x0, _ = mixture.sample(4000, generator=rng(4))
    x_t = x0 + sigma * normal(*x0.shape, seed=5)
    denoiser = mixture.denoiser(SCHEDULE)
    J = jacobian.dense(denoiser, x_t, time(sigma))
    errors = (denoiser(x_t, time(sigma)) - x0).square().sum(-1) / sigma**2
    assert near(errors - J.diagonal(dim1=1, dim2=2).sum(-1), 0.0)


@pytest.mark.parametrize("sigma", [0.003, 0.1, 60.0])
def test_a_dimension_at_each_scale(sigma):
    n, d, tau = 9, 3, 0.01
    variances = rows([1 - tau**2] * d)[0]
    mixture = MoLRG([axes(n, *range(d))], variances=[variances], noise=tau)
    J = jacobian.dense(mixture.denoiser(SCHEDULE), normal(1, n, seed=6), time(sigma))[0]
    trace = d / (1 + sigma**2) + (n - d) * tau**2 / (tau**2 + sigma**2)
    assert J.trace().item() == pytest.approx(trace, rel=1e-6)
    if sigma == 0.1:
        assert trace == pytest.approx((d + (n - d) * tau) / (1 + tau))


def test_the_dimension_of_two_points_rises_and_falls():
    points = rows([1.0], [-1.0])
    denoiser, noise = Empirical(points, SCHEDULE), normal(20_000, 1, seed=7)

    def dimension(sigma: float) -> float:
        x_t = points[:1] + sigma * noise  # by symmetry from one of the two
        return (denoiser(x_t, time(sigma)) - points[:1]).square().mean().item() / sigma**2

    bounds = {sigma: min(4 * ndtr(-1 / sigma), 1.0) / sigma**2 for sigma in (0.15, 0.7, 20.0)}
    assert all(dimension(sigma) < 1.02 * bound for sigma, bound in bounds.items())
    assert bounds[0.15] < 1e-6 < bounds[20.0] < 0.01
    assert dimension(0.7) > 0.2


def test_two_denoisers_and_their_mean():
    """With a known best denoiser, errors are measured, and angles follow from them."""
    mixture, sigma = MoLRG([axes(4, 0), axes(4, 1, 2)]), 1.0
    x0, _ = mixture.sample(40_000, generator=rng(7))
    x_t = x0 + sigma * normal(*x0.shape, seed=8)
    best = mixture.denoiser(SCHEDULE)(x_t, time(sigma))
    reference = gaussian(0.5, 0.5, 0.5, 0.0)(x_t, time(sigma))

    def excess(estimate: torch.Tensor) -> torch.Tensor:
        return (estimate - x0).square().sum(-1) - (best - x0).square().sum(-1)

    unit = (reference - best) / (reference - best).square().sum(-1).mean().sqrt()
    far = best + unit / 5
    assert near(excess(far) - 1 / 25, 0.0)
    for sign, squared in ((1, 1 / 100), (-1, 9 / 100)):
        network = best + sign * (far - best) / 2
        assert near(excess(network) - 1 / 100, 0.0)
        assert (network - far).square().sum(-1).mean().item() == pytest.approx(squared)
        assert near(excess((network + far) / 2) - (1 / 40 - squared / 4), 0.0)
        errors = [(f - x0).square().sum(-1).mean() for f in (network, far, (network + far) / 2)]
        from_three = (errors[0] + errors[1]) / 2 - (network - far).square().sum(-1).mean() / 4
        assert errors[2].item() == pytest.approx(from_three.item())
    assert pytest.approx(1 / 100) == 1 / 40 - (3 / 50) / 4


def em_step(W: torch.Tensor, samples: torch.Tensor, tau: float) -> torch.Tensor:
    """One step of EM from expectations sample by sample, not from the formula of the solution."""
    identity = torch.eye(W.shape[1], dtype=W.dtype)
    gain = torch.linalg.solve(W @ W.T + tau**2 * torch.eye(len(W), dtype=W.dtype), W).T
    means = samples @ gain.T
    covariance = identity - gain @ W
    moments = covariance + torch.einsum("bi,bj->ij", means, means) / len(samples)
    return samples.T @ means / len(samples) @ torch.linalg.inv(moments)


@pytest.mark.parametrize("tau", [0.01, 0.5, 3.0])
def test_em_for_one_component_is_a_power_iteration(tau):
    scale = rows([3.0, 2.0, 1.0, 0.7, 0.5])
    samples, W = normal(300, 5, seed=9) * scale, normal(5, 2, seed=10)
    S = samples.T @ samples / len(samples)
    M = W.T @ W + tau**2 * torch.eye(2, dtype=torch.float64)
    inverse = torch.linalg.inv(M)
    new = em_step(W, samples, tau)
    inner = tau**2 * inverse + inverse @ W.T @ S @ W @ inverse
    assert worst(new, S @ W @ inverse @ torch.linalg.inv(inner)) < 1e-8
    moved, power = torch.linalg.qr(new).Q, torch.linalg.qr(S @ W).Q
    assert principal_angles(moved, power).max() < 1e-6
    leading, tangents = pca(samples, 2), []
    for _ in range(8):
        W = em_step(W, samples, tau)
        tangents.append(principal_angles(torch.linalg.qr(W).Q, leading).max().tan())
    eigenvalues = torch.linalg.eigvalsh(S).flip(0)
    rate = (eigenvalues[2] / eigenvalues[1]).item()
    steps = torch.arange(5, 9, dtype=torch.float64).exp()  # the slope is in the logarithm
    assert math.exp(slope(steps, torch.stack(tangents[4:]))) == pytest.approx(rate, rel=0.05)


def test_predicting_the_noise_through_a_bottleneck():
    d, r, D, sigma = 2, 5, 12, 0.7
    U = random_basis(D, d, generator=rng(11)).double()
    C = U @ U.T + sigma**2 * torch.eye(D, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(C)
    inverse_root = vectors * values.rsqrt() @ vectors.T
    left, singular, right = torch.linalg.svd(sigma * inverse_root)
    truncated = left[:, :r] * singular[:r] @ right[:r] @ inverse_root  # eps_hat = truncated x_t
    mixture = MoLRG([U])
    x0, _ = mixture.sample(40_000, generator=rng(12))
    x_t = x0 + sigma * normal(*x0.shape, seed=13)
    from_noise = x_t - sigma * x_t @ truncated.T
    assert near((from_noise - x0).square().sum(-1), sigma**2 * (D - r))
    x0_hat = mixture.denoiser(SCHEDULE)(x_t, time(sigma))
    assert near((x0_hat - x0).square().sum(-1), d * sigma**2 / (1 + sigma**2))
    whole = x_t - sigma**2 * x_t @ torch.linalg.inv(C)
    assert worst(whole, x0_hat) < 1e-9
