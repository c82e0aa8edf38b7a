"""Training many low-rank denoisers: as one ensemble, one at a time, and with a plain autograd loop.

    python benchmarks/ensemble_training.py [--models 1000] [--steps 400]

(a) ``fit`` on one ensemble, a generator for each model; (b) ``fit`` on one model at a time with the
same generators, which must give the same models; (c) the loop that one would write first: Adam on a
plain parameter, a QR decomposition in the forward pass, the loss spelt out. Each repeat runs (a) on
all models, and (b) and (c) on a few, whose time is scaled by the number of models; so the ratios
compare things measured within the same minute. Exits with 1 where (a) and (b) differ.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from molrg import MoLRG
from molrg.denoisers import LowRank
from molrg.schedules import VP
from molrg.subspaces import random_basis
from molrg.training import fit, log_uniform_times

SIZES = {"n": 48, "d": 4, "N": 40}
LR, SIGMA, TOLERANCE = 0.05, (0.1, 1.0), 1e-5
SCHEDULE = VP()


def generators(models: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(models)]


def as_ensemble(data: Tensor, starts: Tensor, steps: int) -> Tensor:
    """(a) All models at once; returns their bases (E, n, d)."""
    ensemble = LowRank([starts], SCHEDULE)
    fit(ensemble, data, steps=steps, lr=LR, sigma=SIGMA, generator=generators(len(data)))
    return ensemble.bases[0]


def one_at_a_time(data: Tensor, starts: Tensor, steps: int) -> Tensor:
    """(b) The same call for every model alone."""
    trained = []
    for x, start, generator in zip(data, starts, generators(len(data)), strict=True):
        model = LowRank([start], SCHEDULE)
        fit(model, x, steps=steps, lr=LR, sigma=SIGMA, generator=generator)
        trained.append(model.bases[0])
    return torch.stack(trained)


def plain_loop(data: Tensor, starts: Tensor, steps: int) -> Tensor:
    """(c) The loop that one would write first, with nothing of this package but the schedule."""
    trained = []
    for x, start, generator in zip(data, starts, generators(len(data)), strict=True):
        W = start.clone().requires_grad_(True)
        optimiser = torch.optim.Adam([W], lr=LR)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            t = log_uniform_times(SCHEDULE, SIGMA, torch.rand(len(x), generator=generator))
            s, gamma = SCHEDULE.s(t).to(x.dtype)[:, None], SCHEDULE.gamma(t).to(x.dtype)[:, None]
            x_t = s * x + gamma * torch.randn(x.shape, generator=generator, dtype=x.dtype)
            U, _ = torch.linalg.qr(W)
            x0_hat = s / (s**2 + gamma**2) * (x_t @ U @ U.T)
            value = ((x0_hat - x) ** 2).sum(-1).mean()
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            decay.step()
        trained.append(torch.linalg.qr(W.detach())[0])
    return torch.stack(trained)


def problem(models: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Data (E, N, n) from a mixture of one subspace each, and starts (E, n, d)."""
    generator = torch.Generator().manual_seed(0)
    n, d, N = SIZES["n"], SIZES["d"], SIZES["N"]
    drawn = [
        MoLRG.random(n, [d], noise=0.1, generator=generator).sample(N, generator=generator)[0]
        for _ in range(models)
    ]
    return torch.stack(drawn).to(dtype), random_basis(
        n, d, generator=generator, ensemble=(models,)
    ).to(dtype)


def seconds(train: Callable[..., Any], *arguments: object) -> tuple[Tensor, Any]:
    """Seconds (on the clock, of the processor) and what was trained."""
    began = torch.tensor([time.perf_counter(), time.process_time()], dtype=torch.float64)
    bases = train(*arguments)
    return torch.tensor(
        [time.perf_counter(), time.process_time()], dtype=torch.float64
    ) - began, bases


def spread(ratios: Tensor) -> str:
    return f"{ratios.min():.1f} / {ratios.median():.1f} / {ratios.max():.1f}"


def distance(first: Tensor, second: Tensor) -> float:
    """Largest entry of the difference between projectors, over models."""
    return (first @ first.mT - second @ second.mT).abs().max().item()


def measure(args: argparse.Namespace, threads: int, dtype: torch.dtype) -> bool:
    """Time the three ways, print a row for each; returns whether (a) and (b) agree."""
    torch.set_num_threads(threads)
    data, starts = problem(args.models, dtype)
    few = min(args.subset, args.models)
    for train in (as_ensemble, one_at_a_time, plain_loop):  # first calls load and compile things
        train(data[:2], starts[:2], 5)
    times: dict[str, list[Tensor]] = {"a": [], "b": [], "c": []}
    for _ in range(args.repeats):
        spent, ensemble = seconds(as_ensemble, data, starts, args.steps)
        times["a"].append(spent)
        trained = {}
        for name, train in (("b", one_at_a_time), ("c", plain_loop)):
            spent, trained[name] = seconds(train, data[:few], starts[:few], args.steps)
            times[name].append(spent * args.models / few)
    apart = distance(ensemble[:few], trained["b"])
    label = f"{threads} thread{'s' * (threads > 1)}, {str(dtype).removeprefix('torch.')}"
    from_loop = distance(ensemble[:few], trained["c"])
    print(f"\n{label}; projectors of (a) and (b) differ by {apart:.1e}", end=", ")
    print(f"of (a) and (c) by {from_loop:.1e}")
    ratios = "time / (a): min, median, max"
    print(f"{'':24s} {'seconds':>8s} {'CPU s':>8s}   {ratios:30s} CPU time / (a)")
    own = torch.stack(times["a"])
    for name, what in (
        ("a", "(a) fit, one ensemble"),
        ("b", "(b) fit, one at a time"),
        ("c", "(c) plain loop"),
    ):
        taken = torch.stack(times[name])
        clock, processor = (spread(column) for column in (taken / own).T)
        middle = taken.median(0).values
        print(f"{what:24s} {middle[0]:8.1f} {middle[1]:8.1f}   {clock:30s} {processor}", flush=True)
    return apart <= TOLERANCE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument(
        "--subset", type=int, default=20, help="models that (b) and (c) are timed on, each repeat"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--dtype", nargs="+", choices=("float32", "float64"), default=["float32", "float64"]
    )
    args = parser.parse_args()
    sizes = ", ".join(f"{name} = {size}" for name, size in SIZES.items())
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    few = min(args.subset, args.models)
    print(f"{args.models} models, {sizes}, K = 1, {args.steps} steps; {versions}")
    print(f"(b) and (c) from {few} models")
    agree = [
        measure(args, threads, getattr(torch, dtype))
        for threads in args.threads
        for dtype in args.dtype
    ]
    if not all(agree):
        print(
            f"the ensemble and the models alone differ by more than {TOLERANCE:g}", file=sys.stderr
        )
    return 0 if all(agree) else 1


if __name__ == "__main__":
    sys.exit(main())
