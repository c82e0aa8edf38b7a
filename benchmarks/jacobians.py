"""Jacobians of a diffusers U-Net compared: spectra with torch's way, the top with LOCO-Edit's.

The networks are untrained, which is the hard case: their spectra are flat.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator

import torch
from jacobian import power_method, problem
from measuring import Comparison, Work, measured
from torch import Tensor

from molrg import draws, jacobian
from molrg.denoisers import checkpoints
from molrg.denoisers.networks import UNet
from molrg.schedules import DDPM
from molrg.zoo import recipes

TIME, TOP, WANTED = 0.7, 10, 5e-4  # of the tenth value, relative
COARSE = 0.3  # tolerance where the exact value is not known
AGAINST = "LOCO-Edit's power method, on our products"


def all_of_them(*, large: bool = True) -> Iterator[Comparison]:
    """Every comparison of this module, the small ones first."""
    sizes = [(28, 1), (32, 3)] if large else [(28, 1)]
    for size, channels in sizes:
        point = _point(size, channels)
        yield spectrum(point, size**2 * channels)
        yield leading(point, size**2 * channels)
    if large:
        yield hub_format(256)


def _point(size: int, channels: int) -> Callable[[], tuple[UNet, Tensor]]:
    """Makes a denoiser and a noisy image."""
    args = argparse.Namespace(model="", device="cpu", size=size, channels=channels, t=TIME)
    return lambda: problem(args)


def spectrum(point: Callable[[], tuple[UNet, Tensor]], pixels: int) -> Comparison:
    """All singular values, against torch.autograd.functional.jacobian and svdvals."""

    def ours() -> Work:
        denoiser, x = point()
        return lambda: torch.linalg.svdvals(jacobian.dense(denoiser, x, TIME))[0]

    def other() -> Work:
        denoiser, x = point()

        def values() -> Tensor:
            J = torch.autograd.functional.jacobian(lambda z: denoiser(z, TIME), x)
            return torch.linalg.svdvals(J.reshape(pixels, pixels))

        return values

    against = "torch.autograd.functional.jacobian"
    return Comparison("all singular values", f"{pixels:,} pixels", ours, other, against, 1e-3)


def leading(point: Callable[[], tuple[UNet, Tensor]], pixels: int) -> Comparison:
    """The ten largest, against the power method of LOCO-Edit (2409.02374, algorithm 2)."""

    def ours() -> Work:
        denoiser, x = point()
        return lambda: jacobian.top_singular(denoiser, x, TIME, TOP, tolerance=0.03)[1][0]

    def precise() -> Work:
        denoiser, x = point()
        return lambda: jacobian.top_singular(denoiser, x, TIME, TOP, tolerance=1e-3)[1][0]

    def other() -> Work:
        denoiser, x = point()
        exact = torch.from_numpy(measured(precise, repeats=1)[1])  # its memory is not counted
        near = lambda S: abs(S[-1] / exact[TOP - 1] - 1) <= WANTED
        return lambda: power_method(jacobian.Linearised(denoiser, x, TIME), TOP, near)

    note = f"the power method stops where its tenth value is within {WANTED:g} of the exact one"
    name = "ten largest singular values"
    return Comparison(name, f"{pixels:,} pixels", ours, other, AGAINST, 2e-3, note=note)


def hub_format(size: int) -> Comparison:
    """The ten largest of a network in the hub's format, too large for a matrix.

    The exact values are not known. Both ways find them from below, so larger ones are nearer, and
    the power method is stopped where its tenth value has reached ours.
    """

    def point() -> tuple[UNet, Tensor]:
        with tempfile.TemporaryDirectory() as folder:
            network = recipes.unet((3, size, size), (8, 16, 24), seed=0)
            checkpoints.save(UNet(network, DDPM()), f"{folder}/network")
            denoiser = checkpoints.from_pretrained(f"{folder}/network").eval()
        shape = (1, 3, size, size)
        return denoiser, draws.normal(shape, generator=torch.Generator().manual_seed(0))

    def ours() -> Work:
        denoiser, x = point()
        return lambda: jacobian.top_singular(denoiser, x, TIME, TOP, tolerance=COARSE)[1][0]

    def other() -> Work:
        denoiser, x = point()
        reached = measured(ours, repeats=1)[1][TOP - 1]
        near = lambda S: S[-1].item() >= reached
        return lambda: power_method(jacobian.Linearised(denoiser, x, TIME), TOP, near)

    pixels = 3 * size**2
    note = (
        f"at {pixels:,} pixels a matrix would have {4 * pixels**2 / 1e9:.0f} GB, and the exact "
        f"values are not known: both ways find them from below, ours with a tolerance of "
        f"{COARSE:g}, and the power method stops where its tenth value has reached ours"
    )
    name = "ten largest singular values"
    return Comparison(name, f"{pixels:,} pixels", ours, other, AGAINST, 0.1, note=note)
