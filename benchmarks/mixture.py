"""The exact denoiser of a mixture of many components: all at once, and the loop over components.

    python benchmarks/mixture.py [--components 1000] [--dimension 8] [--size 3072] [--batch 16]

(a) `MoLRG.denoiser`; (b) the loop that one would write first, which forms the residual of every
point from every component. Each runs in a process of its own, on bases that exist already; memory
is what the process grows by, at its peak, while the mixture is made and a batch denoised. Seconds
are of the processor. Exits with 1 where the two differ by more than the tolerance.
"""

from __future__ import annotations

import argparse
import functools
import math
import multiprocessing
import platform
import resource
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from molrg import MoLRG
from molrg.schedules import VP, Schedule
from molrg.subspaces import random_basis

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
TIME = 0.3


class Loop:
    """A mixture of zero means and unit spectra, one component after another."""

    def __init__(self, bases: list[Tensor], noise: float) -> None:
        self.bases, self.noise = bases, noise

    def denoise(self, x_t: Tensor, t: float, schedule: Schedule) -> Tensor:
        s, gamma = schedule.at(t, x_t)
        outside = s.square() * self.noise**2 + gamma.square()
        inside = s.square() * (1 + self.noise**2) + gamma.square()
        log_joints, means = [], []
        for basis in self.bases:
            n, d = basis.shape
            latent = x_t @ basis
            residual = x_t - latent @ basis.T
            energy = latent.square().sum(-1) / inside + residual.square().sum(-1) / outside
            log_joints.append(-0.5 * (energy + d * inside.log() + (n - d) * outside.log()))
            on_subspace = s * (1 + self.noise**2) / inside * latent @ basis.T
            means.append(on_subspace + s * self.noise**2 / outside * residual)
        weights = torch.stack(log_joints, -1).softmax(-1)
        return torch.einsum("bk,kbn->bn", weights, torch.stack(means))


def problem(args: argparse.Namespace, dtype: torch.dtype) -> tuple[list[Tensor], Tensor]:
    """Bases, and noisy points of the first few components."""
    generator = torch.Generator().manual_seed(0)
    bases = [
        random_basis(args.size, args.dimension, generator=generator).to(dtype)
        for _ in range(args.components)
    ]
    latent = torch.randn(args.batch, args.dimension, generator=generator, dtype=dtype)
    owners = range(args.batch)
    x0 = torch.stack([bases[k % len(bases)] @ z for k, z in zip(owners, latent, strict=True)])
    s, gamma = VP().at(TIME, x0)
    noise = torch.randn(x0.shape, generator=generator, dtype=dtype)
    return bases, s * x0 + gamma * noise


def peak_memory() -> float:
    """Peak of the resident set of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(way: str, args: argparse.Namespace, dtype_name: str, answer: Callable) -> None:
    """Seconds to make the mixture, seconds and MB to denoise a batch, and the result."""
    torch.set_num_threads(1)
    bases, x_t = problem(args, getattr(torch, dtype_name))
    start_memory, began = peak_memory(), time.process_time()
    denoise: Callable[..., Tensor]
    if way == "batched":
        denoise = MoLRG(bases, noise=0.1).denoiser(VP())
    else:
        denoise = functools.partial(Loop(bases, noise=0.1).denoise, schedule=VP())
    making = time.process_time() - began
    seconds = math.inf
    for _ in range(args.repeats):
        began = time.process_time()
        x0_hat = denoise(x_t, TIME)
        seconds = min(seconds, time.process_time() - began)
    answer((making, seconds, peak_memory() - start_memory, x0_hat.double().numpy()))


def in_own_process(way: str, args: argparse.Namespace, dtype_name: str) -> tuple:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(way, args, dtype_name, sender.send))
    process.start()
    sender.close()  # so that a process that ends without an answer is noticed
    answer = receiver.recv()
    process.join()
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--components", type=int, default=1000)
    parser.add_argument("--dimension", type=int, default=8)
    parser.add_argument("--size", type=int, default=3072)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", nargs="+", choices=tuple(TOLERANCE), default=["float32"])
    args = parser.parse_args()
    print(
        f"{args.components} components of dimension {args.dimension} in {args.size}, batch of "
        f"{args.batch}, one thread; Python {platform.python_version()}, torch {torch.__version__}"
    )
    equal = True
    for dtype_name in args.dtype:
        results = {}
        for way in ("batched", "loop"):
            *figures, results[way] = in_own_process(way, args, dtype_name)
            making, seconds, megabytes = figures
            print(
                f"{dtype_name}, {way:8s} made in {making:.2f} s, a batch in {seconds:.3f} s, "
                f"grows by {megabytes:.0f} MB",
                flush=True,
            )
        apart = abs(results["batched"] - results["loop"]).max()
        print(f"{dtype_name}, largest difference {apart:.1e}")
        equal &= bool(apart <= TOLERANCE[dtype_name])
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
