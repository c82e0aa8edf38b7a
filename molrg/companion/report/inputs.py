"""What a report is about: a denoiser and the images that it was trained on, checked to fit."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from molrg import draws, images, zoo
from molrg.companion.sample_copies import LEAST, first_rows
from molrg.denoisers.networks import UNet

# Training images that references are made of, a random choice where there are more: at most so
# many, and so many numbers in all.
MOST = 2000
_NUMBERS = 2**25
_CHOICE = 41  # purpose of random numbers
_POINTS = 32  # images at which the denoiser is measured


@dataclass(frozen=True)
class Inputs:
    """A denoiser and images, on one device.

    Attributes:
        name: of the model, as it was given.
        source: of the images, as it was given.
        training: all training images that were given, (M, C, H, W), no two equal; on the CPU.
        chosen: of them, those that references are made of, (N, C, H, W).
        points: images at which the denoiser is measured, (B, C, H, W).
        unseen: whether the points are no training images.
        notes: what was left out on reading.
    """

    name: str
    source: str
    denoiser: UNet
    training: Tensor
    chosen: Tensor
    points: Tensor
    unseen: bool
    notes: tuple[str, ...]

    @property
    def images_digest(self) -> str:
        """A digest of the training images."""
        return hashlib.sha256(self.training.numpy().tobytes()).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """A digest of weights and images."""
        digest = hashlib.sha256()
        for key, value in sorted(self.denoiser.state_dict().items()):
            digest.update(key.encode())
            raw = value.detach().cpu().reshape(-1).contiguous().view(torch.uint8)
            digest.update(raw.numpy().tobytes())
        for x in (self.training, self.chosen, self.points):
            digest.update(x.cpu().numpy().tobytes())
        return digest.hexdigest()[:16]


def read(name: str, source: str, *, device: str, size: int | None, seed: int) -> Inputs:
    """Load a model and its images.

    Args:
        name: a zoo name, a diffusers folder or a hub id.
        source: a folder of pictures, or the name of an image set.
        device: where to compute.
        size: pixels along a side to which pictures of a folder are cut and resized.
        seed: of the choice of images.

    Raises:
        ValueError: where the images do not fit the network, or are too few.
        FileNotFoundError: where there is no such model, folder or set.
    """
    _require_source(source)
    denoiser = _denoiser(name, device)
    place = next(denoiser.parameters()).device
    given, unseen, notes = _images(source, denoiser.event[0] == 1, size)
    _require_fit(denoiser, given, source)
    training = given[first_rows(given)]
    if len(training) < LEAST:
        value = f"{len(training)} different ones"
        raise ValueError(f"images in {source} = {value}: allowed is {LEAST} or more")
    most = max(LEAST, min(MOST, _NUMBERS // training[0].numel()))
    chosen = _drawn(training, most, seed, 0)
    if len(training) > most:
        used = f"{most:,} of {len(training):,} training images"
        notes = (*notes, f"references and dimension are of {used}, copies are looked for in all")
    points = _drawn(chosen if unseen is None else unseen, _POINTS, seed, 1)
    return Inputs(
        name=name,
        source=source,
        denoiser=denoiser,
        training=training,
        chosen=chosen.to(place),
        points=points.to(place),
        unseen=unseen is not None,
        notes=notes,
    )


def _denoiser(name: str, device: str) -> UNet:
    """The model; errors call it so, and not by the argument of the function that loads it."""
    try:
        return zoo.load_denoiser(name, device=device)
    except ValueError as error:
        raise ValueError(str(error).replace("path_or_repo_id", "model", 1)) from error


def _drawn(x: Tensor, count: int, seed: int, purpose: int) -> Tensor:
    """Some images at random, all in random order where there are no more."""
    generator = draws.source(_CHOICE, seed, purpose)
    return x[torch.randperm(len(x), generator=generator, device="cpu")[:count]]


def _require_source(source: str) -> None:
    if source not in images.names() and not Path(source).is_dir():
        raise FileNotFoundError(
            f"{source}: no such folder; named sets are {', '.join(images.names())}"
        )


def _images(
    source: str, grey: bool, size: int | None
) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Training images, others of the same kind where there are any, and notes."""
    if source in images.names():
        return images.load(source)[0], images.load(source, "test")[0], ()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", images.PictureWarning)
        pixels = images.folder(source, size=size, grey=grey)[0]
    notes = [str(w.message) for w in caught if issubclass(w.category, images.PictureWarning)]
    return pixels, None, tuple(notes)


def _require_fit(denoiser: UNet, x: Tensor, source: str) -> None:
    shape = tuple(x.shape[1:])
    sides = zip(denoiser.event, shape, strict=True)
    fits = all(wanted in (None, given) for wanted, given in sides)
    if not fits or any(side % denoiser.multiple for side in shape[1:]):
        wanted = ", ".join("any" if side is None else str(side) for side in denoiser.event)
        raise ValueError(
            f"images in {source} = of size {shape}: allowed is ({wanted}), as this network takes"
            f" them, sides multiples of {denoiser.multiple}; --size cuts and resizes the pictures"
            " of a folder"
        )
