"""Ten directions of one image, from inversion to edits, in processor seconds.

    python benchmarks/editing.py [--model NAME_OR_FOLDER] [--t 0.5] [--k 10] [--steps 10]

Exits with 1 where `editing.directions` takes more than two seconds on a 28 x 28 image.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time

import torch

from molrg import editing, images, zoo
from molrg.denoisers import UNet

MOST = 2.0  # seconds


def main() -> int:
    """Measure three times, print, compare the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fashion-mnist")
    parser.add_argument("--t", type=float, default=0.5)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    denoiser = zoo.load_denoiser(args.model)
    assert isinstance(denoiser, UNet), f"{args.model} is no diffusion model"
    shape = denoiser.fixed_event
    small = shape == (1, 28, 28)
    x0 = (
        images.load("fashion-mnist-slice", "test", n=1)[0]
        if small
        else torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    )
    print(
        f"{args.model}, {shape}, t = {args.t}; torch {torch.__version__}, {platform.machine()},"
        " one thread"
    )
    found: dict[str, list[float]] = {"invert": [], "directions": [], "edit": []}
    for _ in range(3):
        clock = [time.process_time()]
        x_t = editing.invert(denoiser, x0, args.t, steps=args.steps)
        clock.append(time.process_time())
        vectors = editing.directions(denoiser, x_t, args.t, args.k).vectors[0]
        clock.append(time.process_time())
        editing.edit(denoiser, x_t, args.t, 2 * vectors, steps=args.steps)
        clock.append(time.process_time())
        for name, start, end in zip(found, clock, clock[1:], strict=False):
            found[name].append(end - start)
    for name, seconds in found.items():
        print(f"{name:10s} {min(seconds):.2f} to {max(seconds):.2f} CPU-s")
    return int(small and min(found["directions"]) > MOST)


if __name__ == "__main__":
    sys.exit(main())
