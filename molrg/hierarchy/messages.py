"""Messages of belief propagation on logarithms: one level up, and a draw on the way down."""

from __future__ import annotations

import torch
from torch import Tensor

from molrg import draws


def combine(rules: Tensor, children: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-messages of C nodes from those of their children, (v, C, s), symbols first.

    A message is the logarithm of the sum over a symbol's rules of the product of the children's
    messages. The sum is taken relative to its largest term.

    Args:
        rules: (v, m, s).
        children: log-messages (v, C, s).

    Returns:
        messages (v, C) with maximum 0; relative weights of the rules (v, m, C); their sums (v, C).
    """
    v, m, s = rules.shape
    joint = children[..., 0].contiguous().index_select(0, rules[..., 0].flatten())
    for i in range(1, s):
        joint += children[..., i].contiguous().index_select(0, rules[..., i].flatten())
    joint = joint.unflatten(0, (v, m))
    # the smallest number where no rule is possible: 0 relative to anything
    top = joint.amax(1).clamp_min(torch.finfo(joint.dtype).min)
    weights = joint.sub_(top.unsqueeze(1)).exp_()
    total = weights.sum(1)
    message = top + total.log()
    return message - message.amax(0), weights, total


def pick(weights: Tensor, generator: torch.Generator) -> Tensor:
    """One index a column of (k, C) non-negative weights, by inverting the distribution function."""
    cumulative = weights.double().cumsum(0)
    columns = (weights.shape[1],)
    share = draws.uniform(
        columns, generator=generator, dtype=torch.float64, device=cumulative.device
    )
    level = share * cumulative[-1]
    return (cumulative <= level).sum(0).clamp_max(len(weights) - 1)
