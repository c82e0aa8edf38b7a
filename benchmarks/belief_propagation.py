"""Belief propagation on the random hierarchy model: batched, and node by node.

    python benchmarks/belief_propagation.py [--samples 64] [--depth 10]

(a) ``RHM.marginals``, which handles all samples and all nodes of a level at once; (b) the recursion
that one would write first, one node of one sample at a time, run on one sample and scaled. One
thread. Exits with 1 where the two differ.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time

import torch
from torch import Tensor

from molrg.hierarchy import RHM, epsilon_evidence

SIZES = {"s": 2, "v": 32, "m": 8}
TOLERANCE = 1e-10


def node_by_node(model: RHM, evidence: Tensor) -> list[Tensor]:
    """(b) Marginals (nodes, v) of every level for one sample, leaves first."""
    up = [list((evidence - evidence.amax(-1, keepdim=True)).exp())]
    for rules in model.rules:
        level = []
        for k in range(0, len(up[-1]), model.s):
            weights = torch.stack([up[-1][k + i][rules[..., i]] for i in range(model.s)]).prod(0)
            message = weights.sum(1)
            level.append(message / message.sum())
        up.append(level)
    down = [[up[-1][0]]]
    for rules, messages in zip(reversed(model.rules), reversed(up[:-1]), strict=True):
        level = []
        for k, belief in enumerate(down[-1]):
            weights = torch.stack(
                [messages[model.s * k + i][rules[..., i]] for i in range(model.s)]
            ).prod(0)
            joint = belief[:, None] * weights / weights.sum(1, keepdim=True)
            level += [
                torch.zeros(model.v)
                .to(joint)
                .index_add(0, rules[..., i].flatten(), joint.flatten())
                for i in range(model.s)
            ]
        down.append(level)
    return [torch.stack(level) for level in reversed(down)]


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--depth", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    model = RHM.random(arguments.depth, **SIZES, generator=generator)
    leaves = model.sample(arguments.samples, generator=generator)[0]
    print(
        f"L = {model.L}, s = {model.s}, v = {model.v}, m = {model.m}, {len(leaves)} samples; "
        f"torch {torch.__version__}, {platform.machine()}"
    )
    for dtype in (torch.float32, torch.float64):
        evidence = epsilon_evidence(leaves, 0.6, model.v, dtype=dtype)
        model.marginals(evidence[:1])
        start = time.process_time()
        batched = model.marginals(evidence)
        print(f"(a) batched, {str(dtype)[6:]}: {time.process_time() - start:.2f} CPU-s")
    start = time.process_time()
    single = node_by_node(model, evidence[0])
    print(
        "(b) node by node, float64, scaled: "
        f"{(time.process_time() - start) * len(leaves):.1f} CPU-s"
    )
    worst = max((a[0] - b).abs().max().item() for a, b in zip(batched, single, strict=True))
    print(f"largest difference {worst:.1e}")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
