r"""The random hierarchy model: data that are the leaves of a tree of symbols, with exact inference.

Level L is the class, one symbol. A symbol of level l produces s symbols of level l - 1, by one of its m
rules, down to the s^L leaves of level 0. A tree is the list of its levels, leaves first.

What is known about the leaves enters as `log_evidence` (B, s^L, v): the logarithm of the likelihood of
every symbol at every leaf, up to a constant for each leaf; minus infinity rules a symbol out.

Belief propagation runs on logarithms, with the largest entry of every message removed. No product of
small numbers is ever formed, so nothing underflows, at whatever noise and depth. On the way down there
is no message to divide by: given its symbol, a node's rule depends on the evidence below it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from molrg import checks
from molrg.schedules import Schedule

Tree = list[Tensor]
_CELLS = 2**19  # rule weights held at once, a few megabytes: what caches hold


def random_rules(s: int, v: int, m: int, *, generator: torch.Generator) -> Tensor:
    """Draw the rules of one level: v m different s-tuples, dealt out to v symbols, none shared.

    Source: 2402.16991, random hierarchy model. That no tuple is shared is how we read it.

    Args:
        s: symbols that a symbol produces, >= 1.
        v: size of the vocabulary, >= 2.
        m: rules of each symbol, between 1 and v^(s-1).
        generator: source of randomness.

    Returns:
        (v, m, s) int64: entry [y, r] is the tuple that rule r of symbol y produces.

    Raises:
        ValueError: where no such rules exist.
    """
    _grammar(s, v, m)
    if v**s <= 2**16:
        codes = torch.randperm(v**s, generator=generator)[: v * m]
        return (codes[:, None] // v ** torch.arange(s) % v).reshape(v, m, s)
    found = torch.empty(0, s, dtype=torch.int64)
    while len(found) < v * m:
        fresh = torch.randint(v, (2 * v * m, s), generator=generator)
        found = torch.unique(torch.cat([found, fresh]), dim=0)
    return found[torch.randperm(len(found), generator=generator)[: v * m]].reshape(v, m, s)


def _grammar(s: int, v: int, m: int) -> None:
    checks.count("s", s), checks.count("v", v, 2), checks.count("m", m)
    checks.require(
        m <= v ** (s - 1),
        "m",
        m,
        f"<= v^(s-1) = {v ** (s - 1)}: there are v^s tuples, and v symbols share none",
    )


class RHM:
    """A random hierarchy model with given rules: sampling, parsing and exact posteriors.

    Source: 2402.16991, random hierarchy model; belief propagation is the standard one for trees.

    Args:
        rules: L tensors (v, m, s) of whole numbers in 0 ... v - 1; `rules[l - 1]` takes level l to
            level l - 1. No tuple may occur twice in a level.

    Raises:
        ValueError: where there is no level, shapes differ, or a tuple is shared.
    """

    def __init__(self, rules: Sequence[Tensor]) -> None:
        checks.require(
            len(rules) >= 1, "len(rules)", len(rules), ">= 1: a tree of depth 0 has no rules"
        )
        shapes = {tuple(level.shape) for level in rules}
        checks.require(
            len(shapes) == 1 and len(next(iter(shapes))) == 3,
            "rules shapes",
            sorted(shapes),
            "one shape (v, m, s)",
        )
        self.rules = [level.long() for level in rules]
        self.L, (self.v, self.m, self.s) = len(rules), self.rules[0].shape
        _grammar(self.s, self.v, self.m)
        for k, level in enumerate(self.rules):
            inside = bool(((level >= 0) & (level < self.v)).all())
            checks.require(
                inside,
                f"rules[{k}]",
                f"in {int(level.min())} ... {int(level.max())}",
                f"symbols 0 ... {self.v - 1}",
            )
            different = len(torch.unique(level.flatten(0, 1), dim=0))
            checks.require(
                different == self.v * self.m,
                f"rules[{k}]",
                f"{different} different tuples",
                f"v m = {self.v * self.m}, none shared",
            )

    @classmethod
    def random(cls, L: int, s: int, v: int, m: int, *, generator: torch.Generator) -> RHM:
        """Draw the rules of all levels.

        Args:
            L: depth, >= 1.
            s: branching, >= 1.
            v: symbols a level, >= 2; also the number of classes.
            m: rules a symbol, between 1 and v^(s-1).
            generator: source of randomness.

        Raises:
            ValueError: where an argument is out of range.
        """
        checks.count("L", L)
        return cls([random_rules(s, v, m, generator=generator) for _ in range(L)])

    def sample(self, N: int, *, generator: torch.Generator) -> Tree:
        """Draw N trees with uniform classes and rules.

        Returns:
            L + 1 tensors; entry l is level l, (N, s^(L-l)): leaves first, class last.
        """
        top = torch.randint(self.v, (checks.count("N", N), 1), generator=generator)
        levels = [top]
        for rules in reversed(self.rules):
            chosen = torch.randint(self.m, levels[-1].shape, generator=generator)
            levels.append(rules[levels[-1], chosen].flatten(1))
        return levels[::-1]

    def parse(self, leaves: Tensor) -> Tree:
        """The tree above given leaves; a symbol is -1 where no rule produces what is below it.

        Args:
            leaves: (N, s^L) symbols.

        Returns:
            L + 1 levels, as from `sample`. Each is unique, because no tuple is shared.
        """
        levels = [self._leaves(leaves)]
        for rules in self.rules:
            tuples = levels[-1].unflatten(1, (-1, self.s))
            fits = (tuples[:, :, None] == rules.flatten(0, 1)).all(-1)
            levels.append(torch.where(fits.any(-1), fits.int().argmax(-1) // self.m, -1))
        return levels

    def _leaves(self, leaves: Tensor) -> Tensor:
        fits = leaves.dim() == 2 and leaves.shape[1] == self.s**self.L
        checks.require(
            fits, "leaves.shape", tuple(leaves.shape), f"(N, s^L) = (N, {self.s**self.L})"
        )
        return leaves

    def class_posterior(self, log_evidence: Tensor) -> Tensor:
        """Posterior of the class, by the upward half of belief propagation.

        Args:
            log_evidence: (B, s^L, v), see the module.

        Returns:
            (B, v) probabilities, in the dtype of the evidence.

        Raises:
            ValueError: where a leaf has no possible symbol, or no sentence of the grammar is possible.
        """
        return torch.cat([self._up(part)[0].softmax(0).T for part in self._parts(log_evidence)])

    def marginals(self, log_evidence: Tensor) -> list[Tensor]:
        """Posterior of every symbol of the tree, by belief propagation up and down.

        Args:
            log_evidence: (B, s^L, v), see the module.

        Returns:
            L + 1 tensors; entry l is level l, (B, s^(L-l), v), probabilities over the last axis.

        Raises:
            ValueError: as `class_posterior`.
        """
        parts = [self._down(*self._up(part, keep=True)) for part in self._parts(log_evidence)]
        return [torch.cat(level) for level in zip(*parts, strict=True)][::-1]

    def posterior_sample(self, log_evidence: Tensor, *, generator: torch.Generator) -> Tree:
        """Draw one tree for each item of evidence, exactly: the class, then rules from the top down.

        Args:
            log_evidence: (B, s^L, v), see the module.
            generator: source of randomness.

        Returns:
            L + 1 levels, as from `sample`, with N = B.

        Raises:
            ValueError: as `class_posterior`.
        """
        parts = [
            self._draw(*self._up(part, keep=True), generator) for part in self._parts(log_evidence)
        ]
        return [torch.cat(level) for level in zip(*parts, strict=True)][::-1]

    def _parts(self, log_evidence: Tensor) -> Iterator[Tensor]:
        shape, wanted = tuple(log_evidence.shape), (self.s**self.L, self.v)
        checks.require(
            len(shape) == 3 and shape[0] >= 1 and shape[1:] == wanted,
            "log_evidence.shape",
            shape,
            f"(B, s^L, v) = (B, {wanted[0]}, {wanted[1]})",
        )
        checks.require(
            log_evidence.is_floating_point(),
            "log_evidence.dtype",
            log_evidence.dtype,
            "a floating type",
        )
        top = log_evidence.amax(-1)
        bad = (~torch.isfinite(top)).nonzero()  # NaN and +infinity end in the maximum too
        where = (
            f"evidence with maximum {top[tuple(bad[0])]:g} at sample {bad[0, 0]}, leaf {bad[0, 1]}"
            if len(bad)
            else ""
        )
        checks.require(
            len(bad) == 0,
            "log_evidence",
            where,
            "logarithms below infinity, one of each leaf finite",
        )
        size = max(1, _CELLS // (self.v * self.m * self.s ** (self.L - 1)))
        yield from (log_evidence - top.unsqueeze(-1)).split(size)

    def _up(self, log_evidence: Tensor, keep: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Log-message at the class, (v, B), and the weights of the rules of each level, leaves first."""
        messages, kept = log_evidence.permute(2, 0, 1).flatten(1), []
        for rules in self.rules:
            messages, weights, total = _combine(rules, messages.unflatten(1, (-1, self.s)))
            possible = bool(torch.isfinite(messages).any(0).all())
            checks.require(
                possible,
                "log_evidence",
                "evidence that contradicts every rule at some node",
                "evidence that a sentence of the grammar can give",
            )
            if keep:
                kept.append(
                    weights.div_(total.clamp_min(torch.finfo(total.dtype).tiny).unsqueeze(1))
                )
        return messages, kept

    def _down(self, messages: Tensor, kept: list[Tensor]) -> list[Tensor]:
        belief, B = messages.softmax(0), messages.shape[1]
        levels = [belief]
        for rules, weights in zip(reversed(self.rules), reversed(kept), strict=True):
            joint = weights.mul_(belief.unsqueeze(1)).flatten(0, 1)
            zeros = torch.zeros_like(belief)
            children = [zeros.index_add(0, rules[..., i].flatten(), joint) for i in range(self.s)]
            belief = torch.stack(children, dim=-1).flatten(1)
            levels.append(belief)
        return [level.unflatten(1, (B, -1)).permute(1, 2, 0) for level in levels]

    def _draw(
        self, messages: Tensor, kept: list[Tensor], generator: torch.Generator
    ) -> list[Tensor]:
        symbols, B = _pick(messages.softmax(0), generator), messages.shape[1]
        levels = [symbols]
        for rules, weights in zip(reversed(self.rules), reversed(kept), strict=True):
            chosen = _pick(weights[symbols, :, torch.arange(len(symbols))].T, generator)
            symbols = rules[symbols, chosen].flatten()
            levels.append(symbols)
        return [level.unflatten(0, (B, -1)) for level in levels]

    def denoiser(self, schedule: Schedule, *, amplitude: float = 1.0) -> TreeDenoiser:
        """The exact posterior mean for leaves embedded as one-hot vectors, `amplitude` e_symbol.

        Raises:
            ValueError: where amplitude <= 0.
        """
        return TreeDenoiser(self, schedule, amplitude)


def _combine(rules: Tensor, children: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-messages of C nodes from those of their children, (v, C, s), symbols first.

    A message is the logarithm of the sum over a symbol's rules of the product of the children's
    messages. The sum is taken relative to its largest term.

    Returns:
        messages (v, C) with maximum 0; relative weights of the rules (v, m, C); their sums (v, C).
    """
    v, m, s = rules.shape
    joint = children[..., 0].contiguous()[rules[..., 0].flatten()]
    for i in range(1, s):
        joint += children[..., i].contiguous()[rules[..., i].flatten()]
    joint = joint.unflatten(0, (v, m))
    top = joint.amax(1).clamp_min(
        torch.finfo(joint.dtype).min
    )  # no rule possible: 0 relative to anything
    weights = joint.sub_(top.unsqueeze(1)).exp_()
    total = weights.sum(1)
    message = top + total.log()
    return message - message.amax(0), weights, total


def _pick(weights: Tensor, generator: torch.Generator) -> Tensor:
    """One index a column of (k, C) non-negative weights, by inverting the distribution function."""
    cumulative = weights.double().cumsum(0)
    level = torch.rand(weights.shape[1], generator=generator, dtype=torch.float64) * cumulative[-1]
    return (cumulative <= level).sum(0).clamp_max(len(weights) - 1)


class TreeDenoiser:
    """Posterior mean of the embedded leaves of a random hierarchy model, by belief propagation.

    Called as ``denoiser(x_t, t)`` with x_t (B, s^L, v), or any event with as many entries.
    """

    def __init__(self, model: RHM, schedule: Schedule, amplitude: float = 1.0) -> None:
        self.model, self.schedule = model, schedule
        self.amplitude = checks.real("amplitude", amplitude, torch.finfo(torch.float32).tiny)

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        wanted = self.model.s**self.model.L * self.model.v
        checks.finite("x_t", x_t)
        checks.require(
            x_t.shape[1:].numel() == wanted,
            "x_t.shape",
            tuple(x_t.shape),
            f"(B, *event) with {wanted} entries each",
        )
        points = x_t.reshape(len(x_t), -1, self.model.v)
        s, gamma = self.schedule.at(t, points)
        leaves = self.model.marginals(_gaussian(points / s, self.amplitude, gamma / s))[0]
        return (self.amplitude * leaves).reshape(x_t.shape)


def epsilon_evidence(
    leaves: Tensor, epsilon: float | Tensor, v: int, *, dtype: torch.dtype = torch.float64
) -> Tensor:
    r"""Evidence of the epsilon-process: belief 1 - eps + eps/v in the true symbol, eps/v in each other.

    A thought experiment rather than a channel: the evidence is weak, and never wrong.

    Source: 2402.16991, as restated by a reading note on its sequel 2410.13770.

    Args:
        leaves: (B, N) true symbols in 0 ... v - 1.
        epsilon: in [0, 1], or one a sample, (B,).
        v: size of the vocabulary.
        dtype: of the result.

    Returns:
        log_evidence (B, N, v).

    Raises:
        ValueError: where epsilon or a symbol is out of range.
    """
    _symbols(leaves, v)
    epsilon = torch.as_tensor(epsilon, dtype=dtype)
    checks.require(
        bool(((epsilon >= 0) & (epsilon <= 1)).all()),
        "epsilon",
        epsilon.tolist(),
        "numbers in [0, 1]",
    )
    right = torch.nn.functional.one_hot(leaves, v).to(dtype)
    epsilon = epsilon.reshape(-1, 1, 1) if epsilon.dim() else epsilon
    return ((1 - epsilon) * right + epsilon / v).log()


def gaussian_evidence(x: Tensor, sigma: float, *, amplitude: float = 1.0) -> Tensor:
    r"""Evidence of one-hot leaves seen through Gaussian noise: x = amplitude e_symbol + sigma eps.

    Args:
        x: noisy leaves (B, N, v).
        sigma: standard deviation per coordinate, > 0.
        amplitude: length of the one-hot vectors, > 0.

    Returns:
        log_evidence, amplitude x_y / sigma^2 up to a constant for each leaf.

    Raises:
        ValueError: where an argument is out of range or x is not finite.
    """
    smallest = torch.finfo(torch.float32).tiny
    checks.finite("x", x), checks.real("amplitude", amplitude, smallest)
    return _gaussian(
        x, amplitude, torch.as_tensor(checks.real("sigma", sigma, smallest), dtype=x.dtype)
    )


def _gaussian(x: Tensor, amplitude: float, sigma: Tensor) -> Tensor:
    sigma = sigma.clamp_min(1e-30)
    below = (
        (x - x.amax(-1, keepdim=True)) / sigma * (amplitude / sigma)
    )  # sigma squared could underflow
    return below.clamp_min(
        -1e30
    )  # finite, so that a sentence outside the grammar is unlikely, not impossible


def _symbols(leaves: Tensor, v: int) -> None:
    checks.count("v", v, 2)
    whole = leaves.dtype == torch.int64 and leaves.dim() == 2 and leaves.numel() > 0
    checks.require(
        whole,
        "leaves",
        f"{leaves.dtype} of shape {tuple(leaves.shape)}",
        "int64 symbols of shape (B, N)",
    )
    inside = int(leaves.min()) >= 0 and int(leaves.max()) < v
    checks.require(
        inside,
        "leaves",
        f"in {int(leaves.min())} ... {int(leaves.max())}",
        f"symbols 0 ... {v - 1}",
    )


def overlap(first: Tree, second: Tree) -> Tensor:
    """Share of equal symbols, level by level.

    Args:
        first: L + 1 levels (N, ...), as from `RHM.sample`.
        second: the same shapes.

    Returns:
        (N, L + 1), leaves first, float64.

    Raises:
        ValueError: where the shapes differ.
    """
    shapes = [[tuple(level.shape) for level in tree] for tree in (first, second)]
    checks.require(
        shapes[0] == shapes[1], "second shapes", shapes[1], f"those of first, {shapes[0]}"
    )
    return torch.stack(
        [(a == b).double().mean(1) for a, b in zip(first, second, strict=True)], dim=1
    )


def mean_field_map(p: float | Tensor, s: int, v: int, m: int) -> float | Tensor:
    r"""Mean belief in the right symbol, one level up: F(p) = (p^s + f a (1-p^s)) / (p^s + f (1-p^s)).

    Belief p is put in the right symbol and the rest spread evenly. f = (mv-1)/(v^s-1) is the chance that
    another tuple is a rule at all, a = (m-1)/(mv-1) that it is then one of the same symbol.

    Source: ours, derived in the book; its slope at p = 1, s m (v-1)/(v^s-1), is that of 2410.13770.

    Raises:
        ValueError: where no such grammar exists, or p is no probability.
    """
    _grammar(s, v, m)
    checks.require(
        bool(torch.as_tensor((p >= 0) & (p <= 1)).all()), "p", p, "a probability in [0, 1]"
    )
    f, a = (m * v - 1) / (v**s - 1), (m - 1) / (m * v - 1)
    return (p**s + f * a * (1 - p**s)) / (p**s + f * (1 - p**s))


def fixed_point(s: int, v: int, m: int) -> float | None:
    """The unstable fixed point p* of `mean_field_map` in (1/v, 1); None where there is no transition.

    Beliefs above p* grow from level to level and the class is found, beliefs below fall to 1/v. For
    s = 2 it is (m-1)/(v-m), and exists for 2 <= m < (v+1)/2.

    Source: ours, from `mean_field_map`.

    Raises:
        ValueError: where no such grammar exists.
    """
    _grammar(s, v, m)
    f, fa = (m * v - 1) / (v**s - 1), (m - 1) / (v**s - 1)
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
    checks.require(
        p is not None,
        "m",
        m,
        "one with a fixed point between 1/v and 1 (2 <= m < (v+1)/2 where s = 2)",
    )
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
    """Mean belief in the right symbol at every level of an endless random tree, by a population of messages.

    Unlike mean field it carries the whole distribution of messages from level to level. Unlike a tree
    it draws fresh rules for every family, where a model shares its rules among all nodes of a level.

    Source: ours; density evolution, or population dynamics, of belief propagation.

    Args:
        leaves: (count, generator) -> log-messages (count, v) of random leaves whose right symbol is 0.
        depth: levels above the leaves, >= 1.
        s: branching, >= 2.
        v: symbols, >= 2.
        m: rules a symbol.
        population: messages a level, >= grammars.
        grammars: rule sets drawn for each level, >= 1.
        generator: source of randomness; the same seed couples runs at different noise.

    Returns:
        (depth + 1,) mean probability of the right symbol given all that is below it, leaves first.

    Raises:
        ValueError: where an argument is out of range.
    """
    _grammar(s, v, m), checks.count("depth", depth)
    checks.count("population", population, checks.count("grammars", grammars))
    messages = leaves(population, generator)
    checks.require(
        messages.shape == (population, v),
        "leaves(...).shape",
        tuple(messages.shape),
        f"(population, v) = ({population}, {v})",
    )
    messages = checks.finite("leaves(...)", messages).T
    beliefs = [messages.softmax(0)[0].mean()]
    for _ in range(depth):
        parents = torch.randint(population, (population, s), generator=generator)
        families = []
        for members in parents.chunk(grammars):
            rules = random_rules(s, v, m, generator=generator)
            rules = (rules - rules[0, 0]) % v  # symbols renamed, so that the right tuple is 0 ... 0
            families.append(_combine(rules, messages[:, members])[0])
        messages = torch.cat(families, dim=1)
        beliefs.append(messages.softmax(0)[0].mean())
    return torch.stack(beliefs)
