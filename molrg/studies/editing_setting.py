r"""What studies of edits share: network and images by name, noisy points, directions.

What is loaded or computed once is kept for the life of the process.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import cast

from torch import Tensor
from torch.nn import Module

from molrg import devices, draws, editing, images, zoo
from molrg.denoisers.networks import UNet
from molrg.editing import attributes
from molrg.zoo.classifiers import Classifier

_WHITE, _DRAWN, _SMOOTH, _OTHER = 1, 2, 3, 4  # purposes of random numbers, with a seed after them
_KEPT = 256  # images whose noisy point and directions are remembered


@dataclass(frozen=True)
class Setting:
    """What is edited, by which network, at which time.

    Args:
        model: name in the zoo, folder, or hub repository of an unconditional network.
        data: a named set, a folder of pictures, or "" for samples of the model. Samples are taken,
            too, where a named set has images of another shape.
        t: the time of the edit.
        steps: of DDIM, in inversion and sampling.
        device: to compute on, as of `molrg.devices.chosen`; pictures and directions are handed out
            on the CPU.
    """

    model: str
    data: str
    t: float
    steps: int
    device: str = "cpu"

    @property
    def network(self) -> UNet:
        """The denoiser."""
        return network(self.model, self.device)


@functools.cache
def network(model: str, device: str = "cpu") -> UNet:
    """A network of the zoo, a folder or the hub, on a device."""
    return cast(UNet, zoo.load(model, device=device))


@functools.cache
def _pictures(model: str, data: str, split: str, device: str) -> tuple[Tensor, Tensor | None]:
    denoiser = network(model, device)
    shape = tuple(int(size or 0) for size in denoiser.event)
    if data in images.names():
        x, y = images.load(data, split)
        if tuple(x.shape[1:]) == shape:
            return x, y
    elif data:
        return images.folder(data, size=shape[-1], grey=shape[0] == 1)[0], None
    # at t = 1 the law of x_t is nearly white
    noise = draws.normal((40, *shape), generator=draws.source(0, len(split)))
    samples = editing.finish(denoiser, noise.to(devices.chosen(device)), 1.0, steps=25)
    return samples.clamp(-1, 1).cpu(), None


def pictures(setting: Setting, split: str) -> tuple[Tensor, Tensor | None]:
    """Images of the network's shape and their labels, None where there are none."""
    return _pictures(setting.model, setting.data, split, setting.device)


def picture(setting: Setting, seed: int) -> Tensor:
    """A test image (1, C, H, W); ten seeds in a row go through the classes of ten."""
    x, y = pictures(setting, "test")
    if y is None:
        return x[seed % len(x)][None]
    rows = (y == seed % 10).nonzero()[:, 0]
    return x[rows[(seed // 10) % len(rows)]][None]


@functools.cache
def observer(setting: Setting) -> tuple[Classifier | None, dict[str, float]]:
    """The classifier of the images, None where there is none; spreads of attributes in a class."""
    name = setting.data.removesuffix("-slice") + "-classifier"
    known = name in zoo.names() and pictures(setting, "test")[1] is not None
    classifier = cast(Classifier, zoo.load(name)) if known else None
    return classifier, attributes.spread(*pictures(setting, "train"))


def invert(setting: Setting, x0: Tensor) -> Tensor:
    """The noisy points of images (B, C, H, W), by DDIM inversion with four corrections a step."""
    on_device = x0.to(devices.chosen(setting.device))
    found = editing.invert(
        setting.network, on_device, setting.t, steps=setting.steps, corrections=4
    )
    return found.cpu()


def finish(setting: Setting, x_t: Tensor) -> Tensor:
    """The finished images of noisy points (B, C, H, W)."""
    on_device = x_t.to(devices.chosen(setting.device))
    return editing.finish(setting.network, on_device, setting.t, steps=setting.steps).cpu()


def edit(setting: Setting, x_t: Tensor, shifts: Tensor) -> Tensor:
    """Finished images (B, m, C, H, W) of points (B, C, H, W) moved by shifts (m, C, H, W)."""
    place = devices.chosen(setting.device)
    edited = editing.edit(
        setting.network, x_t.to(place), setting.t, shifts.to(place), steps=setting.steps
    )
    return edited.cpu()


def directions(
    setting: Setting, x_t: Tensor, k: int, mask: Tensor | None = None, null: int = 0
) -> Tensor:
    """The first k directions at one point (1, C, H, W), (k, C, H, W), as `editing.directions`."""
    place = devices.chosen(setting.device)
    where = None if mask is None else mask.to(place)
    found = editing.directions(
        setting.network, x_t.to(place), setting.t, k, where, null, tolerance=0.1
    )
    return found.vectors[0].cpu()


@functools.lru_cache(maxsize=_KEPT)
def noisy(setting: Setting, seed: int) -> Tensor:
    """An image's noisy point (1, C, H, W)."""
    return invert(setting, picture(setting, seed))


@functools.lru_cache(maxsize=_KEPT)
def start(setting: Setting, seed: int) -> tuple[Tensor, Tensor]:
    """An image's noisy point (1, C, H, W), and its first four directions there (4, C, H, W)."""
    x_t = noisy(setting, seed)
    return x_t, directions(setting, x_t, 4)


def candidates(setting: Setting, kind: str, seed: int, m: int = 4) -> Tensor:
    """Unit directions of a kind for one image, (m, C, H, W).

    Args:
        setting: network and images.
        kind: "own", singular vectors at the image; "white", uniform on the sphere; "smooth" or
            "other", two draws with the power spectrum of the images and random phases; "drawn",
            from a Gaussian with the covariance of the images; "principal", of that covariance.
        seed: of the image and of what is random.
        m: how many.
    """
    x = pictures(setting, "train")[0]
    if kind == "own":
        return start(setting, seed)[1][:m]
    if kind == "white":
        return editing.white(x.shape[1:], m, generator=draws.source(_WHITE, seed))
    if kind == "drawn":
        return editing.drawn(x, m, generator=draws.source(_DRAWN, seed))
    if kind == "principal":
        return editing.principal(x, m)
    purpose = {"smooth": _SMOOTH, "other": _OTHER}[kind]
    return editing.smooth(x, m, generator=draws.source(purpose, seed))


def weight_sum(network: Module) -> float:
    """A number that tells networks of one name apart: the sum of the sizes of all weights."""
    return round(sum(float(p.double().abs().sum()) for p in network.parameters()), 3)
