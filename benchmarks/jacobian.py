"""Jacobians of a diffusers U-Net: dense and by products, against torch's own and the power method.

    python benchmarks/jacobian.py [--model NAME_OR_FOLDER] [--t 0.7] [--size 28] [--channels 1]
                                  [--triplets 10] [--device cpu] [--products]

(a) ``jacobian.dense`` and singular values; (b) ``torch.autograd.functional.jacobian`` and the same;
(c) ``jacobian.top_singular``; (d) the generalised power method of LOCO-Edit (2409.02374, algorithm
2), written here from the paper on the same products, until its last triplet is as near as that of
(c). Each runs in a process of its own, one thread. Without a model, a U-Net as of `molrg.zoo`,
untrained. Exits with 1 where the values differ.

With ``--products`` only the pace of the products is measured, on the device: J v and J^T u per
second, after one of each, for sizes at which a matrix would not fit.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molrg import devices, draws, images, jacobian, schedules, zoo
from molrg.denoisers import networks
from molrg.zoo import recipes

TOLERANCE = 1e-3  # relative, of singular values in single precision
MOST = 200  # steps of the power method
VECTORS = 32  # of a measurement of pace


def problem(args: argparse.Namespace) -> tuple[networks.UNet, Tensor]:
    """The denoiser and a point: a noisy image of the slice where the size fits, noise otherwise."""
    device = devices.chosen(args.device)
    if args.model:
        denoiser = zoo.load_denoiser(args.model)
    else:
        network = recipes.unet((args.channels, args.size, args.size), (16, 32, 96), seed=0)
        denoiser = networks.UNet(network, schedules.DDPM()).eval().requires_grad_(False)
    shape = denoiser.fixed_event
    x = draws.normal((1, *shape), generator=torch.Generator().manual_seed(0))
    if shape == (1, 28, 28):
        x0 = images.load("fashion-mnist-slice", "test", n=1)[0]
        x = denoiser.schedule.add_noise(x0, args.t, x)
    return denoiser.to(device), x.to(device)


def power_method(linear: jacobian.Linearised, k: int, near: Callable[[Tensor], bool]) -> Tensor:
    """(d) Values by subspace iteration, until they are near; two k products a step."""
    start = draws.normal((1, linear.n, k), generator=torch.Generator().manual_seed(0))
    V = torch.linalg.qr(start.to(linear.x)).Q
    for _ in range(MOST):
        U = linear.jvp(V)
        V, squares, _ = torch.linalg.svd(linear.vjp(U), full_matrices=False)
        S = squares.sqrt()[0]  # of J^T J on the subspace
        if near(S):
            break
    return S


def pace(denoiser: networks.UNet, x: Tensor, t: float) -> dict[str, float]:
    """Products per second, after the first ones."""
    linear = jacobian.Linearised(denoiser, x, t)
    V = draws.normal((1, linear.n, VECTORS), generator=torch.Generator().manual_seed(0)).to(x)
    per_second = {}
    for name in ("jvp", "vjp"):
        product = getattr(linear, name)
        product(V).sum().item()  # .item() waits for the device
        start = time.perf_counter()
        product(V).sum().item()
        per_second[name] = VECTORS / (time.perf_counter() - start)
    return per_second


def measure(args: argparse.Namespace, values: dict[str, list[float]]) -> dict[str, Any]:
    """One of the four, in this process."""
    torch.set_num_threads(1)
    denoiser, x = problem(args)
    k, products = args.triplets, x.numel()
    with torch.no_grad():
        denoiser(x, args.t)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    if args.only == "a":
        S = torch.linalg.svdvals(jacobian.dense(denoiser, x, args.t))[0]
    elif args.only == "b":
        J = torch.autograd.functional.jacobian(lambda z: denoiser(z, args.t), x)
        S = torch.linalg.svdvals(J.reshape(x.numel(), x.numel()))
    else:
        counted: list[int] = []
        for name in ("jvp", "vjp"):
            setattr(
                jacobian.Linearised, name, _counting(getattr(jacobian.Linearised, name), counted)
            )
        if args.only == "c":
            S = jacobian.top_singular(denoiser, x, args.t, k, tolerance=args.tolerance)[1][0]
        else:
            exact = torch.tensor(values["a"])
            wanted = max(abs(values["c"][k - 1] / exact[k - 1].item() - 1), 2e-6)
            near = lambda S: abs(S[-1] / exact[k - 1] - 1) <= wanted
            S = power_method(jacobian.Linearised(denoiser, x, args.t), k, near)
        products = sum(counted)
    seconds = time.process_time() - start
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"values": S.tolist(), "seconds": seconds, "memory": memory, "products": products}


def _counting(product: Callable, counted: list[int]) -> Callable:
    def count(self: jacobian.Linearised, vectors: Tensor) -> Tensor:
        counted.append(vectors.shape[-1])
        return product(self, vectors)

    return count


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="")
    parser.add_argument("--t", type=float, default=0.7)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--triplets", type=int, default=10)
    parser.add_argument("--tolerance", type=float, default=0.03)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--products", action="store_true")
    parser.add_argument("--only", choices="abcd", help=argparse.SUPPRESS)
    parser.add_argument("--values", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args, json.loads(Path(args.values).read_text()))))
        return 0
    found: dict[str, dict[str, Any]] = {}
    print(
        f"{args.model or 'untrained U-Net'}, t = {args.t}; torch {torch.__version__},"
        f" {platform.machine()}, {args.device}"
    )
    if args.products:
        torch.set_num_threads(1)
        for name, per_second in pace(*problem(args), args.t).items():
            print(f"{name}: {per_second:.3g} products a second")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for which in "abcd":
            file = Path(folder) / "values.json"
            file.write_text(json.dumps({name: result["values"] for name, result in found.items()}))
            command = [
                sys.executable,
                __file__,
                *sys.argv[1:],
                "--only",
                which,
                "--values",
                str(file),
            ]
            found[which] = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout
            )
            shown = found[which]
            error = max(
                abs(one / two - 1)
                for one, two in zip(
                    shown["values"][: args.triplets], found["a"]["values"], strict=False
                )
            )
            print(
                f"({which}) {shown['seconds']:.2f} CPU-s, {shown['products']} products,"
                f" {shown['memory']:.0f} MB more; off by {error:.1e}",
                flush=True,
            )
    seconds = {which: result["seconds"] for which, result in found.items()}
    ratios = [f"{a}/{b} {seconds[a] / seconds[b]:.1f}" for a, b in ("ba", "bc", "dc")]
    print(", ".join(ratios))
    top = torch.tensor([found[which]["values"][: args.triplets] for which in "abc"])
    return int((top / top[0] - 1).abs().max() > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
