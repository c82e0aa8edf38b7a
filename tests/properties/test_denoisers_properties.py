"""Properties of denoisers, of their training loss, of samplers and of Jacobians."""

from __future__ import annotations

import math

import pytest
import torch
from factories import SCHEDULES, complains, normal, rng, worst
from hypothesis import given, settings, strategies as st
from strategies import (
    Border,
    bases,
    clouds,
    dtypes,
    laws,
    no_count,
    no_real,
    no_share,
    permutations,
    rotations,
    same,
    schedules,
    seeds,
    sigmas,
    spoiled,
    times,
)

from molrg import MoLRG, denoisers, jacobian, sampling, training
from molrg.denoisers import (
    MLP,
    Empirical,
    FreeMixture,
    Gaussian,
    LinearMixture,
    LowRank,
    Patches,
    Stacked,
    UNet,
    Windowed,
)
from molrg.denoisers.patches import window_starts, windows
from molrg.zoo.recipes import unet

VP, EDM = SCHEDULES["VP"], SCHEDULES["EDM"]
POINTS = normal(6, 4)
PICTURES = normal(5, 1, 4, 4)
X_T = normal(3, 4, seed=5)
PAIR = list(torch.eye(4, dtype=torch.float64).split([2, 1, 1], dim=1))[:2]
LAW = MoLRG(PAIR, noise=0.1)
EXACT = LAW.denoiser(VP)
TIMES = torch.tensor([1.0, 0.5, 0.1])
no_time = no_real(0.0, 1.0)
no_events = st.sampled_from([normal(3, 5), normal(3), torch.ones(3, 4).long()])
no_times = st.sampled_from(
    [
        TIMES.flip(0),
        TIMES[:1],
        torch.tensor([1.0, math.nan]),
        torch.tensor([1.5, 0.5]),
        TIMES[[0, 0]],
    ]
)
no_denoiser = st.sampled_from([None, 3, lambda x_t, t: x_t])


def kinds(data: torch.Tensor, schedule) -> dict:
    """A denoiser of each kind, of events with four numbers, in the dtype of the data."""
    dtype = data.dtype
    parts = [basis.to(dtype) for basis in PAIR]
    free = FreeMixture(4, schedule, 2, generator=rng())
    mlp = MLP(4, schedule, width=8, depth=1, generator=rng())
    with torch.no_grad():
        for weight in mlp.parameters():  # the last layer begins at zero
            weight.normal_(generator=rng())
    centre, covariance = data.mean(0), torch.eye(4, dtype=dtype)
    return {
        "mixture": MoLRG(parts, noise=0.1).denoiser(schedule),
        "empirical": Empirical(data, schedule),
        "gaussian": Gaussian(data, schedule),
        "linear": LinearMixture(
            [0.5, 0.5],
            torch.stack([centre, -centre]),
            torch.stack([covariance, 2 * covariance]),
            schedule,
        ),
        "low rank": LowRank(parts, schedule),
        "free": free.to(dtype),
        "mlp": mlp.to(dtype),
        "patches": Patches(data.reshape(-1, 1, 2, 2), schedule, 1),
        "windowed": Windowed(Gaussian(data, schedule), (1, 2, 2), 2),
    }


KINDS = sorted(kinds(POINTS, VP))


def border(make) -> list[Border]:
    return [Border(make, lambda: {"x_t": X_T, "t": 0.5}, {"x_t": no_events, "t": no_time})]


def ddim(**changed):
    return sampling.ddim(**({"denoiser": EXACT, "x_t": X_T, "times": TIMES} | changed))


BORDERS = [
    *(
        Border(denoiser, lambda: {"x_t": X_T, "t": 0.5}, {"x_t": no_events, "t": no_time})
        for name, denoiser in kinds(POINTS, VP).items()
        if name not in ("patches", "windowed")
    ),
    Border(Empirical, lambda: {"data": POINTS, "schedule": VP}, {"data": spoiled(POINTS)}),
    Border(
        Gaussian,
        lambda: {"data": POINTS, "schedule": VP},
        {"data": st.one_of(spoiled(POINTS), st.just(POINTS[:1]))},
    ),
    Border(
        LinearMixture,
        lambda: {
            "weights": [1.0],
            "means": X_T[:1],
            "covariances": torch.eye(4)[None].double(),
            "schedule": VP,
        },
        {
            "weights": st.sampled_from([[0.5], [math.nan]]),
            "means": spoiled(X_T[:1]),
            "covariances": st.just(-torch.eye(4)[None].double()),
        },
    ),
    Border(
        LowRank,
        lambda: {"bases": PAIR, "schedule": VP},
        {
            "bases": st.sampled_from([[], [2 * PAIR[0]], [PAIR[0] * math.nan]]),
            "weights": st.sampled_from([[0.5], [1.5, -0.5]]),
            "assignment": st.sampled_from(["", "none"]),
        },
    ),
    Border(
        FreeMixture,
        lambda: {"n": 4, "schedule": VP, "K": 2, "generator": rng()},
        {"n": no_count(), "K": no_count(), "data_scale": no_real(0, open_low=True)},
    ),
    Border(
        MLP,
        lambda: {"n": 4, "schedule": VP, "width": 4, "depth": 1, "generator": rng()},
        {
            "n": no_count(),
            "width": no_count(),
            "depth": no_count(),
            "prediction": st.sampled_from(["", "score"]),
            "data_scale": no_real(0, open_low=True),
        },
    ),
    Border(
        Patches,
        lambda: {"data": PICTURES, "schedule": VP, "size": 2},
        {"data": st.one_of(spoiled(PICTURES), st.just(POINTS)), "size": no_count(1, 4)},
    ),
    Border(
        Windowed,
        lambda: {"denoiser": EXACT, "event": (1, 4, 4), "size": 2},
        {"denoiser": no_denoiser, "size": no_count(1, 4)},
    ),
    Border(
        Stacked,
        lambda: {"denoisers": [EXACT, EXACT]},
        {"denoisers": st.sampled_from([[], [EXACT, LAW.denoiser(EDM)]])},
    ),
    Border(denoisers.check_denoiser, lambda: {"denoiser": EXACT}, {"denoiser": no_denoiser}),
    Border(
        denoisers.to_x0,
        lambda: {
            "output": X_T,
            "x_t": X_T,
            "s": torch.tensor(0.8),
            "gamma": torch.tensor(0.6),
            "prediction": "v",
        },
        {"prediction": st.sampled_from(["", "score"])},
    ),
    Border(
        training.loss,
        lambda: {"denoiser": EXACT, "x0": X_T, "t": 0.5, "noise": X_T},
        {"noise": st.just(X_T[:1]), "t": no_time, "assign_on": st.sampled_from(["", "x"])},
    ),
    Border(
        training.squared_errors,
        lambda: {"denoiser": EXACT, "x0": X_T, "t": 0.5, "noise": X_T},
        {"noise": st.just(X_T[:1]), "t": no_time, "assign_on": st.sampled_from(["", "x"])},
    ),
    Border(
        training.exact_loss,
        lambda: {"denoiser": EXACT, "x0": X_T, "t": 0.5},
        {
            "x0": st.one_of(spoiled(X_T), st.just(X_T[0])),
            "t": no_time,
            "assign_on": st.sampled_from(["", "x"]),
        },
    ),
    Border(
        training.output_weighting,
        lambda: {"prediction": "v", "schedule": VP},
        {"prediction": st.sampled_from(["", "score"]), "data_scale": no_real(0, open_low=True)},
    ),
    Border(training.sphere_points, lambda: {"n": 3}, {"n": no_count()}),
    Border(
        training.evaluate,
        lambda: {"denoiser": EXACT, "data": X_T, "generator": rng()},
        {
            "levels": no_count(),
            "sigma": st.sampled_from([(1.0, 0.1), (0.0, 1.0), (math.nan, 1.0), (0.1, math.inf)]),
            "data": spoiled(X_T),
            "denoiser": no_denoiser,
        },
    ),
    Border(
        training.log_uniform_times,
        lambda: {"schedule": VP, "sigma": (0.1, 1.0), "u": torch.tensor([0.0, 1.0])},
        {"sigma": st.sampled_from([(1.0, 0.1), (0.0, 1.0), (math.nan, 1.0), (0.1, math.inf)])},
    ),
    Border(
        sampling.time_grid,
        lambda: {"schedule": VP, "steps": 3},
        {
            "steps": no_count(),
            "start": no_time,
            "stop": st.one_of(no_time, st.just(1.0)),
            "rho": no_real(0, open_low=True),
        },
    ),
    Border(
        sampling.prior,
        lambda: {"shape": (2, 3), "schedule": VP, "generator": rng()},
        {"t": no_time},
    ),
    Border(
        ddim,
        lambda: {"x_t": X_T},
        {
            "times": no_times,
            "clip": no_real(0, open_low=True),
            "denoiser": no_denoiser,
            "x_t": no_events,
        },
    ),
    Border(
        sampling.heun,
        lambda: {"denoiser": EXACT, "x_t": X_T, "times": TIMES},
        {"times": no_times, "denoiser": no_denoiser},
    ),
    Border(
        sampling.ancestral,
        lambda: {"denoiser": EXACT, "x_t": X_T, "times": TIMES, "generator": rng()},
        {"times": no_times, "clip": no_real(0, open_low=True), "denoiser": no_denoiser},
    ),
    Border(
        sampling.ddim_invert,
        lambda: {"denoiser": EXACT, "x_0": X_T, "times": TIMES.flip(0)},
        {
            "times": st.sampled_from([TIMES, TIMES[:1]]),
            "corrections": no_count(0),
            "denoiser": no_denoiser,
        },
    ),
    Border(sampling.finish, lambda: {"steps": ddim()}, {"steps": st.builds(lambda: iter([]))}),
    *(
        Border(
            function,
            lambda: {"denoiser": EXACT, "x_t": X_T, "t": 0.5},
            {"x_t": spoiled(X_T), "t": no_time, "denoiser": st.sampled_from([None, 3])},
        )
        for function in (jacobian.dense, jacobian.Linearised, jacobian.trace)
    ),
    Border(
        jacobian.top_singular,
        lambda: {"denoiser": EXACT, "x_t": X_T, "t": 0.5, "k": 2},
        {
            "k": no_count(1, 4),
            "tolerance": no_real(0, open_low=True),
            "block": no_count(),
            "x_t": spoiled(X_T),
        },
    ),
    Border(
        jacobian.rank,
        lambda: {"denoiser": EXACT, "x_t": X_T, "t": 0.5},
        {"eta": no_share(), "accuracy": no_real(0.0), "probes": no_count(2), "block": no_count()},
    ),
    Border(
        jacobian.numerical_rank,
        lambda: {"singular_values": torch.ones(3)},
        {
            "singular_values": st.sampled_from(
                [-torch.ones(2), torch.ones(0), torch.tensor([math.nan])]
            ),
            "eta": no_share(),
        },
    ),
    Border(
        jacobian.asymmetry,
        lambda: {"J": normal(2, 3, 3)},
        {"J": st.one_of(spoiled(normal(2, 3, 3)), st.just(X_T))},
    ),
    Border(
        jacobian.normalised_error,
        lambda: {"denoiser": EXACT, "x0": X_T, "t": 0.5, "generator": rng()},
        {"x0": spoiled(X_T), "t": no_real(0, 1, open_low=True)},
    ),
    Border(
        jacobian.flipd,
        lambda: {"denoiser": EXACT, "x0": X_T, "t": 0.5},
        {"x0": spoiled(X_T), "probes": no_count(2)},
    ),
]


@pytest.mark.parametrize("kind", KINDS)
@given(x=clouds(N=(2, 6), n=(4, 4)), schedule=schedules, sigma=sigmas, data=st.data())
def test_denoisers_take_points_one_by_one(kind, x, schedule, sigma, data):
    x = x / x.abs().max()
    denoiser = kinds(x, schedule)[kind]
    event = (1, 2, 2) if kind in ("patches", "windowed") else (4,)
    t = float(schedule.t_of_sigma(sigma))
    x_t = schedule.add_noise(x, t, normal(*x.shape, seed=data.draw(seeds)).to(x.dtype))
    x_t = x_t.reshape(-1, *event)
    with torch.no_grad():
        x0_hat = denoiser(x_t, t)
        order = data.draw(permutations(len(x)))
        assert x0_hat.shape == x_t.shape and x0_hat.dtype == x.dtype
        loose = 1e-8 if x.dtype == torch.float64 else 2e-3
        same(denoiser(x_t[order], t), x0_hat[order], loose)
        same(denoiser(x_t[:1], t), x0_hat[:1], loose)
        each = torch.full((len(x_t),), t, dtype=torch.float64)
        same(denoiser(x_t, each), x0_hat, loose)
        spoilt = x_t.clone()
        spoilt[0] = math.nan
        same(denoiser(spoilt, t)[1:], x0_hat[1:], loose)
        assert not denoiser(spoilt, t)[0].isfinite().all()
    assert denoisers.check_denoiser(denoiser) is denoiser
    assert denoisers.ensemble_of(denoiser) == ()


def exact(kind: str, x: torch.Tensor, schedule):
    """Denoisers that are those of a law of the data, whatever the schedule."""
    return kinds(x, schedule)[kind]


@pytest.mark.parametrize(
    "kind", ["mixture", "empirical", "gaussian", "linear", "low rank", "patches"]
)
@given(x=clouds(N=(2, 6), n=(4, 4)), sigma=sigmas, seed=seeds)
def test_variance_preserving_and_exploding_are_one(kind, x, sigma, seed):
    x = x / x.abs().max()
    event = (1, 2, 2) if kind == "patches" else (4,)
    y = (x + sigma * normal(*x.shape, seed=seed).to(x.dtype)).reshape(-1, *event)
    t, u = float(VP.t_of_sigma(sigma)), float(EDM.t_of_sigma(sigma))
    s, _ = VP.at(t, y)
    with torch.no_grad():
        exploding = kinds(x, EDM)[kind](y, u)
        same(kinds(x, VP)[kind](s * y, t), exploding, 1e-6 if x.dtype == torch.float64 else 1e-2)


@given(x=clouds(N=(3, 6), n=(4, 4), dtype=torch.float64), sigma=sigmas, data=st.data())
def test_denoisers_of_data_turn_with_them_and_know_no_order(x, sigma, data):
    x = x / x.abs().max()
    t = float(VP.t_of_sigma(sigma))
    x_t = VP.add_noise(x, t, normal(*x.shape, seed=data.draw(seeds)))
    Q, order = data.draw(rotations(4)), data.draw(permutations(len(x)))
    for kind in (Empirical, Gaussian):
        here = kind(x, VP)(x_t, t)
        same(kind(x @ Q.T, VP)(x_t @ Q.T, t), here @ Q.T, 1e-6)
        same(kind(x[order], VP)(x_t, t), here, 1e-6)
    weights = Empirical(x, VP).weights(x_t, t)
    same(weights.sum(-1), torch.ones_like(weights[:, 0]))
    same(weights @ x, Empirical(x, VP)(x_t, t))


@given(laws(noise=(0.0,), dtype=torch.float64), sigmas, seeds)
def test_low_rank_is_the_mixture_and_the_dense_form(law, sigma, seed):
    plain = MoLRG(law.bases, law.weights)
    t = float(VP.t_of_sigma(sigma))
    x_t = normal(3, law.n, seed=seed)
    low_rank = LowRank(law.bases, VP, weights=law.weights)
    with torch.no_grad():
        here = low_rank(x_t, t)
        same(here, plain.denoiser(VP)(x_t, t), 1e-8)
        covariances = torch.stack([U @ U.T for U in law.bases])
        dense = LinearMixture(law.weights, torch.zeros(law.K, law.n).double(), covariances, VP)
        same(here, dense(x_t, t), 1e-6)
        soft, hard = low_rank.soft_weights(x_t, t), low_rank.hard_weights(x_t)
        same(soft.sum(-1), torch.ones_like(soft[:, 0]))
        assert (hard.sum(-1) == 1).all()
        same(low_rank(x_t, t, weights=soft), here, 1e-8)
        energies = torch.stack([(x_t @ U).square().sum(-1) for U in law.bases], -1)
        same(low_rank.latent(x_t).square().sum(-1), energies, 1e-8)
    low_rank.retract_()
    for U, V in zip(low_rank.bases, law.bases, strict=True):
        same(U @ U.T, V @ V.T, 1e-8)
    assert len(low_rank.bases_of(0)) == law.K if low_rank.ensemble else True


@given(bases(4, [2]), bases(4, [2]), sigmas, seeds)
def test_an_ensemble_is_its_models(first, second, sigma, seed):
    t = float(VP.t_of_sigma(sigma))
    x_t = normal(2, 3, 4, seed=seed)
    together = LowRank([torch.stack([first[0], second[0]])], VP)
    alone = [LowRank(first, VP), LowRank(second, VP)]
    stacked = Stacked(alone)
    with torch.no_grad():
        here = together(x_t, t)
        for e, model in enumerate(alone):
            same(here[e], model(x_t[e], t), 1e-10)
            same(together.bases_of(e)[0], model.bases[0], 1e-10)
        same(stacked(x_t, t), here, 1e-10)
        same(together.select([1])(x_t[1:], t), here[1:], 1e-10)
        same(stacked.select([1])(x_t[1:], t), here[1:], 1e-10)
        same(stacked.to("cpu")(x_t, t), here, 1e-10)
    assert denoisers.ensemble_of(together) == (2,)
    with complains("models"):
        together.select([2])


@given(seeds, st.floats(0.5, 2.0))
def test_a_free_mixture_keeps_its_axes(seed, scale):
    free = FreeMixture(3, VP, 2, data_scale=scale, generator=rng(seed)).double()
    before = free.covariances
    free.retract_()
    same(free.covariances, before, 1e-5)
    assert (torch.linalg.eigvalsh(before) > 0).all()


@given(st.integers(1, 9), st.data())
def test_windows_lie_inside_and_hold_their_place(length, data):
    size = data.draw(st.integers(1, length))
    starts = window_starts(length, size)
    assert len(starts) == length
    for place, start in enumerate(starts):
        assert 0 <= start <= place < start + size <= length
    same(windows(length, size).sum(-1), torch.full((length,), float(size), dtype=torch.float64))


@given(clouds(N=(3, 5), n=(4, 4), dtype=torch.float64), sigmas, seeds)
def test_a_window_of_the_whole_picture_is_the_picture(x, sigma, seed):
    pictures = (x / x.abs().max()).reshape(-1, 1, 2, 2)
    t = float(VP.t_of_sigma(sigma))
    x_t = VP.add_noise(pictures, t, normal(*pictures.shape, seed=seed))
    whole = Empirical(pictures, VP)
    same(Patches(pictures, VP, 2)(x_t, t), whole(x_t, t), 1e-8)
    windowed = Windowed(whole, (1, 2, 2), 2)
    assert windowed.schedule == VP
    same(windowed(x_t, t), whole(x_t, t), 1e-8)


@given(st.sampled_from(["x0", "eps", "v"]), schedules, sigmas, dtypes, st.floats(0.2, 5.0))
def test_every_target_gives_the_clean_point_back(prediction, schedule, sigma, dtype, scale):
    t = float(schedule.t_of_sigma(sigma))
    x0, noise = normal(4, 3).to(dtype), normal(4, 3, seed=1).to(dtype)
    s, gamma = schedule.at(t, x0)
    x_t = s * x0 + gamma * noise
    zero = denoisers.to_x0(torch.zeros_like(x0), x_t, s, gamma, prediction, scale)
    factor = denoisers.to_x0(torch.ones_like(x0), x_t, s, gamma, prediction, scale) - zero
    output = (x0 - zero) / factor
    same(
        denoisers.to_x0(output, x_t, s, gamma, prediction, scale),
        x0,
        1e-8 if dtype == torch.float64 else 1e-2,
    )
    weight = training.output_weighting(prediction, schedule, scale)(torch.tensor(t).double())
    assert math.isclose(float(weight) * float(factor.double().mean()) ** 2, 1.0, rel_tol=1e-2)


@given(times)
def test_the_time_of_a_network(t):
    assert math.isclose(float(denoisers.network_time(VP, t)), 999 * t, rel_tol=1e-6)
    assert float(denoisers.network_time(SCHEDULES["DDPM"], t)) == round(999 * t)


@settings(max_examples=2)
@given(seeds)
def test_a_network_takes_images_one_by_one(seed):
    denoiser = UNet(unet((1, 8, 8), (32, 32, 32), seed=0), VP).eval()
    x_t = normal(2, 1, 8, 8, seed=seed).float()
    with torch.no_grad():
        both = denoiser(x_t, 0.5)
        same(denoiser(x_t[:1], 0.5), both[:1], 1e-4)
    assert denoiser.event == denoiser.fixed_event == (1, 8, 8)
    assert 8 % denoiser.multiple == 0
    with complains("x_t.shape"):
        denoiser(normal(2, 3, 8, 8).float(), 0.5)


# The loss


@given(clouds(N=(2, 5), n=(4, 4)), schedules, sigmas, st.data())
def test_the_loss_is_a_mean_over_points(x, schedule, sigma, data):
    x = x / x.abs().max()
    denoiser = MoLRG([U.to(x.dtype) for U in PAIR], noise=0.1).denoiser(schedule)
    t = float(schedule.t_of_sigma(sigma))
    noise = normal(*x.shape, seed=data.draw(seeds)).to(x.dtype)
    errors = training.squared_errors(denoiser, x, t, noise=noise)
    manual = (denoiser(schedule.add_noise(x, t, noise), t) - x).square().sum(-1)
    same(errors, manual)
    mean = training.loss(denoiser, x, t, noise=noise)
    same(mean, errors.mean())
    order = data.draw(permutations(len(x)))
    same(training.loss(denoiser, x[order], t, noise=noise[order]), mean, 1e-4)
    weighted = training.loss(
        denoiser, x, t, noise=noise, weighting=lambda t: 3 * torch.ones_like(t)
    )
    same(weighted, 3 * mean, 1e-4)
    present = torch.arange(len(x)) > 0
    same(training.loss(denoiser, x, t, noise=noise, present=present), errors[1:].mean(), 1e-4)


@given(bases(4, [2]), sigmas, seeds)
def test_the_exact_loss_is_that_of_pca(parts, sigma, seed):
    x = normal(5, 4, seed=seed)
    t = float(VP.t_of_sigma(sigma))
    U = parts[0]
    s, gamma = (float(value) for value in VP.at(t, x))
    a = s**2 / (s**2 + gamma**2)
    energy = (x @ U).square().sum(-1).mean()
    formula = x.square().sum(-1).mean() + 2 * a**2 * gamma**2 / s**2 - a * (2 - a) * energy
    with torch.no_grad():
        measured = training.exact_loss(LowRank(parts, VP), x, t)
    same(measured, formula, 1e-9)
    points = training.sphere_points(4)
    same(points.T @ points / len(points), torch.eye(4, dtype=torch.float64))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), schedules)
def test_times_are_log_uniform(u, schedule):
    drawn = torch.tensor(u, dtype=torch.float64)
    sigma = schedule.sigma(training.log_uniform_times(schedule, (0.1, 1.0), drawn))
    allowed = 0.1 if hasattr(schedule, "steps") else 1e-6
    assert worst(sigma.log(), math.log(0.1) + drawn * math.log(10)) < allowed


@given(bases(4, [2]), seeds)
def test_evaluation_is_the_same_for_every_model(parts, seed):
    data = normal(4, 4, seed=seed)
    single = training.evaluate(LowRank(parts, VP), data, levels=3, generator=rng(seed))
    both = training.evaluate(
        LowRank([torch.stack([parts[0]] * 2)], VP), data, levels=3, generator=rng(seed)
    )
    same(both, single.expand(2), 1e-8)
    assert single > 0


# Samplers


@given(clouds(N=(2, 4), n=(4, 4)), st.data())
def test_samplers_treat_points_one_by_one_and_turn_with_the_law(x, data):
    x_t = x / x.abs().max()
    parts = [U.to(x.dtype) for U in PAIR]
    Q = data.draw(rotations(4, x.dtype))
    here = MoLRG(parts, noise=0.1).denoiser(EDM)
    there = MoLRG([Q @ U for U in parts], noise=0.1).denoiser(EDM)
    times = sampling.time_grid(EDM, 4, start=0.8)
    loose = 1e-8 if x.dtype == torch.float64 else 1e-2
    for sampler in (sampling.ddim, sampling.heun):
        end = sampling.finish(sampler(here, 5 * x_t, times))
        assert end.dtype == x.dtype
        same(sampling.finish(sampler(there, 5 * x_t @ Q.T, times)), end @ Q.T, loose)
        same(sampling.finish(sampler(here, 5 * x_t[:1], times)), end[:1], loose)
    drawn = sampling.finish(sampling.ancestral(here, 5 * x_t, times, generator=rng(1)))
    again = sampling.finish(sampling.ancestral(here, 5 * x_t, times, generator=rng(1)))
    assert torch.equal(drawn, again) and drawn.isfinite().all()


@settings(max_examples=3)
@given(seeds)
def test_inversion_is_undone_by_ddim(seed):
    law = MoLRG(PAIR[:1], noise=0.5)
    x, _ = law.sample(2, generator=rng(seed))
    times = sampling.time_grid(VP, 12, start=0.6)
    denoiser = law.denoiser(VP)
    x_t = sampling.finish(sampling.ddim_invert(denoiser, x, times.flip(0), corrections=20))
    same(sampling.finish(sampling.ddim(denoiser, x_t, times)), x, 1e-4)


@given(schedules, st.integers(1, 20), st.floats(0.3, 1.0), st.floats(1.0, 10.0))
def test_grids_fall_from_start_to_stop(schedule, steps, start, rho):
    times = sampling.time_grid(schedule, steps, start=start, rho=rho)
    assert times.dtype == torch.float64 and (times.diff() < 0).all() and len(times) <= steps + 1
    same(schedule.sigma(times[0]), schedule.sigma(start), 1e-6)
    same(schedule.sigma(times[-1]), schedule.sigma(0.0), 1e-6)


@given(st.integers(1, 4), times, schedules, dtypes, seeds)
def test_the_prior_has_the_noise_of_its_time(N, t, schedule, dtype, seed):
    here = sampling.prior((N, 3), schedule, t, generator=rng(seed), dtype=dtype)
    unit = sampling.prior((N, 3), schedule, 1.0, generator=rng(seed), dtype=dtype)
    assert here.dtype == dtype
    same(here * float(schedule.gamma(1.0)), unit * float(schedule.gamma(t)), 1e-4)


# Jacobians


@st.composite
def at_points(draw: st.DrawFn):
    law, sigma = draw(laws(noise=(0.1,), dtype=torch.float64)), draw(st.floats(0.2, 3.0))
    t = float(VP.t_of_sigma(sigma))
    x, _ = law.sample(2, generator=rng(draw(seeds)))
    return law, VP.add_noise(x, t, normal(*x.shape, seed=draw(seeds))), t


@given(at_points(), st.data())
def test_products_and_spectra_are_those_of_the_dense_jacobian(case, data):
    law, x_t, t = case
    denoiser = law.denoiser(VP)
    J = jacobian.dense(denoiser, x_t, t)
    assert (jacobian.asymmetry(J) < 1e-8).all()  # a covariance, up to a factor
    linear = jacobian.Linearised(denoiser, x_t, t)
    vectors = normal(2, law.n, 3, seed=data.draw(seeds))
    same(linear.jvp(vectors), J @ vectors, 1e-8)
    same(linear.vjp(vectors), J.mT @ vectors, 1e-8)
    values = torch.linalg.svdvals(J)
    U, S, Vh = jacobian.top_singular(denoiser, x_t, t, k=law.n, tolerance=1e-8)
    same(S, values, 1e-6)
    same(U * S[:, None] @ Vh, J, 1e-6)
    measured = jacobian.rank(denoiser, x_t, t, accuracy=0.0)
    exactly = jacobian.numerical_rank(values)
    assert ((measured.low <= exactly) & (exactly <= measured.high)).all()
    s, _ = VP.at(t, x_t)
    same(jacobian.trace(denoiser, x_t, t).values, s * J.diagonal(dim1=-2, dim2=-1).sum(-1), 1e-8)
    each = jacobian.dense(denoiser, x_t[:1], t)
    same(each, J[:1], 1e-8)


@given(at_points(), st.data())
def test_traces_do_not_turn(case, data):
    law, x_t, t = case
    Q = data.draw(rotations(law.n))
    there = MoLRG(
        [Q @ U for U in law.bases],
        law.weights,
        [Q @ m for m in law.means],
        list(law.variances),
        law.noise,
    )
    for measure in (jacobian.trace, jacobian.flipd):
        here = measure(law.denoiser(VP), x_t, t).values
        same(measure(there.denoiser(VP), x_t @ Q.T, t).values, here, 1e-6)
    error = jacobian.normalised_error(law.denoiser(VP), x_t, t, generator=rng(1))
    summary = error.summary()
    assert (error.values >= 0).all() and summary.lower <= summary.mean <= summary.upper


@given(st.lists(st.floats(0, 10), min_size=1, max_size=6), no_share().map(lambda _: 0.9), st.data())
def test_the_energy_rank_knows_no_order_and_no_unit(values, eta, data):
    S = torch.tensor(values, dtype=torch.float64)
    rank = int(jacobian.numerical_rank(S, eta))
    assert 0 <= rank <= len(values) and (rank == 0) == (float(S.max()) == 0)
    order = data.draw(permutations(len(values)))
    assert int(jacobian.numerical_rank(S[order], eta)) == rank
    assert int(jacobian.numerical_rank(4 * S, eta)) == rank
    assert jacobian.numerical_rank(torch.stack([S, S]), eta).tolist() == [rank, rank]
