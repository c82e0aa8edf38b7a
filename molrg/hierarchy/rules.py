"""Rules of a grammar: which tuples of symbols a symbol produces."""

from __future__ import annotations

import torch
from torch import Tensor

from molrg import checks


def random_rules(s: int, v: int, m: int, *, generator: torch.Generator) -> Tensor:
    """Draw the rules of one level: v m different s-tuples, dealt out to v symbols, none shared.

    Source: 2402.16991, random hierarchy model. That no tuple is shared is how we read it.

    Args:
        s: symbols that a symbol produces, >= 1.
        v: size of the vocabulary, >= 2.
        m: rules of each symbol, between 1 and v^(s-1).
        generator: source of randomness.

    Returns:
        (v, m, s) int64, on the CPU: entry [y, r] is the tuple that rule r of symbol y produces.

    Raises:
        ValueError: where no such rules exist.
    """
    s, v, m = check_grammar(s, v, m)
    if v**s <= 2**16:
        codes = torch.randperm(v**s, generator=generator, device="cpu")[: v * m]
        places = v ** torch.arange(s, device="cpu")
        return (codes[:, None] // places % v).reshape(v, m, s)
    tuples = torch.empty(0, s, dtype=torch.int64, device="cpu")
    while len(tuples) < v * m:
        fresh = torch.randint(v, (2 * v * m, s), generator=generator, device="cpu")
        tuples = torch.unique(torch.cat([tuples, fresh]), dim=0)
    order = torch.randperm(len(tuples), generator=generator, device="cpu")
    return tuples[order[: v * m]].reshape(v, m, s)


def check_grammar(s: int, v: int, m: int) -> tuple[int, int, int]:
    """The three as ints; ValueError unless v symbols can have m rules of s each, none shared."""
    s, v, m = checks.count("s", s), checks.count("v", v, 2), checks.count("m", m)
    if m > v ** (s - 1):
        why = "there are v^s tuples, and v symbols share none"
        raise ValueError(f"m = {m}: allowed is <= v^(s-1) = {v ** (s - 1)}: {why}")
    return s, v, m
