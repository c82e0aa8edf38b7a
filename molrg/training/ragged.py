r"""Low-rank denoisers of unlike sizes, trained together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from molrg import checks
from molrg.denoisers import LowRank
from molrg.schedules import Schedule
from molrg.training.trainer import fit


class _Ragged(nn.Module):
    """An ensemble of low-rank denoisers whose models have different N and d.

    Missing points are zero, and zero goes in for them in place of their noise, so that they add nothing
        to loss and gradient. Missing columns are zero and stay zero: the gradient of a zero column of
        U U^T x is zero.
        With one subspace the gradient is projected to the tangent space, as a QR decomposition in the forward
        pass would do. Retraction removes the part along U only from plain gradient steps: Adam scales entry
        by entry and lets some of it turn the subspace, a bias that no averaging over noise removes.
    """

    def __init__(
        self,
        data: Sequence[Tensor],
        starts: Sequence[Sequence[Tensor]],
        rows: int,
        schedule: Schedule,
        joint: bool,
    ) -> None:
        super().__init__()
        n, K, dtype = data[0].shape[1], len(starts[0]), data[0].dtype
        self.dims = [[basis.shape[1] for basis in start] for start in starts]
        width = max(map(max, self.dims))
        frame = (
            torch.eye(n, K * width, dtype=dtype).split(width, 1)
            if joint
            else [torch.eye(n, width, dtype=dtype)] * K
        )
        self.model = LowRank(
            [basis.expand(len(data), n, width) for basis in frame], schedule, joint=joint
        )
        with torch.no_grad():
            for columns, start in zip(self.model.columns.zero_(), starts, strict=True):
                for block, basis in zip(columns.split(width, 1), start, strict=True):
                    block[:, : basis.shape[1]] = basis
        self.model.sizes = torch.tensor(self.dims, dtype=dtype).unsqueeze(
            1
        )  # (E, 1, K): each model's own
        self.schedule, self.ensemble = schedule, self.model.ensemble
        counts = torch.tensor([len(x) for x in data])
        self.present = (
            (torch.arange(rows) < counts[:, None]).to(dtype).unsqueeze(-1)
        )  # (E, rows, 1)
        self.retract_ = self.model.retract_
        if self.model.K == 1:
            self.model.columns.register_hook(self._tangent)

    def _tangent(self, gradient: Tensor) -> Tensor:
        columns = self.model.columns.detach()
        return gradient - columns @ (columns.mT @ gradient)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        if self.model.K == 1:
            return self.model(x_t, t, self.present)
        return self.model(x_t * self.present, t)

    def bases(self) -> list[list[Tensor]]:
        blocks = self.model.columns.detach().unflatten(-1, (self.model.K, -1))
        return [
            [columns[:, k, :d].clone() for k, d in enumerate(dims)]
            for columns, dims in zip(blocks, self.dims, strict=True)
        ]


def train_cells(
    data: Sequence[Tensor],
    starts: Sequence[Tensor] | Sequence[Sequence[Tensor]],
    schedule: Schedule,
    *,
    generators: Sequence[torch.Generator],
    joint: bool = False,
    **settings: object,
) -> list[Tensor] | list[list[Tensor]]:
    """Train a low-rank denoiser for each data set by `training.fit`, cells of different N and d together.

    Small ensembles spend their time on calls. So models are grouped by N rounded up to 4, 7, 10, ..., and
    smaller N and d are padded. A model's result does not depend, but for rounding, on which others are
    trained beside it. Adam does not feel the scale of a loss (until gradients come near its epsilon,
    1e-8), so that the mean over padded points is as good as that over the true ones.

    Args:
        data: E data sets (N_e, n).
        starts: E orthonormal bases (n, d_e) of the dtype of the data, or for each the K bases (n, d_ek) of
            a denoiser with soft-max weights.
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
    checks.require(
        len(data) == len(starts) == len(generators) > 0,
        "len(data), len(starts), len(generators)",
        (len(data), len(starts), len(generators)),
        "equal and not 0",
    )
    single = isinstance(starts[0], Tensor)
    models = [[start] if isinstance(start, Tensor) else list(start) for start in starts]
    groups: dict[int, list[int]] = defaultdict(list)
    n = models[0][0].shape[0]
    for e, (x, start) in enumerate(zip(data, models, strict=True)):
        checks.require(
            len(start) == len(models[0]),
            f"len(starts[{e}])",
            len(start),
            f"{len(models[0])}, as the first",
        )
        for basis in [torch.cat(start, 1)] if joint else start:
            checks.orthonormal(f"starts[{e}]", basis)
        fits = checks.points(f"data[{e}]", x).dim() == 2 and {x.shape[1]} | {
            basis.shape[0] for basis in start
        } == {n}
        checks.require(
            fits, f"data[{e}].shape", tuple(x.shape), f"(N, {n}), and starts with {n} rows"
        )
        groups[1 + 3 * max(1, -(-(len(x) - 1) // 3))].append(e)
    trained: dict[int, list[Tensor]] = {}
    for rows, members in groups.items():
        ensemble = _Ragged(
            [data[e] for e in members], [models[e] for e in members], rows, schedule, joint
        )
        padded = torch.stack(
            [nn.functional.pad(data[e], (0, 0, 0, rows - len(data[e]))) for e in members]
        )
        fit(ensemble, padded, generator=[generators[e] for e in members], **settings)
        trained |= dict(zip(members, ensemble.bases(), strict=True))
    return [trained[e][0] if single else trained[e] for e in range(len(data))]
