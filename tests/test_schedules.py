"""Schedules: their closed forms, the conversion between t and sigma, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from factories import EXACT, SCHEDULES, complains, normal, worst
from scipy.integrate import quad

from molrg.schedules import DDPM, EDM, VP, Discrete

TIMES = torch.linspace(0, 1, 41, dtype=torch.float64)
every = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)

# oracle


@pytest.mark.parametrize("t", [0.0, 0.01, 0.3, 0.77, 1.0])
@pytest.mark.parametrize("rates", [(0.1, 20.0), (0.5, 4.0)])
def test_vp_integrates_its_rate(t, rates):
    low, high = rates
    power = math.exp(-quad(lambda u: low + u * (high - low), 0, t, epsabs=1e-13)[0])
    schedule = VP(*rates)
    assert abs(schedule.s(t).item() - math.sqrt(power)) < EXACT
    assert (
        abs(schedule.gamma(t).item() - math.sqrt(1 - power)) < 1e-8 if t else schedule.gamma(t) == 0
    )


def test_vp_noise_keeps_its_digits_near_zero():
    """gamma^2 = 1 - exp(-B) with B about 1e-9: the plain difference keeps seven digits only."""
    t = 1e-8
    integrated = 0.1 * t + 0.5 * 19.9 * t**2
    assert abs(VP().gamma(t).item() / math.sqrt(integrated) - 1) < 1e-9


def test_edm_is_the_grid_of_karras():
    n, low, high, rho = 18, 0.002, 80.0, 7
    i = np.arange(n)
    karras = (high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    ours = EDM().sigma(torch.linspace(1, 0, n, dtype=torch.float64))
    assert np.abs(ours.numpy() / karras - 1).max() < EXACT
    assert (EDM().s(TIMES) == 1).all()


def test_ddpm_is_the_product_of_its_steps():
    betas = np.linspace(1e-4, 0.02, 1000)
    power = np.array([np.prod(1 - betas[: k + 1]) for k in (0, 1, 250, 999)])
    t = torch.tensor([0, 1, 250, 999], dtype=torch.float64) / 999
    assert np.abs(DDPM().s(t).numpy() ** 2 - power).max() < EXACT
    assert np.abs(DDPM().gamma(t).numpy() ** 2 - (1 - power)).max() < EXACT


def test_a_table_is_the_schedule_it_was_taken_from():
    table = Discrete(DDPM(50).alpha_bar)
    assert torch.equal(table.s(TIMES), DDPM(50).s(TIMES))
    assert torch.equal(table.gamma(TIMES), DDPM(50).gamma(TIMES))
    assert torch.equal(table.step(TIMES), DDPM(50).step(TIMES))
    assert table.t_of_sigma(DDPM(50).sigma(0.4)) == DDPM(50).t_of_sigma(DDPM(50).sigma(0.4))


def test_ddpm_is_the_one_of_diffusers():
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(beta_schedule="linear").alphas_cumprod
    assert worst(DDPM().alpha_bar.float(), theirs) < 1e-6  # theirs is accumulated in float32


@pytest.mark.parametrize(
    ("t", "step"), [(0.0, 0), (0.0004, 0), (0.0006, 1), (0.5, 500), (0.9996, 999), (1.0, 999)]
)
def test_ddpm_takes_the_nearest_step(t, step):
    assert DDPM().step(t).item() == step  # 0.5 is step 499.5, rounded to the even one


# invariance


@every
def test_sigma_is_the_ratio_and_grows(schedule):
    sigma = schedule.sigma(TIMES)
    assert worst(sigma * schedule.s(TIMES), schedule.gamma(TIMES)) < EXACT * sigma.max()
    assert (sigma.diff() > 0).all()
    assert (schedule.s(TIMES) > 0).all()


@pytest.mark.parametrize("name", ["VP", "DDPM"])
def test_variance_is_preserved(name):
    power = SCHEDULES[name].s(TIMES) ** 2 + SCHEDULES[name].gamma(TIMES) ** 2
    assert worst(power, torch.ones_like(power)) < EXACT


@pytest.mark.parametrize("schedule", [VP(), VP(0.5, 4.0), EDM(), EDM(0.01, 10.0, 3.0)], ids=repr)
def test_t_of_sigma_inverts_sigma(schedule):
    assert worst(schedule.t_of_sigma(schedule.sigma(TIMES)), TIMES) < EXACT


def test_t_of_sigma_of_ddpm_finds_every_step():
    t = torch.arange(1000, dtype=torch.float64) / 999
    assert torch.equal(DDPM().t_of_sigma(DDPM().sigma(t)), t)


@pytest.mark.parametrize("sigma", [0.02, 0.1, 1.0, 30.0])
def test_t_of_sigma_of_ddpm_is_the_nearest_level(sigma):
    levels = DDPM().sigma(torch.arange(1000, dtype=torch.float64) / 999)
    nearest = (levels.log() - math.log(sigma)).abs().min()
    found = DDPM().sigma(DDPM().t_of_sigma(sigma)).log() - math.log(sigma)
    assert abs(found.abs().item() - nearest.item()) < EXACT


@every
def test_scalar_and_tensor_times_agree(schedule):
    for name in ("s", "gamma", "sigma"):
        one_by_one = torch.stack([getattr(schedule, name)(t.item()) for t in TIMES])
        assert torch.equal(getattr(schedule, name)(TIMES), one_by_one)
        assert getattr(schedule, name)(TIMES.float()).dtype == torch.float64


@pytest.mark.parametrize("schedule", [VP(), EDM()], ids=repr)
def test_gradients_reach_t(schedule):
    t = torch.tensor([0.2, 0.6], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(schedule.sigma, t)


# shapes


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("t_shape", "like_shape", "shape"),
    [
        ((), (5, 7), ()),
        ((5,), (5, 7), (5, 1)),
        ((5,), (5, 3, 4, 4), (5, 1, 1, 1)),
        ((2, 5), (2, 5, 7), (2, 5, 1)),
    ],
)
def test_at_broadcasts_against_the_points(schedule, dtype, t_shape, like_shape, shape):
    t = torch.rand(t_shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    like = normal(*like_shape, dtype=dtype)
    for value, plain in zip(schedule.at(t, like), (schedule.s(t), schedule.gamma(t)), strict=True):
        assert value.shape == shape
        assert value.dtype == dtype
        assert torch.equal(value.flatten(), plain.to(dtype).flatten())
        assert (value * like).shape == like.shape


# bad input


@every
@pytest.mark.parametrize(
    "t", [-0.01, 1.01, math.nan, math.inf, torch.tensor([0.5, 1.5]), torch.tensor([math.nan])]
)
def test_times_outside_the_unit_interval(schedule, t):
    for name in ("s", "gamma", "sigma"):
        with complains("t"):
            getattr(schedule, name)(t)


@every
@pytest.mark.parametrize("shape", [(4,), (7,), (5, 7, 1)])
def test_times_that_do_not_lead_the_points(schedule, shape):
    with complains("t.shape"):
        schedule.at(torch.full(shape, 0.5), normal(5, 7))


@every
def test_levels_out_of_range(schedule):
    for sigma in (-1.0, 1e6, math.nan, [1.0, 1e6]):
        with complains("sigma"):
            schedule.t_of_sigma(sigma)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: VP(0.0, 1.0), "(beta_min, beta_max)"),
        (lambda: VP(2.0, 1.0), "(beta_min, beta_max)"),
        (lambda: VP(0.1, math.inf), "(beta_min, beta_max)"),
        (lambda: EDM(0.0), "(sigma_min, sigma_max)"),
        (lambda: EDM(1.0, 0.5), "(sigma_min, sigma_max)"),
        (lambda: EDM(rho=0.0), "rho"),
        (lambda: EDM(rho=math.nan), "rho"),
        (lambda: DDPM(1), "steps"),
        (lambda: Discrete(torch.tensor([0.9])), "alpha_bar.shape"),
        (lambda: Discrete(torch.tensor([0.9, 0.9])), "alpha_bar"),
        (lambda: Discrete(torch.tensor([0.9, 0.0])), "alpha_bar"),
        (lambda: Discrete(torch.tensor([1.0, 0.5])), "alpha_bar"),
        (lambda: Discrete(torch.tensor([0.9, float("nan")])), "alpha_bar"),
        (lambda: DDPM(10.5), "steps"),  # type: ignore[arg-type]
        (lambda: DDPM(beta_start=0.0), "(beta_start, beta_end)"),
        (lambda: DDPM(beta_end=1.0), "(beta_start, beta_end)"),
    ],
)
def test_improper_constants(make, name):
    with complains(name):
        make()


# noise


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_noise_is_added_as_the_schedule_says(schedule):
    x0, noise = normal(4, 3, 2), normal(4, 3, 2, seed=1)
    t = torch.tensor([0.1, 0.4, 0.7, 1.0], dtype=torch.float64)
    x_t = schedule.add_noise(x0, t, noise)
    for b in range(4):
        s, gamma = schedule.s(t[b]).item(), schedule.gamma(t[b]).item()
        assert worst(x_t[b], s * x0[b] + gamma * noise[b]) < EXACT


def test_noise_is_added_as_diffusers_does():
    scheduler = pytest.importorskip("diffusers").DDPMScheduler()
    x0, noise, steps = normal(4, 3), normal(4, 3, seed=1), torch.tensor([0, 10, 500, 999])
    expected = scheduler.add_noise(x0, noise, steps)
    assert (
        worst(DDPM().add_noise(x0, steps / 999, noise), expected) < 1e-5
    )  # their table is float32


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_scales_follow_the_points(schedule):
    """On their device and in their dtype, wherever the times are."""
    like = torch.empty(3, 2, dtype=torch.float32, device="meta")
    for t in (0.5, torch.tensor([0.1, 0.5, 0.9])):
        for scale in schedule.at(t, like):
            assert scale.device.type == "meta"
            assert scale.dtype == torch.float32
