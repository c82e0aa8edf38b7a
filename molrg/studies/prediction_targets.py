r"""One network, three targets: the clean point, the noise, or v, as the ambient dimension grows.

The data are points on a spiral in a plane of R^D, or, so that they fill R^D, D/2 independent points
on spirals in D/2 orthogonal planes. The optimal denoiser is known for both. Every purpose has a
source of random numbers of its own, keyed by purpose, seed and D (`molrg.draws.source`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from molrg import checks, draws, sampling
from molrg.denoisers import MLP, Empirical, Stacked
from molrg.denoisers.networks import PREDICTIONS
from molrg.schedules import VP, Schedule
from molrg.subspaces import random_basis
from molrg.training import fit, log_uniform_times, output_weighting, squared_errors

SCHEDULE = VP()
SIGMA = (0.05, 20.0)  # noise levels of training, errors and sampling
LEVELS = 12  # noise levels at which errors are measured
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # step sizes of Adam, of which each target takes its best
TURNS = 1.5  # of the spiral
RADIUS = 2.0  # of the spiral at its outer end: a mean square of RADIUS^2 / 2 in its plane
_WEIGHTING = output_weighting("v", SCHEDULE)  # one loss for all targets: squared error of v
Key = tuple[int, int, int]  # of a trial: seed, D, planes

# What random numbers are for: the first entry of every key.
_BASIS, _TRAIN, _HELD_OUT, _START, _TRAINING, _NOISE, _SAMPLES = range(7)


def spiral(u: Tensor) -> Tensor:
    """Points (\\*u, 2) on the spiral, evenly spread in area where u is even on [0, 1].

    Args:
        u: positions along it, in [0, 1].
    """
    share = u.sqrt()
    angle = 2 * math.pi * TURNS * share
    return RADIUS * share.unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], -1)


def points(N: int, basis: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw points (N, D), with an independent point of the spiral in each plane.

    Args:
        N: how many.
        basis: (D, 2 k) orthonormal, of k planes.
        generator: source of the positions.
    """
    u = draws.uniform(
        (N, basis.shape[1] // 2), generator=generator, dtype=basis.dtype, device=basis.device
    )
    return spiral(u).flatten(1) @ basis.T


class Spirals(nn.Module):
    """The optimal denoiser of `points`: plane by plane, for the planes are independent.

    The integral over the spiral is a sum over `nodes` points.

    Args:
        basis: (D, 2 k) orthonormal, of k planes.
        schedule: the forward process.
        nodes: points of the sum, >= 2.
    """

    basis: Tensor

    def __init__(self, basis: Tensor, schedule: Schedule = SCHEDULE, nodes: int = 1000) -> None:
        super().__init__()
        self.schedule = schedule
        self.register_buffer("basis", basis)
        nodes = checks.count("nodes", nodes, 2)
        middles = torch.arange(nodes, dtype=basis.dtype, device=basis.device) + 0.5
        self.plane = Empirical(spiral(middles / nodes), schedule)

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from (B, D), at one time t."""
        inside = x_t @ self.basis
        estimates = self.plane(inside.reshape(-1, 2), t)
        return estimates.reshape(inside.shape) @ self.basis.T


def off_planes(x: Tensor, basis: Tensor) -> Tensor:
    """Mean squared distance from the planes' span, over the data's mean square in it.

    Args:
        x: samples (B, D).
        basis: (D, 2 k) orthonormal.

    Returns:
        A scalar.
    """
    outside = x - (x @ basis) @ basis.T
    energy = basis.shape[1] / 2 * RADIUS**2 / 2
    return outside.square().sum(-1).mean() / energy


def trials(
    seeds: Sequence[int],
    D: int,
    *,
    planes: int = 1,
    targets: Sequence[str] = PREDICTIONS,
    width: int = 64,
    steps: int = 400,
    batch: int = 32,
    N: int = 1024,
    samplers: Sequence[int] = (50, 100),
    rows: int = 128,
) -> pd.DataFrame:
    """Networks that differ in their target alone, each at its best step size; and the exact one.

    One row is one seed and one target, "exact" among them. "rate" is the step size of `RATES` with
    the least "loss", which is the training loss on held-out points; "error" the squared error of
    x0_hat over noise levels and held-out points, over that of the exact denoiser; "off_k" the
    energy of samples off the planes (`off_planes`), sampled by k steps of Euler's method, and
    "drawn_k" the samples' coordinates in the planes.

    Args:
        seeds: of planes, points, starts, training and noise.
        D: ambient dimension, >= 2 planes.
        planes: 1 for a curve; D / 2 for data that fill the space.
        targets: what networks predict, as in `molrg.denoisers.MLP`.
        width: units of each of three hidden layers.
        steps: of Adam.
        batch: points in a step.
        N: training points.
        samplers: numbers of sampling steps.
        rows: samples, and held-out points.

    Raises:
        ValueError: where an argument is out of range.
    """
    planes = checks.count("planes", planes, 1, D // 2)
    for target in targets:
        checks.one_of("targets", target, PREDICTIONS)
    keys = [(seed, D, planes) for seed in seeds]
    bases = [_basis(*key) for key in keys]
    train = _points(_TRAIN, N, bases, keys)
    held_out = _points(_HELD_OUT, rows, bases, keys)
    exact = Stacked([Spirals(basis) for basis in bases])
    least = _errors(exact, held_out, keys)
    table = []
    for target in targets:
        networks = _networks(target, train, keys, width=width, steps=steps, batch=batch)
        errors = torch.stack([_errors(network, held_out, keys) for network in networks])
        losses = errors @ _weights().to(errors)
        chosen = losses.argmin(0).tolist()
        drawn = _drawn_by_best(networks, chosen, keys, bases, samplers, rows)
        for e, best in enumerate(chosen):
            row = {"target": target, "rate": RATES[best], "loss": losses[best, e].item()}
            row["error"] = (errors[best, e].sum() / least[e].sum()).item()
            table.append(_named(keys[e]) | row | drawn[e])
    drawn = _drawn(exact, keys, bases, samplers, rows)
    for e, key in enumerate(keys):
        row = {"target": "exact", "rate": math.nan, "error": 1.0}
        row["loss"] = (least[e] @ _weights().to(least)).item()
        table.append(_named(key) | row | drawn[e])
    return pd.DataFrame(table)


def _basis(seed: int, D: int, planes: int) -> Tensor:
    """The planes of a seed, (D, 2 planes), in single precision."""
    source = draws.source(_BASIS, seed, D, planes)
    return random_basis(D, 2 * planes, generator=source).float()


def _points(purpose: int, N: int, bases: Sequence[Tensor], keys: Sequence[Key]) -> Tensor:
    """Points of every seed, (E, N, D)."""
    drawn = [
        points(N, basis, generator=draws.source(purpose, *key))
        for basis, key in zip(bases, keys, strict=True)
    ]
    return torch.stack(drawn)


def _networks(
    target: str, data: Tensor, keys: Sequence[Key], *, width: int, steps: int, batch: int
) -> list[MLP]:
    """For each of `RATES` an ensemble, one network a seed: the same start, data and noise."""
    networks = []
    for rate in RATES:
        network = MLP(
            data.shape[-1],
            SCHEDULE,
            width=width,
            prediction=target,
            ensemble=(len(keys),),
            generator=[draws.source(_START, *key) for key in keys],
        )
        sources = [draws.source(_TRAINING, *key) for key in keys]
        fit(
            network,
            data,
            steps=steps,
            lr=rate,
            sigma=SIGMA,
            weighting=_WEIGHTING,
            batch=batch,
            generator=sources,
        )
        networks.append(network)
    return networks


def _times() -> Tensor:
    """Times at which errors are measured, noise levels evenly spaced in their logarithm."""
    fractions = (torch.arange(LEVELS, dtype=torch.float64, device="cpu") + 0.5) / LEVELS
    return log_uniform_times(SCHEDULE, SIGMA, fractions)


def _weights() -> Tensor:
    """Of the errors in the loss, (LEVELS,)."""
    return _WEIGHTING(_times()) / LEVELS


@torch.no_grad()
def _errors(model: Any, x0: Tensor, keys: Sequence[Key]) -> Tensor:
    """Squared error of x0_hat by noise level, mean over points, (E, LEVELS)."""
    sources = [draws.source(_NOISE, *key) for key in keys]
    columns = []
    for t in _times():
        noise = torch.stack([draws.normal_like(x0[0], generator=source) for source in sources])
        columns.append(squared_errors(model, x0, t, noise=noise).mean(-1))
    return torch.stack(columns, -1)


def _named(key: Key) -> dict[str, Any]:
    """The columns that say which trial it is."""
    return dict(zip(("seed", "D", "planes"), key, strict=True))


def _drawn_by_best(
    networks: Sequence[MLP],
    chosen: Sequence[int],
    keys: Sequence[Key],
    bases: Sequence[Tensor],
    samplers: Sequence[int],
    rows: int,
) -> list[dict[str, Any]]:
    """As `_drawn`, each seed by the network of its own best step size."""
    columns: dict[int, dict[str, Any]] = {}
    for best in set(chosen):
        alike = [e for e, choice in enumerate(chosen) if choice == best]
        of_keys, of_bases = [keys[e] for e in alike], [bases[e] for e in alike]
        drawn = _drawn(networks[best].select(alike), of_keys, of_bases, samplers, rows)
        columns |= zip(alike, drawn, strict=True)
    return [columns[e] for e in range(len(keys))]


@torch.no_grad()
def _drawn(
    model: Any, keys: Sequence[Key], bases: Sequence[Tensor], samplers: Sequence[int], rows: int
) -> list[dict[str, Any]]:
    """What the samples of an ensemble are like, a dict for each of its models."""
    start, stop = SCHEDULE.t_of_sigma(SIGMA[1]).item(), SCHEDULE.t_of_sigma(SIGMA[0]).item()
    size = (rows, len(bases[0]))
    starts = []
    for key, basis in zip(keys, bases, strict=True):
        source = draws.source(_SAMPLES, *key)
        prior = sampling.prior(size, SCHEDULE, start, generator=source, dtype=basis.dtype)
        starts.append(prior)
    noise = torch.stack(starts)
    columns: list[dict[str, Any]] = [{} for _ in keys]
    for steps in samplers:
        times = sampling.time_grid(SCHEDULE, steps, start=start, stop=stop)
        drawn = sampling.finish(sampling.ddim(model, noise, times, denoise_last=True))
        for row, x, basis in zip(columns, drawn, bases, strict=True):
            row[f"off_{steps}"] = off_planes(x, basis).item()
            row[f"drawn_{steps}"] = x @ basis
    return columns
