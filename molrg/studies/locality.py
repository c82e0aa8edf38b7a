r"""How large a window a denoiser looks at: a network against posterior means over patches.

Every seed has images and noise of its own. The window is chosen on one half of its images and
judged on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from molrg import checks, draws
from molrg.denoisers import Denoiser, Empirical, Gaussian, LinearMixture, Patches, Windowed
from molrg.schedules import Schedule
from molrg.studies import references

SIZES = (3, 5, 9, 15, 21)
LEVELS = (0.25, 0.5, 1.0, 2.0, 4.0)
HALVES = ("chosen on", "judged on")
_IMAGES, _PATCHES = 0, 1  # purposes of random numbers


class Permuted(nn.Module):
    """A denoiser that sees the pixels in another order, and whose estimate is put back.

    Args:
        denoiser: of images with their pixels in the order `order`.
        order: a permutation of the H W pixels.
    """

    def __init__(self, denoiser: Denoiser, order: Tensor) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.order = order

    @property
    def schedule(self) -> Schedule:
        """That of the denoiser."""
        return self.denoiser.schedule

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from images (B, C, H, W)."""
        return permute(self.denoiser(permute(x_t, self.order), t), self.order.argsort())


def permute(x: Tensor, order: Tensor) -> Tensor:
    """Images (B, C, H, W) with their pixels in another order, the same for all."""
    return x.flatten(2)[..., order].view_as(x)


def by_window(
    data: Tensor, schedule: Schedule, sizes: Sequence[int] = SIZES
) -> dict[str, Denoiser]:
    """Posterior means over windows by their width, as text; the last is the whole picture.

    Args:
        data: training images (N, C, H, H).
        schedule: the forward process.
        sizes: widths below H.
    """
    local: dict[str, Denoiser] = {str(size): Patches(data, schedule, size) for size in sizes}
    return local | {str(data.shape[-1]): Empirical(data, schedule)}


def mixture_on_windows(
    data: Tensor,
    schedule: Schedule,
    size: int,
    K: int,
    *,
    count: int = 8000,
    seed: int = 0,
) -> Windowed:
    """A mixture of Gaussians fitted to windows from all places of the training images.

    Args:
        data: training images (N, C, H, W).
        schedule: the forward process.
        size: width of a window.
        K: number of components.
        count: windows that the mixture is fitted to.
        seed: of the choice of windows and of the start.
    """
    windows = data.unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    generator = draws.source(_PATCHES, seed)
    rows = torch.randperm(len(windows), device="cpu", generator=generator)[:count].to(data.device)
    points = windows[rows].flatten(1).double().cpu().numpy()
    fitted = GaussianMixture(K, reg_covar=1e-3, max_iter=30, tol=1e-2, random_state=seed)
    fitted.fit(points)
    weights, means, covariances = (
        torch.as_tensor(values, device=data.device).to(data.dtype)
        for values in (fitted.weights_, fitted.means_, fitted.covariances_)
    )
    channels, height, width = data.shape[1:]
    mixture = LinearMixture(weights / weights.sum(), means, covariances, schedule)
    return Windowed(mixture, (channels, height, width), size)


def trials(
    network: Denoiser,
    data: Tensor,
    pool: Tensor,
    seeds: Sequence[int],
    *,
    images: int,
    sizes: Sequence[int] = SIZES,
    levels: Sequence[float] = LEVELS,
    others: Mapping[str, Denoiser] | None = None,
) -> pd.DataFrame:
    """Squared distances of a network to the Gaussian and to patches of every size.

    Args:
        network: the denoiser that is to be explained.
        data: images that the references are fitted to (N, C, H, W).
        pool: images to look at, of which every seed draws its own.
        seeds: of images and noise.
        images: of one seed, even; half of them to choose the window on.
        sizes: widths of windows.
        levels: noise levels.
        others: more references by name.

    Returns:
        As `references.compare`, with the column "seed"; sets are named as in `HALVES`, references
        "Gaussian" and by the width of the window.

    Raises:
        ValueError: where the number of images is odd or exceeds the pool.
    """
    images = checks.count("images", images, 2, len(pool))
    if images % 2:
        raise ValueError(f"images = {images}: allowed is an even number")
    schedule = network.schedule
    known = {"Gaussian": Gaussian(data, schedule), **by_window(data, schedule, sizes)}
    tables = []
    for seed in seeds:
        points = _pictures(pool, seed, images)
        table = references.compare(
            network, known | dict(others or {}), points, levels, mean=data.mean(0), seed=seed
        )
        tables.append(table.assign(seed=seed))
    return pd.concat(tables, ignore_index=True)


def _pictures(pool: Tensor, seed: int, images: int) -> dict[str, Tensor]:
    """The two halves of the images of a seed."""
    rows = torch.randperm(len(pool), device="cpu", generator=draws.source(_IMAGES, seed))[:images]
    halves = rows.to(pool.device).split(images // 2)
    return {name: pool[half] for name, half in zip(HALVES, halves, strict=True)}


def best_windows(table: pd.DataFrame) -> pd.DataFrame:
    """The width of least distance on the half to choose on, (seeds, levels).

    Args:
        table: as `trials` returns it.
    """
    rows = table[(table["set"] == HALVES[0]) & table["reference"].str.isdigit()]
    sums = rows.groupby(["seed", "sigma", "reference"])["distance"].sum()
    best = sums.groupby(["seed", "sigma"]).idxmin().map(lambda key: int(key[-1]))
    return best.unstack("sigma")


def against_gaussian(table: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """Distance to the chosen patches over that to the Gaussian, on the other half.

    Args:
        table: as `trials` returns it.
        best: as `best_windows` returns it.

    Returns:
        (seeds, levels).
    """
    rows = table[table["set"] == HALVES[1]]
    sums = rows.groupby(["seed", "sigma", "reference"])["distance"].sum()
    ratios = best.astype(float)
    for seed in best.index:
        for sigma in best.columns:
            width = str(best.loc[seed, sigma])
            ratios.loc[seed, sigma] = sums[seed, sigma, width] / sums[seed, sigma, "Gaussian"]
    return ratios


def growth(best: pd.DataFrame) -> np.ndarray:
    """Slope of the logarithm of the width in that of the noise level, of every seed.

    Args:
        best: as `best_windows` returns it.
    """
    x = np.log(best.columns.to_numpy(float))
    y = np.log(best.to_numpy(float))
    centred = x - x.mean()
    return y @ centred / (centred @ centred)


def permuted_trials(
    network: Denoiser,
    data: Tensor,
    pool: Tensor,
    best: pd.DataFrame,
    *,
    images: int,
    seed: int = 0,
) -> pd.DataFrame:
    """The control: windows of permuted pixels, on the second half of the images of each seed.

    Args:
        network: the denoiser that is to be explained.
        data: images that the references are fitted to.
        pool: as in `trials`.
        best: widths by seed and level, below that of the picture.
        images: of one seed, even; more than in `trials` are in part others.
        seed: of the permutation.

    Returns:
        As `trials`, on the half to judge on, for the chosen widths and the Gaussian.
    """
    order = torch.randperm(
        data[0, 0].numel(), device="cpu", generator=draws.source(_PATCHES, seed, 1)
    )
    order = order.to(data.device)
    turned, schedule = permute(data, order), network.schedule
    gaussian = Gaussian(data, schedule)
    tables = []
    for own in best.index:
        points = {HALVES[1]: _pictures(pool, own, images)[HALVES[1]]}
        for sigma, width in best.loc[own].items():
            local = Permuted(Patches(turned, schedule, int(width)), order)
            known: dict[str, Denoiser] = {"Gaussian": gaussian, str(width): local}
            table = references.compare(network, known, points, [sigma], mean=data.mean(0), seed=own)
            tables.append(table.assign(seed=own))
    return pd.concat(tables, ignore_index=True)
