"""Faces from their factors: drawing at random, rendering, and the exact tangents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molrg import checks, draws
from molrg.images.faces import law, maps
from molrg.images.faces.attributes import ATTRIBUTES, COLOURS, POSE, kinds, kinds_of
from molrg.images.faces.pose import REACH, warp

AT_ONCE = 1000  # pictures rendered together
Factors = Mapping[str, Sequence[Any]] | pd.DataFrame


def draw(
    N: int,
    *,
    size: int = 32,
    pose: bool = False,
    kinds: Sequence[int] | None = None,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, pd.DataFrame]:
    """Draw faces at random, with the factors that made them.

    Source: ours.

    Args:
        N: number of faces, >= 1.
        size: pixels along a side, 16, 32 or 64.
        pose: whether faces are moved and enlarged, too.
        kinds: from which the kind is drawn, with equal chances; all 768 where omitted.
        generator: source of kinds and factors.
        dtype: of the images.

    Returns:
        images (N, 3, size, size), which may leave [-1, 1] a little, and the table of factors:
        `kind`, a column for each of `ATTRIBUTES` and `COLOURS`, and of `POSE` where faces are
        posed. Colours are in standard deviations; pose is uniform on [-1, 1].

    Raises:
        ValueError: where an argument is not as above.
    """
    checks.one_of("size", size, maps.SIZES)
    factors = draw_factors(N, pose=pose, kinds=kinds, generator=generator)
    return render(factors, size=size, dtype=dtype), factors


def draw_factors(
    N: int,
    *,
    pose: bool = False,
    kinds: Sequence[int] | None = None,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Draw the table of factors alone, as `draw` does.

    Raises:
        ValueError: where N is not >= 1 or a kind is not in 0 ... 767.
    """
    count = checks.count("N", N)
    choice = law.chosen_kinds(kinds)
    chosen = choice[torch.randint(len(choice), (count,), generator=generator, device="cpu")]
    colours = draws.normal((count, len(COLOURS)), generator=generator, dtype=torch.float64)
    place = 2 * draws.uniform((count, len(POSE)), generator=generator, dtype=torch.float64) - 1
    table = table_of(chosen, colours)
    return table.assign(**dict(zip(POSE, place.T.numpy(), strict=True))) if pose else table


def table_of(numbers: Tensor, colours: Tensor) -> pd.DataFrame:
    """The table of factors of given kinds (N,) and colours (N, 7)."""
    discrete = kinds().iloc[numbers.cpu().numpy()].reset_index()
    continuous = pd.DataFrame(colours.cpu().numpy(), columns=list(COLOURS))
    return pd.concat([discrete, continuous], axis=1)


def render(factors: Factors, *, size: int = 32, dtype: torch.dtype = torch.float32) -> Tensor:
    """The pictures of given factors, (N, 3, size, size).

    Args:
        factors: a table with a column for each of `ATTRIBUTES` and `COLOURS`, and of `POSE` or of
            none of it, as `draw` returns it, and changed at will. `kind` is computed anew.
        size: pixels along a side, 16, 32 or 64.
        dtype: of the images.

    Raises:
        ValueError: where a column is missing, has a value that the attribute does not have, or a
            number that is not finite, or where the size is none of these.
    """
    checks.one_of("size", size, maps.SIZES)
    rows = (part.split(AT_ONCE) for part in parse(factors))
    return torch.cat([_render(*part, size=size, dtype=dtype) for part in zip(*rows, strict=True)])


def _render(
    numbers: Tensor, colours: Tensor, place: Tensor, *, size: int, dtype: torch.dtype
) -> Tensor:
    base, parts = law.layers(numbers, size, dtype)
    rgb = law.middle(dtype) + torch.einsum("bf,fpc->bpc", colours.to(dtype), law.steps(dtype))
    picture = 2 * (base + torch.einsum("bpc,bphw->bchw", rgb, parts)) - 1
    return warp(picture, place.to(dtype)) if place.shape[1] else picture


def tangents(factors: Factors, *, size: int = 32, dtype: torch.dtype = torch.float32) -> Tensor:
    """Derivatives of the pictures in their continuous factors, exactly.

    Colours enter linearly; the derivatives in the pose are automatic ones of the warp.

    Source: ours.

    Args:
        factors: as in `render`.
        size: pixels along a side, 16, 32 or 64.
        dtype: of the result.

    Returns:
        (N, 3 size size, 7), or (N, 3 size size, 10) where the table has a pose; in the order of
        `COLOURS`, then of `POSE`.

    Raises:
        ValueError: as `render`.
    """
    checks.one_of("size", size, maps.SIZES)
    rows = (part.split(AT_ONCE // 10) for part in parse(factors))
    return torch.cat([_tangents(*part, size=size, dtype=dtype) for part in zip(*rows, strict=True)])


def _tangents(
    numbers: Tensor, colours: Tensor, place: Tensor, *, size: int, dtype: torch.dtype
) -> Tensor:
    columns = law.columns(numbers, size, dtype)
    if place.shape[1] == 0:
        return columns.flatten(2).mT
    unposed = _render(numbers, colours, place[:, :0], size=size, dtype=dtype)
    place = place.to(dtype)
    moved = [warp(column, place) for column in columns.unbind(1)]
    for direction in torch.eye(len(POSE), dtype=dtype, device=place.device):
        step = direction.expand_as(place)
        moved.append(torch.func.jvp(lambda at: warp(unposed, at), (place,), (step,))[1])
    return torch.stack(moved, dim=-1).flatten(1, 3)


def parse(factors: Factors) -> tuple[Tensor, Tensor, Tensor]:
    """Kinds (N,), colours (N, 7) and pose, (N, 3) or (N, 0), of a table; checked.

    Raises:
        ValueError: as `render`.
    """
    names = list(factors)
    posed = any(name in names for name in POSE)
    wanted = [*ATTRIBUTES, *COLOURS, *(POSE if posed else ())]
    lacking = [name for name in wanted if name not in names]
    if lacking:
        raise ValueError(
            f"factors = no column {', '.join(lacking)}: allowed is a table with all of them"
        )
    numbers = torch.from_numpy(kinds_of(factors))
    if len(numbers) == 0:
        raise ValueError("factors = an empty table: allowed is one row or more")
    colours = _numbers(factors, COLOURS)
    place = _numbers(factors, POSE) if posed else colours[:, :0]
    if bool((place.abs() > REACH).any()):
        largest = place.abs().max().item()
        raise ValueError(f"pose = {largest:g} in size: allowed is at most {REACH:g}")
    return numbers, colours, place


def _numbers(factors: Factors, names: Sequence[str]) -> Tensor:
    columns = []
    for name in names:
        column = np.asarray(factors[name], dtype=np.float64)
        if not np.isfinite(column).all():
            raise ValueError(
                f"{name} = {column[~np.isfinite(column)][0]}: allowed is finite numbers"
            )
        columns.append(column)
    return torch.from_numpy(np.stack(columns, axis=1))
