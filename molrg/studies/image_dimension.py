r"""The dimension of images beside references, and tangent spaces within and across groups.

Sets are cut into disjoint parts, one for each seed, so that seeds are independent. Every cloud and
every choice has a source of random numbers of its own (`molrg.draws.source`), keyed by purpose,
seed and set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from molrg import dimension, draws
from molrg.dimension import tangents
from molrg.dimension.gaussians import FittedGaussian

TWIN = "Gaussian twin"
REGIONS = 10  # as many as there are classes
PIXELS = 784  # ambient dimension of the sheets and of white noise

# What random numbers are for: the first entry of every key.
_PARTS, _TWIN, _SECOND, _SHUFFLE, _FLAT, _WHITE, _ANCHORS, _LABELS, _SHEET = range(9)


def parts(x: Tensor, seeds: Sequence[int]) -> list[Tensor]:
    """Rows of disjoint random parts of a set, one for each seed.

    Args:
        x: points (N, n).
        seeds: of which the first chooses the order.
    """
    order = torch.randperm(len(x), generator=draws.source(_PARTS, seeds[0]), device="cpu")
    return list(order.chunk(len(seeds)))


def shuffle_pixels(x: Tensor, generator: torch.Generator) -> Tensor:
    """Every image (N, n) with its pixels in a random order of its own."""
    order = draws.uniform(x.shape, generator=generator, device=x.device).argsort(1)
    return x.gather(1, order)


def readings(sets: Mapping[str, Tensor], seeds: Sequence[int]) -> pd.DataFrame:
    """Estimates of dimension on parts of image sets, and on what shares some of their properties.

    One row is one estimate: the "set", its number of pixels "n", the "seed" of the part, the
    "cloud", the "method", and the estimate "d"; "ratio" is d over n, and "over_twin" d over that of
    the Gaussian twin by the same method. The clouds have as many points as the part: its "images";
    a "Gaussian twin" and a "second twin", with the mean and covariance of the whole set; and the
    images with "pixels shuffled".

    Args:
        sets: points (N, n) by name.
        seeds: one part for each.
    """
    rows = []
    for key, (name, x) in enumerate(sets.items()):
        gaussian = FittedGaussian.of(x)
        for seed, part in zip(seeds, parts(x, seeds), strict=True):
            at = {"set": name, "n": x.shape[1], "seed": seed}
            clouds = _clouds(x[part], gaussian, (seed, key))
            estimates = {cloud: dimension.readings(points) for cloud, points in clouds.items()}
            for cloud, by_method in estimates.items():
                for method, d in by_method.items():
                    shares = {"ratio": d / x.shape[1], "over_twin": d / estimates[TWIN][method]}
                    rows.append(at | {"cloud": cloud, "method": method, "d": d} | shares)
    return pd.DataFrame(rows)


def _clouds(images: Tensor, gaussian: FittedGaussian, key: tuple[int, int]) -> dict[str, Tensor]:
    return {
        "images": images,
        TWIN: gaussian.sample(len(images), generator=draws.source(_TWIN, *key)),
        "second twin": gaussian.sample(len(images), generator=draws.source(_SECOND, *key)),
        "pixels shuffled": shuffle_pixels(images, draws.source(_SHUFFLE, *key)),
    }


def references(N: int, seeds: Sequence[int]) -> pd.DataFrame:
    """Estimates on clouds whose dimension is known: what the yardstick itself shows.

    One row is one seed: "flat", of the estimates on a Gaussian of ten dimensions the one furthest
    from ten; "white", the smallest estimate on white noise of 784.

    Args:
        N: points in a cloud.
        seeds: of the clouds.
    """
    rows = []
    for seed in seeds:
        flat = dimension.readings(draws.normal((N, 10), generator=draws.source(_FLAT, seed)))
        white = dimension.readings(draws.normal((N, PIXELS), generator=draws.source(_WHITE, seed)))
        furthest = max(flat.values(), key=lambda d: abs(d - 10))
        rows.append({"seed": seed, "flat": furthest, "white": min(white.values())})
    return pd.DataFrame(rows)


def sheet(N: int, d: int, generator: torch.Generator) -> Tensor:
    """One curved set of d dimensions: a random network applied to a Gaussian, (N, 784)."""

    def layer(rows: int, columns: int) -> Tensor:
        return draws.normal((rows, columns), generator=generator).double() / rows**0.5

    hidden = torch.tanh(2 * N**0.5 * layer(N, d) @ layer(d, 256))
    return torch.tanh(2 * hidden @ layer(256, 256)) @ layer(256, PIXELS)


def regions(x: Tensor) -> Tensor:
    """Labels (N,) of ten regions of points (N, n), by K-means."""
    clusters = KMeans(REGIONS, n_init=1, random_state=0).fit_predict(x.cpu().numpy())
    return torch.from_numpy(clusters)


def affinities(
    sets: Mapping[str, tuple[Tensor, Tensor]], seeds: Sequence[int], *, anchors: int
) -> pd.DataFrame:
    """Affinity of tangent spaces within groups minus that across, by three comparisons.

    One row is one labelling of one cloud: the "set", the "seed" of the part, the "labels", and the
    differences "naive", "disjoint" and "matched" with the share "kept"
    (`molrg.dimension.tangents`). The images of a part are labelled by their "classes", by "regions"
    and by "shuffled" classes; their Gaussian "twin" by its regions. Two sheets, of twelve and of
    three dimensions, are labelled by regions and stand as the sets "sheet 12" and "sheet 3".

    Args:
        sets: points (N, n) and classes (N,) by name.
        seeds: one part for each.
        anchors: points of a part at which a tangent space is taken.
    """
    rows = []
    for key, (name, (points, classes)) in enumerate(sets.items()):
        gaussian = FittedGaussian.of(points)
        for seed, part in zip(seeds, parts(points, seeds), strict=True):
            x, y = points[part], classes[part]
            twin = gaussian.sample(len(x), generator=draws.source(_TWIN, seed, key))
            mixed = y[
                torch.randperm(len(y), generator=draws.source(_LABELS, seed, key), device="cpu")
            ]
            labels = {"classes": y, "regions": regions(x), "shuffled": mixed}
            source = (_ANCHORS, seed, key)
            found = _gaps(x, labels, anchors, draws.source(*source))
            found |= _gaps(twin, {"twin": regions(twin)}, anchors, draws.source(*source))
            rows += [{"set": name, "seed": seed, "labels": k, **gap} for k, gap in found.items()]
    points_in_part = len(next(iter(sets.values()))[0]) // len(seeds)
    for seed in seeds:
        for d in (12, 3):
            x = sheet(points_in_part, d, draws.source(_SHEET, seed, d))
            gap = _gaps(x, {"regions": regions(x)}, anchors, draws.source(_ANCHORS, seed, 100 + d))
            rows.append({"set": f"sheet {d}", "seed": seed, "labels": "regions"} | gap["regions"])
    return pd.DataFrame(rows)


def _gaps(
    x: Tensor, labellings: Mapping[str, Tensor], anchors: int, generator: torch.Generator
) -> dict[str, dict[str, float]]:
    """The comparisons for each labelling of the same points."""
    pairs = tangents.tangent_pairs(x, anchors=anchors, generator=generator)
    return {name: vars(pairs.gap(labels)) for name, labels in labellings.items()}
