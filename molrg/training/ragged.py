r"""Low-rank denoisers of unlike sizes, trained together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from molrg import checks
from molrg.denoisers.low_rank import LowRank
from molrg.schedules import Schedule
from molrg.training.trainer import fit


def train_cells(
    data: Sequence[Tensor],
    starts: Sequence[Tensor] | Sequence[Sequence[Tensor]],
    schedule: Schedule,
    *,
    generators: Sequence[torch.Generator],
    joint: bool = False,
    **settings: Any,
) -> list[Tensor] | list[list[Tensor]]:
    """Train a low-rank denoiser for each data set, cells of unlike N and d together.

    Small ensembles spend their time on calls. So models are grouped by N rounded up to 16, 32, 64,
    ..., and smaller N are padded with points that do not count. A model's result does not depend,
    but for rounding, on which others are trained beside it. With one subspace the gradients are
    taken along the tangent space (see `LowRank`).

    Args:
        data: E data sets (N_e, n).
        starts: E orthonormal bases (n, d_e) of the dtype of the data, or for each the K bases
            (n, d_ek) of a denoiser with soft-max weights.
        schedule: the forward process.
        generators: E sources of training noise.
        joint: keep the K bases of a model orthonormal as a whole; the starts must be.
        **settings: for `training.fit`: steps, and where wanted lr, sigma, weighting.

    Returns:
        E trained bases (n, d_e), or E lists of K.

    Raises:
        ValueError: where the numbers of data sets, starts and generators differ, a start is not
            orthonormal or of another n, or as `training.fit`.
    """
    sizes = (len(data), len(starts), len(generators))
    if len(set(sizes)) > 1 or len(data) == 0:
        names = "len(data), len(starts), len(generators)"
        raise ValueError(f"{names} = {sizes}: allowed is equal and not 0")
    single = isinstance(starts[0], Tensor)
    models = [[start] if isinstance(start, Tensor) else list(start) for start in starts]
    _check_cells(data, models, joint)
    groups: dict[int, list[int]] = defaultdict(list)
    for e, x in enumerate(data):
        groups[max(16, 1 << (len(x) - 1).bit_length())].append(e)
    trained: dict[int, list[Tensor]] = {}
    for rows, members in groups.items():
        chosen = [models[e] for e in members]
        ensemble = LowRank(chosen, schedule, joint=joint, tangent=len(models[0]) == 1)
        x, present = _padded([data[e] for e in members], rows)
        sources = [generators[e] for e in members]
        fit(ensemble, x, present=present, generator=sources, **settings)
        trained |= {e: ensemble.bases_of(place) for place, e in enumerate(members)}
    if single:
        return [trained[e][0] for e in range(len(data))]
    return [trained[e] for e in range(len(data))]


def _check_cells(data: Sequence[Tensor], models: list[list[Tensor]], joint: bool) -> None:
    K, n = len(models[0]), models[0][0].shape[0]
    for e, (x, start) in enumerate(zip(data, models, strict=True)):
        if len(start) != K:
            raise ValueError(f"len(starts[{e}]) = {len(start)}: allowed is {K}, as the first")
        rows = {x.shape[-1]} | {basis.shape[0] for basis in start}
        if checks.points(f"data[{e}]", x).dim() != 2 or rows != {n}:
            allowed = f"(N, {n}), and starts with {n} rows"
            raise ValueError(f"data[{e}].shape = {tuple(x.shape)}: allowed is {allowed}")
    frames = [torch.cat(start, 1) for start in models] if joint or K == 1 else None
    names = [f"starts[{e}]" for e, start in enumerate(models) for _ in start]
    flat = [basis for start in models for basis in start]
    checks.orthonormal_each("starts", flat if frames is None else frames, () if frames else names)


def _padded(data: Sequence[Tensor], rows: int) -> tuple[Tensor, Tensor]:
    """Data sets padded with zeros, (E, rows, n), and which rows are points, (E, rows)."""
    counts = torch.tensor([len(x) for x in data], device=data[0].device)
    present = torch.arange(rows, device=counts.device) < counts.unsqueeze(1)
    return torch.stack([pad(x, (0, 0, 0, rows - len(x))) for x in data]), present
