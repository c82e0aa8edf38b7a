"""The energy rank: from singular values, or by products alone with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.special import stdtrit
from torch import Tensor

from molrg import checks, draws
from molrg.denoisers.protocol import Denoiser
from molrg.jacobian.krylov import BlockKrylov, Triplets, require_precise
from molrg.jacobian.operator import Linearised


def numerical_rank(singular_values: Tensor, eta: float = 0.99) -> Tensor:
    r"""The energy rank of a matrix with these singular values.

    The smallest r with :math:`\sqrt{\sum_{i \le r} s_i^2} > \eta \sqrt{\sum_i s_i^2}`. With eta =
    0.99 that is 98.01 per cent of the energy. Of m equal values it needs m up to m = 50, and m -
    1 from 51 on. A zero matrix has rank 0.

    Source: the released code of 2409.02426; the rule of 2409.02374 (equation 10) with eta squared.

    Args:
        singular_values: (..., m), all of them, >= 0, in any order.
        eta: in (0, 1).

    Returns:
        int64, (...).

    Raises:
        ValueError: where a value is negative or not finite, there are none, or eta is out of range.
    """
    checks.finite("singular_values", singular_values)
    shape = tuple(singular_values.shape)
    if len(shape) < 1 or shape[-1] < 1:
        raise ValueError(f"singular_values.shape = {shape}: allowed is (..., m) with m >= 1")
    lowest = singular_values.min().item()
    if lowest < 0:
        raise ValueError(f"singular_values = smallest {lowest:.3g}: allowed is >= 0")
    values = singular_values.double()
    largest = values.amax(-1, keepdim=True)
    scaled = values / torch.where(largest > 0, largest, 1)  # so that squares are in range
    energy = scaled.square().sort(descending=True).values
    return _first_above(energy.cumsum(-1), _share(eta) * energy.sum(-1, keepdim=True))


def _share(eta: float) -> float:
    if not 0 < eta < 1:
        raise ValueError(f"eta = {eta}: allowed is a number in (0, 1)")
    return eta**2


def _first_above(cumulated: Tensor, wanted: Tensor) -> Tensor:
    """The first r, counted from one, whose sum is above what is wanted; 0 where that is 0."""
    count = (cumulated <= wanted).sum(-1) + 1
    return torch.where(wanted[..., 0] > 0, count, 0)


@dataclass(frozen=True)
class Rank:
    """Energy ranks of B Jacobians, each with an interval; exact where low = high = rank."""

    rank: Tensor  # (B,) int64
    low: Tensor  # (B,) int64
    high: Tensor  # (B,) int64
    products: int  # taken at each point, with J and with its transpose together


def rank(
    denoiser: Denoiser,
    x_t: Tensor,
    t: float | Tensor,
    *,
    eta: float = 0.99,
    accuracy: float = 0.02,
    probes: int = 16,
    block: int = 16,
    generator: torch.Generator | None = None,
) -> Rank:
    r"""The energy rank of J as in `numerical_rank`, without forming J.

    The largest singular values are summed until they hold the share :math:`\eta^2` of
    :math:`\|J\|_F^2`. Of that norm, what the bases P found so far hold is known; the rest,
    :math:`\|(1 - PP^T) J\|_F^2`, is estimated by random probes, taken once and projected as P
    grows. The interval carries the 95 % error of this estimate, and the energy that the values
    found still lack according to their residuals.

    Source: ours; the estimate of the rest as in Hutch++ (Meyer et al. 2021).

    Args:
        denoiser: as in `Linearised`, like x_t and t.
        x_t: points (B, \\*event), or (E, B, \\*event).
        t: scalar or (B,), in [0, 1].
        eta: in (0, 1).
        accuracy: stop where the interval is not wider than this times the rank, or than one; >= 0.
        probes: random vectors, >= 2.
        block: vectors multiplied at once, >= 1.
        generator: source of start and probes; a fixed one where omitted.

    Returns:
        The ranks with their intervals. Work grows with the largest rank among the points; above
        about a tenth of n, `dense` is quicker.

    Raises:
        ValueError: where an argument is out of range, where the products are rounded by more than
            a hundredth of the largest singular value, or as `Linearised`.
    """
    share = _share(eta)
    accuracy = checks.real("accuracy", accuracy, 0.0)
    probes = checks.count("probes", probes, 2)
    block = checks.count("block", block)
    linear = Linearised(denoiser, x_t, t)
    source = generator or torch.Generator().manual_seed(0)
    krylov = BlockKrylov(linear, block, source)
    rest = _Rest(linear, probes, source)
    for triplets in krylov:
        low, middle, high = _interval(triplets, *rest.energy(krylov), share)
        known = bool((high <= triplets.S.shape[-1]).all())
        if known and bool((high - low <= (accuracy * middle).clamp_min(1)).all()):
            break
    require_precise(triplets, accuracy, "accuracy")
    middle, low, high = (part.reshape(linear.lead) for part in (middle, low, high))
    return Rank(middle, low, high, probes + krylov.products)


class _Rest:
    r"""The energy of J outside the left basis, :math:`\|(1 - PP^T) J\|_F^2`, from random probes."""

    def __init__(self, linear: Linearised, probes: int, generator: torch.Generator) -> None:
        shape = (linear.points, linear.n, probes)
        device = linear.x.device
        self.G = draws.normal(shape, generator=generator, dtype=torch.float64, device=device)
        self.H = linear.vjp(self.G)

    def energy(self, krylov: BlockKrylov) -> tuple[Tensor, Tensor]:
        """The estimate, (P, 1), and its 95 % error by Student's t."""
        outside = self.H - krylov.Z @ (krylov.P.mT @ self.G)
        energies = outside.square().sum(-2)  # (P, probes)
        count = energies.shape[-1]
        quantile = float(stdtrit(count - 1, 0.975))
        error = quantile * energies.std(-1, keepdim=True) / math.sqrt(count)
        return energies.mean(-1, keepdim=True), error


def _interval(
    triplets: Triplets, rest: Tensor, error: Tensor, share: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Ranks with the norm at its low end, in the middle and at its high end."""
    energy = triplets.S.square().cumsum(-1)
    lacking = triplets.residuals.square().cumsum(-1)
    known = energy[..., -1:]
    low = _first_above(energy + lacking, share * (known + (rest - error).clamp_min(0)))
    middle = _first_above(energy, share * (known + rest))
    high = _first_above(energy, share * (known + rest + error))
    return low, middle, high
