r"""How many faces of each kind teach all faces of that kind: K-subspaces on four kinds of faces.

A kind is affine in seven colours; about zero, with its mean, it spans D = 8 dimensions. A trial is
a seed: a sequence of faces of each of four kinds, of which the first N are used, without noise. As
all kinds share the shirt, their subspaces meet, and are not orthogonal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

import pandas as pd
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from molrg import checks, draws, stats, sweeps
from molrg.images import faces
from molrg.subspaces import (
    k_subspaces,
    orthonormalise,
    pca,
    principal_angles,
    subspace_error,
)

D = 1 + len(faces.COLOURS)  # the mean and the colours
GROUPS = {  # of four kinds: unlike in everything, or with much alike
    "apart": (
        faces.kind(hair="curly", eyes="open", mouth="bigSmile", beard="none"),
        faces.kind(hair="long", eyes="glasses", mouth="lips", beard="none"),
        faces.kind(hair="mohawk", eyes="sunglasses", mouth="frown", beard="goatee"),
        faces.kind(hair="shortCombover", eyes="open", mouth="surprise", beard="shadow"),
    ),
    "alike": (
        faces.kind(hair="long", eyes="open", mouth="lips", beard="none"),
        faces.kind(hair="long", eyes="open", mouth="lips", beard="shadow"),
        faces.kind(hair="extraLong", eyes="open", mouth="lips", beard="none"),
        faces.kind(hair="extraLong", eyes="open", mouth="lips", beard="shadow"),
    ),
}
STARTS = ("true labels", "k-means", "spectral", "random bases", "random split")
MOST = 40  # faces of each kind in a trial
UNEXPLAINED = 1e-9  # share of the energy below which the loss is zero, to rounding
_FACES, _STARTS = 0, 1  # purposes of random numbers


def draw(seed: int, N: int, *, group: str = "apart", size: int = 32) -> Tensor:
    """Faces of four kinds, (4, N, 3 size size), float64; those of a smaller N come first.

    Args:
        seed: of the trial.
        N: faces of each kind, 1 ... `MOST`.
        group: of `GROUPS`.
        size: pixels along a side.
    """
    count = checks.count("N", N, 1, MOST)
    kinds = GROUPS[checks.one_of("group", group, tuple(GROUPS))]
    return torch.stack([_of_kind(kind, seed, size)[:count] for kind in kinds])


@lru_cache(maxsize=64)  # the same faces for every start and every N
def _of_kind(kind: int, seed: int, size: int) -> Tensor:
    source = draws.source(_FACES, seed, kind)
    images, _ = faces.draw(MOST, kinds=[kind], size=size, generator=source, dtype=torch.float64)
    return images.flatten(1)


@cache
def truth(group: str = "apart", size: int = 32) -> tuple[Tensor, ...]:
    """Orthonormal bases (3 size size, D) of the spans of the four kinds: mean and colours."""
    kinds = torch.tensor(GROUPS[group], device="cpu")
    spans = torch.cat([faces.means(kinds, size).unsqueeze(1), faces.columns(kinds, size)], dim=1)
    return tuple(orthonormalise(span.flatten(1).mT) for span in spans)


def angles(group: str = "apart", size: int = 32) -> pd.DataFrame:
    """Principal angles in degrees between every two kinds: a row per pair, a column per angle."""
    bases = truth(group, size)
    pairs = [(k, other) for k in range(len(bases)) for other in range(k)]
    between = [principal_angles(bases[k], bases[other]).rad2deg().tolist() for k, other in pairs]
    index = pd.MultiIndex.from_tuples(pairs, names=["kind", "other"])
    return pd.DataFrame(between, index=index)


def law(N: int) -> float:
    """The error of the subspace that N faces of a kind leave: sqrt((D - N) / D), zero from D on."""
    return (max(D - N, 0) / D) ** 0.5


def joint_floor(group: str = "apart", size: int = 32) -> float:
    r"""An error that four jointly orthonormal bases cannot undercut, as the kinds overlap.

    Source: ours. For jointly orthonormal :math:`V_k`, with all singular values at most 1,
        :math:`\sum_k \|U_k^T V_k\|_F^2 \le \sum_k \|U_k^T V_k\|_* \le \|[U_1 \dots U_K]\|_*`, as
        the norms are dual; orthogonal subspaces alone reach K D.
    """
    bases = truth(group, size)
    captured = torch.linalg.svdvals(torch.cat(bases, dim=1)).sum().item()
    return max(1 - captured / (len(bases) * D), 0.0) ** 0.5


def counted(
    counts: Iterable[int],
    seeds: Sequence[int],
    *,
    group: str = "apart",
    starts: Sequence[str] = STARTS,
    size: int = 32,
    restarts: int = 8,
    joint: bool = False,
    store: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """K-subspaces with D dimensions from every kind of start.

    One row: N, start, seed; "error" of the bases and its "success"; "unexplained", the share of
    the energy outside the bases; "zero_loss", whether that is rounding.

    Args:
        counts: the N, faces of each kind.
        seeds: of the trials.
        group: of `GROUPS`.
        starts: of `STARTS`.
        size: pixels along a side.
        restarts: random starts, of which the one with the largest objective counts.
        joint: whether all four bases together are to be orthonormal.
        store: where finished trials are kept.
    """
    setting = {"group": group, "size": size, "restarts": restarts, "joint": joint}
    cells = [{"N": N, "start": start, **setting} for N in counts for start in starts]
    table = sweeps.run(trial, cells, seeds=seeds, store=store)
    zero = table.unexplained < UNEXPLAINED
    return table.assign(success=stats.succeeded(table.error), zero_loss=zero)


def trial(
    seed: int,
    N: int,
    start: str,
    group: str = "apart",
    size: int = 32,
    restarts: int = 8,
    joint: bool = False,
) -> dict[str, Any]:
    """K-subspaces on N faces of each of four kinds, from one kind of start, as `counted` says."""
    checks.one_of("start", start, STARTS)
    x = draw(seed, N, group=group, size=size).flatten(0, 1)
    source = draws.source(_STARTS, seed, N)
    init = _start(x, N, start, seed, source)
    fitted = k_subspaces(x, 4, D, restarts=restarts, init=init, joint=joint, generator=source)
    energy = x.square().sum(-1).mean().item()
    return {
        "error": subspace_error(fitted.bases, list(truth(group, size))),
        "unexplained": max(1 - fitted.objective / energy, 0.0),
    }


def _start(x: Tensor, N: int, start: str, seed: int, source: torch.Generator) -> str | list[Tensor]:
    """What `k_subspaces` starts from: bases of labelled groups, or the name of its own start."""
    own = {"spectral": "spectral", "random bases": "random", "random split": "balanced"}
    if start in own:
        return own[start]
    if start == "true labels":
        labels = torch.arange(4, device=x.device).repeat_interleave(N)
    else:
        labels = torch.from_numpy(KMeans(4, n_init=10, random_state=seed).fit_predict(x.numpy()))
    return [pca(x[labels == k], D, completion="random", generator=source) for k in range(4)]
