r"""The quality of generated images, in the feature space of a classifier.

The Frechet distance between two clouds of features, each taken for a Gaussian,

.. math:: |m_1 - m_2|^2 + \mathrm{tr}\,(C_1 + C_2 - 2 (C_1 C_2)^{1/2}),

means nothing by itself: it grows with few samples and depends on the classifier. `scale` measures
the distances that decide what one means: real images of a held-out split (the floor), with noise,
blurred, and pure noise. The confidence of a classifier is no measure: pure noise passes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from molrg import checks, draws

Features = Callable[[Tensor], Tensor]


def frechet(a: Tensor, b: Tensor) -> float:
    """Frechet distance between two sets of features.

    Source: Dowson and Landau (1982); with features of an Inception network, the FID of Heusel et
    al. (2017).

    Args:
        a: features (N, F), N >= 2.
        b: features (M, F), M >= 2.

    Returns:
        The distance (of the kind of a squared length), >= 0 but for rounding.

    Raises:
        ValueError: where a set is not finite, has fewer than two rows, or the numbers of features
            differ.
    """
    for name, x in (("a", a), ("b", b)):
        if checks.points(name, x, 2).dim() != 2:
            raise ValueError(f"{name}.shape = {tuple(x.shape)}: allowed is (N, F) with N >= 2")
    if a.shape[1] != b.shape[1]:
        allowed = f"(M, {a.shape[1]}), as many features as a has"
        raise ValueError(f"b.shape = {tuple(b.shape)}: allowed is {allowed}")
    mean, root = _moments(a)
    other_mean, other_root = _moments(b)
    # the trace of (C1 C2)^(1/2) is the sum of the singular values of the product of the roots
    cross = torch.linalg.svdvals(root @ other_root.mT).sum()
    spread = root.square().sum() + other_root.square().sum() - 2 * cross
    return float((mean - other_mean).square().sum() + spread)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and an upper triangular R with R^T R the covariance, in double precision."""
    mean = x.double().mean(0)
    centred = (x.double() - mean) / math.sqrt(len(x) - 1)
    return mean, torch.linalg.qr(centred, mode="r").R


def blurred(images: Tensor) -> Tensor:
    """Images (B, C, H, W) averaged over 3 by 3 pixels."""
    return torch.nn.functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)


def scale(
    features: Features,
    samples: Tensor,
    reference: Tensor,
    held_out: Tensor,
    *,
    generator: torch.Generator,
) -> dict[str, float]:
    """Frechet distances to a reference, of samples and of what decides what their distance means.

    Args:
        features: from images (B, C, H, W) to (B, F); called on all images of a set at once.
        samples: generated images, (N, C, H, W).
        reference: real images, more than N.
        held_out: N other real images; all but the samples' distances are of them, so that numbers
            are equal.
        generator: source of the noise.

    Returns:
        "samples"; "floor", of the held-out images themselves; "noisy", with noise of standard
        deviation 0.2; "blurred"; "noise", standard normal, clipped; and "excess", which is
        (samples - floor) / (noisy - floor) and survives another classifier.

    Raises:
        ValueError: where images are not finite, samples and held-out images not equally many,
            there are no more reference images, or the features do not change with noise.
    """
    if len(samples) != len(held_out):
        allowed = f"{len(held_out)}, as many as held out"
        raise ValueError(f"len(samples) = {len(samples)}: allowed is {allowed}")
    if len(reference) <= len(held_out):
        allowed = f"more than the {len(held_out)} held out"
        raise ValueError(f"len(reference) = {len(reference)}: allowed is {allowed}")
    noise, pure = draws.normal(
        (2, *held_out.shape),
        generator=generator,
        dtype=held_out.dtype,
        device=held_out.device,
    )
    sets = {
        "samples": checks.finite("samples", samples),
        "floor": held_out,
        "noisy": held_out + 0.2 * noise,
        "blurred": blurred(held_out),
        "noise": pure.clamp(-1, 1),
    }
    wanted = features(reference)
    distances = {name: frechet(features(images), wanted) for name, images in sets.items()}
    worse = distances["noisy"] - distances["floor"]
    if worse == 0:
        value = f"distance {distances['noisy']:.3g} with noise and without"
        raise ValueError(f"features = {value}: allowed is features that change with noise")
    return distances | {"excess": (distances["samples"] - distances["floor"]) / worse}


def histogram(logits: Tensor) -> Tensor:
    """Share of the images that a classifier puts in each class.

    Args:
        logits: (B, classes).

    Returns:
        (classes,), float64.

    Raises:
        ValueError: where the shape is another one.
    """
    if logits.dim() != 2 or len(logits) == 0:
        shape = tuple(logits.shape)
        raise ValueError(f"logits.shape = {shape}: allowed is (B, classes) with B >= 1")
    chosen = torch.bincount(logits.argmax(1), minlength=logits.shape[1])
    return chosen.double() / len(logits)
