"""Rates on manifolds: closed forms against quadrature, samples and samplers; identities; bite."""

# mypy: disable-error-code="arg-type, call-arg, list-item"
# bad input is handed over on purpose

from __future__ import annotations

import importlib
import math
from itertools import pairwise

import pytest
import torch
from factories import EXACT, SCHEDULES, bases, complains, general, normal, rng, slope, worst
from scipy import integrate, stats

from molrg import sampling
from molrg.denoisers import Empirical, LinearMixture, LowRank
from molrg.schedules import DDPM, EDM, VP
from molrg.studies.curves import Curve, KernelDensity
from molrg.studies.manifold_rates import (
    endpoint,
    endpoint_variance,
    gaussian_kl,
    path_kl,
    path_steps_needed,
    steps_needed,
)
from molrg.studies.reverse_schemes import SCHEMES, coefficients, level_grid, reverse
from molrg.studies.score_rates import score, score_error

GRID = level_grid(VP(), 60, stop=0.05)
every = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
schemes = pytest.mark.parametrize("scheme", SCHEMES)

# the curve


@pytest.mark.parametrize("D", [2, 8, 256])
def test_the_curve_has_its_length_and_lies_on_the_sphere(D):
    curve = Curve.random(D, length=6.0, generator=rng())
    points = curve(torch.linspace(0, 1, 20_001, dtype=torch.float64))
    assert curve.D == D
    assert points.shape == (20_001, D)
    assert worst(points.norm(dim=1), torch.ones(20_001, dtype=torch.float64)) < EXACT
    assert points.diff(dim=0).norm(dim=1).sum().item() == pytest.approx(6.0, rel=1e-5)
    assert curve.length == pytest.approx(6.0)


def test_the_curve_uses_every_coordinate_and_direction():
    """Nearly all coordinates have their share of the energy (slow sines less); full rank."""
    nodes = Curve.random(12, generator=rng()).nodes()
    assert torch.linalg.svdvals(nodes)[-1] > 1e-10 * torch.linalg.svdvals(nodes)[0]
    energy = Curve.random(512, generator=rng()).nodes().square().mean(0)
    assert (energy > 0).all()
    assert (energy > 0.1 / 512).double().mean() > 0.9


def test_frequencies_follow_the_law_they_are_said_to():
    """Kolmogorov-Smirnov against Student's law, five degrees of freedom; false fail 1e-4."""
    omega = Curve.random(20_000, length=1.0, generator=rng()).frequencies
    assert stats.kstest((omega * math.sqrt(5 / 3)).numpy(), stats.t(5).cdf).pvalue > 1e-4


def test_midpoints_are_a_quadrature():
    """The reference denoiser does not change with the number of nodes."""
    curve = Curve.random(32, generator=rng())
    x_t = curve.sample(50, generator=rng(1)) + 0.2 * normal(50, 32)
    t = EDM().t_of_sigma(0.2).item()
    few, many = (KernelDensity(curve.nodes(count), EDM())(x_t, t) for count in (512, 8192))
    assert worst(few, many) < 1e-4


# the denoiser of a thick set


@every
def test_without_noise_it_is_the_empirical_denoiser(schedule):
    data, x_t = normal(9, 6), normal(5, 6, seed=1)
    for t in (0.0, 0.3, 1.0):
        assert (
            worst(KernelDensity(data, schedule)(x_t, t), Empirical(data, schedule)(x_t, t)) < EXACT
        )


@every
def test_with_noise_it_is_a_mixture_of_gaussians(schedule):
    points, x_t, tau = normal(7, 5), normal(4, 5, seed=1), 0.3
    identity = tau**2 * torch.eye(5, dtype=torch.float64).expand(7, 5, 5)
    mixture = LinearMixture(
        torch.full((7,), 1 / 7, dtype=torch.float64), points, identity, schedule
    )
    for t in (0.2, 0.6):
        assert worst(KernelDensity(points, schedule, noise=tau)(x_t, t), mixture(x_t, t)) < EXACT


# scores


@every
def test_the_score_is_that_of_the_mixture(schedule):
    mixture, x_t = general(), normal(5, 6)
    for t in (0.2, 0.7):
        exact = mixture.score(x_t, t, schedule)
        assert worst(score(mixture.denoiser(schedule), x_t, t), exact) < EXACT * exact.abs().max()


def test_the_scaled_error_is_the_same_in_every_schedule():
    data, mixture, y = normal(9, 6), general(), normal(20, 6, seed=3)
    errors = []
    for schedule in (VP(), EDM()):
        t = schedule.t_of_sigma(0.7).item()
        errors.append(
            score_error(Empirical(data, schedule), mixture.denoiser(schedule), schedule.s(t) * y, t)
        )
    assert errors[0] == pytest.approx(errors[1], rel=1e-9)
    assert errors[0] > 0.01


def test_pure_noise_counts_as_one_a_coordinate():
    """The score of a point mass against zero: gamma^2 E|eps / gamma|^2 = D. False fail 1e-6."""
    origin, nothing = Empirical(torch.zeros(1, 40, dtype=torch.float64), EDM()), lambda x_t, t: x_t
    nothing.schedule = EDM()
    t = EDM().t_of_sigma(0.5).item()
    assert score_error(nothing, origin, 0.5 * normal(2000, 40), t) == pytest.approx(
        40, rel=5 * math.sqrt(2 / 80_000)
    )


@pytest.mark.parametrize("D", [8, 64, 1024])
def test_on_a_flat_subspace_the_error_does_not_know_the_dimension(D):
    """The identity of the book: the same latents give the same error, to rounding."""
    curve, t = Curve.random(8, generator=rng()), EDM().t_of_sigma(0.2).item()
    U = torch.linalg.qr(normal(D, 8))[0]
    x, x0, noise = (
        curve.sample(50, generator=rng(1)),
        curve.sample(30, generator=rng(2)),
        0.2 * normal(30, D, seed=3),
    )

    def error(x, nodes, x_t):
        return score_error(Empirical(x, EDM()), KernelDensity(nodes, EDM()), x_t, t)

    latent, ambient = (
        error(x, curve.nodes(), x0 + noise @ U),
        error(x @ U.T, curve.nodes() @ U.T, x0 @ U.T + noise),
    )
    assert ambient == pytest.approx(latent, rel=1e-11)


def test_ambient_noise_spreads_the_weights_as_stated():
    """Variance of the log-weight against the book's formula: within 5 standard errors."""
    D, tau, sigma, draws = 30, 0.3, 0.7, 40_000
    v = normal(D, seed=5)
    log_weight = -(v - tau * normal(draws, D, seed=6)).square().sum(1) / (2 * sigma**2)
    predicted = tau**2 / sigma**2 * (v.square().sum() / sigma**2) + tau**4 * D / (2 * sigma**4)
    kurtosis = stats.kurtosis(log_weight.numpy())
    assert abs(log_weight.var() / predicted - 1) < 5 * math.sqrt((2 + kurtosis) / draws)


def test_on_a_curve_the_error_falls_with_N_and_not_with_D_and_the_gaussian_bites():
    sigma, t = 0.2, EDM().t_of_sigma(0.2).item()

    def error(D, N, full=False):
        g = rng(D + N)
        if full:
            x, x0 = (torch.randn(m, D, generator=g, dtype=torch.float64) for m in (N, 64))
            reference = LinearMixture(
                [1.0],
                torch.zeros(1, D, dtype=torch.float64),
                torch.eye(D, dtype=torch.float64)[None],
                EDM(),
            )
        else:
            curve = Curve.random(D, generator=g)
            x, x0, reference = (
                curve.sample(N, generator=g),
                curve.sample(64, generator=g),
                KernelDensity(curve.nodes(), EDM()),
            )
        return score_error(Empirical(x, EDM()), reference, x0 + sigma * normal(64, D, seed=D), t)

    mean = {
        key: sum(error(key[0], key[1] + j) for j in range(8)) / 8
        for key in ((8, 256), (256, 256), (64, 64), (64, 1024))
    }
    assert 0.5 < mean[256, 256] / mean[8, 256] < 2
    assert 10 < mean[64, 64] / mean[64, 1024] < 50
    assert error(256, 256, full=True) > 30 * error(8, 256, full=True)


# the schemes


def test_freezing_the_posterior_mean_is_ancestral_sampling():
    """The coefficients, applied by hand, against the sampler that draws the same noise."""
    for schedule in (VP(), EDM()):
        denoiser, x = general().denoiser(schedule), normal(5, 6)
        times = torch.tensor([1.0, 0.6, 0.3, 0.0], dtype=torch.float64)
        end = sampling.finish(
            reverse(denoiser, x, times, scheme="posterior mean", generator=rng(1))
        )
        generator = rng(1)
        for t, to in pairwise(times.tolist()):
            A, B, C = coefficients("posterior mean", schedule, t, to)
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            x = A * x + B * denoiser(x, t) + C * noise
        assert worst(x, end) < EXACT * end.abs().max()


@schemes
def test_a_step_solves_its_equation(scheme):
    """Moments of dx = (x/2 + score) dh + dB over a step, the right thing held fixed, by scipy."""
    schedule, t, to, x, x0_hat = VP(), 0.5, 0.42, 1.3, -0.4
    s, gamma = schedule.s(t).item(), schedule.gamma(t).item()
    h = 2 * math.log(schedule.s(to).item() / s)

    def rates(u, moments):
        mean, variance = moments
        s_u = s * math.exp(u / 2)
        if scheme == "posterior mean":
            slope = 0.5 - 1 / (1 - s_u**2)
            return [slope * mean + s_u * x0_hat / (1 - s_u**2), 2 * slope * variance + 1]
        frozen = (s * x0_hat - x) / gamma**2
        return [mean / 2 + frozen, variance + 1] if scheme == "score" else [x / 2 + frozen, 1.0]

    mean, variance = integrate.solve_ivp(rates, (0, h), [x, 0.0], rtol=1e-10, atol=1e-12).y[:, -1]
    A, B, C = (c.item() for c in coefficients(scheme, schedule, t, to))
    assert A * x + B * x0_hat == pytest.approx(mean, rel=1e-8)
    assert pytest.approx(variance, rel=1e-8) == C**2


@schemes
def test_all_schemes_are_right_in_the_limit_and_of_first_order(scheme):
    steps, errors = torch.tensor([200, 400, 800]), []
    for count in steps:
        errors.append(
            abs(endpoint_variance(scheme, VP(), level_grid(VP(), int(count), stop=0.05), 1.0) - 1)
        )
    assert errors[-1] < 0.02
    assert abs(slope(steps, torch.tensor(errors)) + 1) < 0.1


@schemes
def test_samples_have_the_variances_of_the_closed_form(scheme):
    """3,000 walkers in 40 dimensions, d = 5: each variance within 5 standard errors."""
    D, d, walkers, g = 40, 5, 3000, rng(1)
    (U,) = bases(D, [d])
    with torch.no_grad():
        start = sampling.prior((walkers, D), VP(), generator=g)
        end = sampling.finish(reverse(LowRank([U], VP()), start, GRID, scheme=scheme, generator=g))
    along = (end @ U).square().mean().item()
    across = (end.square().sum().item() - walkers * d * along) / (walkers * (D - d))
    closed = endpoint(scheme, VP(), GRID, D=D, d=d)
    assert along == pytest.approx(closed.inside, rel=5 * math.sqrt(2 / (walkers * d)))
    assert across == pytest.approx(closed.outside, rel=5 * math.sqrt(2 / (walkers * (D - d))))


def test_the_posterior_mean_leaves_no_error_across_the_data():
    for steps in (1, 2, 7, 300):
        times = level_grid(VP(), steps, stop=0.02)
        gamma2 = VP().gamma(times[-1]).item() ** 2
        assert endpoint_variance("posterior mean", VP(), times, 0.0) == pytest.approx(
            gamma2, rel=1e-11
        )
        for other in SCHEMES[1:]:
            assert endpoint_variance(other, VP(), times, 0.0) > gamma2 * (1 + 1e-3)


@pytest.mark.parametrize(
    ("scheme", "t", "to"),
    [
        (scheme, t, to)
        for scheme in SCHEMES[1:]
        for t, to in [(0.9, 0.5), (0.3, 0.29), (0.05, 0.01)]
    ],
)
def test_the_excess_across_the_data_is_that_of_the_proof(scheme, t, to):
    A, _, C = (c.item() for c in coefficients(scheme, VP(), t, to))
    y, after, h = (
        VP().gamma(t).item() ** 2,
        VP().gamma(to).item() ** 2,
        2 * math.log(VP().s(to) / VP().s(t)),
    )
    q = math.expm1(h / 2)
    proof = (
        2 * q**2 * (2 / y - 1)
        if scheme == "score"
        else (1 - y) * (math.expm1(h) - h) + y * h**2 / 4 + h**2 * (1 / y - 1)
    )
    assert A**2 * y + C**2 - after == pytest.approx(proof, rel=1e-8)


# divergences and distances


def test_the_divergence_of_gaussians_is_that_of_torch():
    for true, sampled in ((1.0, 1.0), (0.3, 0.7), (5.0, 0.2)):
        laws = (
            torch.distributions.Normal(0.0, torch.tensor(v, dtype=torch.float64).sqrt())
            for v in (true, sampled)
        )
        assert gaussian_kl(true, sampled) == pytest.approx(
            torch.distributions.kl_divergence(*laws).item(), abs=1e-12
        )
    assert gaussian_kl(1.0, 1.0 + 1e-9) == pytest.approx(0.25e-18, rel=1e-6), "no cancellation"


@schemes
@pytest.mark.parametrize(("D", "d"), [(6, 2), (5, 5)])
def test_endpoints_agree_with_full_matrices(scheme, D, d):
    U = torch.linalg.qr(normal(D, d))[0]
    P, identity = U @ U.T, torch.eye(D, dtype=torch.float64)
    end, gamma2 = endpoint(scheme, VP(), GRID, D=D, d=d), VP().gamma(GRID[-1]) ** 2
    sampled = end.inside * P + end.outside * (identity - P)
    true = VP().s(GRID[-1]) ** 2 * P + gamma2 * identity
    zero = torch.zeros(D, dtype=torch.float64)
    laws = (
        torch.distributions.MultivariateNormal(zero, covariance) for covariance in (true, sampled)
    )
    assert end.kl == pytest.approx(torch.distributions.kl_divergence(*laws).item(), rel=1e-9)

    def root(matrix):
        values, vectors = torch.linalg.eigh(matrix)
        return vectors * values.clamp_min(0).sqrt() @ vectors.T

    def bures(a, b):
        return (
            (torch.trace(a + b) - 2 * torch.trace(root(root(a) @ b @ root(a))))
            .clamp_min(0)
            .sqrt()
            .item()
        )

    assert end.w2 == pytest.approx(bures(P, sampled), rel=1e-5)
    final = VP().s(GRID[-1]) * P  # the last denoising step
    assert end.w2_denoised == pytest.approx(bures(P, final @ sampled @ final), abs=1e-6)


def test_free_of_the_dimension_and_not():
    dims = torch.tensor([32, 512, 8192])

    def slopes(field, scheme, full=False):
        ends = [endpoint(scheme, VP(), GRID, D=int(D), d=int(D) if full else 4) for D in dims]
        return slope(dims, torch.tensor([getattr(end, field) for end in ends]))

    assert abs(slopes("kl", "posterior mean")) < 1e-9
    assert abs(slopes("w2_denoised", "posterior mean")) < 1e-9
    for scheme in SCHEMES[1:]:
        assert 0.9 < slopes("kl", scheme) < 1.15
    assert slopes("kl", "posterior mean", full=True) == pytest.approx(1)
    assert slopes("w2", "posterior mean", full=True) == pytest.approx(0.5)
    assert 0.4 < slopes("w2", "posterior mean") < 0.55


def test_paths_diverge_as_the_integral_says():
    """The closed form against quadrature of the integral over the clock, step by step."""
    times = level_grid(VP(), 12, stop=0.1)
    total = 0.0
    for t, to in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        h_t, h_to = (-2 * math.log(VP().s(u)) for u in (t, to))
        y = -math.expm1(-h_t)
        total += integrate.quad(
            lambda h, y=y: math.exp(-h) * (y + math.expm1(-h)) / math.expm1(-h) ** 2, h_to, h_t
        )[0]
    start = gaussian_kl(1.0, VP().gamma(times[0]).item() ** 2)
    assert path_kl(VP(), times, d=3) == pytest.approx(3 * (total / 2 + start), rel=1e-6)


@pytest.mark.parametrize("steps", [1, 5, 40, 300])
def test_the_end_diverges_less_than_the_path(steps):
    times = level_grid(VP(), steps, stop=0.05)
    assert endpoint("posterior mean", VP(), times, D=50, d=3).kl < path_kl(VP(), times, d=3)


# grids and numbers of steps


@every
def test_noise_levels_in_geometric_progression(schedule):
    times = level_grid(schedule, 20, stop=0.05)
    ratios = schedule.sigma(times)[1:] / schedule.sigma(times)[:-1]
    assert times[0] == 1
    assert len(times) == 21
    assert (times.diff() < 0).all()
    assert schedule.sigma(times[-1]).item() == pytest.approx(
        0.05, rel=0.1 if isinstance(schedule, DDPM) else 1e-9
    )
    assert ratios.std() < (0.05 if isinstance(schedule, DDPM) else 1e-9)


@schemes
def test_steps_needed_are_the_fewest(scheme):
    steps = steps_needed(scheme, VP(), D=20, d=2, kl=0.2, stop=0.1)
    kl = [
        endpoint(scheme, VP(), level_grid(VP(), count, stop=0.1), D=20, d=2).kl
        for count in (steps - 1, steps)
    ]
    assert kl[0] > 0.2 >= kl[1]


def test_path_steps_are_enough_and_one_per_cent_fewer_are_not():
    steps = path_steps_needed(VP(), d=3, kl=0.5, stop=0.1)
    fewer = int(steps / 1.01) - 1
    kl = [path_kl(VP(), level_grid(VP(), count, stop=0.1), d=3) for count in (fewer, steps)]
    assert kl[0] > 0.5 >= kl[1]


def test_the_old_address_knows_the_old_names():
    with pytest.warns(DeprecationWarning, match="has moved"):
        old = importlib.reload(importlib.import_module("molrg.manifold_rates"))
    assert old.Tube is KernelDensity
    assert old.endpoint is endpoint
    assert old.Curve is Curve


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_events(dtype):
    x = normal(3, 3, 4, 4, dtype=dtype)
    denoiser = general(48, (2, 3), dtype=dtype).denoiser(VP())
    end = sampling.finish(reverse(denoiser, x, GRID[:4], scheme="score", generator=rng()))
    assert end.dtype == dtype
    assert end.shape == x.shape


# bad input

DENOISER = general().denoiser(VP())


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: Curve.random(7, generator=rng()), "D"),
        (lambda: Curve.random(0, generator=rng()), "D"),
        (lambda: Curve.random(8, length=0.0, generator=rng()), "length"),
        (lambda: Curve(normal(3) * math.nan), "frequencies"),
        (lambda: Curve(normal(3, 2)), "frequencies.shape"),
        (lambda: Curve.random(8, generator=rng()).sample(0, generator=rng()), "N"),
        (lambda: Curve.random(8, generator=rng()).nodes(0), "count"),
        (lambda: KernelDensity(normal(4, 3), VP(), noise=-0.1), "noise"),
        (lambda: KernelDensity(normal(4), VP()), "points.shape"),
        (lambda: KernelDensity(normal(4, 3), VP())(normal(2, 5), 0.5), "x_t.shape"),
        (lambda: score(DENOISER, normal(2, 6), 0.0), "t"),
        (lambda: level_grid(VP(), 0, stop=0.1), "steps"),
        (lambda: level_grid(VP(), 5, stop=0.0), "stop"),
        (lambda: level_grid(VP(), 5, stop=1e4), "stop"),
        (lambda: level_grid(VP(), 5, stop=math.nan), "stop"),
        (lambda: coefficients("mean", VP(), 0.5, 0.4), "scheme"),
        (lambda: coefficients("score", VP(), 0.4, 0.5), "to"),
        (lambda: coefficients("score", VP(), 1.4, 0.5), "t"),
        (lambda: coefficients("euler", EDM(), 0.5, 0.4), "schedule"),
        (
            lambda: next(
                reverse(DENOISER, normal(2, 6), GRID[:1], scheme="score", generator=rng())
            ),
            "times.shape",
        ),
        (
            lambda: next(
                reverse(DENOISER, normal(2, 6), GRID.flip(0), scheme="score", generator=rng())
            ),
            "times",
        ),
        (lambda: endpoint_variance("score", VP(), GRID, -1.0), "signal"),
        (lambda: endpoint("score", VP(), GRID, D=3, d=4), "D"),
        (lambda: endpoint("score", VP(), GRID, D=3, d=0), "d"),
        (lambda: endpoint("posterior mean", VP(), torch.tensor([1.0, 0.0]), D=3, d=1), "times[-1]"),
        (lambda: gaussian_kl(0.0, 1.0), "true"),
        (lambda: gaussian_kl(1.0, -1.0), "sampled"),
        (lambda: path_kl(EDM(), GRID, d=2), "schedule"),
        (lambda: path_kl(VP(), GRID, d=0), "d"),
        (lambda: path_kl(VP(), torch.tensor([1.0, 0.0]), d=2), "times[-1]"),
        (lambda: steps_needed("score", VP(), D=8, d=2, kl=0.0, stop=0.1), "kl"),
        (lambda: steps_needed("score", VP(), D=8, d=2, kl=1e-9, stop=0.1, most=16), "kl"),
        (lambda: path_steps_needed(VP(), d=2, kl=0.0, stop=0.1), "kl"),
        (lambda: path_steps_needed(VP(), d=2, kl=1e-6, stop=0.1, most=16), "kl"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()
