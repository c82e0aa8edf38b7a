"""Denoisers: each against an independent form of the same thing, all against one protocol."""

from __future__ import annotations

import math

import pytest
import torch
from factories import EXACT, SCHEDULES, bases, complains, covariances, general, normal, rng, worst
from torch import Tensor

from molrg import MoLRG, images
from molrg.denoisers import (
    Denoiser,
    Empirical,
    Gaussian,
    LinearMixture,
    LowRank,
    Patches,
    Windowed,
)
from molrg.schedules import EDM, VP
from molrg.studies.curves import KernelDensity

every = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
WEIGHTS = [0.2, 0.3, 0.5]


def linear(mixture, schedule):
    return LinearMixture(
        mixture.weights, torch.stack(mixture.means), covariances(mixture), schedule
    )


def producers(n=6, schedule=None, dtype=torch.float64):
    """One of every kind of denoiser, on n coordinates."""
    schedule = schedule or VP()
    data, mixture = normal(20, n, seed=3, dtype=dtype), general(n, dtype=dtype)
    event = (3, 4, 4) if n == 48 else (1, 2, n // 2)
    patch = Gaussian(normal(20, 4 * event[0], seed=4, dtype=dtype), schedule)
    return {
        "exact": mixture.denoiser(schedule),
        "empirical": Empirical(data, schedule),
        "gaussian": Gaussian(data, schedule),
        "linear": linear(mixture, schedule),
        "soft": LowRank(bases(n, [1, 2, 3], dtype=dtype), schedule, weights=WEIGHTS),
        "hard": LowRank(bases(n, [1, 2, 3], dtype=dtype), schedule, assignment="hard"),
        "patches": Patches(data.unflatten(1, event), schedule, 2),
        "windowed": Windowed(patch, event, 2),
    }


kinds = pytest.mark.parametrize("kind", list(producers()))

# the protocol


@kinds
def test_protocol(kind):
    denoiser = producers()[kind]
    assert isinstance(denoiser, Denoiser)
    assert denoiser.schedule == VP()


@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_dtype_in_is_dtype_out(kind, dtype, t):
    x0_hat = producers(dtype=dtype)[kind](normal(5, 6, dtype=dtype), t)
    assert x0_hat.dtype == dtype
    assert x0_hat.shape == (5, 6)
    assert x0_hat.isfinite().all()


def test_float32_is_near_float64():
    data, U, x_t = normal(20, 6), bases(6, [1, 2]), normal(5, 6, seed=1)
    for make in (
        lambda f: Empirical(f(data), VP()),
        lambda f: Gaussian(f(data), VP()),
        lambda f: LowRank([f(u) for u in U], VP()),
    ):
        assert (
            worst(
                make(torch.Tensor.float)(x_t.float(), 0.4).double(),
                make(torch.Tensor.double)(x_t, 0.4),
            )
            < 1e-4
        )


@kinds
def test_events_of_any_shape(kind):
    denoiser, x_t, t = producers(48)[kind], normal(5, 3, 4, 4), torch.linspace(0.1, 0.9, 5)
    for time in (0.4, t):
        assert (
            worst(denoiser(x_t, time), denoiser(x_t.flatten(1), time).reshape(5, 3, 4, 4)) < EXACT
        )


@kinds
def test_each_point_at_its_own_time(kind):
    denoiser, x_t, t = producers()[kind], normal(5, 6), torch.tensor([0.0, 0.1, 0.4, 0.8, 1.0])
    assert (
        worst(
            denoiser(x_t, t), torch.cat([denoiser(x_t[b : b + 1], t[b].item()) for b in range(5)])
        )
        < EXACT
    )


@kinds
@pytest.mark.parametrize("sigma", [0.05, 0.7, 10.0])
def test_schedules_agree_at_equal_noise_level(kind, sigma):
    y, estimates = normal(5, 6), []
    for schedule in (VP(), EDM()):
        t = schedule.t_of_sigma(sigma)
        estimates.append(producers(schedule=schedule)[kind](schedule.s(t) * y, t))
    assert worst(*estimates) < EXACT


@kinds
def test_gradients_reach_the_points(kind):
    x_t = normal(3, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: producers()[kind](x, 0.5), x_t)


@kinds
@pytest.mark.parametrize("t", [-0.1, 1.1, math.nan])
def test_times_outside_the_unit_interval(kind, t):
    with complains("t"):
        producers()[kind](normal(5, 6), t)


# equivalence: exact = linear mixture = low rank


@every
@pytest.mark.parametrize("t", [0.0, 0.2, 0.6, 1.0])
def test_low_rank_is_the_posterior_mean_of_its_mixture(schedule, t):
    U, x_t = bases(9, [1, 2, 4]), normal(8, 9)
    mixture = MoLRG(U, WEIGHTS)
    network = LowRank(U, schedule, weights=WEIGHTS)
    exact = mixture.denoiser(schedule)(x_t, t)
    assert worst(network(x_t, t), exact) < EXACT
    assert worst(network.soft_weights(x_t, t), mixture.responsibilities(x_t, t, schedule)) < EXACT


@every
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("t", [0.2, 0.6, 1.0])
def test_linear_mixture_is_the_posterior_mean(schedule, noise, t):
    mixture, x_t = general(9, noise=noise), normal(8, 9)
    assert worst(linear(mixture, schedule)(x_t, t), mixture.denoiser(schedule)(x_t, t)) < EXACT


def test_linear_mixture_has_the_limit_at_gamma_zero():
    """Off the subspaces, too: rounding in the eigenvalues must not count as variance."""
    mixture, x_t = general(9), normal(8, 9)
    assert worst(linear(mixture, VP())(x_t, 0.0), mixture.denoiser(VP())(x_t, 0.0)) < EXACT


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_linear_mixture_is_tweedie_on_torch_distributions(t):
    from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

    A, means = normal(3, 5, 5), normal(3, 5, seed=1)
    S, weights = A @ A.mT, torch.tensor(WEIGHTS, dtype=torch.float64)
    s, gamma = VP().s(t), VP().gamma(t)
    parts = MultivariateNormal(s * means, s**2 * S + gamma**2 * torch.eye(5, dtype=torch.float64))
    x_t = normal(8, 5, seed=2).requires_grad_()
    (score,) = torch.autograd.grad(
        MixtureSameFamily(Categorical(weights), parts).log_prob(x_t).sum(), x_t
    )
    assert (
        worst(LinearMixture(weights, means, S, VP())(x_t, t), (x_t + gamma**2 * score) / s) < EXACT
    )


# empirical and Gaussian


@every
@pytest.mark.parametrize("t", [0.3, 0.8])
def test_empirical_is_the_mixture_of_its_points(schedule, t):
    data, x_t = normal(12, 5), normal(8, 5, seed=1)
    points = LinearMixture(
        torch.full((12,), 1 / 12), data, torch.zeros(12, 5, 5, dtype=torch.float64), schedule
    )
    assert worst(Empirical(data, schedule)(x_t, t), points(x_t, t)) < EXACT


def test_empirical_weights_are_gaussian_kernels():
    data, x_t, t = normal(12, 5), normal(8, 5, seed=1), 0.4
    s, gamma = VP().s(t), VP().gamma(t)
    kernel = torch.exp(-(torch.cdist(x_t, s * data) ** 2) / (2 * gamma**2))
    assert (
        worst(Empirical(data, VP()).weights(x_t, t), kernel / kernel.sum(-1, keepdim=True)) < EXACT
    )


def test_empirical_keeps_far_points_apart():
    """Squared distances of 1e16 must not eat the differences, nor overflow the exponential."""
    data = 1e4 * normal(12, 5)
    assert worst(Empirical(data, VP())(data, 0.01), data) < EXACT


def test_empirical_memorises_at_gamma_zero_and_averages_at_high_noise():
    data, x = normal(12, 5), normal(40, 5, seed=1)
    empirical = Empirical(data, VP())
    assert worst(empirical(x, 0.0), data[torch.cdist(x, data).argmin(-1)]) < EXACT
    assert worst(Empirical(data, EDM(sigma_max=1e8))(x, 1.0), data.mean(0).expand(40, 5)) < 1e-6
    assert worst(Empirical(data[:1], VP())(x, 0.5), data[:1].expand(40, 5)) < EXACT


@every
@pytest.mark.parametrize(("N", "t"), [(50, 0.3), (50, 0.9), (3, 0.5)])
def test_gaussian_is_the_wiener_filter(schedule, N, t):
    data, x_t = normal(N, 5) @ normal(5, 5, seed=2) + 3, normal(8, 5, seed=1)
    mean = data.mean(0)
    S = (data - mean).T @ (data - mean) / N
    s, gamma = schedule.s(t), schedule.gamma(t)
    gain = s * torch.linalg.solve(s**2 * S + gamma**2 * torch.eye(5, dtype=torch.float64), S)
    assert (
        worst(Gaussian(data, schedule)(x_t, t), mean + (x_t - s * mean) @ gain) < 1e-9
    )  # the solve loses a digit


def test_the_exact_denoiser_has_the_least_error():
    """Mean squared error of the posterior mean against every other one, paired: each z above 4."""
    mixture = general(noise=0.1)
    x0, _ = mixture.sample(20_000, generator=rng())
    s, gamma = VP().at(0.4, x0)
    x_t = s * x0 + gamma * normal(*x0.shape, seed=1)
    errors = {
        kind: (denoiser(x_t, 0.4) - x0).square().sum(-1) for kind, denoiser in producers().items()
    }
    least = (mixture.denoiser(VP())(x_t, 0.4) - x0).square().sum(-1)
    for kind, error in errors.items():
        excess = error - least
        assert kind in ("exact", "linear") or excess.mean() > 4 * excess.std() / 20_000**0.5, kind


# low rank


def test_low_rank_forward_is_the_formula():
    U, x_t, t = bases(7, [1, 2, 3]), normal(5, 7), 0.4
    s, gamma = VP().s(t), VP().gamma(t)
    energy = torch.stack([(x_t @ u).square().sum(-1) for u in U], -1)
    dims, pi = (
        torch.tensor([1.0, 2, 3], dtype=torch.float64),
        torch.tensor(WEIGHTS, dtype=torch.float64),
    )
    kernel = (
        pi
        * (1 + s**2 / gamma**2) ** (-dims / 2)
        * torch.exp(s**2 * energy / (2 * gamma**2 * (s**2 + gamma**2)))
    )
    w = kernel / kernel.sum(-1, keepdim=True)
    expected = s / (s**2 + gamma**2) * sum(w[:, [k]] * (x_t @ u @ u.T) for k, u in enumerate(U))
    assert worst(LowRank(U, VP(), weights=WEIGHTS)(x_t, t), expected) < EXACT


@pytest.mark.parametrize("t", [0.0, 0.4, 1.0])
def test_hard_assignment_takes_the_largest_projection(t):
    U, x_t = bases(7, [1, 2, 3]), normal(50, 7)
    s, gamma = VP().s(t), VP().gamma(t)
    winner = torch.stack([(x_t @ u).norm(dim=-1) for u in U], -1).argmax(-1)
    assert len(winner.unique()) == 3
    expected = torch.stack(
        [s / (s**2 + gamma**2) * x @ U[k] @ U[k].T for x, k in zip(x_t, winner, strict=True)]
    )
    network = LowRank(U, VP(), assignment="hard")
    assert worst(network(x_t, t), expected) < EXACT
    assert torch.equal(network.hard_weights(x_t), torch.nn.functional.one_hot(winner, 3).double())


def test_soft_assignment_hardens_as_noise_vanishes():
    """With equal dimensions and weights only: otherwise the prior never drops out at ties."""
    U, x = bases(9, [3, 3]), normal(50, 9)
    soft, hard = (LowRank(U, VP(), assignment=kind) for kind in ("soft", "hard"))
    assert worst(soft(x, 0.0), hard(x, 0.0)) < EXACT
    assert worst(soft(x, 0.5), hard(x, 0.5)) > 0.01


def test_given_weights_replace_the_models_own():
    U, x_t = bases(7, [2, 2]), normal(5, 7)
    network = LowRank(U, VP())
    mine = torch.rand(5, 2, generator=rng(), dtype=torch.float64)
    s, gamma = VP().s(0.4), VP().gamma(0.4)
    expected = s / (s**2 + gamma**2) * sum(mine[:, [k]] * (x_t @ u @ u.T) for k, u in enumerate(U))
    assert worst(network(x_t, 0.4, mine), expected) < EXACT


@pytest.mark.parametrize("assignment", ["soft", "hard"])
def test_an_ensemble_is_its_models_one_by_one(assignment):
    E, dims = 4, [1, 3, 2]
    models = [bases(8, dims, seed) for seed in range(E)]
    together = LowRank(
        [torch.stack(U) for U in zip(*models, strict=True)],
        VP(),
        weights=WEIGHTS,
        assignment=assignment,
    )
    x_t, t = normal(E, 6, 8), torch.rand(E, 6, generator=rng(), dtype=torch.float64)
    alone = [LowRank(U, VP(), weights=WEIGHTS, assignment=assignment) for U in models]
    for time in (0.3, t):
        times = time if isinstance(time, torch.Tensor) else [time] * E
        expected = torch.stack([model(x, u) for model, x, u in zip(alone, x_t, times, strict=True)])
        assert worst(together(x_t, time), expected) < EXACT
    assert (
        worst(
            together.hard_weights(x_t),
            torch.stack([m.hard_weights(x) for m, x in zip(alone, x_t, strict=True)]),
        )
        == 0
    )
    assert [tuple(U.shape) for U in together.bases] == [(E, 8, d) for d in dims]


def test_order_and_orientation_of_the_bases():
    U, x_t = bases(7, [1, 2, 3]), normal(5, 7)
    turned = [u @ torch.linalg.qr(normal(u.shape[1], u.shape[1], seed=4))[0] for u in U]
    expected = LowRank(U, VP(), weights=WEIGHTS)(x_t, 0.4)
    assert worst(LowRank(turned[::-1], VP(), weights=WEIGHTS[::-1])(x_t, 0.4), expected) < EXACT


def test_retract_restores_orthonormal_columns_and_padding():
    network = LowRank(
        [torch.stack(U) for U in zip(*(bases(8, [1, 3], s) for s in range(2)), strict=True)], VP()
    )
    before = network.columns.detach().clone()
    network.retract_()
    assert worst(network.columns.detach(), before) < EXACT
    with torch.no_grad():
        network.columns.add_(0.1 * normal(2, 8, 6) * (before != 0))
    network.retract_()
    for U in network.bases:
        assert (
            worst(U.mT @ U, torch.eye(U.shape[-1], dtype=torch.float64).expand(2, -1, -1)) < EXACT
        )
    assert (network.columns[before == 0] == 0).all()


def test_gradient_of_the_bases_and_silence_of_the_padding():
    network, x_t = LowRank(bases(6, [1, 3]), VP()), normal(4, 6)
    columns = network.columns.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda c: torch.func.functional_call(network, {"columns": c}, (x_t, 0.4)), columns
    )
    network(x_t, 0.4).square().sum().backward()
    assert (network.columns.grad[:, 1:3] == 0).all()
    assert (network.columns.grad[:, 3:] != 0).all()


def test_bases_are_copies():
    U = bases(6, [2])
    network = LowRank(U, VP())
    network.bases[0].zero_()
    with torch.no_grad():
        network.columns.mul_(2)
    assert worst(network.bases[0], 2 * bases(6, [2])[0]) < EXACT
    assert worst(U[0], bases(6, [2])[0]) == 0


def test_weights_on_images_need_no_flattening():
    network, x = LowRank(bases(48, [2, 3]), VP()), normal(5, 3, 4, 4)
    assert torch.equal(network.hard_weights(x), network.hard_weights(x.flatten(1)))
    assert torch.equal(network.soft_weights(x, 0.4), network.soft_weights(x.flatten(1), 0.4))


# bite


def test_wrong_low_rank_denoisers_are_told_apart():
    U, x_t, t = bases(9, [1, 2, 4]), normal(8, 9), 0.6
    exact = MoLRG(U, WEIGHTS).denoiser(VP())(x_t, t)
    equal = LowRank(U, VP())
    assert worst(equal(x_t, t), exact) > 1e-3, "weights"
    assert worst(LowRank(U, VP(), weights=WEIGHTS, assignment="hard")(x_t, t), exact) > 1e-3, (
        "hard for soft"
    )
    network = LowRank(U, VP(), weights=WEIGHTS)
    network.sizes.fill_(2.0)  # as if the determinant were the same for all
    assert worst(network(x_t, t), exact) > 1e-3, "determinant"
    assert worst(LowRank(U, EDM(), weights=WEIGHTS)(x_t, t), exact) > 1e-3, "schedule"


# bad input

U1, U2 = bases(6, [2, 3])
NAN = torch.full((4, 6), math.nan, dtype=torch.float64)
ZERO, EYE = (
    torch.zeros(2, 6, dtype=torch.float64),
    torch.eye(6, dtype=torch.float64).expand(2, 6, 6),
)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: Empirical(NAN, VP()), "data"),
        (lambda: Empirical(normal(0, 6), VP()), "data.shape"),
        (lambda: Empirical(normal(6), VP()), "data.shape"),
        (lambda: Empirical(torch.ones(4, 6, dtype=torch.int64), VP()), "data"),
        (lambda: Gaussian(NAN, VP()), "data"),
        (lambda: Gaussian(normal(1, 6), VP()), "data.shape"),
        (lambda: LinearMixture([0.5, 0.6], ZERO, EYE, VP()), "weights"),
        (lambda: LinearMixture([1.5, -0.5], ZERO, EYE, VP()), "weights"),
        (lambda: LinearMixture([1.0], ZERO, EYE, VP()), "weights"),
        (lambda: LinearMixture([0.5, 0.5], ZERO, EYE[:1], VP()), "covariances.shape"),
        (lambda: LinearMixture([0.5, 0.5], ZERO, -EYE, VP()), "covariances"),
        (lambda: LinearMixture([0.5, 0.5], ZERO, EYE * math.nan, VP()), "covariances"),
        (lambda: LinearMixture([0.5, 0.5], ZERO[0], EYE, VP()), "means.shape"),
        (lambda: LowRank([], VP()), "len(bases)"),
        (lambda: LowRank([U1, 1.01 * U2], VP()), "bases[1]"),
        (lambda: LowRank([torch.eye(6)], VP()), "bases[0].shape"),
        (lambda: LowRank([U1 * math.nan], VP()), "bases[0]"),
        (lambda: LowRank([U1, bases(5, [2])[0]], VP()), "bases[1].shape"),
        (lambda: LowRank([U1[None, None]], VP()), "bases[0].shape"),
        (lambda: LowRank([U1, U2], VP(), weights=[0.5, 0.6]), "weights"),
        (lambda: LowRank([U1, U2], VP(), weights=[1.0, 0.0]), "weights"),
        (lambda: LowRank([U1, U2], VP(), weights=[1.0]), "weights"),
        (lambda: LowRank([U1, U2], VP(), weights=[math.nan, 1.0]), "weights"),
        (lambda: LowRank([U1, U2], VP(), assignment="best"), "assignment"),
        (lambda: LowRank([U1], VP())(normal(4, 5), 0.5), "x_t.shape"),
        (lambda: LowRank([U1], VP())(normal(6), 0.5), "x_t.shape"),
        (lambda: LowRank([U1[None]], VP())(normal(4, 6), 0.5), "x_t.shape"),
        (lambda: Empirical(normal(4, 6), VP())(normal(4, 5), 0.5), "x_t.shape"),
        (lambda: Gaussian(normal(4, 6), VP())(normal(4, 5), 0.5), "x_t.shape"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()


def test_few_images_with_constant_pixels_have_a_gaussian_in_single_precision():
    """Most eigenvalues are zero; a decomposition in single precision fails on some draws."""
    pixels = torch.nn.functional.avg_pool2d(images.load("mnist-slice")[0], 2).flatten(1)
    schedule = EDM()
    for seed in range(10):
        few = pixels[torch.randperm(len(pixels), generator=rng(seed))[:8]]
        x_t, t = few + normal(8, 196, seed=seed).float(), schedule.t_of_sigma(1.0)
        exact = Gaussian(few.double(), schedule)(x_t.double(), t)
        assert worst(Gaussian(few, schedule)(x_t, t).double(), exact) < 1e-4  # single precision


def test_a_gaussian_in_single_precision_has_the_error_of_double():
    """Small variances of images are not rounding, however large the largest one is."""
    data = images.load("fashion-mnist-slice")[0]
    x = images.load("fashion-mnist-slice", "test")[0][:64]
    single, double = Gaussian(data, EDM()), Gaussian(data.double(), EDM())
    for sigma in (0.02, 0.05, 0.1, 0.2):
        t, noise = EDM().t_of_sigma(sigma), normal(*x.shape).float()
        x_t = x + sigma * noise
        error = (single(x_t, t) - x).double().square().sum()
        exact = (double(x_t.double(), t) - x).square().sum()
        assert error.item() == pytest.approx(exact.item(), rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_wide_component_leaves_a_narrow_one_its_variances(dtype):
    widths = torch.tensor([1.0, 1e-4, 0.0] if dtype == torch.float32 else [1.0, 1e-14, 0.0])
    covariances = widths.to(dtype)[:, None, None] * torch.eye(2, dtype=dtype)
    mixture = LinearMixture([0.4, 0.4, 0.2], torch.zeros(3, 2, dtype=dtype), covariances, VP())
    assert worst(mixture.variances, widths.to(dtype)[:, None].expand(3, 2)) < 1e-16


def test_rounding_of_single_precision_is_no_variance():
    """Covariances of rank 3 in 40 dimensions, rounded: at gamma = 0 a projection."""
    A = normal(2, 40, 3)
    mixture = LinearMixture([0.5, 0.5], torch.zeros(2, 40), (A @ A.mT).float(), VP())
    assert (mixture.variances > 0).sum(-1).tolist() == [3, 3]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sigma", [0.003, 0.03, 1.0])
def test_half_precision_is_computed_in_single(dtype, sigma):
    """Of the same numbers, on an axis that is far from all others; large squares, too."""
    schedule = EDM()
    t, x_t = schedule.t_of_sigma(sigma), (300 * torch.eye(3, 8) + normal(3, 8)).to(dtype)
    data = torch.cat([x_t, x_t + 0.1, normal(9, 8).to(dtype)])
    U, small = torch.eye(8, 2), 0.05 * normal(3, 8).to(dtype)
    images = data.unflatten(1, (2, 2, 2))
    for make, points in (
        (lambda cast: Empirical(cast(data), schedule), x_t),
        (lambda cast: Gaussian(cast(data), schedule), x_t),
        (lambda cast: Patches(cast(images), schedule, 2), x_t),
        (lambda cast: KernelDensity(cast(data), schedule, noise=0.01), x_t),
        (lambda cast: LowRank([cast(U), cast(U.roll(2, 0))], schedule), small),
        (lambda cast: MoLRG([cast(U)], noise=0.05).denoiser(schedule), small),
    ):
        half = make(lambda x: x.to(dtype))(points, t)
        assert half.dtype == dtype
        assert worst(half, make(Tensor.float)(points.float(), t).to(dtype)) == 0
    empirical, low_rank = Empirical(data, schedule), LowRank([U.to(dtype)], schedule)
    for weights in (
        empirical.weights(x_t, t),
        low_rank.soft_weights(x_t, t),
        low_rank.hard_weights(x_t),
    ):
        assert weights.dtype == dtype and weights.isfinite().all()
