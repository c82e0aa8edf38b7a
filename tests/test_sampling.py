"""Samplers: against diffusers, against the exact flow of a Gaussian, and their orders."""

# mypy: disable-error-code="arg-type, call-arg, list-item"
# bad input is handed over on purpose

from __future__ import annotations

import functools
import math
from itertools import pairwise
from typing import cast

import numpy as np
import pytest
import torch
from factories import EXACT, SCHEDULES, bases, complains, general, normal, rng, slope, worst
from scipy import stats

from molrg import MoLRG, sampling
from molrg.denoisers import LinearMixture, from_pretrained
from molrg.schedules import DDPM, EDM, VP, Discrete

every = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
continuous = pytest.mark.parametrize("schedule", [VP(), EDM()], ids=["VP", "EDM"])
SPECTRUM = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)


def gaussian(schedule):
    """The exact denoiser of N(0, diag(SPECTRUM))."""
    return LinearMixture(
        [1.0], torch.zeros(1, 3, dtype=torch.float64), SPECTRUM.diag()[None], schedule
    )


def flow(x, schedule, t, to):
    """The probability flow of that Gaussian: x / s scales with sqrt(lambda + sigma^2)."""
    s, sigma = schedule.s(t), schedule.sigma(t)
    return (
        schedule.s(to)
        * x
        / s
        * torch.sqrt((SPECTRUM + schedule.sigma(to) ** 2) / (SPECTRUM + sigma**2))
    )


def all_samplers(denoiser, x, times, seed=0, **how):
    return {
        "ddim": sampling.ddim(denoiser, x, times, **how),
        "heun": sampling.heun(denoiser, x, times, **how),
        "ancestral": sampling.ancestral(denoiser, x, times, generator=rng(seed), **how),
    }


names = pytest.mark.parametrize("name", ["ddim", "heun", "ancestral"])

# oracle: diffusers


def beside_diffusers(scheduler_class, **step_arguments):
    """Run a diffusers scheduler with our denoiser from t = 1: its points, and our times."""
    theirs = scheduler_class(
        beta_schedule="linear",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="leading",
    )
    theirs.set_timesteps(10)
    theirs.alphas_cumprod = DDPM().alpha_bar  # theirs is accumulated in float32
    denoiser, x = general(12, (2, 3)).denoiser(DDPM()), normal(4, 12)
    points = [x]
    for step in theirs.timesteps[:-1]:
        x = theirs.step(
            denoiser(x, step.item() / 999), step.item(), x, **step_arguments
        ).prev_sample
        points.append(x)
    return denoiser, points, theirs.timesteps.double() / 999


def test_ddim_is_that_of_diffusers():
    from diffusers import DDIMScheduler

    denoiser, theirs, times = beside_diffusers(DDIMScheduler, eta=0.0)
    for step, point in zip(sampling.ddim(denoiser, theirs[0], times), theirs[1:], strict=True):
        assert worst(step.x_t, point) < EXACT


def test_ancestral_is_that_of_diffusers():
    from diffusers import DDPMScheduler

    denoiser, theirs, times = beside_diffusers(DDPMScheduler, generator=rng(3))
    for step, point in zip(
        sampling.ancestral(denoiser, theirs[0], times, generator=rng(3)), theirs[1:], strict=True
    ):
        assert worst(step.x_t, point) < EXACT


def test_ddim_inversion_is_that_of_diffusers():
    from diffusers import DDIMInverseScheduler

    theirs = DDIMInverseScheduler(
        beta_schedule="linear",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="leading",
    )
    theirs.set_timesteps(10)
    theirs.alphas_cumprod = DDPM().alpha_bar
    denoiser, x = general(12, (2, 3)).denoiser(DDPM()), normal(4, 12)
    steps = theirs.timesteps.tolist()
    for t, ours in zip(
        steps[1:], sampling.ddim_invert(denoiser, x, theirs.timesteps.double() / 999), strict=True
    ):
        # theirs goes from t - 100 to t, told t
        x = theirs.step(denoiser(x, (t - 100) / 999), t, x).prev_sample
        assert worst(ours.x_t, x) < EXACT


# oracle: the pipelines of diffusers, to their last step


def small_pipeline(pipeline, scheduler, folder):
    """A pipeline of diffusers, and the same network loaded here."""
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            attention_head_dim=4,
            down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
        )
    pipeline(network, scheduler).save_pretrained(folder)
    loaded = pipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    loaded.set_progress_bar_config(disable=True)
    return loaded, from_pretrained(folder)


def of_pipeline(pipeline):
    """Twenty steps from the noise of seed 0; images (B, C, H, W) in [0, 1]."""
    made = pipeline(batch_size=2, generator=rng(), num_inference_steps=20, output_type="np").images
    return torch.from_numpy(made).permute(0, 3, 1, 2)


@pytest.mark.parametrize("target", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("bound", [None, 1.0, 0.3])
def test_ddim_ends_where_the_pipeline_does(bound, target, tmp_path):
    """With and without clipping; the last step to no noise is theirs, too."""
    from diffusers import DDIMPipeline, DDIMScheduler

    clipping = {"clip_sample": bound is not None, "clip_sample_range": bound or 1.0}
    scheduler = DDIMScheduler(prediction_type=target, **clipping)
    pipeline, denoiser = small_pipeline(DDIMPipeline, scheduler, tmp_path)
    theirs = of_pipeline(pipeline)
    times = pipeline.scheduler.timesteps.double() / 999
    noise = normal(2, 1, 8, 8, dtype=torch.float32)
    with torch.no_grad():
        ends = [
            sampling.finish(sampling.ddim(denoiser, noise, times, clip=clip, denoise_last=last))
            for clip, last in ((denoiser.clip, True), (denoiser.clip, False), (0.5, True))
        ]
    assert worst((ends[0] / 2 + 0.5).clamp(0, 1), theirs) < 1e-4
    assert worst(ends[1], ends[0]) > 1e-3 and worst(ends[2], ends[0]) > 1e-3  # both are read


def test_ancestral_ends_where_the_pipeline_does(tmp_path):
    from diffusers import DDPMPipeline, DDPMScheduler

    pipeline, denoiser = small_pipeline(DDPMPipeline, DDPMScheduler(), tmp_path)
    theirs = of_pipeline(pipeline)
    times = pipeline.scheduler.timesteps.double() / 999
    generator = rng()
    noise = torch.randn(2, 1, 8, 8, generator=generator)
    with torch.no_grad():
        steps = sampling.ancestral(
            denoiser, noise, times, generator=generator, clip=denoiser.clip, denoise_last=True
        )
        ours = (sampling.finish(steps) / 2 + 0.5).clamp(0, 1)
    assert denoiser.clip == 1.0 and worst(ours, theirs) < 1e-4


@names
@pytest.mark.parametrize("steps", [50, 1000])
def test_the_last_step_of_a_discrete_schedule_can_be_taken(name, steps):
    """The first level of a table is not zero: samples of a plane keep it, or are on it."""
    from diffusers import DDPMScheduler

    table = DDPMScheduler(steps, beta_schedule="squaredcos_cap_v2").alphas_cumprod.double()
    schedule = Discrete(table)
    mixture = MoLRG.random(16, [2], noise=0.0, generator=rng())
    x = sampling.prior((500, 16), schedule, generator=rng(1))
    times = sampling.time_grid(schedule, 20)
    sampler = all_samplers(mixture.denoiser(schedule), x, times)[name]
    last = all_samplers(mixture.denoiser(schedule), x, times, denoise_last=True)[name]
    B = mixture.bases[0]
    noisy, clean = (sampling.finish(steps) for steps in (sampler, last))
    off = [(end - end @ B @ B.T).std().item() for end in (noisy, clean)]
    expected = schedule.gamma(0.0).item() * (14 / 16) ** 0.5
    assert off[0] == pytest.approx(expected, rel=0.3) and off[1] < 1e-9


@names
def test_where_no_noise_is_left_there_is_no_further_step(name):
    denoiser, x, times = general().denoiser(VP()), normal(4, 6), torch.tensor([1.0, 0.5, 0.0])
    steps = list(all_samplers(denoiser, x, times)[name])
    last = list(all_samplers(denoiser, x, times, denoise_last=True)[name])
    assert len(steps) == len(last) == 2 and torch.equal(steps[-1].x_t, last[-1].x_t)


# oracle: the exact flow


@continuous
@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("heun", 2)])
def test_order_of_convergence(schedule, sampler, order):
    """Error at low noise over a doubling of steps: slope within 0.1 of the order."""
    start, stop = schedule.t_of_sigma(20.0).item(), schedule.t_of_sigma(0.05).item()
    denoiser, x = gaussian(schedule), schedule.gamma(start) * normal(4, 3)
    exact, steps, errors = flow(x, schedule, start, stop), torch.tensor([64, 128, 256, 512]), []
    for count in steps:
        times = sampling.time_grid(schedule, int(count), start=start, stop=stop)
        errors.append(worst(sampling.finish(getattr(sampling, sampler)(denoiser, x, times)), exact))
    assert abs(slope(steps, torch.tensor(errors)) + order) < 0.1
    assert errors[-1] < (5e-2 if order == 1 else 1e-3)


@continuous
def test_inversion_runs_the_flow_backwards(schedule):
    start, stop = schedule.t_of_sigma(0.05).item(), schedule.t_of_sigma(20.0).item()
    denoiser, x, errors, steps = gaussian(schedule), normal(4, 3), [], torch.tensor([100, 200, 400])
    for count in steps:
        up = sampling.time_grid(schedule, int(count), start=start, stop=stop)
        top = sampling.finish(sampling.ddim_invert(denoiser, x, up))
        errors.append(worst(sampling.finish(sampling.ddim(denoiser, top, up.flip(0))), x))
    assert worst(top, flow(x, schedule, start, stop)) < 0.02 * top.abs().max()
    assert abs(slope(steps, torch.tensor(errors)) + 1) < 0.1


def test_inversion_starts_at_clean_data():
    denoiser, x0 = gaussian(VP()), normal(4, 3)
    times = sampling.time_grid(VP(), 400, start=0.0, stop=0.8)
    top = sampling.finish(sampling.ddim_invert(denoiser, x0, times))
    assert top.isfinite().all() and worst(top, flow(x0, VP(), 0.0, 0.8)) < 0.02 * top.abs().max()


@names
def test_one_step_to_no_noise_is_the_denoiser(name):
    denoiser, x_t = gaussian(VP()), normal(4, 3)
    (step,) = all_samplers(denoiser, x_t, torch.tensor([0.6, 0.0], dtype=torch.float64))[name]
    assert (
        worst(step.x_t, denoiser(x_t, 0.6)) < EXACT and worst(step.x0_hat, denoiser(x_t, 0.6)) == 0
    )


@pytest.mark.parametrize("sampler", ["ddim", "heun"])
def test_schedules_agree_on_the_same_noise_levels(sampler):
    """In x / s and sigma both schedules run the same recursion."""
    mixture, y, sigmas = (
        general(12, (2, 3)),
        10 * normal(4, 12),
        torch.tensor([10.0, 3.0, 1.0, 0.3, 0.1]),
    )
    ends = []
    for schedule in (VP(), EDM()):
        times = schedule.t_of_sigma(sigmas)
        end = sampling.finish(
            getattr(sampling, sampler)(mixture.denoiser(schedule), schedule.s(times[0]) * y, times)
        )
        ends.append(end / schedule.s(times[-1]))
    assert worst(*ends) < 1e-9


@continuous
def test_one_ancestral_step_samples_the_posterior(schedule):
    """For data at one known point the step is exact: mean and variance. False fail 1e-4."""
    t, to = (schedule.t_of_sigma(v).item() for v in (2.0, 0.7))
    (s, gamma), (s_to, gamma_to) = (
        (schedule.s(u).item(), schedule.gamma(u).item()) for u in (t, to)
    )
    x0, x_t, N = 0.8, 1.5, 50_000
    point = LinearMixture([1.0], torch.full((1, 1), x0), torch.zeros(1, 1, 1), schedule)
    (step,) = sampling.ancestral(
        point, torch.full((N, 1), x_t), torch.tensor([t, to]), generator=rng(1)
    )
    r = s / s_to
    likelihood = gamma**2 - r**2 * gamma_to**2  # variance of x_t given x_to
    precision = 1 / gamma_to**2 + r**2 / likelihood
    mean = (s_to * x0 / gamma_to**2 + r * x_t / likelihood) / precision
    drawn = step.x_t.double().flatten().numpy()
    assert stats.kstest(drawn, stats.norm(mean, precision**-0.5).cdf).pvalue > 1e-4


def test_ancestral_ends_at_the_law_of_the_data():
    """Variance of 20,000 samples of a Gaussian: discretisation below 2 %, chance below 4 %."""
    schedule, N = VP(), 20_000
    x = sampling.prior((N, 3), schedule, generator=rng())
    end = sampling.finish(
        sampling.ancestral(
            gaussian(schedule), x, sampling.time_grid(schedule, 300), generator=rng(1)
        )
    )
    assert (end.var(0) / SPECTRUM - 1).abs().max() < 0.06


@names
def test_samplers_find_the_subspaces(name):
    """From noise to a noiseless mixture: all end on a subspace, in shares that fit the weights."""
    schedule = VP()
    mixture = MoLRG(MoLRG.random(16, [2, 2], generator=rng()).bases, [0.25, 0.75])
    x = sampling.prior((2000, 16), schedule, generator=rng(1))
    end = sampling.finish(
        all_samplers(mixture.denoiser(schedule), x, sampling.time_grid(schedule, 60))[name]
    )
    residuals = torch.stack([(end - end @ U @ U.T).norm(dim=-1) for U in mixture.bases], -1)
    assert residuals.amin(-1).max() < 1e-3
    share = (residuals.argmin(-1) == 1).double().mean()
    assert abs(share - 0.75) < 0.06  # 3.9 standard errors 0.038, and discretisation


# the generators


@names
def test_every_step_is_told(name):
    denoiser, x, times = (
        general(12, (2, 3)).denoiser(VP()),
        normal(4, 12),
        torch.linspace(1, 0, 6, dtype=torch.float64),
    )
    steps = list(all_samplers(denoiser, x, times)[name])
    assert [step.t for step in steps] == times[1:].tolist()
    before = [x, *(step.x_t for step in steps)]
    for point, t, step in zip(before, times.tolist(), steps, strict=False):
        assert worst(step.x0_hat, denoiser(point, t)) == 0
    assert worst(sampling.finish(all_samplers(denoiser, x, times)[name]), steps[-1].x_t) == 0


@names
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every
def test_dtype_and_events(name, dtype, schedule):
    denoiser = general(48, (2, 3), dtype=dtype).denoiser(schedule)
    x, times = normal(3, 3, 4, 4, dtype=dtype), torch.tensor([0.9, 0.5, 0.1])
    end = sampling.finish(all_samplers(denoiser, x, times)[name])
    assert end.dtype == dtype and end.shape == x.shape and end.isfinite().all()
    assert (
        worst(
            end, sampling.finish(all_samplers(denoiser, x.flatten(1), times)[name]).reshape(x.shape)
        )
        < 1e-5
    )


class Half:
    """A denoiser that computes in the precision of what it is given."""

    def __init__(self, denoiser):
        self.denoiser = denoiser
        self.schedule = denoiser.schedule
        self.seen = set()

    def __call__(self, x_t, t):
        self.seen.add(x_t.dtype)
        return self.denoiser(x_t.float(), t).to(x_t.dtype)


@names
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every
def test_half_precision_is_for_the_network_and_not_for_the_steps(name, dtype, schedule):
    """Errors of the size of one rounding of the estimate, not of one in each of 40 steps."""
    denoiser = general(6, (2, 3), noise=0.1, dtype=torch.float32).denoiser(schedule)
    half, times = Half(denoiser), sampling.time_grid(schedule, 40)
    x = (schedule.gamma(1.0) * normal(50, 6)).to(dtype)
    end = sampling.finish(all_samplers(half, x, times)[name])
    exact = sampling.finish(all_samplers(denoiser, x.float(), times)[name])
    assert end.dtype == dtype and half.seen == {dtype}
    error = (end.float() - exact).abs().median().item()
    assert error < torch.finfo(dtype).eps * exact.abs().max().item()


def test_ancestral_is_reproducible():
    denoiser, x, times = general().denoiser(VP()), normal(4, 6), torch.tensor([1.0, 0.5, 0.1])
    ends = [
        sampling.finish(all_samplers(denoiser, x, times, seed)["ancestral"]) for seed in (0, 0, 1)
    ]
    assert torch.equal(ends[0], ends[1]) and worst(ends[0], ends[2]) > 0.01


def test_points_given_are_left_alone():
    denoiser, x, times = general().denoiser(VP()), normal(4, 6), torch.tensor([1.0, 0.5, 0.0])
    for steps in all_samplers(denoiser, x, times).values():
        sampling.finish(steps)
    assert torch.equal(x, normal(4, 6))


# grids and starts


def test_time_grid_is_that_of_karras():
    n, low, high, rho = 18, 0.002, 80.0, 7
    i = np.arange(n)
    karras = (high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    for schedule in (EDM(), VP()):
        start, stop = (schedule.t_of_sigma(v).item() for v in (high, low))
        ours = schedule.sigma(sampling.time_grid(schedule, n - 1, start=start, stop=stop))
        assert np.abs(ours.numpy() / karras - 1).max() < 1e-9


@every
@pytest.mark.parametrize("steps", [1, 2, 10, 50, 100])
@pytest.mark.parametrize("up", [False, True])
def test_time_grid_can_be_used(schedule, steps, up):
    start, stop = (0.0, 1.0) if up else (1.0, 0.0)
    times = sampling.time_grid(schedule, steps, start=start, stop=stop)
    assert times.dtype == torch.float64 and times[0] == start and times[-1] == stop
    assert ((times.diff() > 0) if up else (times.diff() < 0)).all(), "two times alike"
    assert len(times) == steps + 1 or (isinstance(schedule, DDPM) and steps == 100), (
        "levels of DDPM may coincide, and are kept once"
    )


def test_prior_has_the_noise_of_its_time():
    """Kolmogorov-Smirnov; false fail 1e-4."""
    for schedule, t in ((EDM(), 1.0), (VP(), 0.3)):
        x = sampling.prior((50, 3, 4, 4), schedule, t, generator=rng(), dtype=torch.float32)
        assert x.shape == (50, 3, 4, 4) and x.dtype == torch.float32
        assert stats.kstest((x / schedule.gamma(t)).flatten().numpy(), "norm").pvalue > 1e-4


# bite


def test_wrong_steps_are_told_apart():
    """Other samplers that also go downhill: each is far from the one of its name."""
    schedule, x = VP(), normal(4, 3)
    denoiser, times = gaussian(schedule), torch.tensor([0.9, 0.6, 0.3, 0.1], dtype=torch.float64)
    right = sampling.finish(sampling.ddim(denoiser, x, times))
    renoised, unscaled = x, x
    for t, to in pairwise(times.tolist()):
        renoised = schedule.s(to) * denoiser(renoised, t) + schedule.gamma(to) * normal(
            4, 3, seed=9
        )
        x0_hat = denoiser(unscaled, t)
        unscaled = x0_hat + schedule.sigma(to) / schedule.sigma(t) * (unscaled - x0_hat)
    assert worst(right, renoised) > 0.05 and worst(right, unscaled) > 0.05
    assert worst(right, sampling.finish(sampling.heun(denoiser, x, times))) > 1e-3
    assert math.isfinite(right.sum())


# bad input

DENOISER = general().denoiser(VP())
X, UP, DOWN = normal(4, 6), torch.tensor([0.1, 0.5, 1.0]), torch.tensor([1.0, 0.5, 0.1])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        *((lambda f=f: f(DENOISER, X, UP), "times") for f in (sampling.ddim, sampling.heun)),
        *(
            (lambda f=f: f(DENOISER, X, DOWN[:1]), "times.shape")
            for f in (sampling.ddim, sampling.heun)
        ),
        *(
            (lambda f=f: f(DENOISER, X, DOWN + 0.1), "times")
            for f in (sampling.ddim, sampling.heun)
        ),
        *(
            (lambda f=f: f(DENOISER, X, DOWN * math.nan), "times")
            for f in (sampling.ddim, sampling.heun)
        ),
        (lambda: sampling.ancestral(DENOISER, X, UP, generator=rng()), "times"),
        (lambda: sampling.ddim(DENOISER, X, torch.tensor([1.0, 0.5, 0.5])), "times"),
        (lambda: sampling.ddim_invert(DENOISER, X, DOWN), "times"),
        (lambda: next(sampling.ddim(DENOISER, normal(4, 5), DOWN)), "x_t.shape"),
        (lambda: sampling.ddim(DENOISER, X, DOWN, clip=0.0), "clip"),
        (lambda: sampling.ancestral(DENOISER, X, DOWN, generator=rng(), clip=-1.0), "clip"),
        (lambda: sampling.ddim_invert(DENOISER, X, UP, corrections=-1), "corrections"),
    ],
)
def test_bad_runs_are_refused_before_the_first_step(call, name):
    with complains(name):
        call()


class Plain(torch.nn.Module):
    schedule = VP()

    def forward(self, x_t, t):
        return x_t / 2


@pytest.mark.parametrize(
    "wrap",
    [
        functools.partial,
        torch.optim.swa_utils.AveragedModel,
        torch.nn.DataParallel,
        lambda denoiser: lambda x_t, t: denoiser(x_t, t),
        lambda denoiser: None,
    ],
)
def test_a_wrapper_that_hides_the_schedule_is_refused(wrap):
    hidden = wrap(Plain())
    for steps in (sampling.ddim, sampling.heun, sampling.ddim_invert):
        with complains("denoiser"):
            steps(hidden, X, DOWN)
    with complains("denoiser"):
        sampling.ancestral(hidden, X, DOWN, generator=rng())


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: sampling.time_grid(VP(), 0), "steps"),
        (lambda: sampling.time_grid(VP(), cast(int, 2.5)), "steps"),
        (lambda: sampling.time_grid(VP(), 5, start=1.2), "start"),
        (lambda: sampling.time_grid(VP(), 5, start=0.5, stop=0.5), "stop"),
        (lambda: sampling.time_grid(VP(), 5, rho=0.0), "rho"),
        (lambda: sampling.prior((3, 2), VP(), 1.5, generator=rng()), "t"),
        (lambda: sampling.finish(iter(())), "steps"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()


def test_low_rank_denoisers_can_be_sampled():
    from molrg.denoisers import LowRank

    with torch.no_grad():
        end = sampling.finish(
            sampling.heun(
                LowRank(bases(12, [2, 3]), VP()), normal(4, 12), sampling.time_grid(VP(), 5)
            )
        )
    assert end.isfinite().all()
