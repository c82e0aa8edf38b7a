"""The mixture: density, score, posterior mean against scipy, autograd, quadrature; its samples."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from factories import EXACT, SCHEDULES, bases, complains, covariances, general, normal, rng, worst
from scipy import integrate, stats

from molrg import MoLRG
from molrg.schedules import EDM, VP
from molrg.subspaces import random_basis

every = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
noises = pytest.mark.parametrize("noise", [0.0, 0.3])


def scipy_log_prob(mixture, x_t, s, gamma, determinant=True):
    """Log-density of x_t with full matrices; optionally the wrong one, without the determinants."""
    logs = []
    for weight, mean, covariance in zip(
        mixture.weights, mixture.means, covariances(mixture), strict=True
    ):
        total = s**2 * covariance.numpy() + gamma**2 * np.eye(mixture.n)
        log = stats.multivariate_normal((s * mean).numpy(), total).logpdf(x_t.numpy())
        logs.append(
            math.log(weight) + log + (0 if determinant else 0.5 * np.linalg.slogdet(total)[1])
        )
    return torch.from_numpy(np.logaddexp.reduce(logs, axis=0))


def tweedie(mixture, x_t, t, schedule):
    """E[x_0 | x_t] from the autograd of the log-density."""
    x_t = x_t.clone().requires_grad_()
    (score,) = torch.autograd.grad(mixture.log_prob(x_t, t, schedule).sum(), x_t)
    s, gamma = schedule.at(t, x_t)
    return (x_t.detach() + gamma**2 * score) / s


# oracle


@every
@noises
@pytest.mark.parametrize("t", [0.2, 0.5, 0.9])
def test_log_prob_is_scipys(schedule, noise, t):
    mixture, x_t = general(noise=noise), normal(7, 6)
    expected = scipy_log_prob(mixture, x_t, schedule.s(t).item(), schedule.gamma(t).item())
    assert worst(mixture.log_prob(x_t, t, schedule), expected) < EXACT


def test_log_prob_integrates_to_one():
    mixture = MoLRG(
        bases(2, [1, 1]), weights=[0.3, 0.7], variances=[torch.tensor([2.0]), torch.tensor([0.5])]
    )
    grid = torch.linspace(-9, 9, 361, dtype=torch.float64)
    points = torch.cartesian_prod(grid, grid)
    density = mixture.log_prob(points, 0.3, VP()).exp()
    assert (
        abs(density.sum().item() * (18 / 360) ** 2 - 1) < EXACT
    )  # the trapezoid rule is spectral here


@every
@noises
def test_score_is_the_gradient_of_log_prob(schedule, noise):
    mixture, x_t = general(noise=noise), normal(7, 6).requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.log_prob(x_t, 0.4, schedule).sum(), x_t)
    assert worst(mixture.score(x_t, 0.4, schedule), gradient) < EXACT * gradient.abs().max()


@every
@noises
@pytest.mark.parametrize("t", [0.2, 0.6, 0.95])
def test_denoiser_is_tweedie(schedule, noise, t):
    mixture, x_t = general(noise=noise), normal(7, 6)
    assert worst(mixture.denoiser(schedule)(x_t, t), tweedie(mixture, x_t, t, schedule)) < EXACT


def test_denoiser_is_the_integral_over_latents():
    """E[x_0 | x_t] by adaptive quadrature over the one latent coordinate of each component."""
    mixture, t = general(3, (1, 1)), 0.4
    s, gamma = VP().s(t).item(), VP().gamma(t).item()
    x_t = normal(3, 3)

    def joint_and_line(z, point, basis, centre, spectrum):
        line = centre.numpy() + math.sqrt(spectrum.item()) * z * basis[:, 0].numpy()
        squares = z**2 + ((point.numpy() - s * line) ** 2).sum() / gamma**2
        return math.exp(-0.5 * squares) * np.array([1.0, *line])

    for point in x_t:
        mass, mean = 0.0, np.zeros(3)
        for weight, *component in zip(
            mixture.weights, mixture.bases, mixture.means, mixture.variances, strict=True
        ):
            integrand = functools.partial(
                joint_and_line,
                point=point,
                **dict(zip(("basis", "centre", "spectrum"), component, strict=True)),
            )
            one, *three = integrate.quad_vec(integrand, -12, 12, epsabs=1e-14, epsrel=1e-13)[0]
            mass += weight.item() * one
            mean += weight.item() * np.array(three)
        assert (
            worst(mixture.denoiser(VP())(point[None], t)[0], torch.from_numpy(mean / mass)) < EXACT
        )


@noises
def test_responsibilities_are_bayes_rule(noise):
    mixture, x_t = general(noise=noise), normal(7, 6)
    alone = [
        MoLRG([U], means=[m], variances=[v], noise=noise)
        for U, m, v in zip(mixture.bases, mixture.means, mixture.variances, strict=True)
    ]
    joint = torch.stack([one.log_prob(x_t, 0.3, VP()) for one in alone], -1) + mixture.weights.log()
    assert (
        worst(
            mixture.responsibilities(x_t, 0.3, VP()),
            (joint - joint.logsumexp(-1, keepdim=True)).exp(),
        )
        < EXACT
    )


def test_denoiser_is_importance_sampling():
    """Along a random direction, within 3.9 standard errors: false fail 1e-4."""
    mixture, schedule, t = general(noise=0.2), VP(), 0.6
    x_t, direction = normal(1, 6), normal(6, seed=5)
    x0, _ = mixture.sample(200_000, generator=rng(1))
    s, gamma = schedule.at(t, x_t)
    weights = torch.softmax(-(x_t - s * x0).square().sum(-1) / (2 * gamma**2), -1).flatten()
    mean = weights @ (x0 @ direction)
    error = (weights.square() @ (x0 @ direction - mean).square()).sqrt()
    exact = (mixture.denoiser(schedule)(x_t, t) @ direction).item()
    assert abs(mean.item() - exact) < 3.9 * error.item()
    assert error < 0.05


# invariance and equivalence


@noises
def test_rotation(noise):
    mixture, Q, x_t = general(noise=noise), random_basis(6, 6, generator=rng(9)), normal(7, 6)
    turned = MoLRG(
        [Q @ U for U in mixture.bases],
        mixture.weights,
        [Q @ m for m in mixture.means],
        mixture.variances,
        noise,
    )
    assert worst(turned.log_prob(x_t @ Q.T, 0.3, VP()), mixture.log_prob(x_t, 0.3, VP())) < EXACT
    assert (
        worst(turned.denoiser(VP())(x_t @ Q.T, 0.3), mixture.denoiser(VP())(x_t, 0.3) @ Q.T) < EXACT
    )


def test_order_of_the_components():
    mixture, order, x_t = general(), [2, 0, 1], normal(7, 6)
    parts = (
        [getattr(mixture, name)[k] for k in order]
        for name in ("bases", "weights", "means", "variances")
    )
    shuffled = MoLRG(*parts)
    assert worst(shuffled.score(x_t, 0.3, VP()), mixture.score(x_t, 0.3, VP())) < EXACT
    assert (
        worst(
            shuffled.responsibilities(x_t, 0.3, VP()),
            mixture.responsibilities(x_t, 0.3, VP())[:, order],
        )
        < EXACT
    )


@noises
@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
def test_schedules_agree_at_equal_noise_level(sigma, noise):
    mixture, y = general(noise=noise), normal(7, 6)
    means = []
    for schedule in (VP(), EDM()):
        t = schedule.t_of_sigma(sigma)
        means.append(mixture.denoiser(schedule)(schedule.s(t) * y, t))
    assert worst(*means) < EXACT


@noises
def test_each_point_at_its_own_time(noise):
    mixture, x_t, t = general(noise=noise), normal(7, 6), torch.linspace(0.05, 0.95, 7)
    for batched, single in (
        (mixture.denoiser(VP())(x_t, t), lambda x, u: mixture.denoiser(VP())(x, u)),
        (mixture.log_prob(x_t, t, VP()), lambda x, u: mixture.log_prob(x, u, VP())),
        (mixture.score(x_t, t, VP()), lambda x, u: mixture.score(x, u, VP())),
    ):
        assert (
            worst(batched, torch.cat([single(x_t[b : b + 1], t[b].item()) for b in range(7)]))
            < EXACT
        )


def test_events_of_any_shape():
    mixture, x_t = general(48, (3, 4)), normal(5, 3, 4, 4)
    flat = x_t.flatten(1)
    assert (
        worst(
            mixture.denoiser(VP())(x_t, 0.4), mixture.denoiser(VP())(flat, 0.4).reshape(5, 3, 4, 4)
        )
        == 0
    )
    assert (
        worst(mixture.score(x_t, 0.4, VP()), mixture.score(flat, 0.4, VP()).reshape(5, 3, 4, 4))
        == 0
    )
    assert mixture.log_prob(x_t, 0.4, VP()).shape == (5,)


def test_spectrum_and_noise_add_up():
    """U diag(lambda) U^T + tau^2 I is the same law whether tau is called noise or sits in x_t."""
    mixture, x_t, sigma, tau = general(), normal(7, 6), 0.5, 0.3
    noisy = general(noise=tau)
    more = EDM().t_of_sigma(math.hypot(sigma, tau))
    assert (
        worst(
            noisy.log_prob(x_t, EDM().t_of_sigma(sigma), EDM()), mixture.log_prob(x_t, more, EDM())
        )
        < EXACT
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@noises
def test_dtype_in_is_dtype_out(dtype, noise):
    mixture, x_t = general(noise=noise, dtype=dtype), normal(7, 6, dtype=dtype)
    results = [
        mixture.log_prob(x_t, 0.4, VP()),
        mixture.score(x_t, 0.4, VP()),
        mixture.denoiser(VP())(x_t, 0.4),
        mixture.responsibilities(x_t, 0.4, VP()),
        mixture.sample(3, generator=rng())[0],
        mixture.denoiser(VP())(x_t, 0.0),
    ]
    assert {result.dtype for result in results} == {dtype}
    assert all(result.isfinite().all() for result in results)


def test_float32_is_near_float64():
    double, x_t = general(noise=0.1), normal(7, 6)
    parts = (
        [value.float() for value in getattr(double, name)]
        for name in ("bases", "means", "variances")
    )
    U, means, spectra = parts
    single = MoLRG(U, double.weights, means, spectra, 0.1)
    assert (
        worst(single.denoiser(VP())(x_t.float(), 0.4).double(), double.denoiser(VP())(x_t, 0.4))
        < 1e-4
    )


# the limits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_noise_a_sample_is_its_own_mean(dtype):
    mixture = general(12, (2, 3, 4), dtype=dtype)
    x0, labels = mixture.sample(50, generator=rng(2))
    assert worst(mixture.denoiser(VP())(x0, 0.0), x0) < (EXACT if dtype == torch.float64 else 1e-4)
    assert torch.equal(mixture.responsibilities(x0, 0.0, VP()).argmax(-1), labels)


def test_at_gamma_zero_the_nearest_component_is_projected_on():
    mixture, x = general(12, (2, 3, 4)), 2 * normal(40, 12)
    feet = torch.stack(
        [m + (x - m) @ U @ U.T for m, U in zip(mixture.means, mixture.bases, strict=True)]
    )
    nearest = (feet - x).norm(dim=-1).argmin(0)
    assert worst(mixture.denoiser(VP())(x, 0.0), feet[nearest, torch.arange(40)]) < EXACT


def test_gamma_zero_is_the_limit_of_small_gamma():
    mixture, x = general(12, (2, 3, 4)), normal(20, 12)
    t = VP().t_of_sigma(1e-5)
    assert (
        worst(mixture.denoiser(VP())(x, 0.0), mixture.denoiser(VP())(VP().s(t) * x, t)) < 1e-8
    )  # gamma^2 = 1e-10


def test_with_noise_everything_is_defined_at_gamma_zero():
    mixture, x = general(noise=0.3), normal(7, 6)
    assert worst(mixture.denoiser(VP())(x, 0.0), x) < EXACT
    assert worst(mixture.log_prob(x, 0.0, VP()), scipy_log_prob(mixture, x, 1.0, 0.0)) < EXACT


def test_at_high_noise_the_mean_remains():
    mixture, x_t = general(), 80 * normal(7, 6)
    mean = (mixture.weights[:, None] * torch.stack(mixture.means)).sum(0)
    flat = EDM(sigma_max=1e6)
    assert worst(mixture.denoiser(flat)(1e4 * x_t, 1.0), mean.expand(7, 6)) < 0.02


def test_a_component_of_no_weight_does_not_count():
    two = general(6, (2, 3))
    three = MoLRG(
        [*two.bases, bases(6, [1], 5)[0]],
        [*two.weights.tolist(), 0.0],
        [*two.means, normal(6)],
        [*two.variances, torch.ones(1)],
    )
    x_t = normal(7, 6)
    assert worst(three.denoiser(VP())(x_t, 0.3), two.denoiser(VP())(x_t, 0.3)) < EXACT
    assert worst(three.score(x_t, 0.3, VP()), two.score(x_t, 0.3, VP())) < EXACT
    assert (three.sample(500, generator=rng())[1] < 2).all()


# bite


def test_leaving_out_the_determinant_is_seen():
    mixture, x_t, t = general(), normal(7, 6), 0.4
    s, gamma = VP().s(t).item(), VP().gamma(t).item()
    wrong = scipy_log_prob(mixture, x_t, s, gamma, determinant=False)
    assert worst(mixture.log_prob(x_t, t, VP()), wrong) > 0.1
    same = MoLRG(
        bases(6, [2, 2]), variances=[torch.full((2,), 4.0), torch.full((2,), 0.1)]
    )  # spectra are enough
    logs = [scipy_log_prob(same, x_t, s, gamma, determinant=d) for d in (True, False)]
    assert (logs[0] - logs[1]).std() > 0.01


@pytest.mark.parametrize("change", ["weights", "means", "variances", "noise", "s"])
def test_every_parameter_of_the_denoiser_counts(change):
    right, x_t, t = general(noise=0.3), normal(7, 6), 0.4
    parts = {
        "bases": right.bases,
        "weights": right.weights,
        "means": right.means,
        "variances": right.variances,
        "noise": 0.3,
    }
    if change == "s":  # the mean of x_t in place of that of x_0
        wrong = right.denoiser(VP())(x_t, t) * VP().s(t)
    else:
        parts[change] = 0.0 if change == "noise" else None
        wrong = MoLRG(**parts).denoiser(VP())(x_t, t)
    assert worst(wrong, tweedie(right, x_t, t, VP())) > 1e-3


# statistical: what is drawn


def test_samples_have_the_moments_of_their_component():
    """Whitened second moments: Wishart; 63 entries, each within 4.9 s.e.: false fail 1e-4."""
    mixture, N = general(noise=0.3), 20_000
    x, labels = mixture.sample([N, N, N], generator=rng(3))
    for k, covariance in enumerate(covariances(mixture)):
        centred = x[labels == k] - mixture.means[k]
        white = torch.linalg.solve_triangular(
            torch.linalg.cholesky(covariance), centred.T, upper=False
        ).T
        assert (white.mean(0) * N**0.5).abs().max() < 4.9
        excess = (white.T @ white / N - torch.eye(6, dtype=torch.float64)) * N**0.5
        assert (excess / (1 + torch.eye(6, dtype=torch.float64)).sqrt()).abs().max() < 4.9


def test_without_noise_samples_lie_on_their_subspace():
    mixture = general(12, (2, 3, 4))
    x, labels = mixture.sample(100, generator=rng())
    for k, U in enumerate(mixture.bases):
        centred = x[labels == k] - mixture.means[k]
        assert worst(centred @ U @ U.T, centred) < EXACT
        assert torch.linalg.matrix_rank(centred) == U.shape[1]


def test_labels_follow_the_weights():
    """Chi-squared test, false fail 1e-4."""
    mixture, N = general(), 30_000
    counts = mixture.sample(N, generator=rng(4))[1].bincount(minlength=3)
    assert stats.chisquare(counts.numpy(), (mixture.weights * N).numpy()).pvalue > 1e-4


def test_counts_are_exact_and_draws_reproducible():
    mixture = general()
    x, labels = mixture.sample([3, 0, 5], generator=rng(6))
    assert labels.tolist() == [0] * 3 + [2] * 5
    assert x.shape == (8, 6)
    assert labels.dtype == torch.int64
    assert torch.equal(x, mixture.sample(torch.tensor([3, 0, 5]), generator=rng(6))[0])
    assert not torch.equal(x, mixture.sample([3, 0, 5], generator=rng(7))[0])
    assert torch.equal(
        mixture.sample(9, generator=rng(6))[0], mixture.sample(9, generator=rng(6))[0]
    )


def test_random_has_the_parameters_asked_for():
    mixture = MoLRG.random(12, [2, 3], angle=40, noise=0.2, generator=rng())
    angles = torch.linalg.svdvals(mixture.bases[0].T @ mixture.bases[1]).acos()
    assert worst(angles, torch.full((2,), math.radians(40), dtype=torch.float64)) < EXACT
    assert mixture.dims == [2, 3]
    assert mixture.noise == 0.2
    assert mixture.weights.tolist() == [0.5, 0.5]
    assert all((m == 0).all() for m in mixture.means)
    assert all((v == 1).all() for v in mixture.variances)


# bad input

U1, U2 = bases(6, [2, 3])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_takes_rounded_bases_and_no_others(dtype):
    for n in (5, 48, 12288):
        U = random_basis(n, 4, generator=rng())
        assert MoLRG([U.to(dtype)]).n == n
        for wrong in (0 * U, U[:, [0, 0, 1, 2]], 0.9 * U):
            with complains("bases[0]"):
                MoLRG([wrong.to(dtype)])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: MoLRG([]), "len(bases)"),
        (lambda: MoLRG([U1, 1.01 * U2]), "bases[1]"),
        (lambda: MoLRG([U1[:, [0, 0]]]), "bases[0]"),
        (lambda: MoLRG([U1, torch.full_like(U2, math.nan)]), "bases[1]"),
        (lambda: MoLRG([torch.eye(6)]), "bases[0].shape"),
        (lambda: MoLRG([U1.T]), "bases[0].shape"),
        (lambda: MoLRG([U1[:, :0]]), "bases[0].shape"),
        (lambda: MoLRG([U1[:, 0]]), "bases[0].shape"),
        (lambda: MoLRG([U1, bases(5, [2])[0]]), "bases"),
        (lambda: MoLRG([U1, U2.float()]), "bases"),
        (lambda: MoLRG([U1, U2], weights=[0.5, 0.6]), "weights"),
        (lambda: MoLRG([U1, U2], weights=[1.5, -0.5]), "weights"),
        (lambda: MoLRG([U1, U2], weights=[math.nan, 1.0]), "weights"),
        (lambda: MoLRG([U1, U2], weights=[1.0]), "weights.shape"),
        (lambda: MoLRG([U1, U2], means=[torch.zeros(6)]), "len(means)"),
        (lambda: MoLRG([U1, U2], means=[torch.zeros(6), torch.zeros(5)]), "means[1].shape"),
        (lambda: MoLRG([U1, U2], means=[torch.zeros(6), torch.full((6,), math.inf)]), "means[1]"),
        (lambda: MoLRG([U1], variances=[torch.ones(3)]), "variances[0].shape"),
        (lambda: MoLRG([U1], variances=[torch.tensor([1.0, 0.0])]), "variances[0]"),
        (lambda: MoLRG([U1], variances=[torch.tensor([1.0, math.nan])]), "variances[0]"),
        (lambda: MoLRG([U1], noise=-0.1), "noise"),
        (lambda: MoLRG([U1], noise=math.nan), "noise"),
        (lambda: MoLRG([U1], noise=math.inf), "noise"),
        (lambda: MoLRG.random(4, [4], generator=rng()), "dims[0]"),
        (lambda: MoLRG.random(6, [3, 3, 3], generator=rng()), "n"),
        (lambda: MoLRG.random(6, [3], noise=-1, generator=rng()), "noise"),
        (lambda: general().sample(0, generator=rng()), "N"),
        (lambda: general().sample(-3, generator=rng()), "N"),
        (lambda: general().sample(2.5, generator=rng()), "N"),  # type: ignore[arg-type]
        (lambda: general().sample([1, 2], generator=rng()), "len(N)"),
        (lambda: general().sample([0, 0, 0], generator=rng()), "sum(N)"),
        (lambda: general().sample([1, -1, 2], generator=rng()), "N[1]"),
        (lambda: general().denoiser(VP())(normal(7, 5), 0.5), "x_t.shape"),
        (lambda: general().denoiser(VP())(normal(6), 0.5), "x_t.shape"),
        (lambda: general().denoiser(VP())(normal(7, 6), 1.5), "t"),
        (lambda: general().denoiser(VP())(normal(7, 6), torch.full((6,), 0.5)), "t.shape"),
        (lambda: general().log_prob(normal(7, 6), 0.0, VP()), "t"),
        (lambda: general().score(normal(7, 6), 0.0, VP()), "t"),
        (lambda: general().log_prob(normal(2, 6), torch.tensor([0.0, 0.5]), VP()), "t"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()


def test_points_of_another_dtype_are_refused():
    with complains("x_t.dtype"):
        general().denoiser(VP())(normal(7, 6, dtype=torch.float32), 0.5)


# many components


def many(K: int = 40, n: int = 60, dtype: torch.dtype = torch.float64, **more) -> MoLRG:
    dims = [1 + k % 5 for k in range(K)]
    return MoLRG(bases(n, dims, dtype=dtype), **more)


def test_components_in_blocks_are_those_at_once(monkeypatch):
    means = list(normal(40, 60, seed=8))
    whole, x_t = many(means=means, noise=0.1), normal(5, 60)
    monkeypatch.setattr(
        "molrg.mixture.components._BLOCK", 60 * 7
    )  # seven columns at a time, across components
    blocks = many(means=means, noise=0.1)
    for one, other in (
        (whole.denoiser(VP())(x_t, 0.3), blocks.denoiser(VP())(x_t, 0.3)),
        (whole.log_prob(x_t, 0.3, VP()), blocks.log_prob(x_t, 0.3, VP())),
    ):
        assert worst(one, other) < EXACT


@pytest.mark.parametrize("distance", [0.0, 1e3])
@pytest.mark.parametrize("sigma", [0.002, 0.05, 1.0])
def test_single_precision_keeps_the_weights(sigma, distance):
    """Against double precision on the same numbers; far away, and at the lowest noise of EDM."""
    single = many(dtype=torch.float32, means=list(normal(40, 60).float() + distance))
    double = MoLRG(
        [U.double() for U in single.bases], means=[mean.double() for mean in single.means]
    )
    x0, _ = single.sample(50, generator=rng(1))
    t = EDM().t_of_sigma(sigma)
    x_t = x0 + sigma * normal(50, 60, dtype=torch.float32, seed=2)
    weights = single.responsibilities(x_t, t, EDM())
    assert worst(weights.double(), double.responsibilities(x_t.double(), t, EDM())) < 1e-6


def test_single_precision_tells_close_components_apart():
    """Two planes at 0.1 degrees: distances to them differ in the seventh digit of the norm."""
    U = torch.eye(300, 2, dtype=torch.float64)
    angle = math.radians(0.1)
    V = torch.zeros_like(U)
    V[0, 0], V[2, 0], V[1, 1] = math.cos(angle), math.sin(angle), 1
    single = MoLRG([U.float(), V.float()])
    x0 = 3 * normal(40, 2).float() @ U.float().T
    sigma = 0.005
    t = EDM().t_of_sigma(sigma)
    x_t = x0 + sigma * normal(40, 300, dtype=torch.float32, seed=2)
    exact = MoLRG([U, V]).responsibilities(x_t.double(), t, EDM())
    assert worst(single.responsibilities(x_t, t, EDM()).double(), exact) < 1e-5
    assert exact.std() > 0.1
    latent = torch.stack([x_t @ basis for basis in single.bases], 1).square().sum(-1)
    cancelled = (x_t.square().sum(-1, keepdim=True) - latent) / sigma**2
    wrong = (-0.5 * (cancelled + latent / (1 + sigma**2))).softmax(-1)
    assert worst(wrong.double(), exact) > 1e-3


def test_the_loop_over_components_gives_the_same():
    mixture = many(means=list(normal(40, 60, seed=8)), noise=0.2)
    x_t, t, schedule = normal(5, 60), 0.4, VP()
    s, gamma = schedule.at(t, x_t)
    joints, means = [], []
    for U, centre in zip(mixture.bases, mixture.means, strict=True):
        one = MoLRG([U], means=[centre], noise=0.2)
        joints.append(one.log_prob(x_t, t, schedule))
        means.append((x_t + gamma**2 * one.score(x_t, t, schedule)) / s)
    weights = torch.stack(joints, -1).softmax(-1)
    expected = torch.einsum("bk,kbn->bn", weights, torch.stack(means))
    assert worst(mixture.denoiser(schedule)(x_t, t), expected) < EXACT


def test_nothing_is_as_large_as_points_times_components_times_coordinates():
    """No tensor of K B n numbers is made on the way, nor kept for the gradient."""
    mixture, x_t = many(K=100, n=80), normal(10, 80).requires_grad_()
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            sizes.append(getattr(result, "numel", lambda: 0)())
            return result

    with Watch():
        mixture.denoiser(VP())(x_t, 0.4).sum().backward()
    assert max(sizes) <= 300 * 80  # the bases themselves


def test_under_transforms_of_functions():
    mixture, x_t = many(noise=0.1), normal(4, 60)

    def one(x):
        return mixture.denoiser(VP())(x.unsqueeze(0), 0.4).squeeze(0)

    together = torch.vmap(torch.func.jacrev(one))(x_t)
    forwards = torch.vmap(torch.func.jacfwd(one))(x_t)
    alone = torch.stack([torch.autograd.functional.jacobian(one, x) for x in x_t])
    assert worst(together, alone) < EXACT
    assert worst(forwards, alone) < EXACT


def test_sampling_draws_the_numbers_of_one_component_after_another():
    mixture = general(12, (2, 3, 4), noise=0.3)
    x, labels = mixture.sample(50, generator=rng(2))
    generator = rng(2)
    drawn = torch.multinomial(mixture.weights, 50, True, generator=generator)
    expected = 0.3 * torch.randn(50, 12, generator=generator, dtype=torch.float64)
    for k, U in enumerate(mixture.bases):
        shape = (int((drawn == k).sum()), U.shape[1])
        latent = torch.randn(shape, generator=generator, dtype=torch.float64)
        expected[drawn == k] += mixture.means[k] + latent * mixture.variances[k].sqrt() @ U.T
    assert torch.equal(labels, drawn)
    assert worst(x, expected) < EXACT


def test_moving_keeps_everything():
    mixture, x_t = general(noise=0.3), normal(7, 6)
    moved = mixture.denoiser(VP()).to("cpu")
    assert torch.equal(moved(x_t, 0.3), mixture.denoiser(VP())(x_t, 0.3))
    away = mixture.to("meta")
    for name in ("bases", "means", "variances"):
        assert {value.device.type for value in getattr(away, name)} == {"meta"}
    assert away.weights.device.type == away.columns.device.type == "meta"
    assert mixture.columns.device.type == "cpu"


@pytest.mark.parametrize("sigma", [1e-3, 1e-4])
def test_rounded_bases_are_made_orthonormal(sigma):
    """Norms that are off by single precision would count as distances, in units of sigma^2."""
    U = bases(60, [3, 5])
    single, exact = MoLRG([basis.float() for basis in U], noise=sigma), MoLRG(U, noise=sigma)
    x, _ = exact.sample(200, generator=rng(3))
    truth = exact.log_likelihood(x)
    assert worst(single.log_likelihood(x.float()).double(), truth) < 0.02
    rounded = MoLRG([basis.float().double() for basis in U], noise=sigma)
    assert worst(rounded.log_likelihood(x), truth) > 0.05
