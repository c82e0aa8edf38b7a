r"""Do singular vectors of a denoiser's Jacobian have names? By attribute tangents, and by readers.

`shares` asks how much of a direction lies in the span of the tangents along which the face's own
attributes move the picture; `changes` and `names` ask, by the readers, which attribute it moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molrg import checks, draws, editing, jacobian
from molrg.denoisers import Denoiser
from molrg.images import faces
from molrg.subspaces import orthonormalise
from molrg.zoo import readers

GROUPS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in faces.ATTRIBUTES},
    "skin": ("skin",),
    "hair colour": tuple(name for name in faces.COLOURS if name.startswith("hair_")),
    "shirt colour": tuple(name for name in faces.COLOURS if name.startswith("shirt_")),
    "place": ("right", "down"),
    "size": ("enlarged",),
}


def share(vectors: Tensor, span: Tensor) -> Tensor:
    """Share of the vectors' energy within the span of columns, (B,).

    Args:
        vectors: (B, n, k).
        span: linearly independent columns, (B, n, m) or (n, m), m <= n.

    Raises:
        ValueError: where shapes do not fit.
    """
    if vectors.dim() != 3 or span.shape[-2] != vectors.shape[1]:
        allowed = f"(B, {vectors.shape[-2]}, m), beside vectors (B, n, k)"
        raise ValueError(f"span.shape = {tuple(span.shape)}: allowed is {allowed}")
    inside = orthonormalise(span.to(vectors.dtype)).mT @ vectors
    return inside.square().sum((-2, -1)) / vectors.square().sum((-2, -1))


def shares(
    denoiser: Denoiser,
    pictures: Tensor,
    factors: pd.DataFrame,
    sigmas: Sequence[float],
    *,
    reference: Tensor,
    k: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Shares of the k leading right singular vectors within spans.

    Source: ours.

    Args:
        denoiser: a model, or the exact posterior mean.
        pictures: (N, 3, size, size), N >= 2.
        factors: theirs; the number of tangents is 7, or 10 with a pose.
        sigmas: noise levels.
        reference: faces from which smooth and principal directions are made, (M, 3, size, size).
        k: number of singular vectors.
        seed: of the noise, and of the smooth directions.

    Returns:
        A row for each noise level and face: `sigma`, `face`, and the shares in the span of the
        face's `own` tangents, of the next face's (`other`), of as many `smooth` random directions,
        and of the first `principal` ones.

    Raises:
        ValueError: where shapes do not fit, or as `molrg.jacobian.top_singular`.
    """
    checks.finite("pictures", pictures)
    schedule, size, dtype = denoiser.schedule, pictures.shape[-1], pictures.dtype
    own = faces.tangents(factors, size=size, dtype=dtype).to(pictures.device)
    m = own.shape[-1]
    spans = {
        "own": own,
        "other": own.roll(-1, 0),
        "smooth": editing.smooth(reference, m, generator=draws.source(seed, 1)).flatten(1).mT,
        "principal": editing.principal(reference, m).flatten(1).mT,
    }
    tables = []
    for level, wanted in enumerate(sigmas):
        t = schedule.t_of_sigma(wanted).item()
        noise = draws.normal_like(pictures, generator=draws.source(seed, 0, level))
        right = leading(denoiser, schedule.add_noise(pictures, t, noise), t, k)
        columns = {name: share(right, span).tolist() for name, span in spans.items()}
        about = {"sigma": schedule.sigma(t).item(), "face": range(len(pictures))}
        tables.append(pd.DataFrame(about | columns))
    return pd.concat(tables, ignore_index=True)


def leading(denoiser: Denoiser, x_t: Tensor, t: float, k: int) -> Tensor:
    """The k leading right singular vectors of J at every point, (B, n, k)."""
    return jacobian.top_singular(denoiser, x_t, t, k)[2].mT


def changes(model: readers.Readers, before: Tensor, after: Tensor) -> pd.DataFrame:
    """How far every attribute moves from one picture to another, by the readers.

    Args:
        model: the readers.
        before: pictures (B, 3, 32, 32).
        after: as many.

    Returns:
        A row per pair, a column for each of `GROUPS`. For an attribute with a list of values, half
        the sum of the changes of their probabilities, from 0 to 1. For colours: the length of the
        change over two standard deviations; for the pose, over its half range.

    Raises:
        ValueError: where shapes do not fit.
    """
    if before.shape != after.shape:
        raise ValueError(f"after.shape = {tuple(after.shape)}: allowed is {tuple(before.shape)}")
    first, second = readers.read(model, before), readers.read(model, after)
    columns = {}
    for group, names in GROUPS.items():
        if group in faces.ATTRIBUTES:
            moved = second[group].softmax(1) - first[group].softmax(1)
            columns[group] = (0.5 * moved.abs().sum(1)).cpu().numpy()
            continue
        scale = 2.0 if names[0] in faces.COLOURS else 1.0
        moved = torch.stack([second[name] - first[name] for name in names])
        columns[group] = (moved.norm(dim=0) / scale).cpu().numpy()
    return pd.DataFrame(columns)


def names(table: pd.DataFrame) -> list[str]:
    """The group that changes most in each row of `changes`."""
    return [str(name) for name in table.idxmax(axis=1)]


def balanced_accuracy(named: Sequence[str], confirmed: Sequence[str]) -> float:
    """Mean over the names that edits confirm of the share of directions that were named so.

    Averaged over the names that are confirmed: a rule that always gives the same name scores one
    over their number.

    Raises:
        ValueError: where the lists differ in length or are empty.
    """
    if len(named) != len(confirmed) or not named:
        raise ValueError(
            f"named = {len(named)} names: allowed is one for each of {len(confirmed)} directions"
        )
    truth, given = np.asarray(confirmed), np.asarray(named)
    return float(np.mean([(given[truth == name] == name).mean() for name in np.unique(truth)]))
