"""What is compared, but for Jacobians: exact denoisers, beliefs, sweeps, training of networks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

import denoising_diffusion
import ensemble_training
import mixture
import phase_diagram
import torch
from belief_propagation import SIZES, node_by_node
from measuring import Comparison, Work
from torch import Tensor, nn

from molrg import MoLRG, images, training
from molrg.denoisers import Empirical
from molrg.denoisers.networks import network_time
from molrg.hierarchy import RHM, epsilon_evidence
from molrg.schedules import DDPM, VP
from molrg.subspaces import random_basis
from molrg.training.batches import Batches
from molrg.zoo import recipes

TIME = 0.3
LATE = 0.9  # many training points share a posterior


def all_of_them() -> Iterator[Comparison]:
    """Every comparison of this module."""
    yield exact_mixture(1000, 3072)
    yield exact_empirical(4000, 784)
    yield beliefs(samples=16, depth=8)
    yield ensembles(models=200, few=5, steps=400)
    yield diagrams(trials=4, few=10)
    yield unet(steps=6)
    if denoising_diffusion.installed():
        yield denoising_diffusion.comparison(steps=6)


def exact_mixture(components: int, n: int) -> Comparison:
    """All components of a mixture at once, against one after another."""

    def problem() -> tuple[list[Tensor], Tensor]:
        generator = torch.Generator().manual_seed(0)
        bases = [random_basis(n, 8, generator=generator).float() for _ in range(components)]
        return bases, torch.randn(16, n, generator=generator)

    def ours() -> Work:
        bases, x_t = problem()
        denoise = MoLRG(bases, noise=0.1).denoiser(VP())
        return lambda: denoise(x_t, TIME)

    def other() -> Work:
        bases, x_t = problem()
        loop = mixture.Loop(bases, noise=0.1)
        return lambda: loop.denoise(x_t, TIME, VP())

    size = f"{components:,} components of dimension 8 in {n:,}, 16 points"
    return Comparison(
        "exact denoiser of a mixture", size, ours, other, "loop over components", 1e-3
    )


def exact_empirical(N: int, n: int) -> Comparison:
    """The optimal denoiser of a training set, against a loop over its points."""

    def problem() -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        data = torch.randn(N, n, generator=generator)
        return data, VP().add_noise(data[:64], LATE, torch.randn(64, n, generator=generator))

    def ours() -> Work:
        data, x_t = problem()
        denoise = Empirical(data, VP())
        return lambda: denoise(x_t, LATE)

    def other() -> Work:
        data, x_t = problem()
        return lambda: _over_points(data, x_t)

    size = f"{N:,} points of {n} pixels, batch of 64"
    return Comparison(
        "exact denoiser of a training set", size, ours, other, "loop over points", 1e-3
    )


def _over_points(data: Tensor, x_t: Tensor) -> Tensor:
    s, gamma = VP().s(LATE).float(), VP().gamma(LATE).float()
    energies = [-(x_t - s * point).square().sum(-1) / (2 * gamma**2) for point in data]
    weights = torch.stack(energies, -1).softmax(-1)
    total = torch.zeros_like(x_t)
    for column, point in zip(weights.T, data, strict=True):
        total += column[:, None] * point
    return total


def beliefs(samples: int, depth: int) -> Comparison:
    """Belief propagation of all samples and nodes of a level at once, against node by node."""

    def problem() -> tuple[RHM, Tensor]:
        generator = torch.Generator().manual_seed(0)
        model = RHM.random(depth, **SIZES, generator=generator)
        leaves = model.sample(samples, generator=generator)[0]
        return model, epsilon_evidence(leaves, 0.6, model.v, dtype=torch.float64)

    def ours() -> Work:
        model, evidence = problem()
        return lambda: torch.cat([level.flatten(1) for level in model.marginals(evidence)], 1)

    def other() -> Work:
        model, evidence = problem()
        return lambda: torch.cat(
            [torch.stack(list(level)).flatten() for level in node_by_node(model, evidence[0])]
        )[None]

    size = f"{samples} samples of {2**depth:,} leaves, {SIZES['v']} symbols"
    name = "belief propagation"
    part = 1 / samples
    return Comparison(name, size, ours, other, "a node of a sample at a time", 1e-9, part)


def ensembles(models: int, few: int, steps: int) -> Comparison:
    """Training of many low-rank denoisers, against a plain autograd loop for each.

    The two take other steps to the same minimum, so what is compared is the share of energy that
    the trained subspace of each model holds of its data.
    """

    def work(way: Callable, count: int) -> Work:
        data, starts = ensemble_training.problem(models, torch.float64)
        data, starts = data[:count], starts[:count]
        return lambda: _held(data, way(data, starts, steps))

    sizes = ", ".join(f"{name} = {value}" for name, value in ensemble_training.SIZES.items())
    return Comparison(
        "training of low-rank denoisers",
        f"{models} models, {sizes}, {steps} steps, double precision",
        functools.partial(work, ensemble_training.as_ensemble, models),
        functools.partial(work, ensemble_training.plain_loop, few),
        "Adam and QR, a model at a time",
        tolerance=0.01,
        part=few / models,
        note="compared by the energy that the trained subspaces hold",
    )


def _held(data: Tensor, bases: Tensor) -> Tensor:
    return (data @ bases).square().sum((-2, -1)) / data.square().sum((-2, -1))


def diagrams(trials: int, few: int) -> Comparison:
    """A phase diagram of trained denoisers, against a plain loop over cells and trials."""
    steps = 400

    def work(way: Callable, count: int | None) -> Work:
        grid = phase_diagram.cells("k1", trials)
        order = torch.randperm(len(grid), generator=torch.Generator().manual_seed(0)).tolist()
        chosen = [grid[i] for i in order[:count]]

        def held() -> Tensor:
            trained = way("k1", chosen, steps)
            cells = zip(chosen, trained, strict=True)
            return torch.stack([_held(cell.x, bases[0].double()) for cell, bases in cells])

        return held

    count = len(phase_diagram.cells("k1", 1)) * trials
    return Comparison(
        "sweep over a diagram",
        f"{count} cells and trials, n = {phase_diagram.n}, {steps} steps, single precision",
        functools.partial(work, phase_diagram.trained, None),
        functools.partial(work, phase_diagram.trained_plainly, few),
        "a cell and a trial at a time",
        tolerance=0.01,
        part=few / count,
        note="compared by the energy that the trained subspaces hold",
    )


def unet(steps: int, batch: int = 64) -> Comparison:
    """Training of an image network, against a plain loop over the same diffusers U-Net."""
    kept = recipes.RECIPES["fashion-mnist"]
    assert isinstance(kept, recipes.Denoising)
    recipe = dataclasses.replace(kept, batch=batch)

    def data() -> Tensor:
        return images.load("fashion-mnist-slice")[0]

    def ours() -> Work:
        trainer = _trainer(data(), recipe)
        return lambda: torch.stack([trainer.step() for _ in range(steps)])

    def other() -> Work:
        loop = PlainLoop(data(), recipe)
        return lambda: torch.stack([loop.step() for _ in range(steps)])

    parameters = sum(p.numel() for p in _network(recipe).parameters())
    size = f"28 x 28, {parameters:,} parameters, batches of {recipe.batch}, {steps} steps"
    note = "same weights, batches and noise; the losses of all steps are compared"
    against = "AdamW and a moving average, written out"
    name = "training of a U-Net"
    return Comparison(name, size, ours, other, against, 1e-4, note=note, repeats=1)


def _network(recipe: recipes.Denoising) -> nn.Module:
    return recipes.unet((1, 28, 28), recipe.channels, seed=0)


def _trainer(data: Tensor, recipe: recipes.Denoising) -> training.Trainer:
    from molrg.denoisers.networks import UNet  # noqa: PLC0415 - brings diffusers

    weighting = training.output_weighting("v", DDPM())
    return training.Trainer(
        UNet(_network(recipe), DDPM(), prediction="v"),
        data,
        steps=10**6,
        lr=recipe.lr,
        sigma=None,
        weighting=lambda t: weighting(t) / 784,
        batch=recipe.batch,
        weight_decay=recipe.weight_decay,
        clip=recipe.clip,
        ema=recipe.ema,
        generator=torch.Generator().manual_seed(0),
    )


class PlainLoop:
    """The training loop that one would write first, on the network itself."""

    def __init__(self, data: Tensor, recipe: recipes.Denoising) -> None:
        self.recipe, self.network, self.done = recipe, _network(recipe), 0
        self.batches = Batches(data, (), torch.Generator().manual_seed(0), recipe.batch)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.average = [parameter.detach().clone() for parameter in self.network.parameters()]

    def step(self) -> Tensor:
        """One step; the loss before it."""
        x0, u, noise, _ = self.batches.draw()
        t = u.double()
        s, gamma = (part.float()[:, None, None, None] for part in (DDPM().s(t), DDPM().gamma(t)))
        x_t, v = s * x0 + gamma * noise, s * noise - gamma * x0
        output = self.network(x_t, network_time(DDPM(), t)).sample
        value = (output - v).square().mean()
        self.optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        keep = min(self.recipe.ema, (1 + self.done) / (10 + self.done))
        for averaged, parameter in zip(self.average, self.network.parameters(), strict=True):
            averaged.lerp_(parameter.detach(), 1 - keep)
        self.done += 1
        return value.detach()
