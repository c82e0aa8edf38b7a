"""The law of the colours: independent normal factors, which make a kind a low-rank Gaussian."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from molrg import checks
from molrg.images.faces import maps
from molrg.images.faces.attributes import COLOURS, KINDS
from molrg.mixture import MoLRG

LIGHT_SKIN = (1.0, 0.86, 0.78)
DARK_SKIN = (0.46, 0.30, 0.24)
SKIN_SPREAD = 0.55  # standard deviation along the line between the two, as a share of half of it
HAIR = (0.45, 0.35, 0.30)
SHIRT = (0.50, 0.50, 0.50)
# standard deviations in lightness, red against green, and yellow against blue: unequal, so that
# each direction is identified by its variance
HAIR_SPREADS = (0.20, 0.14, 0.10)
SHIRT_SPREADS = (0.20, 0.15, 0.11)
AXES = ((1.0, 1.0, 1.0), (1.0, -1.0, 0.0), (1.0, 1.0, -2.0))
AT_ONCE = 64  # kinds whose bases are computed together


def middle(dtype: torch.dtype = torch.float64) -> Tensor:
    """Mean colours of skin, hair and shirt in [0, 1], (3 parts, 3 channels)."""
    light, dark, hair, shirt = torch.tensor(
        (LIGHT_SKIN, DARK_SKIN, HAIR, SHIRT), dtype=torch.float64, device="cpu"
    )
    return torch.stack([(light + dark) / 2, hair, shirt]).to(dtype)


def steps(dtype: torch.dtype = torch.float64) -> Tensor:
    """How far one standard deviation of each factor moves the colours, (7, 3 parts, 3 channels)."""
    light, dark = torch.tensor((LIGHT_SKIN, DARK_SKIN), dtype=torch.float64, device="cpu")
    axes = torch.nn.functional.normalize(
        torch.tensor(AXES, dtype=torch.float64, device="cpu"), dim=1
    )
    moves = axes.new_zeros(len(COLOURS), len(maps.PARTS), 3)
    moves[0, 0] = SKIN_SPREAD * (light - dark) / 2
    moves[1:4, 1] = axes.new_tensor(HAIR_SPREADS)[:, None] * axes
    moves[4:7, 2] = axes.new_tensor(SHIRT_SPREADS)[:, None] * axes
    return moves.to(dtype)


def layers(kinds: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Base (B, 3, size, size) and maps of skin, hair, shirt (B, 3, size, size), all in [0, 1]."""
    chosen = torch.from_numpy(maps.load(size)[kinds.cpu().numpy()]).to(kinds.device, dtype) / 255
    return chosen[:, :3], chosen[:, 3:]


def means(kinds: Tensor, size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """The mean picture of each kind in [-1, 1], (B, 3, size, size)."""
    base, parts = layers(kinds, size, dtype)
    colours = middle(dtype).to(kinds.device)
    return 2 * (base + torch.einsum("pc,bphw->bchw", colours, parts)) - 1


def columns(kinds: Tensor, size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """What one standard deviation of each colour adds to the picture, (B, 7, 3, size, size)."""
    _, parts = layers(kinds, size, dtype)
    return 2 * torch.einsum("fpc,bphw->bfchw", steps(dtype).to(kinds.device), parts)


def mixture(
    *,
    size: int = 32,
    noise: float = 0.02,
    kinds: Sequence[int] | None = None,
    dtype: torch.dtype = torch.float32,
) -> MoLRG:
    """The law of the pictures, exactly: a mixture of 768 Gaussians of dimension 7, and noise.

    Component k is kind k of `molrg.images.faces.kinds`. With noise = 0 it is the law of what
    `molrg.images.faces.draw` draws without pose.

    Source: ours; pictures are affine in their colours, colours are normal.

    Args:
        size: pixels along a side, 16, 32 or 64.
        noise: standard deviation of the ambient noise per coordinate, >= 0; pictures have none.
        kinds: numbers of the kinds, each in 0 ... 767, in the order of the components; all where
            omitted.
        dtype: of the bases; they are computed in float64.

    Returns:
        A mixture in n = 3 size size dimensions with equal weights. Size 64 takes 270 MB in float32.

    Raises:
        ValueError: where an argument is not as above.
    """
    checks.one_of("size", size, maps.SIZES)
    checks.real("noise", noise, 0.0)
    numbers = chosen_kinds(kinds)
    bases, spectra = [], []
    for part in numbers.split(AT_ONCE):
        left, singular, _ = torch.linalg.svd(
            columns(part, size).flatten(2).mT.contiguous(), full_matrices=False
        )
        bases += left.to(dtype).unbind()
        spectra += singular.square().to(dtype).unbind()
    centres = means(numbers, size).flatten(1).to(dtype).unbind()
    return MoLRG(bases, None, centres, spectra, noise)


def chosen_kinds(kinds: Sequence[int] | None) -> Tensor:
    """Numbers of kinds, checked, as int64; all of them where None.

    Raises:
        ValueError: where there is none, or one is not in 0 ... 767.
    """
    if kinds is None:
        return torch.arange(KINDS, device="cpu")
    numbers = [checks.count(f"kinds[{i}]", number, 0, KINDS - 1) for i, number in enumerate(kinds)]
    if not numbers:
        raise ValueError(f"kinds = {kinds!r}: allowed is one number in 0 ... {KINDS - 1} or more")
    return torch.tensor(numbers, device="cpu")
