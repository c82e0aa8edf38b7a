"""Simple denoisers of the training images, with which the network is compared."""

from __future__ import annotations

import functools

from torch import Tensor

from molrg import MoLRG, draws
from molrg.companion.report.inputs import Inputs
from molrg.denoisers import Denoiser, Empirical, Gaussian, Patches

GAUSSIAN, TRAINING, MIXTURE = "one Gaussian", "training images", "mixture"
LARGEST_GAUSSIAN = 3072  # pixels whose covariance is affordable
WINDOWS = (5, 9)  # pixels along a side
ITERATIONS = 30  # of EM
_WINDOWS = "windows of"
_FIT = 42  # purpose of random numbers


def knows_the_answers(name: str) -> bool:
    """Whether a reference holds the training images themselves, so that on them its error is small.

    Args:
        name: of the reference.
    """
    return name == TRAINING or name.startswith(_WINDOWS)


def sizes(N: int) -> tuple[int, int]:
    """Components of the mixture and their dimension; not tuned to the images.

    Args:
        N: images that it is fitted to.
    """
    return (10, 20) if N >= 1000 else (4, 8)


class Laws:
    """Denoisers made of the chosen training images; each is made when it is first asked for.

    Args:
        inputs: with the images and the network's schedule.
        seed: of the mixture.
    """

    def __init__(self, inputs: Inputs, seed: int) -> None:
        self.x = inputs.chosen
        self.schedule = inputs.denoiser.schedule
        self.seed = seed

    @functools.cached_property
    def gaussian(self) -> Gaussian | None:
        """One Gaussian; None where there are too many pixels."""
        if self.x[0].numel() > LARGEST_GAUSSIAN:
            return None
        return Gaussian(self.x, self.schedule)

    @functools.cached_property
    def training(self) -> Empirical:
        """The training images themselves."""
        return Empirical(self.x, self.schedule)

    @functools.cached_property
    def mixture(self) -> Denoiser:
        """A mixture of low-rank Gaussians, fitted."""
        K, d = sizes(len(self.x))
        generator = draws.source(_FIT, self.seed)
        flat: Tensor = self.x.flatten(1)
        d = min(d, flat.shape[1] - 1)
        law = MoLRG.fit(flat, K, d, starts=1, iterations=ITERATIONS, generator=generator)
        return law.denoiser(self.schedule)

    def all(self) -> dict[str, Denoiser]:
        """Every reference by name, windows of the training images too."""
        side = min(self.x.shape[-2:])
        laws: dict[str, Denoiser] = {MIXTURE: self.mixture, TRAINING: self.training}
        if self.gaussian is not None:
            laws = {GAUSSIAN: self.gaussian} | laws
        for size in WINDOWS:
            if size < side:
                laws[f"{_WINDOWS} {size} x {size}"] = Patches(self.x, self.schedule, size)
        return laws
