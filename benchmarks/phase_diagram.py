"""Phase diagrams: all cells and trials together, one at a time, and with the loop that one would
write first.

    python benchmarks/phase_diagram.py [--trials 20] [--steps 400] [--only k1 k2 clustering]

Three diagrams: the trained denoiser of one subspace (k1), that of two with soft-max weights and
restarts (k2), and K-subspaces with restarts (clustering). Each is computed (a) for all cells and
trials together; (b) by the same call for one at a time, which must give the same; (c) by a plain
loop. (b) and (c) are timed on a part of the cells, drawn at random, and scaled; all three in turn,
within each repeat. That (a) and (b) give the same is checked after few steps: in single precision
rounding grows, in directions that the data leave open without end, so that after all steps only the
successes are compared. Reports, too, what share of the processor's measured rate for matrix
products (a) reaches, counting only the products. Exits with 1 where (a) and (b) differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from ensemble_training import SCHEDULE, seconds, spread
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from molrg import MoLRG, stats, training
from molrg.subspaces import k_subspaces, random_basis, subspace_error
from molrg.training import log_uniform_times

n, FEW, TOLERANCE = 48, 50, 1e-3  # of projectors after FEW steps in single precision
RESTARTS = {"k2": 4, "clustering": 16}
NOISE = {"k1": (0.001, 0.01), "k2": (0.1, 1.0)}
RATE = {"k1": 0.8, "k2": 0.05}


@dataclass(frozen=True)
class Cell:
    """One trial of one cell: data (N, n), the truth, K bases (n, d) for each start, a seed."""

    x: Tensor
    truth: list[Tensor]
    starts: list[list[Tensor]]
    seed: int


def cells(name: str, trials: int) -> list[Cell]:
    """The grid of a diagram, cells and trials in one list."""
    K, drawn = (1 if name == "k1" else 2), []
    dims, counts = (range(2, 9), range(2, 16)) if name == "k1" else (range(2, 6), range(2, 11))
    for seed in range(trials):
        for d in dims:
            for N in counts:
                number = 10_000 * seed + 100 * d + N
                g = torch.Generator().manual_seed(number)
                truth = MoLRG.random(n, [d] * K, generator=g)
                x, _ = truth.sample([N] * K, generator=g)
                starts = [
                    list(random_basis(n, d, generator=g, ensemble=(K,)))
                    for _ in range(RESTARTS.get(name, 1))
                ]
                drawn.append(Cell(x, list(truth.bases), starts, number))
    return drawn


def trained(name: str, grid: Sequence[Cell], steps: int) -> list[list[Tensor]]:
    """(a) and (b): all starts of these cells by `training.train_cells`, in single precision."""
    runs = [(cell, r, start) for cell in grid for r, start in enumerate(cell.starts)]
    sources = [torch.Generator().manual_seed(100 * cell.seed + r) for cell, r, _ in runs]
    starts = [[basis.float() for basis in start] for _, _, start in runs]
    data = [cell.x.float() for cell, _, _ in runs]
    return training.train_cells(  # type: ignore[return-value]  # lists, as the starts are
        data, starts, SCHEDULE, generators=sources, steps=steps, lr=RATE[name], sigma=NOISE[name]
    )


def trained_plainly(name: str, grid: Sequence[Cell], steps: int) -> list[list[Tensor]]:
    """(c) A model at a time: Adam on plain parameters, QR in the forward pass, its own loss."""
    found = []
    for cell in grid:
        for r, start in enumerate(cell.starts):
            x, g = cell.x.float(), torch.Generator().manual_seed(100 * cell.seed + r)
            W = torch.stack(start).float().requires_grad_(True)
            optimiser = torch.optim.Adam([W], lr=RATE[name])
            decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
            for _ in range(steps):
                t = log_uniform_times(SCHEDULE, NOISE[name], torch.rand(len(x), generator=g))
                s, gamma = SCHEDULE.s(t).float()[:, None], SCHEDULE.gamma(t).float()[:, None]
                x_t = s * x + gamma * torch.randn(x.shape, generator=g)
                U, _ = torch.linalg.qr(W)
                latent = x_t @ U  # (K, N, d)
                logits = s.T**2 * latent.square().sum(-1) / (2 * gamma.T**2 * (s.T**2 + gamma.T**2))
                parts = latent @ U.mT
                x0_hat = s / (s**2 + gamma**2) * (logits.softmax(0).unsqueeze(-1) * parts).sum(0)
                value = (x0_hat - x).square().sum(-1).mean()
                optimiser.zero_grad()
                value.backward()
                optimiser.step()
                decay.step()
            found.append(list(torch.linalg.qr(W.detach())[0]))
    return found


def clustered(name: str, grid: Sequence[Cell], steps: int) -> list[list[Tensor]]:
    """(a) and (b): `k_subspaces`, data sets of one size together; K bases for each."""
    found: dict[int, list[Tensor]] = {}
    sizes = sorted({(cell.starts[0][0].shape[1], len(cell.x)) for cell in grid})
    for d, N in sizes:
        here = [
            i for i, cell in enumerate(grid) if (cell.starts[0][0].shape[1], len(cell.x)) == (d, N)
        ]
        sources = [torch.Generator().manual_seed(grid[i].seed) for i in here]
        data = torch.stack([grid[i].x for i in here])
        bases = k_subspaces(data, 2, d, restarts=RESTARTS[name], generator=sources).bases
        found |= {i: [basis[row] for basis in bases] for row, i in enumerate(here)}
    return [found[i] for i in range(len(grid))]


def clustered_plainly(name: str, grid: Sequence[Cell], steps: int) -> list[list[Tensor]]:
    """(c) A data set and a start at a time: assign, an SVD a cluster, until nothing moves."""
    found = []
    for cell in grid:
        best: tuple[float, list[Tensor]] = (-1.0, [])
        g = torch.Generator().manual_seed(cell.seed)
        d = cell.starts[0][0].shape[1]
        starts = [
            random_basis(n, d, generator=g, ensemble=(RESTARTS[name],)) for _ in range(2)
        ]  # as in `k_subspaces`
        for start in zip(*starts, strict=True):
            bases: list[Tensor] = list(start)
            labels: Tensor | None = None
            for _ in range(100):
                energy = torch.stack([(cell.x @ U).square().sum(-1) for U in bases])
                last, labels = labels, energy.argmax(0)
                if last is not None and bool((labels == last).all()):
                    break
                for k in range(2):
                    if bool((labels == k).any()):
                        rows = torch.linalg.svd(cell.x[labels == k], full_matrices=True)[2]
                        bases[k] = rows[:d].T
            objective = float(energy.amax(0).sum())
            if objective > best[0]:
                best = objective, bases
        found.append(best[1])
    return found


WAYS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "k1": (trained, trained_plainly),
    "k2": (trained, trained_plainly),
    "clustering": (clustered, clustered_plainly),
}


def apart(first: Sequence[Sequence[Tensor]], second: Sequence[Sequence[Tensor]]) -> float:
    """Largest entry of the difference between projectors."""
    return max(
        float((a @ a.T - b @ b.T).abs().max())
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def successes(grid: Sequence[Cell], found: Sequence[Sequence[Tensor]]) -> list[bool]:
    """Whether some start found the truth, for each cell."""
    starts = len(found) // len(grid)
    return [
        any(
            subspace_error([basis.double() for basis in found[starts * i + r]], cell.truth)
            < stats.tolerance()
            for r in range(starts)
        )
        for i, cell in enumerate(grid)
    ]


def peak(size: int = 1024, repeats: int = 20) -> float:
    """Floating-point operations a second of a large matrix product in single precision."""
    a = torch.randn(size, size, generator=torch.Generator().manual_seed(0))
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def products(name: str, grid: Sequence[Cell], steps: int) -> float:
    """Operations in the matrix products of (a), from a few steps of the whole grid."""
    few = min(steps, 2)
    with FlopCounterMode(display=False) as counter:
        WAYS[name][0](name, grid, few)
    return counter.get_total_flops() * (1 if name == "clustering" else steps / few)


def measure(name: str, args: argparse.Namespace) -> bool:
    """Time the three ways, print a row for each; returns whether (a) and (b) agree."""
    together, plainly = WAYS[name]
    grid = cells(name, args.trials)
    part = torch.randperm(len(grid), generator=torch.Generator().manual_seed(0))[
        : args.subset
    ].tolist()
    some = [grid[i] for i in part]
    for way in (together, plainly):
        way(name, some[:2], 3)  # first calls load things
    times: dict[str, list[Tensor]] = {"a": [], "b": [], "c": []}
    for _ in range(args.repeats):
        spent, found = seconds(together, name, grid, args.steps)
        times["a"].append(spent)
        spent, alone = seconds(
            lambda: [bases for cell in some for bases in together(name, [cell], args.steps)]
        )
        times["b"].append(spent * len(grid) / len(some))
        spent, plain = seconds(plainly, name, some, args.steps)
        times["c"].append(spent * len(grid) / len(some))
    starts = len(found) // len(grid)
    short = min(args.steps, FEW)
    each = [bases for cell in some for bases in together(name, [cell], short)]
    difference = apart(together(name, some, short), each)
    here = successes(some, [found[starts * i + r] for i in part for r in range(starts)])
    same = [
        sum(a == b for a, b in zip(here, successes(some, other), strict=True))
        for other in (alone, plain)
    ]
    own = torch.stack(times["a"])
    rate = products(name, grid, args.steps) / float(own[:, 0].median())
    share = f"products at {rate / 1e9:.2f} GFLOP/s, {100 * rate / peak():.1f} % of the peak"
    print(
        f"\n{name}: {len(grid)} cells and trials, {starts * len(grid)} runs; "
        f"(b) and (c) on {len(some)}; {share}"
    )
    print(
        f"(a) and (b) differ by {difference:.1e} after {short} steps; "
        f"success as in (a): {same[0]} of {len(some)} in (b), {same[1]} in (c)"
    )
    print(
        f"{'':20s} {'seconds':>8s} {'CPU s':>8s}   "
        f"{'time / (a): min, median, max':30s} CPU time / (a)"
    )
    for key, what in (("a", "(a) together"), ("b", "(b) one at a time"), ("c", "(c) plain loop")):
        taken = torch.stack(times[key])
        clock, processor = (spread(column) for column in (taken / own).T)
        middle = taken.median(0).values
        print(f"{what:20s} {middle[0]:8.1f} {middle[1]:8.1f}   {clock:30s} {processor}", flush=True)
    return difference <= TOLERANCE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument(
        "--subset", type=int, default=30, help="cells that (b) and (c) are timed on, each repeat"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=tuple(WAYS), default=list(WAYS))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(
        f"n = {n}, {args.trials} trials, {args.steps} steps, {args.threads} thread(s), "
        f"torch {torch.__version__}"
    )
    agree = [measure(name, args) for name in args.only]
    if not all(agree):
        print(f"together and alone differ by more than {TOLERANCE:g}", file=sys.stderr)
    return 0 if all(agree) else 1


if __name__ == "__main__":
    sys.exit(main())
