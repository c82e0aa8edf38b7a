"""Beliefs in an endless tree: mean field, its threshold, and density evolution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from molrg import checks
from molrg.hierarchy.messages import combine
from molrg.hierarchy.rules import check_grammar, random_rules


def mean_field_map(p: float | Tensor, s: int, v: int, m: int) -> float | Tensor:
    r"""Mean belief in the right symbol, one level up.

    F(p) = (p^s + f a (1-p^s)) / (p^s + f (1-p^s)).

    Belief p is put in the right symbol and the rest spread evenly. f = (mv-1)/(v^s-1) is the chance
    that another tuple is a rule at all, a = (m-1)/(mv-1) that it is then one of the same symbol.

    Source: ours, derived in the book; its slope at p = 1, s m (v-1)/(v^s-1), is that of 2410.13770.

    Raises:
        ValueError: where no such grammar exists, or p is no probability.
    """
    check_grammar(s, v, m)
    if not bool(((p >= 0) & (p <= 1)).all() if isinstance(p, Tensor) else 0 <= p <= 1):
        raise ValueError(f"p = {p}: allowed is a probability in [0, 1]")
    f = (m * v - 1) / (v**s - 1)
    a = (m - 1) / (m * v - 1)
    return (p**s + f * a * (1 - p**s)) / (p**s + f * (1 - p**s))


def fixed_point(s: int, v: int, m: int) -> float | None:
    """The unstable fixed point p* of `mean_field_map` in (1/v, 1); None without a transition.

    Beliefs above p* grow from level to level and the class is found, beliefs below fall to 1/v. For
    s = 2 it is (m-1)/(v-m), and exists for 2 <= m < (v+1)/2.

    Source: ours, from `mean_field_map`.

    Raises:
        ValueError: where no such grammar exists.
    """
    from scipy.optimize import brentq  # noqa: PLC0415 - slow to import

    s, v, m = check_grammar(s, v, m)
    f = (m * v - 1) / (v**s - 1)
    fa = (m - 1) / (v**s - 1)
    # F(p) = p without its root p = 1, highest power first; 1/v is a root, and there is one other
    polynomial = np.array([f - 1] + [f - fa] * (s - 1) + [-fa])
    rest = np.polydiv(polynomial, [1, -1 / v])[0]
    if s < 2 or np.polyval(rest, 1 / v) <= 0 or np.polyval(rest, 1) >= 0:
        return None
    return float(brentq(lambda p: np.polyval(rest, p), 1 / v, 1, xtol=1e-14))


def epsilon_threshold(s: int, v: int, m: int) -> float:
    """Noise eps* of the epsilon-process at which mean field loses the class: (1 - p*) v/(v-1).

    Source: ours, from `fixed_point`.

    Raises:
        ValueError: where no such grammar exists, or it has no transition.
    """
    p = fixed_point(s, v, m)
    if p is None:
        allowed = "one with a fixed point between 1/v and 1 (2 <= m < (v+1)/2 where s = 2)"
        raise ValueError(f"m = {m}: allowed is {allowed}")
    return (1 - p) * v / (v - 1)


def density_evolution(
    leaves: Callable[[int, torch.Generator], Tensor],
    depth: int,
    s: int,
    v: int,
    m: int,
    *,
    population: int = 4096,
    grammars: int = 64,
    generator: torch.Generator,
) -> Tensor:
    """Mean belief in the right symbol at every level of an endless random tree.

    It carries a population of messages from level to level.

    Unlike mean field it has the whole distribution of messages. Unlike a tree it draws fresh rules
    for every family, where a model shares its rules among all nodes of a level. Leaves of several
    noise levels may be followed at once: they share parents and rules.

    Source: ours; density evolution, or population dynamics, of belief propagation.

    Args:
        leaves: (count, generator) -> finite log-messages (count, v) of random leaves whose right
            symbol is 0; or (P, count, v), those of P noise levels.
        depth: levels above the leaves, >= 1.
        s: branching, >= 2.
        v: symbols, >= 2.
        m: rules a symbol.
        population: messages a level, >= grammars.
        grammars: rule sets drawn for each level, >= 1.
        generator: source of randomness; the same seed couples runs at different noise.

    Returns:
        (depth + 1,) mean probability of the right symbol given all that is below it, leaves first;
        or (P, depth + 1).

    Raises:
        ValueError: where an argument is out of range.
    """
    s, v, m = check_grammar(s, v, m)
    depth = checks.count("depth", depth)
    grammars = checks.count("grammars", grammars)
    population = checks.count("population", population, grammars)
    messages = leaves(population, generator)
    if messages.dim() not in (2, 3) or messages.shape[-2:] != (population, v):
        given = f"leaves(...).shape = {tuple(messages.shape)}"
        allowed = f"(population, v) = ({population}, {v}), or one more axis before"
        raise ValueError(f"{given}: allowed is {allowed}")
    messages = checks.finite("leaves(...)", messages).movedim(-2, 0)  # (population, *P, v)
    beliefs = [_mean_belief(messages)]
    for _ in range(depth):
        shape = (population, s)
        parents = torch.randint(population, shape, generator=generator, device="cpu")
        families = []
        for members in parents.to(messages.device).tensor_split(grammars):
            rules = random_rules(s, v, m, generator=generator)
            rules = (rules - rules[0, 0]) % v  # symbols renamed, so that the right tuple is 0 ... 0
            children = messages[members].movedim(-1, 0).movedim(2, -1)  # (v, family, *P, s)
            combined = combine(rules.to(messages.device), children.flatten(1, -2))[0]
            families.append(combined.unflatten(1, children.shape[1:-1]).movedim(0, -1))
        messages = torch.cat(families)
        beliefs.append(_mean_belief(messages))
    return torch.stack(beliefs, dim=-1)


def _mean_belief(messages: Tensor) -> Tensor:
    """Mean probability of symbol 0 over log-messages (population, *P, v)."""
    return messages.movedim(-1, 0).movedim(1, -1).softmax(0)[0].mean(-1)
