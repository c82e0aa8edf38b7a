r"""Rank of the Jacobian of an image denoiser along the noise, and what a posterior mean would have.

J is the derivative of the denoised image by the noisy one. Its rank is `jacobian.numerical_rank`.
The noise of a seed is the same at all times.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from molrg import draws, jacobian
from molrg.denoisers import Denoiser, Gaussian
from molrg.denoisers.networks import UNet
from molrg.schedules import Schedule
from molrg.zoo import recipes

Pictures = Callable[[int], Tensor]  # an image (1, *event) for each seed


def noised(schedule: Schedule, x0: Tensor, t: float | Tensor, seed: int) -> Tensor:
    """Points with the noise of a seed, which is the same at all times."""
    generator = torch.Generator().manual_seed(seed)
    return schedule.add_noise(x0, t, draws.normal_like(x0, generator=generator))


def matrix_rank(J: Tensor) -> Tensor:
    """Energy rank of matrices (..., n, n), (...)."""
    return jacobian.numerical_rank(torch.linalg.svdvals(J))


def by_class(x: Tensor, labels: Tensor) -> Pictures:
    """Test images by seed, such that two seeds in a row share a class.

    Args:
        x: images (N, C, H, W).
        labels: (N,), ten classes.
    """

    def picture(seed: int) -> Tensor:
        rows = (labels == seed // 2 % 10).nonzero()[:, 0]
        return x[rows[seed % len(rows)]][None]

    return picture


def cells(
    seeds: Sequence[int], times: Sequence[float], *, always: float, followed: Collection[int]
) -> list[tuple[int, float]]:
    """Pairs (seed, t): some seeds at all times, the others at one.

    Args:
        seeds: all of them.
        times: for those that are followed.
        always: the time of the others.
        followed: seeds.
    """
    return [(seed, t) for seed in seeds for t in (times if seed in followed else [always])]


def readings(
    denoiser: Denoiser,
    picture: Pictures,
    cells: Iterable[tuple[int, float]],
    *,
    keep: Collection[float] = (),
) -> pd.DataFrame:
    """What the Jacobian of a denoiser is like at noisy images.

    One row is one Jacobian, at the image of one seed with its noise at one time.

    Args:
        denoiser: of images.
        picture: the image of a seed.
        cells: pairs (seed, t).
        keep: times at which the matrix itself is kept.

    Returns:
        Columns seed, t, rank; "share", of the number of pixels; "asymmetry" and "trace" of J;
        "S", singular values (n,); "J", the matrix (n, n), float64, or None where it is not kept.
    """
    rows = []
    for seed, t in cells:
        x_t = noised(denoiser.schedule, picture(seed), t, seed)
        J = jacobian.dense(denoiser, x_t, t)[0].double()
        S = torch.linalg.svdvals(J)
        rank = int(jacobian.numerical_rank(S))
        rows.append(
            {
                "seed": seed,
                "t": t,
                "rank": rank,
                "share": rank / len(J),
                "asymmetry": float(jacobian.asymmetry(J)),
                "trace": float(J.trace()),
                "S": S.cpu().numpy(),
                "J": J if t in keep else None,
            }
        )
    return pd.DataFrame(rows)


def stacked_rank(table: pd.DataFrame) -> int:
    """Rank of all Jacobians of a table of `readings` as one tall matrix.

    Raises:
        ValueError: where no matrix was kept.
    """
    kept = [J for J in table["J"] if J is not None]
    if not kept:
        raise ValueError("table = without a matrix: allowed is readings that keep J")
    return int(matrix_rank(torch.cat(kept)))


def without_matrix(
    denoiser: Denoiser, picture: Pictures, seeds: Sequence[int], t: float
) -> pd.DataFrame:
    """Rank from products with J and its transpose.

    One row is one noisy image.

    Args:
        denoiser: of images.
        picture: the image of a seed.
        seeds: of images and noise.
        t: the time.

    Returns:
        Columns seed, rank, low, high, products, as in `jacobian.Rank`.
    """
    rows = []
    for seed in seeds:
        x_t = noised(denoiser.schedule, picture(seed), t, seed)
        found = jacobian.rank(denoiser, x_t, t)
        row = {name: int(getattr(found, name)) for name in ("rank", "low", "high", "products")}
        rows.append({"seed": seed} | row)
    return pd.DataFrame(rows)


def agreement(by_products: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """How far ranks without the matrix are from those of the matrix.

    One row is one noisy image. Differences are in units of one, or of two per cent of the rank
    where that is more.

    Args:
        by_products: of `without_matrix`.
        table: of `readings`, of the same denoiser at the same seeds and one time.

    Returns:
        Columns seed; "off", of the rank by products; and "off_of_three", of the rank when the
        three largest singular values are taken for all.
    """
    both = table.merge(by_products, on="seed", suffixes=("", "_by_products"))
    unit = (0.02 * both["rank"]).clip(lower=1)
    three = [int(jacobian.numerical_rank(torch.from_numpy(S[:3]))) for S in both["S"]]
    off = (both["rank_by_products"] - both["rank"]).abs() / unit
    off_of_three = (three - both["rank"]).abs() / unit
    return pd.DataFrame({"seed": both["seed"], "off": off, "off_of_three": off_of_three})


def untrained(network: UNet, shape: Sequence[int], seed: int) -> UNet:
    """A network of the recipe's size with random weights, on the schedule and target of another.

    Args:
        network: whose schedule, target and device it has.
        shape: (C, H, W) of the images.
        seed: of the weights.
    """
    channels, height, width = shape
    unet = recipes.unet((channels, height, width), (16, 32, 96), seed=seed).eval()
    device = next(network.parameters()).device
    return UNet(unet, network.schedule, prediction=network.prediction).to(device)


def untrained_networks(
    network: UNet, picture: Pictures, x: Tensor, seeds: Sequence[int], t: float
) -> pd.DataFrame:
    """Rank and error of networks that were not trained.

    One row is one network, with weights of its own.

    Args:
        network: whose schedule and target they have.
        picture: the image of a seed, at which the rank is measured.
        x: test images (N, C, H, W), for the error.
        seeds: of images, noise and weights.
        t: the time.

    Returns:
        Columns seed, rank, share, and error, as in `readings` and `denoising_errors`.
    """
    tables = []
    for seed in seeds:
        blank = untrained(network, x.shape[1:], seed)
        ranks = readings(blank, picture, [(seed, t)])[["seed", "rank", "share"]]
        errors = denoising_errors({"untrained": blank}, blank.schedule, x, [seed], [t])
        tables.append(ranks.assign(error=errors["error"]))
    return pd.concat(tables, ignore_index=True)


def denoising_errors(
    denoisers: Mapping[str, Callable[[Tensor, float], Tensor]],
    schedule: Schedule,
    x: Tensor,
    seeds: Sequence[int],
    times: Sequence[float],
) -> pd.DataFrame:
    """How well denoisers denoise test images.

    One row is one denoiser at one time for one seed, which picks a hundred images and their noise.

    Args:
        denoisers: by name; functions of x_t and t.
        schedule: of all of them.
        x: test images (N, C, H, W).
        seeds: of images and noise.
        times: in [0, 1].

    Returns:
        Columns denoiser, seed, t, and "error", the mean squared error of a pixel.
    """
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(x), generator=generator, device="cpu")
        x0 = x[order[:100].to(x.device)]
        for t in times:
            x_t = noised(schedule, x0, t, seed)
            for name, denoiser in denoisers.items():
                with torch.no_grad():
                    error = (denoiser(x_t, t) - x0).square().mean().item()
                rows.append({"denoiser": name, "seed": seed, "t": t, "error": error})
    return pd.DataFrame(rows)


def gaussian_singular_values(gaussian: Gaussian, t: float) -> Tensor:
    """Singular values of the Jacobian of one Gaussian's denoiser, in the order of its axes.

    They are the same at every point.
    """
    s, gamma = gaussian.schedule.s(t), gaussian.schedule.gamma(t)
    variances = gaussian.variances[0]
    return s * variances / (s**2 * variances + gamma**2)


def gaussian_ranks(gaussian: Gaussian, times: Sequence[float]) -> pd.DataFrame:
    """Rank and trace of the Jacobian of one Gaussian's denoiser.

    One row is one time.

    Args:
        gaussian: the denoiser.
        times: in (0, 1).

    Returns:
        Columns t, rank, share, trace.
    """
    rows = []
    for t in times:
        S = gaussian_singular_values(gaussian, t)
        rank = int(jacobian.numerical_rank(S))
        rows.append({"t": t, "rank": rank, "share": rank / len(S), "trace": float(S.sum())})
    return pd.DataFrame(rows)


def leading_span(denoiser: Denoiser, x_t: Tensor, t: float, k: int) -> Tensor:
    """The k leading right singular vectors of the Jacobian at one point, (n, k)."""
    Vh = jacobian.top_singular(denoiser, x_t, t, k, tolerance=0.1)[2]
    return Vh[0].T.double()
