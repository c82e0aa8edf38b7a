r"""The quality of generated images, in the feature space of a classifier.

The Frechet distance between two clouds of features, each taken for a Gaussian,

.. math:: |m_1 - m_2|^2 + \mathrm{tr}\,(C_1 + C_2 - 2 (C_1 C_2)^{1/2}),

means nothing by itself: it grows with few samples and depends on the classifier. `scale` measures the
distances that decide what one means: real images of a held-out split (the floor), with noise, blurred, and
pure noise. The confidence of a classifier is no measure: pure noise passes it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from molrg import checks

Features = Callable[[Tensor], Tensor]


def frechet(a: Tensor, b: Tensor) -> float:
    """Frechet distance between two sets of features.

    Source: Dowson and Landau (1982); with features of an Inception network, the FID of Heusel et al. (2017).

    Args:
        a: features (N, F), N >= 2.
        b: features (M, F), M >= 2.

    Returns:
        The distance (of the kind of a squared length), >= 0 but for rounding.

    Raises:
        ValueError: where a set is not finite, has fewer than two rows, or the numbers of features differ.
    """
    for name, x in (("a", a), ("b", b)):
        checks.require(
            checks.points(name, x, 2).dim() == 2,
            f"{name}.shape",
            tuple(x.shape),
            "(N, F) with N >= 2",
        )
    checks.require(
        a.shape[1] == b.shape[1],
        "b.shape",
        tuple(b.shape),
        f"(M, {a.shape[1]}), as many features as a has",
    )
    (mean, cov), (other_mean, other_cov) = (
        (x.mean(0), np.cov(x, rowvar=False).reshape(x.shape[1], -1))
        for x in (a.detach().double().numpy(), b.detach().double().numpy())
    )
    # the eigenvalues of C1 C2 are those of a symmetric positive matrix; its root itself may not exist where ranks are low
    cross = np.sqrt(np.clip(linalg.eigvals(cov @ other_cov).real, 0, None)).sum()
    return float(((mean - other_mean) ** 2).sum() + np.trace(cov) + np.trace(other_cov) - 2 * cross)


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
        features: from images (B, C, H, W) to (B, F); it is called on all images of a set at once.
        samples: generated images, (N, C, H, W).
        reference: real images, more than N.
        held_out: N other real images; all but the samples' distances are of them, so that numbers are equal.
        generator: source of the noise.

    Returns:
        "samples"; "floor", of the held-out images themselves; "noisy", with noise of standard deviation 0.2;
        "blurred"; "noise", standard normal, clipped; and "excess" = (samples - floor) / (noisy - floor), which
        survives another classifier.

    Raises:
        ValueError: where images are not finite, or samples and held-out images not equally many.
    """
    checks.require(
        len(samples) == len(held_out),
        "len(samples)",
        len(samples),
        f"{len(held_out)}, as many as held out",
    )
    checks.require(
        len(reference) > len(held_out),
        "len(reference)",
        len(reference),
        f"more than the {len(held_out)} held out",
    )
    draws = torch.randn((2, *held_out.shape), generator=generator, dtype=held_out.dtype)
    sets = {
        "samples": checks.finite("samples", samples),
        "floor": held_out,
        "noisy": held_out + 0.2 * draws[0],
        "blurred": blurred(held_out),
        "noise": draws[1].clamp(-1, 1),
    }
    wanted = features(reference)
    found = {name: frechet(features(images), wanted) for name, images in sets.items()}
    return found | {
        "excess": (found["samples"] - found["floor"]) / (found["noisy"] - found["floor"])
    }


def histogram(logits: Tensor) -> Tensor:
    """Share of the images that a classifier puts in each class, (classes,), from logits (B, classes)."""
    checks.require(
        logits.dim() == 2 and len(logits) > 0,
        "logits.shape",
        tuple(logits.shape),
        "(B, classes) with B >= 1",
    )
    return torch.bincount(logits.argmax(1), minlength=logits.shape[1]).double() / len(logits)
