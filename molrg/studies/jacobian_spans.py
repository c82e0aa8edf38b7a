r"""Whether the leading directions of a denoiser's Jacobian follow the point.

For one Gaussian they are the same everywhere. Spans of leading right singular vectors are compared
by their affinity, the mean squared cosine of the principal angles.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd
from torch import Tensor

from molrg.denoisers import Denoiser, Gaussian
from molrg.studies.jacobian_rank import (
    Pictures,
    gaussian_singular_values,
    leading_span,
    noised,
)
from molrg.subspaces import principal_angles


def affinity(U: Tensor, V: Tensor) -> float:
    """Mean squared cosine of the principal angles of two spans (n, k)."""
    return principal_angles(U, V).cos().square().mean().item()


def affinities(
    denoiser: Denoiser,
    picture: Pictures,
    seeds: Sequence[int],
    times: Sequence[float],
    gaussian: Gaussian,
    *,
    k: int = 8,
) -> pd.DataFrame:
    """Affinity of spans with that of one Gaussian, and with each other.

    One row is one time.

    Args:
        denoiser: of images.
        picture: the image of a seed; two seeds in a row share a class, as in
            `jacobian_rank.by_class`.
        seeds: of images and noise, two of a class and two classes at least.
        times: in (0, 1).
        gaussian: the denoiser to compare with.
        k: dimension of the spans.

    Returns:
        Columns t; means over images and pairs, "with the Gaussian", "within a class", "across".

    Raises:
        ValueError: where there is no pair of one class, or of two.
    """
    pairs = list(itertools.combinations(seeds, 2))
    within = [pair for pair in pairs if _class(pair[0]) == _class(pair[1])]
    across = [pair for pair in pairs if pair not in within]
    if not within or not across:
        raise ValueError(f"seeds = {list(seeds)}: allowed is two of a class and two classes")
    rows = []
    for t in times:
        order = gaussian_singular_values(gaussian, t).argsort(descending=True)
        common = gaussian.axes[0][:, order[:k]]
        spans = {seed: _span(denoiser, picture, seed, t, k) for seed in seeds}
        rows.append(
            {
                "t": t,
                "with the Gaussian": _mean([affinity(span, common) for span in spans.values()]),
                "within a class": _mean([affinity(spans[a], spans[b]) for a, b in within]),
                "across": _mean([affinity(spans[a], spans[b]) for a, b in across]),
            }
        )
    return pd.DataFrame(rows)


def _class(seed: int) -> int:
    return seed // 2 % 10


def _span(denoiser: Denoiser, picture: Pictures, seed: int, t: float, k: int) -> Tensor:
    return leading_span(denoiser, noised(denoiser.schedule, picture(seed), t, seed), t, k)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
