"""Networks: what they put out, ensembles as their models alone, U-Nets as diffusers uses them."""

from __future__ import annotations

import math

import pytest
import torch
from factories import EXACT, SCHEDULES, bases, complains, general, normal, rng, worst
from torch import nn

from molrg import MoLRG, training
from molrg.denoisers import MLP, FreeMixture, LinearMixture, UNet, networks
from molrg.schedules import DDPM, VP

every = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
predicted = pytest.mark.parametrize("prediction", networks.PREDICTIONS)
DIFFUSERS = {"x0": "sample", "eps": "epsilon", "v": "v_prediction"}


def target(prediction, x0, noise, s, gamma, a):
    """What the network is asked to put out, written from the definitions and not from `to_x0`."""
    r = (s**2 * a**2 + gamma**2).sqrt()
    return {"x0": x0, "eps": noise, "v": (s * a * noise - gamma * x0 / a) / r}[prediction]


def small_unet(size=4, seed=0):
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DModel(
            sample_size=size,
            in_channels=3,
            out_channels=3,
            layers_per_block=1,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
            add_attention=False,
        )


# oracle


@every
@predicted
@pytest.mark.parametrize("a", [1.0, 0.3])
@pytest.mark.parametrize("t", [0.01, 0.5, 0.99])
def test_the_target_of_a_network_stands_for_the_clean_point(schedule, prediction, a, t):
    x0, noise = normal(7, 5), normal(7, 5, seed=1)
    s, gamma = schedule.at(t, x0)
    output = target(prediction, x0, noise, s, gamma, a)
    assert worst(networks.to_x0(output, s * x0 + gamma * noise, s, gamma, prediction, a), x0) < 1e-8


@every
@predicted
def test_a_network_that_is_exact_is_the_closed_form_whatever_it_predicts(schedule, prediction):
    """The posterior mean, turned into each output and back."""
    mixture, x_t, t = general(6), normal(9, 6), 0.4
    s, gamma = schedule.at(t, x_t)
    mean = mixture.denoiser(schedule)(x_t, t)
    output = target(prediction, mean, (x_t - s * mean) / gamma, s, gamma, 0.7)
    assert worst(networks.to_x0(output, x_t, s, gamma, prediction, 0.7), mean) < EXACT


@every
@predicted
@pytest.mark.parametrize("a", [1.0, 0.3])
def test_the_weighted_loss_is_the_squared_error_of_the_output(schedule, prediction, a):
    x0, noise, output = normal(7, 5), normal(7, 5, seed=1), normal(7, 5, seed=2)

    class Fixed:
        def __init__(self):
            self.schedule = schedule

        def __call__(self, x_t, t):
            s, gamma = schedule.at(t, x_t)
            return networks.to_x0(output, x_t, s, gamma, prediction, a)

    weighting = training.output_weighting(prediction, schedule, a)
    for t in (0.1, 0.5, 0.9):
        s, gamma = schedule.at(t, x0)
        wanted = (output - target(prediction, x0, noise, s, gamma, a)).square().sum(-1).mean()
        assert (
            training.loss(Fixed(), x0, t, noise=noise, weighting=weighting) / wanted - 1
        ).abs() < 1e-8


def test_an_output_of_zero_is_the_best_multiple_of_x_t():
    """For v the network corrects the Wiener filter of white data, s a^2 x_t / r^2."""
    model = MLP(6, VP(), width=8, data_scale=0.5, generator=rng()).double()
    x_t = normal(4, 6)
    s, gamma = VP().at(0.3, x_t)
    assert worst(model(x_t, 0.3).detach(), s * 0.25 / (s**2 * 0.25 + gamma**2) * x_t) < EXACT


@every
def test_the_free_mixture_is_the_posterior_mean_of_its_gaussians(schedule):
    model = FreeMixture(6, schedule, 3, generator=rng()).double()
    exact = LinearMixture(
        torch.full((3,), 1 / 3), torch.zeros(3, 6, dtype=torch.float64), model.covariances, schedule
    )
    x_t = normal(9, 6)
    for t in (0.1, 0.5, 0.9):
        assert (
            worst(model(x_t, t).detach(), exact(x_t, t)) < 1e-6
        )  # its axes start in single precision


# equivalence


def build(kind, schedule, ensemble, generator):
    if kind == "free":
        return FreeMixture(6, schedule, 2, data_scale=0.5, ensemble=ensemble, generator=generator)
    return MLP(
        6,
        schedule,
        width=16,
        depth=2,
        prediction=kind,
        data_scale=0.5,
        ensemble=ensemble,
        generator=generator,
    )


@pytest.mark.parametrize("kind", ["x0", "eps", "v", "free"])
@pytest.mark.parametrize("batch", [None, 5])
def test_a_model_of_an_ensemble_is_the_model_trained_alone(kind, batch):
    """To 1e-4 after 10 steps in single precision; models started otherwise differ by 1e-1."""
    E, data = 3, normal(3, 8, 6, dtype=torch.float32)
    arguments = {"steps": 10, "lr": 0.01, "batch": batch}
    together = build(kind, VP(), (E,), [rng(e) for e in range(E)])
    history = training.fit(together, data, **arguments, generator=[rng(10 + e) for e in range(E)])
    x_t = normal(E, 7, 6, seed=5, dtype=torch.float32)
    estimates = together(x_t, 0.3).detach()
    for e in range(E):
        alone = build(kind, VP(), (), rng(e))
        assert (
            worst(training.fit(alone, data[e], **arguments, generator=rng(10 + e)), history[:, e])
            < 1e-4 * history.max()
        )
        assert worst(alone(x_t[e], 0.3).detach(), estimates[e]) < 1e-4
    assert worst(estimates[0], estimates[1]) > 1e-2


@pytest.mark.parametrize("kind", ["v", "free"])
def test_one_generator_serves_an_ensemble_of_different_models(kind):
    model = build(kind, VP(), (2,), rng())
    first, second = (model.weights[0] if kind == "v" else model.axes).detach()
    assert worst(first, second) > 0.1


@pytest.mark.parametrize("kind", ["v", "free"])
@pytest.mark.parametrize("ensemble", [(), (2,)])
def test_times_may_differ_between_points_and_events_have_any_shape(kind, ensemble):
    model = build(kind, VP(), ensemble, rng())
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.3, generator=rng(1))
    model.double()
    x_t, t = normal(*ensemble, 5, 6), torch.rand(*ensemble, 5, generator=rng(2))
    found = model(x_t, t).detach()
    assert found.dtype == torch.float64
    assert found.shape == x_t.shape
    for b in range(5):
        time = t[..., b] if ensemble else t[b].item()
        assert worst(model(x_t[..., b : b + 1, :], time).detach(), found[..., b : b + 1, :]) < EXACT
    assert worst(model(x_t.unflatten(-1, (1, 2, 3)), t).detach().flatten(-3), found) < EXACT


@pytest.mark.parametrize("kind", ["v", "free"])
def test_networks_learn(kind):
    """Relative error to the exact denoiser below 0.25, from 0.5 and more."""
    mixture = MoLRG(bases(6, [1, 1], dtype=torch.float32))
    data, _ = mixture.sample(500, generator=rng())
    model = build(kind, VP(), (), rng(1))
    x_t = data[:200] + 0.3 * normal(200, 6, dtype=torch.float32)
    t = VP().t_of_sigma(0.3).item()
    x_t = x_t * VP().s(t).float()
    exact = mixture.denoiser(VP())(x_t, t)

    def error():
        return ((model(x_t, t).detach() - exact).norm() / exact.norm()).item()

    before = error()
    training.fit(model, data, steps=400, lr=0.05, batch=64, generator=rng(2))
    assert before > 0.3
    assert error() < 0.5 * before


def test_axes_stay_orthonormal_in_training():
    model = build("free", VP(), (2,), rng())
    training.fit(model, normal(9, 6, dtype=torch.float32), steps=30, lr=0.05, generator=rng())
    axes = model.axes.detach()
    assert (axes.mT @ axes - torch.eye(6)).abs().max() < 1e-5


# equivalence: diffusers


@predicted
@pytest.mark.parametrize("step", [0, 250, 500, 999])
def test_the_unet_estimates_what_the_scheduler_of_diffusers_does(prediction, step):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_schedule="linear",
        prediction_type=DIFFUSERS[prediction],
        clip_sample=False,
        timestep_spacing="leading",
    )
    scheduler.set_timesteps(10)
    network, x_t = small_unet(), normal(3, 3, 4, 4, dtype=torch.float32)
    with torch.no_grad():
        theirs = scheduler.step(network(x_t, step).sample, step, x_t).pred_original_sample
        ours = UNet(network, DDPM(), prediction=prediction)(x_t, step / 999)
    assert (
        ours - theirs
    ).abs().max() <= 1e-4 * theirs.abs().max()  # single precision; at step 999, 1/s is 158


def test_the_unet_is_told_the_step_and_999_t():
    class Watch(nn.Module):
        config = small_unet().config
        dtype = torch.float32

        def forward(self, x_t, time):
            self.seen = time
            return type("Output", (), {"sample": x_t})

    x_t, t = normal(2, 3, 4, 4), torch.tensor([0.2501, 0.7], dtype=torch.float64)
    watch = Watch()
    UNet(watch, DDPM())(x_t, t)
    assert watch.seen.tolist() == [250, 699]
    UNet(watch, VP())(x_t, t)
    assert worst(watch.seen, (999 * t).float()) == 0
    UNet(watch, VP())(x_t, 0.5)
    assert watch.seen.tolist() == [499.5] * 2


def test_the_unet_trains_in_bfloat16_and_keeps_the_dtype():
    model = UNet(small_unet(), VP())
    data = normal(6, 3, 4, 4, dtype=torch.float32)
    trainer = training.Trainer(
        model, data, steps=3, lr=1e-3, autocast=torch.bfloat16, generator=rng()
    )
    assert trainer.step().dtype == torch.float32
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model(data.double(), 0.5).dtype == torch.float64


# bad input


X = normal(2, 3)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: networks.to_x0(X, X, X, X, "noise"), "prediction"),
        (lambda: MLP(0, VP(), generator=rng()), "n"),
        (lambda: MLP(6, VP(), width=0, generator=rng()), "width"),
        (lambda: MLP(6, VP(), depth=0, generator=rng()), "depth"),
        (lambda: MLP(6, VP(), prediction="noise", generator=rng()), "prediction"),
        (lambda: MLP(6, VP(), data_scale=math.nan, generator=rng()), "data_scale"),
        (lambda: MLP(6, VP(), ensemble=(2, 2), generator=rng()), "ensemble"),
        (lambda: MLP(6, VP(), ensemble=(2,), generator=[rng()]), "len(generator)"),
        (lambda: MLP(6, VP(), generator=rng())(normal(4, 7), 0.5), "x_t.shape"),
        (lambda: MLP(6, VP(), generator=rng())(normal(4, 6), 1.5), "t"),
        (lambda: MLP(6, VP(), ensemble=(2,), generator=rng())(normal(4, 6), 0.5), "x_t.shape"),
        (lambda: FreeMixture(1, VP(), 2, generator=rng()), "n"),
        (lambda: FreeMixture(6, VP(), 0, generator=rng()), "K"),
        (lambda: FreeMixture(6, VP(), 2, data_scale=0.0, generator=rng()), "data_scale"),
        (lambda: FreeMixture(6, VP(), 2, generator=rng())(normal(6), 0.5), "x_t.shape"),
        (lambda: UNet(nn.Identity(), VP(), prediction="noise"), "prediction"),
        (lambda: UNet(small_unet(), VP())(normal(4, 48), 0.5), "x_t.shape"),
        (lambda: UNet(small_unet(), VP())(normal(4, 3, 8, 8), 0.5), "x_t.shape"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()
