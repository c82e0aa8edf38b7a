"""The same oracles on the CPU and on CUDA: exact denoisers, Jacobians, samplers, a U-Net, training.

What is compared is what the CPU computes from the same seeds. CUDA's part is skipped without a GPU.
"""

from __future__ import annotations

import pytest
import torch
from factories import general, normal, rng, worst

from molrg import denoisers, draws, editing, jacobian, sampling, training
from molrg.denoisers import networks
from molrg.editing import attributes
from molrg.schedules import DDPM, EDM, VP
from molrg.zoo import recipes, running, states

DOUBLE = 1e-9  # what float64 agrees to between devices
SINGLE = 1e-4  # what float32 does, against the largest entry

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: the same checks run on the CPU only"
)
each_device = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]
)
each_schedule = pytest.mark.parametrize("schedule", [VP(), EDM(), DDPM()], ids=str)


def unet(prediction="v"):
    network = recipes.unet((1, 8, 8), (8, 8, 16), seed=0)
    return networks.UNet(network, DDPM(), prediction=prediction).eval().requires_grad_(False)


SCHEDULE = VP()


def exact(schedule=SCHEDULE):
    """Every kind of denoiser with a closed form, in double precision."""
    mixture = general(noise=0.2)
    return {
        "mixture": mixture.denoiser(schedule),
        "low-rank": denoisers.LowRank([b for b in mixture.bases if b.shape[1] > 1], schedule),
        "empirical": denoisers.Empirical(normal(9, 6), schedule),
        "Gaussian": denoisers.Gaussian(normal(30, 6), schedule),
    }


KINDS = tuple(exact())
each_kind = pytest.mark.parametrize("kind", KINDS)


def same(there, here, tolerance):
    """A tensor of a device is that of the CPU."""
    scale = max(1.0, here.abs().max().item())
    assert there.dtype == here.dtype and worst(there.cpu(), here) < tolerance * scale


@each_device
def test_a_seed_means_the_same_numbers(device):
    for draw in (draws.normal, draws.uniform):
        there = draw((3, 4), generator=rng(1), device=device)
        assert there.device.type == device and torch.equal(
            there.cpu(), draw((3, 4), generator=rng(1))
        )
    start = sampling.prior((3, 4), EDM(), generator=rng(2), device=device)
    assert start.device.type == device
    same(start, sampling.prior((3, 4), EDM(), generator=rng(2)), DOUBLE)


@each_device
@each_kind
@each_schedule
def test_exact_denoisers(device, kind, schedule):
    denoiser, x = exact(schedule)[kind], normal(3, 6, seed=5)
    there = denoiser.to(device)
    for t in (0.0, 0.4, 1.0, torch.tensor([0.2, 0.5, 0.9])):
        same(there(x.to(device), t), denoiser(x, t), DOUBLE)
        if isinstance(t, torch.Tensor):
            same(there(x.to(device), t.to(device)), denoiser(x, t), DOUBLE)


@each_device
@each_kind
def test_jacobians_of_exact_denoisers(device, kind):
    denoiser, x = exact()[kind], normal(2, 6, seed=5)
    there, y = denoiser.to(device), x.to(device)
    same(jacobian.dense(there, y, 0.4), jacobian.dense(denoiser, x, 0.4), DOUBLE)
    same(
        jacobian.top_singular(there, y, 0.4, 3)[1],
        jacobian.top_singular(denoiser, x, 0.4, 3)[1],
        1e-3,
    )
    ranks = jacobian.rank(there, y, 0.4).rank
    assert (
        ranks.device.type == device
        and ranks.tolist() == jacobian.rank(denoiser, x, 0.4).rank.tolist()
    )


@each_device
@pytest.mark.parametrize("sampler", ["ddim", "heun", "ancestral", "ddim_invert"])
@each_schedule
def test_samplers(device, sampler, schedule):
    denoiser, x = general(noise=0.2).denoiser(schedule), normal(4, 6, seed=3)
    times = sampling.time_grid(schedule, 8)
    how = {"generator": rng(4)} if sampler == "ancestral" else {}
    if sampler == "ddim_invert":
        times, how = times.flip(0), {"corrections": 2}
    run = getattr(sampling, sampler)
    here = sampling.finish(run(denoiser, x, times, **how))
    if sampler == "ancestral":
        how = {"generator": rng(4)}
    there = sampling.finish(run(denoiser.to(device), x.to(device), times.to(device), **how))
    same(there, here, DOUBLE)


@each_device
@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_a_u_net(device, prediction):
    denoiser, x = unet(prediction), normal(2, 1, 8, 8, dtype=torch.float32)
    there, y = unet(prediction).to(device), x.to(device)
    for t in (0.3, torch.tensor([0.3, 0.8])):
        same(there(y, t), denoiser(x, t), SINGLE)
    same(jacobian.dense(there, y, 0.6), jacobian.dense(denoiser, x, 0.6), 10 * SINGLE)
    values = jacobian.top_singular(there, y, 0.6, 3)[1]
    same(values, jacobian.top_singular(denoiser, x, 0.6, 3)[1], 2e-3)
    half = jacobian.top_singular(unet(prediction).to(device, torch.bfloat16), y, 0.6, 3)[1]
    same(half, values.cpu(), 0.02)


@each_device
def test_directions_edits_and_attributes(device):
    denoiser, x_0 = unet(), normal(2, 1, 8, 8, dtype=torch.float32)
    there, y_0 = unet().to(device), x_0.to(device)
    mask = torch.zeros(8, 8)
    mask[:4] = 1
    ends = []
    for model, images in ((denoiser, x_0), (there, y_0)):
        x_t = editing.invert(model, images, 0.5, steps=4)
        found = editing.directions(model, x_t, 0.5, 2, mask, null=2)
        edited = editing.edit(model, x_t, 0.5, found.vectors, steps=4)
        assert edited.device == found.values.device == images.device
        ends.append((x_t, found.values, attributes.measure(edited.flatten(0, 1))["mass"]))
    for here, other in zip(*ends, strict=True):
        same(other, here, 0.01)
    strip = editing.strip(there, y_0[0], k=2, steps=4, mask=mask.to(device))
    assert strip.images.device == y_0.device and strip.images.isfinite().all()


@each_device
def test_directions_to_compare_with(device):
    images = normal(20, 1, 8, 8, dtype=torch.float32)
    for function in (editing.smooth, editing.drawn):
        here = function(images, 3, generator=rng(1))
        same(function(images.to(device), 3, generator=rng(1)), here, SINGLE)
    white = editing.white((1, 8, 8), 3, generator=rng(1), device=device)
    same(white, editing.white((1, 8, 8), 3, generator=rng(1)), SINGLE)


def trainer(device, **how):
    """Of a small U-Net on fixed pictures."""
    denoiser = networks.UNet(recipes.unet((1, 8, 8), (8, 8, 16), seed=0), DDPM()).to(device)
    data = normal(20, 1, 8, 8, dtype=torch.float32).to(device)
    return training.Trainer(
        denoiser, data, steps=6, lr=1e-3, sigma=None, batch=8, ema=0.9, generator=rng(1), **how
    )


@each_device
def test_training_steps_see_the_same_batches(device):
    here, there = trainer("cpu"), trainer(device)
    for _ in range(3):
        same(there.step().cpu(), here.step(), 10 * SINGLE)
    mixed = trainer(device, autocast=torch.bfloat16)
    assert mixed.step().isfinite()


@each_device
@pytest.mark.parametrize("name", ["digits", "digits-classifier"])
def test_a_training_moves_between_devices(device, name, tmp_path):
    """Begun on the CPU, and gone on with on the device and back."""
    recipe = recipes.RECIPES[name]
    file, whole = tmp_path / "state", recipe.trainer(arithmetic="float32")
    expected = torch.stack([whole.step() for _ in range(4)])
    losses = []
    for place in ("cpu", device, device, "cpu"):
        run = recipe.trainer(torch.device(place), "float32")
        if file.is_file():
            run.load_state_dict(states.load(file)[0]["trainer"])
        losses.append(run.step().cpu())
        states.save(file, {"trainer": run.state_dict()}, {})
    same(torch.stack(losses), expected, 10 * SINGLE)


@each_device
def test_a_history_is_brought_here_when_it_is_looked_at(device):
    history = running._History(5)
    history.extend(torch.tensor([1.0]))
    for value in (2.0, 3.0):
        history.append(torch.tensor(value, device=device))
    assert history.so_far().tolist() == [1.0, 2.0, 3.0] == history.so_far().tolist()
