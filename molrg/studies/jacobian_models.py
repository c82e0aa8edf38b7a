r"""Rank of the Jacobian of several models of the zoo, each at images of its own kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pandas as pd
import torch

from molrg import devices, images, zoo
from molrg.denoisers.networks import UNet
from molrg.studies.jacobian_rank import Pictures, readings
from molrg.zoo import recipes


def of_kind(data: str, *, device: torch.device | str = "cpu") -> Pictures:
    """Test images by seed of the data that a model of the zoo was trained on.

    Args:
        data: as in a recipe, such as "mnist" or "white-noise"; the shipped slice if there is one.
        device: of the images, as of `molrg.devices.chosen`.
    """
    shipped = f"{data}-slice" in images.names()
    x = recipes.pictures(f"{data}-slice" if shipped else data, "test").to(devices.chosen(device))
    return lambda seed: x[37 * seed % len(x)][None]


def ranks(
    models: Sequence[str],
    seeds: Sequence[int],
    times: Sequence[float],
    *,
    pictures: dict[str, Pictures] | None = None,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Rank of the Jacobian of models that differ in target, training or data.

    One row is one model at the image and noise of one seed at one time.

    Args:
        models: names in the zoo.
        seeds: of images and noise.
        times: in (0, 1).
        pictures: the image of a seed by kind of data, where it is not that of `of_kind`.
        device: to compute on, as of `molrg.devices.chosen`.

    Returns:
        Columns model, seed, t, rank, share; "data", "target" and "seen", images in training, of the
        model's recipe.

    Raises:
        ValueError: where a model is not in the zoo.
    """
    tables = []
    for name in models:
        recipe = zoo.record(name)["recipe"]
        denoiser = cast(UNet, zoo.load(name, device=device))
        picture = (pictures or {}).get(recipe["data"]) or of_kind(recipe["data"], device=device)
        cells = [(seed, t) for seed in seeds for t in times]
        table = readings(denoiser, picture, cells)[["seed", "t", "rank", "share"]]
        about = {"data": recipe["data"], "target": recipe["prediction"], "seen": recipe["seen"]}
        tables.append(table.assign(model=name, **about))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
