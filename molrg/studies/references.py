r"""Which simple denoiser a denoiser resembles: distances to named references, level by level.

For a denoiser f, a reference g and points x_t, two ratios over noise levels:

.. math:: \frac{E\|f(x_t) - g(x_t)\|^2}{E\|f(x_t) - m\|^2}, \qquad
          \frac{E\|g(x_t) - x_0\|^2}{E\|f(x_t) - x_0\|^2}

the relative squared distance (m the mean image, so that one is as far as knowing nothing), and the
ratio of denoising errors. On points of the data's own law the first says little that the second
does not: to the optimal denoiser the squared distance of any other IS its excess error. Points off
the data tell how the denoiser goes on where nothing has taught it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from molrg import checks, draws, stats
from molrg.denoisers import Denoiser

_NOISE = 19  # purpose of random numbers


def compare(
    denoiser: Denoiser,
    references: Mapping[str, Denoiser],
    points: Mapping[str, Tensor],
    sigmas: Sequence[float],
    *,
    mean: Tensor,
    seed: int = 0,
    batch: int = 100,
) -> pd.DataFrame:
    """Squared distances of a denoiser and of references to it, image by image.

    All see the same noisy points. One row is one reference at one image and noise level.

    Args:
        denoiser: the one that is to be explained.
        references: others by name, for the same times and images.
        points: clean images (B, C, H, W) by the name of their set, where the denoiser is.
        sigmas: noise levels.
        mean: the mean image of the data (C, H, W).
        seed: of the noise, another for each set and level.
        batch: images at a time.

    Returns:
        Columns set, sigma, t, image, reference; "distance" of the two estimates, "scale", from the
        denoiser's to the mean, "error" of the reference's to the clean image, "own error" of the
        denoiser's; all squared norms.

    Raises:
        ValueError: where there are no references or points, or a set is not finite (B, C, H, W).
    """
    batch = checks.count("batch", batch)
    if not references or not points:
        raise ValueError("references or points = none: allowed is one of each or more")
    for name, x in points.items():
        checks.finite(f"points[{name!r}]", x)
        if x.dim() != 4 or x.shape[1:] != mean.shape:
            shape = tuple(x.shape)
            allowed = f"(B, {', '.join(map(str, mean.shape))})"
            raise ValueError(f"points[{name!r}].shape = {shape}: allowed is {allowed}")
    tables = []
    for place, (name, x) in enumerate(points.items()):
        for level, sigma in enumerate(sigmas):
            t = denoiser.schedule.t_of_sigma(sigma).item()
            noise = draws.normal_like(x, generator=draws.source(_NOISE, seed, place, level))
            x_t = denoiser.schedule.add_noise(x, t, noise)
            table = _at_level(denoiser, references, x, x_t, t, mean, batch)
            tables.append(table.assign(set=name, sigma=float(sigma), t=t))
    return pd.concat(tables, ignore_index=True)


@torch.no_grad()
def _at_level(
    denoiser: Denoiser,
    references: Mapping[str, Denoiser],
    x: Tensor,
    x_t: Tensor,
    t: float,
    mean: Tensor,
    batch: int,
) -> pd.DataFrame:
    """The rows of one set at one level."""
    rows = []
    for first in range(0, len(x), batch):
        clean, noisy = x[first : first + batch], x_t[first : first + batch]
        own = denoiser(noisy, t)
        images = np.arange(first, first + len(clean))
        common = {
            "image": images,
            "scale": _squares(own - mean),
            "own error": _squares(own - clean),
        }
        for name, reference in references.items():
            estimate = reference(noisy, t)
            measured = {"distance": _squares(estimate - own), "error": _squares(estimate - clean)}
            rows.append(pd.DataFrame({**common, **measured, "reference": name}))
    return pd.concat(rows, ignore_index=True)


def _squares(difference: Tensor) -> np.ndarray:
    return difference.double().flatten(1).square().sum(1).cpu().numpy()


def ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Both ratios of every set, level and reference, over all the images in a table.

    Args:
        table: as `compare` returns it; more tables may be joined, and other columns kept.

    Returns:
        Columns set, sigma, reference, "distance" and "error": the two ratios.
    """
    sums = table.groupby(["set", "sigma", "reference"], sort=False)[
        ["distance", "scale", "error", "own error"]
    ].sum()
    quotients = {
        "distance": sums["distance"] / sums["scale"],
        "error": sums["error"] / sums["own error"],
    }
    return pd.DataFrame(quotients).reset_index()


def intervals(
    table: pd.DataFrame, *, resamples: int = 500, generator: torch.Generator
) -> pd.DataFrame:
    """`ratios` with 95 % intervals over images.

    Args:
        table: as `compare` returns it.
        resamples: bootstrap samples of the images, >= 100.
        generator: source of the resampling.

    Returns:
        As `ratios`, with "distance low", "distance high", "error low", "error high".

    Raises:
        ValueError: as `molrg.stats.bootstrap`.
    """
    columns = ["distance", "scale", "error", "own error"]
    ends = ["distance low", "error low", "distance high", "error high"]
    rows = []
    for key, group in table.groupby(["set", "sigma", "reference"], sort=False):
        low, high = stats.bootstrap(
            group[columns].to_numpy(), _quotients, resamples=resamples, generator=generator
        )
        rows.append([*key, *low, *high])
    bounds = pd.DataFrame(rows, columns=["set", "sigma", "reference", *ends])
    return ratios(table).merge(bounds, on=["set", "sigma", "reference"])


def _quotients(rows: np.ndarray) -> np.ndarray:
    """From (..., images, 4) the two ratios, (..., 2)."""
    sums = rows.sum(-2)
    return np.stack([sums[..., 0] / sums[..., 1], sums[..., 2] / sums[..., 3]], -1)


def nearest(ratio_table: pd.DataFrame) -> pd.DataFrame:
    """The reference of least distance at every level of every set.

    Args:
        ratio_table: as `ratios` or `intervals` returns it.

    Returns:
        One row for each set and level, with the columns of `ratio_table`.
    """
    places = ratio_table.groupby(["set", "sigma"], sort=False)["distance"].idxmin()
    return ratio_table.loc[places].reset_index(drop=True)
