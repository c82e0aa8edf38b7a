"""How many components, and of which dimension: by the likelihood of points that were held out."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor

from molrg import checks
from molrg.mixture.model import MoLRG


def held_out(
    x: Tensor,
    others: Tensor,
    sizes: Iterable[tuple[int, int]],
    *,
    starts: int = 1,
    iterations: int = 100,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Fit a mixture of every size (K, d) to x, and measure its likelihood on other points.

    Args:
        x: points to fit (N, n).
        others: points of the same law (M, n) that are not in x.
        sizes: pairs of K and d.
        starts: as of `molrg.MoLRG.fit`, and so on.
        iterations: likewise.
        generator: likewise.

    Returns:
        A row for each size in the order given: K, d, "fitted" and "held out", the log-likelihood
        per point; that of the largest "held out" is to be chosen, see `best`.

    Raises:
        ValueError: as `molrg.MoLRG.fit`, or where `others` are not finite points of n numbers.
    """
    checks.points("others", others)
    if others.shape != (len(others), x.shape[-1]):
        shape = tuple(others.shape)
        raise ValueError(f"others.shape = {shape}: allowed is (M, n) with n = {x.shape[-1]}")
    rows = []
    for K, d in sizes:
        mixture = MoLRG.fit(x, K, d, starts=starts, iterations=iterations, generator=generator)
        likelihood = mixture.log_likelihood(others).double().mean().item()
        rows.append({"K": K, "d": d, "fitted": mixture.history[-1], "held out": likelihood})
    return pd.DataFrame(rows)


def best(table: pd.DataFrame) -> tuple[int, int]:
    """K and d of the largest likelihood on points held out.

    Args:
        table: as `held_out` returns it.

    Raises:
        ValueError: where it is empty.
    """
    if table.empty:
        raise ValueError("table = empty: allowed is a row or more")
    row = int(table["held out"].to_numpy().argmax())
    return int(table["K"].iloc[row]), int(table["d"].iloc[row])
