r"""Assign and refit: the alternation of K-subspaces, for many data sets and many starts at once.

The objective :math:`\sum_i \max_k \|U_k^T x_i\|^2` sees of a basis only the part inside the span of
the data. So the loop runs in the row space of each data set, of dimension r <= min(N, n), and lifts
the bases to n dimensions at the end. A run is one start on one data set; runs that have come to
rest are left out of the next round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from molrg import draws

_BLOCK = 1 << 18  # numbers in the covariances of one block of runs: 2 MB, which stays in the cache
_POLAR_STEPS = 4  # after each assignment, where bases are jointly orthonormal
_CLIMBING = 1e-12  # relative gain of the objective below which a run is at rest


def polar(x: Tensor) -> Tensor:
    r"""Nearest matrix with orthonormal columns: the polar factor of (..., n, m), m <= n.

    It is also the V with orthonormal columns that maximises :math:`\operatorname{tr}(V^T x)`.

    Source: standard (Higham, 2008, chapter 8).
    """
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    return left @ right


def row_space(x: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal bases V (D, n, r) of the row spaces of x (D, N, n), and coordinates x V.

    r is the largest numerical rank among the D; where it is n, V is the identity.
    """
    n = x.shape[-1]
    values, rows = torch.linalg.svd(x, full_matrices=False)[1:]
    rounding = max(x.shape[-2:]) * torch.finfo(x.dtype).eps * values[:, :1]
    r = max(int((values > rounding).sum(-1).max()), 1)
    if r == n:
        return torch.eye(n, dtype=x.dtype, device=x.device).expand(len(x), n, n), x
    V = rows[:, :r].mT
    return V, x @ V


@dataclass
class Runs:
    """R starts on each of D data sets, P = D R runs in all.

    Bases are padded with zero columns to m columns. One that leaves the row space (a start, or one
    completed at random) is held in n dimensions and marked.

    Attributes:
        V: row spaces (D, n, r).
        z: coordinates of the data (D, N, r).
        wanted: (K, m) booleans, the columns that are no padding.
        inner: the bases as the data see them, (P, K, r, m).
        full: bases (P, K, n, m), valid where `outside`.
        outside: (P, K) booleans.
        labels: (P, N) current assignment, -1 where there is none yet.
        generators: a source for each data set (the same one where it is shared).
        joint: whether [U_1 ... U_K] is orthonormal, or each basis by itself.
    """

    V: Tensor
    z: Tensor
    wanted: Tensor
    inner: Tensor
    full: Tensor
    outside: Tensor
    labels: Tensor
    generators: Sequence[torch.Generator]
    joint: bool

    def __post_init__(self) -> None:
        self._spare: dict[int, Tensor] = {}
        self._kept = self.wanted.flatten().nonzero().squeeze(1)

    @classmethod
    def of(
        cls,
        x: Tensor,
        start: Sequence[Tensor],
        labels: Tensor,
        generators: Sequence[torch.Generator],
        joint: bool,
    ) -> Runs:
        """Begin with K bases (D, R, n, d_k), and with labels (D, R, N) where they are not -1."""
        V, z = row_space(x)
        sizes = [basis.shape[-1] for basis in start]
        m = max(sizes)
        dims = torch.tensor(sizes, device=x.device)
        wanted = torch.arange(m, device=x.device) < dims.unsqueeze(-1)
        if joint:
            start = polar(torch.cat(tuple(start), -1)).split(sizes, -1)
        padded = [pad(basis, (0, m - basis.shape[-1])) for basis in start]
        full = torch.stack(padded, 2)  # (D, R, K, n, m)
        inner = V.mT[:, None, None] @ full
        outside = full.new_ones(full.shape[:3], dtype=torch.bool)
        return cls(
            V,
            z,
            wanted,
            inner.flatten(0, 1),
            full.flatten(0, 1),
            outside.flatten(0, 1),
            labels.flatten(0, 1),
            generators,
            joint,
        )

    def of_runs(self, tensor: Tensor, runs: Tensor) -> Tensor:
        """The entries of a (D, ...) tensor that belong to these runs."""
        if len(tensor) == 1:
            return tensor.expand(len(runs), *tensor.shape[1:])  # not copied
        return tensor[runs // (len(self.labels) // len(self.z))]

    def energies(self, runs: Tensor) -> Tensor:
        """Squared projections of the points on the bases, (runs, K, N)."""
        return (self.of_runs(self.z, runs).unsqueeze(1) @ self.inner[runs]).square().sum(-1)

    def refit(self, runs: Tensor) -> None:
        """The best bases for the labels of these runs; a cluster without points keeps its basis."""
        z = self.of_runs(self.z, runs).unsqueeze(1)
        assigned = one_hot(self.labels[runs], len(self.wanted))
        member = assigned.mT.unsqueeze(-1).to(z.dtype)  # (runs, K, N, 1)
        covariances, counts = (z * member).mT @ z, member.sum((-2, -1))
        (self._refit_jointly if self.joint else self._refit_each)(runs, covariances, counts)

    def _refit_each(self, runs: Tensor, covariances: Tensor, counts: Tensor) -> None:
        r, m = covariances.shape[-1], self.wanted.shape[-1]
        vectors = torch.linalg.eigh(covariances).eigenvectors[..., -m:].flip(-1)
        vectors = pad(vectors, (0, max(m - r, 0)))
        reached = torch.arange(m, device=counts.device) < counts.clamp(max=r).unsqueeze(-1)
        known = self.wanted & reached  # (runs, K, m)
        filled = counts > 0
        vectors = vectors * known.unsqueeze(-2)
        self.inner[runs] = torch.where(filled[..., None, None], vectors, self.inner[runs])
        self.outside[runs] &= ~filled
        row, k = (filled & (known != self.wanted).any(-1)).nonzero(as_tuple=True)
        if len(row):
            self._complete(runs[row], k, known[row, k])

    def _complete(self, runs: Tensor, k: Tensor, known: Tensor) -> None:
        """Fewer points than dimensions: directions that are not `known` (C, m) are drawn."""
        V = self.of_runs(self.V, runs)
        drawn = torch.stack([columns[i] for columns, i in zip(self.spare(runs), k, strict=True)])
        given = torch.where(known.unsqueeze(1), V @ self.inner[runs, k], drawn)
        # the known columns come first and stay
        full = torch.linalg.qr(given).Q * self.wanted[k].unsqueeze(1)
        self.full[runs, k] = full
        self.inner[runs, k] = V.mT @ full
        self.outside[runs, k] = True

    def _refit_jointly(self, runs: Tensor, covariances: Tensor, counts: Tensor) -> None:
        r, sizes = covariances.shape[-1], self.wanted.sum(-1)
        enough = (counts >= sizes).all(-1) & (int(sizes.sum()) <= r)
        if enough.any():
            self._polar_steps(runs[enough], covariances[enough])
        if not enough.all():
            self._completed_polar_steps(runs[~enough], covariances[~enough])

    def _polar_steps(self, runs: Tensor, covariances: Tensor) -> None:
        inner = self.inner[runs]
        for _ in range(_POLAR_STEPS):
            inner = self._blocks(polar(self._columns(covariances @ inner)))
        self.inner[runs] = inner
        self.outside[runs] = False

    def _completed_polar_steps(self, runs: Tensor, covariances: Tensor) -> None:
        """Polar steps where the points of some cluster are too few: the rest is drawn."""
        V, inner = self.of_runs(self.V, runs), self.inner[runs]
        spare = self._columns(torch.stack(self.spare(runs)))
        for _ in range(_POLAR_STEPS):
            climbed = V @ self._columns(covariances @ inner)
            full = self._blocks(self._polar_completed(climbed, spare))
            inner = V.mT.unsqueeze(1) @ full
        self.full[runs] = full
        self.inner[runs] = inner
        self.outside[runs] = True

    @staticmethod
    def _polar_completed(x: Tensor, spare: Tensor) -> Tensor:
        """The polar factor of x (C, n, m), completed at random where its rank is too low."""
        left, values, right = torch.linalg.svd(x, full_matrices=False)
        known = values > 1e3 * torch.finfo(x.dtype).eps * values[:, :1]
        Q, R = torch.linalg.qr(torch.where(known.unsqueeze(1), left, spare))
        return (Q * R.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(1)) @ right

    def _columns(self, blocks: Tensor) -> Tensor:
        """[U_1 ... U_K] (C, rows, sum of d_k) from padded blocks (C, K, rows, m)."""
        return blocks.movedim(1, 2).flatten(2).index_select(-1, self._kept)

    def _blocks(self, columns: Tensor) -> Tensor:
        padded = columns.new_zeros(*columns.shape[:2], self.wanted.numel())
        padded.index_copy_(-1, self._kept, columns)
        return padded.unflatten(2, tuple(self.wanted.shape)).movedim(2, 1)

    def spare(self, runs: Tensor) -> list[Tensor]:
        """Gaussian columns (K, n, m) of each run, drawn for a data set when it first needs them."""
        starts = len(self.labels) // len(self.z)
        for i in (runs // starts).unique().tolist():
            if i not in self._spare:
                shape = (starts, *self.full.shape[1:])
                source = self.generators[i]
                drawn = draws.normal(shape, generator=source, dtype=torch.float64)
                self._spare[i] = drawn.to(self.full)
        return [self._spare[run // starts][run % starts] for run in runs.tolist()]

    def bases(self) -> list[Tensor]:
        """The K bases in n dimensions, each (P, n, d_k)."""
        inner = self.inner.unflatten(0, (len(self.z), -1))
        lifted = torch.einsum("dni, drkim -> drknm", self.V, inner).flatten(0, 1)
        chosen = torch.where(self.outside[..., None, None], self.full, lifted)
        return [chosen[:, k, :, :d].clone() for k, d in enumerate(self.wanted.sum(-1).tolist())]

    def climb(self, max_iterations: int) -> int:
        """Assign and refit until no run moves; returns the number of rounds."""
        given = (self.labels[:, 0] >= 0).nonzero().squeeze(1)
        if len(given):
            self.refit(given)
            self.labels[given] = -1
        active = torch.arange(len(self.labels), device=self.labels.device)
        reached = self.inner.new_zeros(len(self.labels))
        rounds = 0
        while len(active) and rounds < max_iterations:
            rounds += 1
            energy, labels = self.energies(active).max(1)
            total = energy.sum(-1)
            # a point on two bases may go back and forth without end; polar steps climb while
            # the labels stay
            climbing = total > reached[active] * (1 + _CLIMBING)
            moved = climbing & ((labels != self.labels[active]).any(-1) | self.joint)
            reached[active] = total
            self.labels[active] = labels
            active = active[moved]
            if len(active):
                self.refit(active)
        return rounds


@dataclass(frozen=True)
class Alternated:
    """What `alternate` returns.

    Attributes:
        bases: K of (D, R, n, d_k).
        labels: (D, R, N).
        objectives: mean squared projections, (D, R).
        iterations: rounds until all runs were at rest.
    """

    bases: list[Tensor]
    labels: Tensor
    objectives: Tensor
    iterations: int


def alternate(
    x: Tensor,
    start: Sequence[Tensor],
    labels: Tensor,
    *,
    joint: bool = False,
    max_iterations: int = 100,
    generators: Sequence[torch.Generator],
) -> Alternated:
    r"""Climb from R starts on each of D data sets.

    With ``joint=True`` the refit, max of :math:`\sum_k \operatorname{tr} U_k^T C_k U_k` over
    jointly orthonormal bases, has no closed form for K >= 2; it is replaced by steps
    :math:`[U_1 \dots U_K] \leftarrow \operatorname{polar}[C_1 U_1 \dots C_K U_K]`, none of which
    descends. (A convex function lies above its tangent, and the polar factor maximises the
    tangent.)

    Source: ours; the step is minorise and maximise, as in the generalised power method (Journee et
        al., 2010).

    Args:
        x: data (D, N, n).
        start: K orthonormal bases, each (D, R, n, d_k).
        labels: (D, R, N) first assignments that go before the bases, or -1 where there are none.
        joint: keep [U_1 ... U_K] orthonormal, not only each U_k.
        max_iterations: alternations at most.
        generators: a source for each data set, for clusters with fewer points than dimensions.
    """
    size = max(len(start) * start[0].shape[1] * min(x.shape[1:]) ** 2, 1)
    parts, iterations = [], 0
    for part in torch.arange(len(x), device=x.device).split(max(_BLOCK // size, 1)):
        runs = Runs.of(
            x[part],
            [basis[part] for basis in start],
            labels[part],
            [generators[i] for i in part],
            joint,
        )
        rounds = runs.climb(max_iterations)
        everyone = torch.arange(len(runs.labels), device=x.device)
        energy, chosen = runs.energies(everyone).max(1)
        parts.append((*runs.bases(), chosen, energy.mean(-1)))
        iterations = max(iterations, rounds)
    *bases, chosen, objectives = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    shape = (len(x), start[0].shape[1])
    return Alternated(
        [basis.unflatten(0, shape) for basis in bases],
        chosen.view(*shape, -1),
        objectives.view(shape),
        iterations,
    )
