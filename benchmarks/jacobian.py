"""Jacobians of a diffusers U-Net: dense and by products, against torch's own and the generalised
power method.

    python benchmarks/jacobian.py [--model NAME_OR_FOLDER] [--t 0.7] [--size 28] [--channels 1]
        [--triplets 10]

(a) ``jacobian.dense`` and singular values; (b) ``torch.autograd.functional.jacobian`` and the same;
(c) ``jacobian.top_singular``; (d) the generalised power method of LOCO-Edit (2409.02374, algorithm
2), written here from the paper on the same products, until its last triplet is as near as that of
(c). Each runs in a process of its own, one thread. Without a model, a U-Net as of `molrg.zoo`,
untrained. Exits with 1 where the values differ.
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
from pathlib import Path

import torch
from torch import Tensor

from molrg import images, jacobian, schedules, zoo
from molrg.denoisers import networks
from molrg.zoo import recipes

TOLERANCE = 1e-3  # relative, of singular values in single precision
MOST = 200  # steps of the power method


def problem(args: argparse.Namespace) -> tuple[networks.UNet, Tensor]:
    """The denoiser and a point: a noisy image of the slice where the size fits, noise otherwise."""
    if args.model:
        denoiser = zoo.load(args.model)
        assert isinstance(denoiser, networks.UNet), f"{args.model} is no diffusion model"
        shape = tuple(size for size in denoiser.event if size)
    else:
        shape = (args.channels, args.size, args.size)
        denoiser = (
            networks.UNet(recipes.unet(shape, (16, 32, 96), seed=0), schedules.DDPM())
            .eval()
            .requires_grad_(False)
        )
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    if shape != (1, 28, 28):
        return denoiser, noise
    x0 = images.load("fashion-mnist-slice", "test", n=1)[0]
    s, gamma = denoiser.schedule.at(args.t, x0)
    return denoiser, s * x0 + gamma * noise


def power_method(
    linear: jacobian.Linearised, k: int, exact: Tensor, wanted: float
) -> tuple[Tensor, int]:
    """(d) Subspace iteration with k vectors, until the k-th value is within `wanted` (relative) of
    the exact one.
    """
    V = torch.linalg.qr(torch.randn(1, linear.n, k, generator=torch.Generator().manual_seed(0))).Q
    for step in range(1, MOST + 1):  # noqa: B007 - what the last step was is returned
        U = linear.jvp(V)
        V, squares, _ = torch.linalg.svd(linear.vjp(U), full_matrices=False)
        S = squares.sqrt()  # of J^T J on the subspace
        if abs(S[0, -1] / exact[k - 1] - 1) <= wanted:
            break
    return S[0], 2 * k * step


def measure(args: argparse.Namespace, values: dict[str, list[float]]) -> dict:
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
            S, _ = power_method(jacobian.Linearised(denoiser, x, args.t), k, exact, wanted)
        products = sum(counted)
    seconds = time.process_time() - start
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"values": S.tolist(), "seconds": seconds, "memory": memory, "products": products}


def _counting(product, counted: list[int]):
    def count(self, vectors: Tensor) -> Tensor:
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
    parser.add_argument("--only", choices="abcd", help=argparse.SUPPRESS)
    parser.add_argument("--values", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args, json.loads(Path(args.values).read_text()))))
        return 0
    found: dict[str, dict] = {}
    print(
        f"{args.model or 'untrained U-Net'}, t = {args.t}; "
        f"torch {torch.__version__}, {platform.machine()}"
    )
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
                f"({which}) {shown['seconds']:.2f} CPU-s, {shown['products']} products, "
                f"{shown['memory']:.0f} MB more; off by {error:.1e}",
                flush=True,
            )
    seconds = {which: result["seconds"] for which, result in found.items()}
    print(
        f"b/a {seconds['b'] / seconds['a']:.1f}, b/c {seconds['b'] / seconds['c']:.1f}, "
        f"d/c {seconds['d'] / seconds['c']:.1f}"
    )
    top = torch.tensor([found[which]["values"][: args.triplets] for which in "abc"])
    return int((top / top[0] - 1).abs().max() > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
