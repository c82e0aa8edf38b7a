r"""The random hierarchy model: data that are the leaves of a tree of symbols; exact inference.

Level L is the class, one symbol. A symbol of level l produces s symbols of level l - 1, by one of
its m rules, down to the s^L leaves of level 0. A tree is the list of its levels, leaves first.

What is known about the leaves enters as `log_evidence` (B, s^L, v): the logarithm of the likelihood
of every symbol at every leaf, up to a constant for each leaf; minus infinity rules a symbol out.

Belief propagation runs on logarithms, with the largest entry of every message removed. No product
of small numbers is ever formed, so nothing underflows, at whatever noise and depth. On the way down
there is no message to divide by: given its symbol, a node's rule depends on the evidence below it
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from molrg import checks
from molrg.hierarchy.evidence import gaussian
from molrg.hierarchy.messages import combine, pick
from molrg.hierarchy.rules import check_grammar, random_rules
from molrg.schedules import Schedule

Tree = list[Tensor]
_CELLS = 2**19  # rule weights held at once, a few megabytes: what caches hold


class RHM:
    """A random hierarchy model with given rules: sampling, parsing and exact posteriors.

    Source: 2402.16991, random hierarchy model; belief propagation is the standard one for trees.

    Args:
        rules: L tensors (v, m, s) of whole numbers in 0 ... v - 1; `rules[l - 1]` takes level l to
            level l - 1. No tuple may occur twice in a level.

    Raises:
        ValueError: where there is no level, shapes differ, a symbol is no whole number or out of
            range, or a tuple is shared.
    """

    def __init__(self, rules: Sequence[Tensor]) -> None:
        shapes = sorted({tuple(level.shape) for level in rules})
        if not shapes:
            raise ValueError("len(rules) = 0: allowed is >= 1: a tree of depth 0 has no rules")
        if len(shapes) != 1 or len(shapes[0]) != 3:
            raise ValueError(f"rules shapes = {shapes}: allowed is one shape (v, m, s)")
        self.L = len(rules)
        self.v, self.m, self.s = shapes[0]
        check_grammar(self.s, self.v, self.m)
        for k, level in enumerate(rules):
            _check_level(f"rules[{k}]", level)
        self.rules = [level.long() for level in rules]

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
        depth = checks.count("L", L)
        return cls([random_rules(s, v, m, generator=generator) for _ in range(depth)])

    @property
    def device(self) -> torch.device:
        """Where the rules are; evidence and leaves have to be there, too."""
        return self.rules[0].device

    def to(self, device: torch.device | str) -> RHM:
        """Move the rules to a device; returns the model itself."""
        self.rules = [level.to(device) for level in self.rules]
        return self

    def sample(self, N: int, *, generator: torch.Generator) -> Tree:
        """Draw N trees with uniform classes and rules.

        Returns:
            L + 1 tensors; entry l is level l, (N, s^(L-l)): leaves first, class last.
        """
        shape = (checks.count("N", N), 1)
        top = torch.randint(self.v, shape, generator=generator, device="cpu")
        levels = [top.to(self.device)]
        for rules in reversed(self.rules):
            nodes = levels[-1].shape
            chosen = torch.randint(self.m, nodes, generator=generator, device="cpu")
            levels.append(rules[levels[-1], chosen.to(self.device)].flatten(1))
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
        if leaves.dim() != 2 or leaves.shape[1] != self.s**self.L:
            allowed = f"(N, s^L) = (N, {self.s**self.L})"
            raise ValueError(f"leaves.shape = {tuple(leaves.shape)}: allowed is {allowed}")
        return leaves

    def class_posterior(self, log_evidence: Tensor) -> Tensor:
        """Posterior of the class, by the upward half of belief propagation.

        Args:
            log_evidence: (B, s^L, v), see the module.

        Returns:
            (B, v) probabilities, in the dtype of the evidence.

        Raises:
            ValueError: where a leaf has no possible symbol, or the grammar no possible sentence.
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
        """Draw one tree for each item of evidence: the class, then rules from the top down.

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
        shape = log_evidence.shape
        wanted = torch.Size((self.s**self.L, self.v))
        if len(shape) != 3 or shape[0] < 1 or shape[1:] != wanted:
            allowed = f"(B, s^L, v) = (B, {wanted[0]}, {wanted[1]})"
            raise ValueError(f"log_evidence.shape = {tuple(shape)}: allowed is {allowed}")
        if not log_evidence.is_floating_point():
            raise ValueError(
                f"log_evidence.dtype = {log_evidence.dtype}: allowed is a floating type"
            )
        top = log_evidence.amax(-1)
        bad = (~torch.isfinite(top)).nonzero()  # NaN and +infinity end in the maximum, too
        if len(bad):
            sample, leaf = bad[0].tolist()
            raise ValueError(
                f"log_evidence = evidence with maximum {float(top[sample, leaf]):g} at sample "
                f"{sample}, leaf {leaf}: allowed is logarithms below infinity, one of each leaf "
                "finite"
            )
        size = max(1, _CELLS // (self.v * self.m * self.s ** (self.L - 1)))
        yield from (log_evidence - top.unsqueeze(-1)).split(size)

    def _up(self, log_evidence: Tensor, keep: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Log-message at the class, (v, B); weights of the rules of each level, leaves first."""
        messages = log_evidence.permute(2, 0, 1).flatten(1)
        kept = []
        for rules in self.rules:
            messages, weights, total = combine(rules, messages.unflatten(1, (-1, self.s)))
            if not torch.isfinite(messages).any(0).all():
                raise ValueError(
                    "log_evidence = evidence that contradicts every rule at some node: allowed is "
                    "evidence that a sentence of the grammar can give"
                )
            if keep:
                tiny = torch.finfo(total.dtype).tiny
                kept.append(weights.div_(total.clamp_min(tiny).unsqueeze(1)))
        return messages, kept

    def _down(self, messages: Tensor, kept: list[Tensor]) -> list[Tensor]:
        belief = messages.softmax(0)
        B = messages.shape[1]
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
        symbols = pick(messages.softmax(0), generator)
        B = messages.shape[1]
        levels = [symbols]
        for rules, weights in zip(reversed(self.rules), reversed(kept), strict=True):
            nodes = torch.arange(len(symbols), device=symbols.device)
            chosen = pick(weights[symbols, :, nodes].T, generator)
            symbols = rules[symbols, chosen].flatten()
            levels.append(symbols)
        return [level.unflatten(0, (B, -1)) for level in levels]

    def denoiser(self, schedule: Schedule, *, amplitude: float = 1.0) -> TreeDenoiser:
        """The exact posterior mean for leaves embedded as one-hot vectors, `amplitude` e_symbol.

        Raises:
            ValueError: where amplitude <= 0.
        """
        return TreeDenoiser(self, schedule, amplitude)


def _check_level(name: str, rules: Tensor) -> None:
    """Raise ValueError unless the rules (v, m, s) of one level are symbols and share no tuple."""
    v, m, _ = rules.shape
    if rules.is_floating_point() or rules.is_complex() or rules.dtype == torch.bool:
        raise ValueError(f"{name}.dtype = {rules.dtype}: allowed is a type of whole numbers")
    least, most = (int(end) for end in rules.aminmax())
    if least < 0 or most >= v:
        raise ValueError(f"{name} = in {least} ... {most}: allowed is symbols 0 ... {v - 1}")
    different = len(torch.unique(rules.flatten(0, 1), dim=0))
    if different != v * m:
        given = f"{name} = {different} different tuples"
        raise ValueError(f"{given}: allowed is v m = {v * m}, none shared")


class TreeDenoiser:
    """Posterior mean of the embedded leaves of a random hierarchy model, by belief propagation.

    Called as ``denoiser(x_t, t)`` with x_t (B, s^L, v), or any event with as many entries.
    """

    def __init__(self, model: RHM, schedule: Schedule, amplitude: float = 1.0) -> None:
        self.model = model
        self.schedule = schedule
        self.amplitude = checks.real("amplitude", amplitude, torch.finfo(torch.float32).tiny)

    def to(self, device: torch.device | str) -> TreeDenoiser:
        """Move the rules to a device; returns the denoiser itself."""
        self.model.to(device)
        return self

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """The posterior mean of the leaves, in the shape and the dtype of x_t."""
        wanted = self.model.s**self.model.L * self.model.v
        checks.finite("x_t", x_t)
        if x_t.shape[1:].numel() != wanted:
            allowed = f"(B, *event) with {wanted} entries each"
            raise ValueError(f"x_t.shape = {tuple(x_t.shape)}: allowed is {allowed}")
        points = checks.at_least_single(x_t).reshape(len(x_t), -1, self.model.v)
        s, gamma = self.schedule.at(t, points)
        leaves = self.model.marginals(gaussian(points / s, self.amplitude, gamma / s))[0]
        return (self.amplitude * leaves).reshape(x_t.shape).to(x_t.dtype)


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
    if shapes[0] != shapes[1]:
        raise ValueError(f"second shapes = {shapes[1]}: allowed is those of first, {shapes[0]}")
    shares = [(a == b).double().mean(1) for a, b in zip(first, second, strict=True)]
    return torch.stack(shares, dim=1)
