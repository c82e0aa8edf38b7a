"""Training: the identities of Theorems 1 and 3 on the real loss code, and what the loop does."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from factories import EXACT, SCHEDULES, bases, complains, normal, rng, worst
from scipy import stats
from torch import nn

from molrg import MoLRG, training
from molrg.denoisers import MLP, Empirical, LowRank
from molrg.schedules import DDPM, EDM, VP
from molrg.subspaces import pca, principal_angles, random_basis

every = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
times = pytest.mark.parametrize("t", [0.01, 0.2, 0.5, 0.9])


def scales(schedule, t):
    """a_t = s^2 / (s^2 + gamma^2), and s^2 gamma^2 / (s^2 + gamma^2)^2."""
    s, gamma = schedule.s(t).item(), schedule.gamma(t).item()
    return s**2 / (s**2 + gamma**2), s**2 * gamma**2 / (s**2 + gamma**2) ** 2


def pca_side(x, U, t, schedule):
    """Right-hand side of the identity of Theorem 1."""
    a, spread = scales(schedule, t)
    return (
        x.square().sum(-1).mean()
        + U.shape[1] * spread
        - a * (2 - a) * (x @ U).square().sum(-1).mean()
    )


def k_subspaces_side(x, U, t, schedule):
    """Right-hand side of the identity of Theorem 3; the constant is summed over points."""
    a, spread = scales(schedule, t)
    energy, winner = torch.stack([(x @ u).square().sum(-1) for u in U], -1).max(-1)
    d = torch.tensor([u.shape[1] for u in U], dtype=x.dtype)[winner]
    return x.square().sum(-1).mean() + (d * spread).mean() - a * (2 - a) * energy.mean()


def relative(measured, expected):
    return (abs(measured - expected) / abs(expected)).item()


class Scaled:
    """A denoiser with a wrong scale c_t."""

    def __init__(self, denoiser, factor):
        self.denoiser, self.schedule, self.factor = denoiser, denoiser.schedule, factor

    def __call__(self, x_t, t):
        return self.factor * self.denoiser(x_t, t)


# oracle: the identities


@every
@times
def test_with_one_subspace_the_loss_is_the_pca_objective(schedule, t):
    x = normal(30, 8)
    for U in (*bases(8, [3, 3, 3]), pca(x, 3)):
        assert (
            relative(
                training.exact_loss(LowRank([U], schedule), x, t).detach(),
                pca_side(x, U, t, schedule),
            )
            < EXACT
        )


@every
@times
@pytest.mark.parametrize("dims", [[2, 2, 2], [1, 2, 4]])
def test_with_hard_assignment_on_x0_the_loss_is_the_k_subspaces_objective(schedule, t, dims):
    x = normal(30, 8)
    for seed in range(3):
        U = bases(8, dims, seed)
        loss = training.exact_loss(LowRank(U, schedule), x, t, assign_on="x0").detach()
        assert relative(loss, k_subspaces_side(x, U, t, schedule)) < EXACT


def test_with_hard_assignment_the_constant_is_that_of_the_points():
    """With unequal dimensions the mean dimension of the bases is the wrong constant."""
    x, U, t = normal(30, 8), bases(8, [1, 2, 4]), 0.5
    a, spread = scales(VP(), t)
    energy = torch.stack([(x @ u).square().sum(-1) for u in U], -1).amax(-1).mean()
    naive = x.square().sum(-1).mean() + 7 / 3 * spread - a * (2 - a) * energy
    assert (
        relative(training.exact_loss(LowRank(U, VP()), x, t, assign_on="x0").detach(), naive) > 1e-3
    )


def test_lower_loss_is_higher_objective():
    x = normal(30, 8) * torch.linspace(1, 3, 8, dtype=torch.float64)
    U = [random_basis(8, 3, generator=rng(k)) for k in range(20)] + [pca(x, 3)]
    losses = torch.stack([training.exact_loss(LowRank([u], VP()), x, 0.3).detach() for u in U])
    energies = torch.stack([(x @ u).square().sum() for u in U])
    assert torch.equal(losses.argsort(), energies.argsort(descending=True))
    assert losses.argmin() == 20


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sphere_points_have_the_moments_of_noise(n, dtype):
    points = training.sphere_points(n, dtype)
    assert points.shape == (2 * n, n)
    assert points.dtype == dtype
    small = 1e-6 if dtype == torch.float32 else EXACT
    assert points.mean(0).abs().max() < small
    assert worst(points.T @ points / (2 * n), torch.eye(n, dtype=dtype)) < small


def test_exact_loss_is_what_monte_carlo_estimates():
    """2,000 draws of the noise, within 3.9 standard errors: false fail 1e-4."""
    x, denoiser = normal(10, 6), LowRank(bases(6, [2]), VP())
    noise = normal(2000 * 10, 6, seed=1)
    errors = (
        training.squared_errors(denoiser, x.repeat(2000, 1), 0.4, noise=noise)
        .detach()
        .reshape(2000, 10)
        .mean(-1)
    )
    exact = training.exact_loss(denoiser, x, 0.4).item()
    assert abs(errors.mean().item() - exact) < 3.9 * errors.std().item() / 2000**0.5


# bite


@pytest.mark.parametrize(
    "t", [0.01, 0.2, 0.5]
)  # at high noise a_t, and with it every basis, drops out of the loss
def test_stretched_bases_break_the_identity(t):
    x, U = normal(30, 8), bases(8, [3])[0]
    stretch = 1 + 0.1 * torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    denoiser = LowRank([U], VP())
    with torch.no_grad():
        denoiser.columns.mul_(stretch)
    assert (
        relative(training.exact_loss(denoiser, x, t).detach(), pca_side(x, U * stretch, t, VP()))
        > 1e-4
    )


def test_the_softmax_loss_breaks_the_identity():
    x, _ = MoLRG.random(8, [2, 2], generator=rng()).sample(40, generator=rng(1))
    deviations = []
    for t in (0.1, 0.3, 0.5):
        for seed in range(5):
            U = bases(8, [2, 2], seed)
            deviations.append(
                relative(
                    training.exact_loss(LowRank(U, VP()), x, t).detach(),
                    k_subspaces_side(x, U, t, VP()),
                )
            )
    assert max(deviations) > 0.03


def test_hard_assignment_on_the_noisy_point_breaks_the_identity():
    x, U, t = normal(30, 8), bases(8, [2, 2]), 0.5
    loss = training.exact_loss(LowRank(U, VP(), assignment="hard"), x, t).detach()
    assert relative(loss, k_subspaces_side(x, U, t, VP())) > 1e-3


def test_a_wrong_scale_keeps_the_line_but_not_its_slope():
    """So that a wrong c_t is no control for the claim, but is seen by the identity."""
    x, t, factor = normal(30, 8), 0.3, 1.1
    a, _ = scales(VP(), t)
    U = bases(8, [3] * 6)
    energies = torch.stack([(x @ u).square().sum(-1).mean() for u in U])
    losses = torch.stack(
        [training.exact_loss(Scaled(LowRank([u], VP()), factor), x, t).detach() for u in U]
    )
    slopes = (losses[1:] - losses[0]) / (energies[1:] - energies[0])
    assert (slopes + factor * a * (2 - factor * a)).abs().max() < 1e-8, "still a line"
    assert (slopes + a * (2 - a)).abs().min() > 1e-3, "of another slope"


# equivalence: the loss


@every
@pytest.mark.parametrize("assign_on", ["x_t", "x0"])
def test_the_loss_is_the_plain_loop_over_points(schedule, assign_on):
    x0, noise, denoiser = normal(7, 6), normal(7, 6, seed=1), LowRank(bases(6, [2, 3]), schedule)
    t = torch.rand(7, generator=rng(), dtype=torch.float64)
    terms = []
    for i in range(7):
        x_t = (schedule.s(t[i]) * x0[i] + schedule.gamma(t[i]) * noise[i])[None]
        weights = denoiser.hard_weights(x0[i : i + 1]) if assign_on == "x0" else None
        terms.append((1 + 3 * t[i]) * (denoiser(x_t, t[i].item(), weights) - x0[i]).square().sum())
    weighted = training.loss(
        denoiser, x0, t, noise=noise, weighting=lambda t: 1 + 3 * t, assign_on=assign_on
    )
    assert worst(weighted, torch.stack(terms).mean()) < EXACT


def test_the_loss_of_an_ensemble_is_that_of_its_models():
    models = [bases(6, [1, 2], seed) for seed in range(3)]
    together = LowRank([torch.stack(U) for U in zip(*models, strict=True)], VP())
    x0, noise, t = normal(3, 7, 6), normal(3, 7, 6, seed=1), torch.rand(3, 7, generator=rng())
    for assign_on in ("x_t", "x0"):
        for time in (0.4, t):
            per_model = [
                training.loss(
                    LowRank(U, VP()),
                    x0[e],
                    time if time is not t else t[e],
                    noise=noise[e],
                    assign_on=assign_on,
                )
                for e, U in enumerate(models)
            ]
            assert (
                worst(
                    training.loss(together, x0, time, noise=noise, assign_on=assign_on),
                    torch.stack(per_model),
                )
                < EXACT
            )


@pytest.mark.parametrize("assign_on", ["x_t", "x0"])
def test_events_of_any_shape(assign_on):
    x0, noise, denoiser = (
        normal(5, 3, 4, 4),
        normal(5, 3, 4, 4, seed=1),
        LowRank(bases(48, [2, 3]), VP()),
    )
    for t in (0.4, torch.linspace(0.1, 0.9, 5)):
        flat = training.loss(
            denoiser, x0.flatten(1), t, noise=noise.flatten(1), assign_on=assign_on
        )
        assert worst(training.loss(denoiser, x0, t, noise=noise, assign_on=assign_on), flat) < EXACT


def test_a_perfect_denoiser_has_no_loss():
    x0 = normal(7, 6)
    assert training.loss(Empirical(x0, VP()), x0, 0.0, noise=normal(7, 6, seed=1)) < EXACT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_in_is_dtype_out(dtype):
    x0, denoiser = normal(7, 6, dtype=dtype), LowRank(bases(6, [2], dtype=dtype), VP())
    assert training.loss(denoiser, x0, 0.4, noise=x0, weighting=lambda t: 1 + t).dtype == dtype
    assert training.exact_loss(denoiser, x0, 0.4).dtype == dtype
    assert training.evaluate(denoiser, x0, generator=rng()).dtype == dtype
    assert training.fit(denoiser, x0, steps=2, generator=rng()).dtype == dtype
    assert denoiser.columns.dtype == dtype


def test_evaluate_is_the_mean_over_log_spaced_levels():
    x0, denoiser, levels = normal(7, 6), LowRank(bases(6, [2]), EDM()), 4
    generator, terms = rng(5), []
    for k in range(levels):
        sigma = 0.1 * 10 ** ((k + 0.5) / levels)
        noise = torch.randn(7, 6, generator=generator, dtype=torch.float64)
        terms.append(
            (denoiser(x0 + sigma * noise, EDM().t_of_sigma(sigma)) - x0).square().sum(-1).mean()
        )
    assert (
        worst(
            training.evaluate(denoiser, x0, sigma=(0.1, 1.0), levels=levels, generator=rng(5)),
            torch.stack(terms).mean().detach(),
        )
        < 1e-6
    )


def test_evaluate_gives_every_model_the_same_noise():
    U = bases(6, [2])[0]
    twins = LowRank([torch.stack([U, U])], VP())
    first, second = training.evaluate(twins, normal(7, 6), generator=rng())
    assert abs(first - second) < EXACT


# times


@every
def test_times_are_log_uniform_in_sigma(schedule):
    """Kolmogorov-Smirnov against the uniform law; false fail 1e-4."""
    u = torch.rand(3000, generator=rng(2))
    sigma = schedule.sigma(training.log_uniform_times(schedule, (0.1, 10.0), u))
    share = (sigma.log() - math.log(0.1)) / math.log(100)
    if not isinstance(schedule, DDPM):
        assert worst(share, u.double()) < EXACT
    assert stats.kstest(share.numpy(), "uniform").pvalue > 1e-4


# the loop


class Constant(nn.Module):
    """An estimate that is one learned number everywhere."""

    def __init__(self):
        super().__init__()
        self.level, self.schedule = nn.Parameter(torch.zeros((), dtype=torch.float64)), VP()

    def forward(self, x_t, t):
        return self.level.expand(x_t.shape)


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_the_step_size_follows_a_half_cosine(steps):
    """Under a constant gradient Adam moves by the step size: lr times the sum of the schedule."""
    model, lr = Constant(), 0.05
    training.fit(
        model, torch.full((5, 3), 1e9, dtype=torch.float64), steps=steps, lr=lr, generator=rng()
    )
    total = lr * sum(0.5 * (1 + math.cos(math.pi * k / steps)) for k in range(steps))
    assert abs(model.level.item() / total - 1) < 1e-6


def test_any_module_with_a_schedule_can_be_trained():
    model, x = Constant(), normal(50, 3) + 2
    history = training.fit(model, x, steps=300, lr=0.1, generator=rng())
    assert abs(model.level.item() - x.mean().item()) < 1e-3
    assert history[-1] < history[0]


def test_training_reaches_the_pca_subspace():
    x, _ = MoLRG.random(16, [3], noise=0.1, generator=rng()).sample(100, generator=rng(1))
    for seed in range(3):
        model = LowRank(bases(16, [3], seed + 10), VP())
        history = training.fit(model, x, steps=400, generator=rng(seed))
        assert (
            principal_angles(model.bases[0], pca(x, 3))[-1].sin() < 0.1
        )  # a random one: above 0.9
        assert history.shape == (400,)
        assert history[-50:].mean() < history[:10].mean()
        assert not history.requires_grad


@pytest.mark.parametrize("assign_on", ["x_t", "x0"])
def test_bases_stay_orthonormal_in_training(assign_on):
    model = LowRank(bases(8, [1, 3]), VP())
    training.fit(model, normal(20, 8), steps=30, lr=0.3, assign_on=assign_on, generator=rng())
    for U in model.bases:
        assert worst(U.T @ U, torch.eye(U.shape[1], dtype=torch.float64)) < EXACT


@pytest.mark.parametrize("assign_on", ["x_t", "x0"])
@pytest.mark.parametrize("shared", [True, False], ids=["one data set", "one each"])
def test_an_ensemble_trains_as_its_models_one_at_a_time(assign_on, shared):
    """Same seeds, equal to 1e-5 (float32 would allow no more; float64 differs by rounding)."""
    E, dims = 4, [2, 1]
    models = [bases(10, dims, seed) for seed in range(E)]
    data = normal(15, 10) if shared else normal(E, 15, 10)
    together = LowRank([torch.stack(U) for U in zip(*models, strict=True)], VP())
    arguments = {"steps": 40, "assign_on": assign_on, "weighting": lambda t: 1 + t}
    history = training.fit(together, data, **arguments, generator=[rng(100 + e) for e in range(E)])
    for e in range(E):
        alone = LowRank(models[e], VP())
        alone_history = training.fit(
            alone, data if shared else data[e], **arguments, generator=rng(100 + e)
        )
        assert worst(together.columns[e].detach(), alone.columns.detach()) < 1e-5
        assert worst(history[:, e], alone_history) < 1e-5


def test_training_is_reproducible_and_depends_on_the_generator():
    def trained(seed):
        model = LowRank([torch.stack(bases(8, [2, 2]))], VP())
        training.fit(model, normal(20, 8), steps=20, generator=rng(seed))
        return model.columns.detach()

    assert torch.equal(trained(1), trained(1))
    assert worst(trained(1), trained(2)) > 1e-3


def test_models_of_one_generator_see_different_noise():
    U = bases(8, [2])[0]
    twins = LowRank([torch.stack([U, U])], VP())
    training.fit(twins, normal(20, 8), steps=5, generator=rng())
    assert worst(twins.columns[0].detach(), twins.columns[1].detach()) > 1e-3


def test_training_takes_images():
    x = normal(6, 3, 4, 4)
    first, second = LowRank(bases(48, [2]), VP()), LowRank(bases(48, [2]), VP())
    training.fit(first, x, steps=10, generator=rng())
    training.fit(second, x.flatten(1), steps=10, generator=rng())
    assert worst(first.columns.detach(), second.columns.detach()) < 1e-8


# bad input


def images_of_three(shape):
    return MLP(16, VP(), ensemble=(3,), generator=rng()), normal(*shape)


@pytest.mark.parametrize("shape", [(3, 1, 4, 4), (5, 1, 4, 4), (5, 4, 4), (3, 0, 4, 4)])
def test_images_for_an_ensemble_are_read_in_one_way_or_refused(shape):
    network, data = images_of_three(shape)
    with complains("data.shape"):
        training.fit(network, data, steps=1, generator=rng())
    with complains("data.shape"):
        training.evaluate(network, data, generator=rng())


def test_images_of_each_model_are_its_own_and_flat_points_those_of_all():
    network, data = images_of_three((3, 2, 1, 4, 4))
    own = training.evaluate(network, data, generator=rng())
    assert worst(own, training.evaluate(network, data.flatten(2), generator=rng())) < EXACT
    flat = data[0].flatten(1)
    shared = training.evaluate(network, flat, generator=rng())
    each = training.evaluate(network, flat.expand(3, 2, 16), generator=rng())
    assert worst(shared, each) < EXACT and abs(shared - own)[0] < EXACT
    assert (shared - own)[1:].abs().min() > 1e-6


def model(E=None):
    return LowRank(bases(6, [2]) if E is None else [torch.stack(bases(6, [2] * E))], VP())


X = normal(5, 6)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: training.loss(model(), X, 0.5, noise=X, assign_on="labels"), "assign_on"),
        (lambda: training.loss(model(), X, 0.5, noise=X[:1]), "noise.shape"),
        (lambda: training.loss(model(), X, 1.5, noise=X), "t"),
        (lambda: training.loss(model(), X, torch.full((4,), 0.5), noise=X), "t.shape"),
        (lambda: training.loss(Empirical(X, VP()), X, 0.5, noise=X, assign_on="x0"), "assign_on"),
        (lambda: training.exact_loss(model(), X * math.nan, 0.5), "x0"),
        (lambda: training.exact_loss(model(), X[:0], 0.5), "x0.shape"),
        (lambda: training.exact_loss(model(2), X.expand(2, 5, 6), 0.5), "x0.shape"),
        (lambda: training.sphere_points(0), "n"),
        (lambda: training.log_uniform_times(VP(), (0.0, 1.0), X), "sigma"),
        (lambda: training.log_uniform_times(VP(), (2.0, 1.0), X), "sigma"),
        (lambda: training.fit(model(), X, steps=0, generator=rng()), "steps"),
        (lambda: training.fit(model(), X, steps=1.5, generator=rng()), "steps"),  # type: ignore[arg-type]
        (lambda: training.fit(model(), X, steps=1, lr=0.0, generator=rng()), "lr"),
        (lambda: training.fit(model(), X, steps=1, lr=math.nan, generator=rng()), "lr"),
        (lambda: training.fit(model(), X, steps=1, lr=math.inf, generator=rng()), "lr"),
        (lambda: training.fit(model(), X * math.nan, steps=1, generator=rng()), "data"),
        (lambda: training.fit(model(), X[:0], steps=1, generator=rng()), "data.shape"),
        (lambda: training.fit(model(2), X.expand(3, 5, 6), steps=1, generator=rng()), "data.shape"),
        (lambda: training.fit(model(2), X, steps=1, generator=[rng()]), "len(generator)"),
        (lambda: training.fit(model(), X, steps=1, generator=[rng(), rng()]), "len(generator)"),
        (lambda: training.fit(model(), X, steps=1, sigma=(0.1, 1e9), generator=rng()), "sigma"),
        (lambda: training.fit(model(), X, steps=1, sigma=(-0.1, 1), generator=rng()), "sigma"),
        (
            lambda: training.fit(model(), X, steps=1, assign_on="labels", generator=rng()),
            "assign_on",
        ),
        (lambda: training.fit(model(), normal(5, 7), steps=1, generator=rng()), "x_t.shape"),
        (
            lambda: training.fit(model(), X, steps=2, weighting=lambda t: t / 0, generator=rng()),
            "loss",
        ),
        (lambda: training.evaluate(model(), X, levels=0, generator=rng()), "levels"),
        (lambda: training.evaluate(model(), X, sigma=(1.0, 0.1), generator=rng()), "sigma"),
        (lambda: training.evaluate(model(), X * math.nan, generator=rng()), "data"),
        (lambda: training.evaluate(model(), X[:0], generator=rng()), "data.shape"),
        (lambda: training.evaluate(model(2), X[:0], generator=rng()), "data.shape"),
        (lambda: training.evaluate(model(2), X.expand(3, 5, 6), generator=rng()), "data.shape"),
        (lambda: training.loss(model(), X[:0], 0.5, noise=X[:0]), "x0.shape"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()


# the trainer


def steps_of(trainer, count):
    return torch.stack([trainer.step() for _ in range(count)])


def trainer(ensemble=(), *, seed=0, **changed):
    start = bases(8, [2], 1)[0]
    model = LowRank([start.expand(*ensemble, 8, 2)], VP())
    generator = [rng(seed + e) for e in range(ensemble[0])] if ensemble else rng(seed)
    settings = {
        "steps": 12,
        "batch": 5,
        "warmup": 3,
        "weight_decay": 0.01,
        "ema": 0.9,
        "generator": generator,
    }
    return training.Trainer(model, normal(20, 8), **settings | changed)


@pytest.mark.parametrize("ensemble", [(), (3,)])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_last_bit(ensemble, tmp_path):
    whole, first, second = trainer(ensemble), trainer(ensemble), trainer(ensemble, seed=77)
    expected = steps_of(whole, 12)
    begun = steps_of(first, 5)
    torch.save(first.state_dict(), tmp_path / "state")
    second.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert second.done == 5
    assert torch.equal(torch.cat([begun, steps_of(second, 7)]), expected)
    for a, b in ((whole.denoiser, second.denoiser), (whole.average, second.average)):
        assert torch.equal(a.columns, b.columns)


def test_a_run_resumed_without_its_generator_is_another():
    whole, first, second = trainer(), trainer(), trainer(seed=77)
    expected = steps_of(whole, 12)
    steps_of(first, 5)
    state = first.state_dict()
    second.load_state_dict(state | {"generators": second.state_dict()["generators"]})
    assert not torch.equal(steps_of(second, 7), expected[5:])


def test_fit_is_the_trainer_to_its_end():
    first, second = LowRank(bases(8, [2]), VP()), LowRank(bases(8, [2]), VP())
    history = training.fit(first, normal(20, 8), steps=9, batch=4, generator=rng(1))
    assert torch.equal(
        history,
        steps_of(
            training.Trainer(second, normal(20, 8), steps=9, batch=4, generator=rng(1)), 9
        ).detach(),
    )
    assert torch.equal(first.columns, second.columns)


def test_the_average_follows_its_formula():
    """a <- k a + (1 - k) p with k = min(ema, (1 + step) / (10 + step)), beginning at the start."""
    run = trainer(ema=0.3)
    expected = run.denoiser.columns.detach().clone()
    for step in range(12):
        run.step()
        keep = min(0.3, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * run.denoiser.columns.detach()
        assert worst(run.average.columns, expected) < EXACT
    assert worst(run.average.columns, run.denoiser.columns.detach()) > 1e-6
    assert not run.average.columns.requires_grad
    assert trainer(ema=None).average is None


def test_the_step_size_rises_and_falls():
    run = trainer(steps=8, warmup=3, lr=0.02)
    for step in range(8):
        wanted = 0.02 * min(1, (step + 1) / 3) * 0.5 * (1 + math.cos(math.pi * step / 8))
        assert abs(run.rate() - wanted) < EXACT
        run.step()


def test_the_step_size_stays_until_its_decay():
    run = trainer(steps=8, decay=4, warmup=0, lr=0.02)
    wanted = [0.02] * 4 + [0.01 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]
    for step in range(8):
        assert abs(run.rate() - wanted[step]) < EXACT
        run.step()


def test_the_step_size_stays_zero_after_the_end():
    run = trainer(steps=4, decay=2, warmup=0, lr=0.02)
    steps_of(run, 4)
    for _ in range(3):
        assert run.rate() == 0
        run.step()


def test_a_batch_is_points_of_the_data():
    class Watch(Constant):
        def forward(self, x_t, t):
            self.seen = x_t
            return super().forward(x_t, t)

    data, model = torch.arange(1.0, 6).double()[:, None] * torch.ones(1, 3), Watch()
    level = VP().t_of_sigma(0.011).item(), 0.011
    run = training.Trainer(
        model, data, steps=60, sigma=(level[1], level[1]), batch=2, generator=rng()
    )
    seen = []
    for _ in range(60):
        run.step()
        assert model.seen.shape == (2, 3)
        seen += model.seen.mean(1).round().tolist()
    assert set(seen) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_times_are_uniform_where_no_levels_are_given():
    """Kolmogorov-Smirnov; false fail 1e-4."""

    class Watch(Constant):
        def forward(self, x_t, t):
            self.seen = t
            return super().forward(x_t, t)

    model = Watch()
    training.Trainer(model, normal(2000, 2), steps=1, sigma=None, generator=rng(3)).step()
    assert stats.kstest(model.seen.numpy(), "uniform").pvalue > 1e-4


def test_clipping_bounds_what_plain_gradients_do():
    run = trainer(clip=1e-3)
    run.step()
    assert run.denoiser.columns.grad.norm() <= 1e-3 * (1 + 1e-6)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: trainer(batch=0), "batch"),
        (lambda: trainer(warmup=-1), "warmup"),
        (lambda: trainer(steps=8, decay=9), "decay"),
        (lambda: trainer(steps=8, decay=0), "decay"),
        (lambda: trainer(weight_decay=-0.1), "weight_decay"),
        (lambda: trainer(weight_decay=math.nan), "weight_decay"),
        (lambda: trainer(ema=1.0), "ema"),
        (lambda: trainer(ema=0.0), "ema"),
        (lambda: trainer(clip=0.0), "clip"),
        (lambda: trainer().load_state_dict(trainer((2,)).state_dict()), 'len(state["generators"])'),
        (lambda: trainer().load_state_dict(trainer(ema=None).state_dict()), 'state["average"]'),
        (lambda: trainer(sigma=(1.0, 0.1)), "sigma"),
        (lambda: trainer(sigma=(0.1, 1e9)), "sigma"),
        (lambda: training.output_weighting("noise", VP()), "prediction"),
        (lambda: training.output_weighting("v", VP(), 0.0), "data_scale"),
    ],
)
def test_bad_input_of_the_trainer(call, name):
    with complains(name):
        call()


# models by themselves


def perceptrons(seeds):
    return MLP(
        8, VP(), width=16, depth=2, ensemble=(len(seeds),), generator=[rng(e) for e in seeds]
    )


@pytest.mark.parametrize("clip", [None, 0.5])
def test_with_everything_on_a_model_does_not_depend_on_the_others(clip):
    """One with large data and large gradients stands beside; clipping acts on each by itself."""
    scales = [1.0, 300.0, 0.5]
    data = torch.stack([scale * normal(20, 8, seed=e) for e, scale in enumerate(scales)])
    settings = {
        "steps": 15, "batch": 6, "warmup": 3, "weight_decay": 0.01, "ema": 0.9, "clip": clip
    }  # fmt: skip
    together = training.Trainer(
        perceptrons(range(3)), data, **settings, generator=[rng(10 + e) for e in range(3)]
    )
    history = steps_of(together, 15)
    for e in range(3):
        run = training.Trainer(
            perceptrons([e]), data[e : e + 1], **settings, generator=[rng(10 + e)]
        )
        assert worst(steps_of(run, 15)[:, 0] / history[:, e], torch.ones(15)) < 1e-4
        for many, one in zip(together.average.parameters(), run.average.parameters(), strict=True):
            assert worst(many[e], one[0]) < 1e-5


def test_clipping_is_torchs_for_each_model():
    model = perceptrons(range(2))
    with torch.no_grad():
        model.weights[-1].normal_(generator=rng(5))
    x = normal(2, 6, 8) * torch.tensor([1.0, 1e3], dtype=torch.float64).view(2, 1, 1)
    training.loss(model, x, 0.4, noise=normal(2, 6, 8, seed=1)).sum().backward()
    expected = []
    for e in range(2):
        alone = [nn.Parameter(parameter[e].detach().clone()) for parameter in model.parameters()]
        for one, parameter in zip(alone, model.parameters(), strict=True):
            one.grad = parameter.grad[e].clone()
        nn.utils.clip_grad_norm_(alone, 0.3)
        expected.append([one.grad for one in alone])
    training.clip_gradients_(model.parameters(), 0.3, (2,))
    for e in range(2):
        for parameter, gradient in zip(model.parameters(), expected[e], strict=True):
            assert worst(parameter.grad[e], gradient) < 1e-6


def test_padding_does_not_count():
    x0, noise, model = normal(7, 8), normal(7, 8, seed=1), LowRank(bases(8, [2, 3]), VP())
    present = torch.tensor([True] * 5 + [False] * 2)
    padded = torch.where(present.unsqueeze(1), x0, 1e6)
    few = training.loss(model, x0[:5], 0.4, noise=noise[:5])
    assert abs(training.loss(model, padded, 0.4, noise=noise, present=present) - few) < EXACT
    assert abs(training.loss(model, padded, 0.4, noise=noise) - few) > 1


def test_a_batch_is_drawn_from_the_points_that_are_present():
    data = torch.arange(6.0, dtype=torch.float64).view(1, 6, 1).expand(2, 6, 3).clone()
    present = torch.tensor([[True] * 3 + [False] * 3, [True] * 5 + [False]])
    batches = training.Batches(data, (2,), [rng(0), rng(1)], batch=50, present=present)
    x0, _, _, mask = batches.draw()
    assert mask is None
    assert set(x0[0].flatten().tolist()) == {0.0, 1.0, 2.0}
    assert set(x0[1].flatten().tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_a_padded_model_draws_what_it_would_draw_alone():
    """One source for each model, one for both (in turn), and a single model."""
    data = normal(2, 6, 3)
    present = torch.tensor([[True] * 2 + [False] * 4, [True] * 6])
    for sources, alone in (([rng(0), rng(1)], [rng(0), rng(1)]), (rng(2), [rng(2)] * 2)):
        batches = training.Batches(data, (2,), sources, present=present)
        for _ in range(2):
            x0, u, noise, mask = batches.draw()
            assert x0 is batches.data and mask.equal(present)
            for e, (source, points) in enumerate(zip(alone, (2, 6), strict=True)):
                assert u[e, :points].equal(torch.rand(points, generator=source))
                drawn = torch.empty(points, 3).normal_(generator=source)
                assert noise[e, :points].equal(drawn.double())
            assert not noise[0, 2:].any()
    single = training.Batches(data[0], (), rng(0), present=present[0])
    assert single.draw()[1][:2].equal(torch.rand(2, generator=rng(0)))


def test_bad_masks_are_refused():
    data = normal(2, 6, 3)
    for present in (torch.ones(2, 6), torch.ones(3, 6, dtype=torch.bool)):
        with complains("present.shape"):
            training.Batches(data, (2,), rng(), present=present)
    padding_first = torch.ones(2, 6, dtype=torch.bool)
    padding_first[1, 0] = False
    for present in (torch.zeros(2, 6, dtype=torch.bool), padding_first, ~padding_first):
        with complains("present"):
            training.Batches(data, (2,), rng(), present=present)


def test_an_optimiser_of_ones_own():
    """Plain gradient descent with momentum, against the loop written out."""
    x, settings = normal(9, 8), {"steps": 6, "lr": 0.01, "sigma": (0.5, 0.5)}
    model, expected = Linear(), Linear()
    sgd = functools.partial(torch.optim.SGD, momentum=0.9, lr=1.0)
    run = training.Trainer(model, x, optimiser=sgd, **settings, generator=rng())
    steps_of(run, 6)
    by_hand, source, t = sgd(expected.parameters()), rng(), VP().t_of_sigma(0.5)
    for step in range(6):
        by_hand.param_groups[0]["lr"] = 0.01 * 0.5 * (1 + math.cos(math.pi * step / 6))
        torch.empty(9).uniform_(generator=source)
        noise = torch.empty(9, 8).normal_(generator=source).double()
        by_hand.zero_grad()
        training.loss(expected, x, t, noise=noise).backward()
        by_hand.step()
    assert worst(model.matrix.detach(), expected.matrix.detach()) < EXACT
    with complains("weight_decay"):
        training.Trainer(model, x, optimiser=sgd, weight_decay=0.1, **settings, generator=rng())


class Linear(nn.Module):
    """x0_hat = A x_t."""

    schedule = VP()

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(0.1 * normal(8, 8, seed=4))

    def forward(self, x_t, t):
        return x_t @ self.matrix


def test_weights_may_be_assigned_by_a_function():
    x0, noise, model = normal(7, 8), normal(7, 8, seed=1), LowRank(bases(8, [2, 3]), VP())
    own = training.loss(model, x0, 0.4, noise=noise, assign_on="x0")
    assert training.loss(model, x0, 0.4, noise=noise, assign_on=model.hard_weights) == own
    x_t = VP().add_noise(x0, 0.4, noise)
    equal = torch.full((7, 2), 0.5, dtype=torch.float64)
    expected = (model(x_t, 0.4, equal) - x0).square().sum(1).mean()
    assigned = training.loss(model, x0, 0.4, noise=noise, assign_on=lambda x: equal)
    assert abs(assigned - expected) < EXACT
