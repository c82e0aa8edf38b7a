"""Dimension from a denoiser: closed forms, unbiased estimates, an identity, wrong variants."""

# mypy: disable-error-code="arg-type"
# bad input is handed over on purpose

from __future__ import annotations

import doctest

import pytest
import torch
from factories import EXACT, SCHEDULES, complains, general, normal, rng, worst

from molrg import MoLRG, denoisers, jacobian, schedules
from molrg.jacobian import local_dimension

EDM = schedules.EDM()
SIGMA = 0.4


class Matrix:
    """x0_hat = A x_t / s_t, whose Jacobian by y is A."""

    def __init__(self, A, schedule):
        self.A = A
        self.schedule = schedule

    def __call__(self, x_t, t):
        s, _ = self.schedule.at(t, x_t)
        return (x_t / s).flatten(1).matmul(self.A.T).reshape(x_t.shape)


def time(schedule, sigma=SIGMA):
    return schedule.t_of_sigma(sigma).item()


def gaussian(spectrum, schedule):
    """The exact denoiser of a centred Gaussian with a diagonal covariance."""
    n = len(spectrum)
    covariance = torch.diag(spectrum)[None]
    return denoisers.LinearMixture([1.0], spectrum.new_zeros(1, n), covariance, schedule)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_trace_of_a_gaussian_is_its_closed_form_on_every_schedule(schedule):
    spectrum = torch.tensor([2.0, 0.5, 0.01, 0.0, 0.0], dtype=torch.float64)
    t = time(schedule)
    sigma = schedule.sigma(t).item()
    traces = jacobian.trace(gaussian(spectrum, schedule), normal(3, 5), t)
    closed = (spectrum / (spectrum + sigma**2)).sum().expand(3)
    assert worst(traces.values, closed) < EXACT
    assert not traces.errors.any()


def test_trace_without_the_units_of_y_would_be_wrong():
    spectrum = torch.tensor([2.0, 0.5, 0.01], dtype=torch.float64)
    schedule = schedules.VP()
    t = time(schedule, 1.0)
    denoiser, x_t = gaussian(spectrum, schedule), normal(2, 3)
    plain = jacobian.dense(denoiser, x_t, t).diagonal(dim1=-2, dim2=-1).sum(-1)
    assert worst(jacobian.trace(denoiser, x_t, t).values, plain) > 0.2


def test_trace_of_a_mixture_is_that_of_the_dense_jacobian_and_of_many_points_and_times():
    denoiser = general().denoiser(EDM)
    x_t, t = normal(70, 6), torch.linspace(0.2, 0.6, 70, dtype=torch.float64, device="cpu")
    dense = jacobian.dense(denoiser, x_t, t).diagonal(dim1=-2, dim2=-1).sum(-1)
    assert worst(jacobian.trace(denoiser, x_t, t).values, dense) < EXACT


def test_trace_of_an_ensemble_is_that_of_its_models():
    bases = torch.linalg.qr(normal(3, 1, 6, 2)).Q
    models = denoisers.LowRank(bases.unbind(1), EDM)
    x_t = normal(3, 40, 6)
    traces = jacobian.trace(models, x_t, time(EDM))
    single = jacobian.trace(models.select([1]), x_t[1:2], time(EDM))
    assert traces.values.shape == (3, 40)
    assert worst(traces.values[1:2], single.values) < EXACT


def test_hutchinson_is_unbiased_and_its_error_is_the_true_one():
    A = normal(8, 8)  # neither symmetric nor positive
    denoiser, x_t = Matrix(A, EDM), normal(400, 8)
    many = jacobian.trace(denoiser, x_t, 0.5, probes=8, generator=rng(1))
    spread = (A + A.T).triu(1).square().sum() ** 0.5 / 8**0.5  # of one point, in closed form
    assert abs(many.values.mean() - A.trace()) < 4 * spread / 400**0.5  # 4 standard errors
    assert many.values.std() == pytest.approx(spread.item(), rel=0.15)  # 400 values: 3.5 % each
    assert many.errors.square().mean() ** 0.5 == pytest.approx(spread.item(), rel=0.15)


def test_signs_that_are_not_independent_would_be_found():
    A = normal(8, 8)
    ones = torch.ones(8).double()  # one sign for all entries: sums all of A, not its diagonal
    spread = (A + A.T).triu(1).square().sum() ** 0.5 / 8**0.5
    assert abs(ones @ A @ ones - A.trace()) > 4 * spread / 400**0.5


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_error_over_noise_is_the_trace_on_an_exact_mixture(sigma):
    mixture = general(noise=0.05)
    x0, _ = mixture.sample(6000, generator=rng(1))
    denoiser, t = mixture.denoiser(EDM), time(EDM, sigma)
    errors = jacobian.normalised_error(denoiser, x0, t, generator=rng(2))
    noisy = EDM.add_noise(x0, t, normal(*x0.shape, seed=3))
    gap = errors.values - jacobian.trace(denoiser, noisy, t).values
    assert abs(gap.mean()) < 4 * gap.std() / len(gap) ** 0.5  # 4 standard errors
    assert errors.summary().lower < errors.values.mean() < errors.summary().upper


def test_denoiser_that_is_no_posterior_mean_breaks_the_identity():
    mixture = general(noise=0.05)
    x0, _ = mixture.sample(6000, generator=rng(1))
    wrong = general(noise=0.05, seed=5).denoiser(EDM)  # of other subspaces
    t = time(EDM, 0.5)
    error = jacobian.normalised_error(wrong, x0, t, generator=rng(2)).summary()
    noisy = EDM.add_noise(x0, t, normal(*x0.shape, seed=3))
    assert error.lower > 1.2 * jacobian.trace(wrong, noisy, t).summary().upper


def test_error_of_the_zero_denoiser_is_the_power_of_the_data():
    zero = Matrix(torch.zeros(4, 4).double(), schedules.VP())
    x0 = normal(50, 2, 2)
    t = time(zero.schedule)
    values = jacobian.normalised_error(zero, x0, t, generator=rng()).values
    assert worst(values, x0.square().sum((1, 2)) / SIGMA**2) < 1e-9  # sigma by way of t


@pytest.mark.parametrize("schedule", [EDM, schedules.VP()], ids=["EDM", "VP"])
def test_flipd_of_a_gaussian_is_its_closed_form(schedule):
    spectrum = torch.tensor([2.0, 0.5, 0.01, 0.0], dtype=torch.float64)
    x0 = normal(3, 4)
    total = spectrum + SIGMA**2
    closed = (spectrum / total).sum() + SIGMA**2 * (x0 / total).square().sum(-1)
    measured = jacobian.flipd(gaussian(spectrum, schedule), x0, time(schedule))
    assert worst(measured.values, closed) < 1e-9  # sigma by way of t


def test_flipd_is_n_plus_sigma_squared_times_divergence_and_norm_of_the_score():
    mixture, t = general(noise=0.1), time(EDM)
    x0 = normal(4, 6)

    def score(x):
        return mixture.score(x[None], t, EDM)[0]

    slope = torch.stack([torch.autograd.functional.jacobian(score, x) for x in x0])
    divergence = slope.diagonal(dim1=-2, dim2=-1).sum(-1)
    sigma = EDM.sigma(t)
    norm = mixture.score(x0, t, EDM).square().sum(-1)
    closed = 6 + sigma**2 * (divergence + norm)
    assert worst(jacobian.flipd(mixture.denoiser(EDM), x0, t).values, closed) < 1e-9


def test_all_three_find_the_dimension_of_a_subspace_at_low_noise():
    mixture = MoLRG.random(30, [4], generator=rng())
    denoiser, t = mixture.denoiser(EDM), time(EDM, 0.01)
    x0, _ = mixture.sample(2000, generator=rng(1))
    noisy = EDM.add_noise(x0, t, normal(*x0.shape, seed=2))
    assert jacobian.trace(denoiser, noisy[:3], t).summary().mean == pytest.approx(4, rel=1e-3)
    assert jacobian.flipd(denoiser, x0[:3], t).summary().mean == pytest.approx(4, rel=1e-2)
    error = jacobian.normalised_error(denoiser, x0, t, generator=rng(3)).summary()
    assert error.mean == pytest.approx(4, abs=4 * (2 * 4 / 2000) ** 0.5)  # 4 standard errors


def test_the_data_type_may_be_single_and_the_input_is_left_alone():
    mixture = general(dtype=torch.float32, noise=0.1)
    x_t = normal(3, 6, dtype=torch.float32)
    before = x_t.clone()
    values = jacobian.trace(mixture.denoiser(EDM), x_t, 0.4, probes=4).values
    assert values.dtype == torch.float64
    assert torch.equal(x_t, before)
    assert not values.requires_grad


def test_bad_arguments_are_named():
    denoiser = general().denoiser(EDM)
    x = normal(2, 6)
    with complains("probes"):
        jacobian.trace(denoiser, x, 0.5, probes=1)
    with complains("x_t"):
        jacobian.trace(denoiser, x * float("nan"), 0.5)
    for wrong in (x[0], x[:0]):
        with complains("x_t.shape"):
            jacobian.trace(denoiser, wrong, 0.5)
    with complains("x0.shape"):
        jacobian.normalised_error(denoiser, x[:0], 0.5, generator=rng())
    with complains("x0.shape"):
        jacobian.flipd(denoiser, x[:0], 0.5)
    with complains("x0.shape"):
        jacobian.normalised_error(denoiser, x[0], 0.5, generator=rng())
    with complains("t.shape"):
        jacobian.normalised_error(denoiser, x, normal(2).abs(), generator=rng())
    with complains("t"):
        jacobian.normalised_error(general().denoiser(schedules.VP()), x, 0.0, generator=rng())
    with complains("x0"):
        jacobian.flipd(denoiser, x.int(), 0.5)


def test_the_example_in_the_documentation_runs():
    names = {"torch": torch}
    results = doctest.testmod(local_dimension, extraglobs=names)
    assert results.attempted > 3
    assert results.failed == 0
