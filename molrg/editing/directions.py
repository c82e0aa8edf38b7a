"""Directions in which to edit: singular vectors of the Jacobian, and others to compare with.

Source: LOCO-Edit (Chen et al., 2409.02374, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molrg import checks, draws, jacobian
from molrg.denoisers.protocol import Denoiser
from molrg.jacobian.krylov import leading

_NOTHING_LEFT = 1e-4  # norm of a unit vector after a projection of which only rounding is left


@dataclass(frozen=True)
class Directions:
    """Unit directions at each of B points, strongest first."""

    vectors: Tensor  # (B, k, *event)
    values: (
        Tensor  # (B, k) singular values: change of the region for a unit step, before projection
    )
    kept: Tensor  # (B, k) norm of the vector that the projection left, 1 without one


class _Region(nn.Module):
    """A denoiser of which only some pixels are looked at; a module, for its network to be found."""

    def __init__(self, denoiser: Denoiser, mask: Tensor) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.schedule = denoiser.schedule
        self.mask = mask

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        return self.denoiser(x_t, t) * self.mask


def directions(
    denoiser: Denoiser,
    x_t: Tensor,
    t: float | Tensor,
    k: int,
    mask: Tensor | None = None,
    null: int = 0,
    *,
    tolerance: float = 0.03,
) -> Directions:
    r"""Leading right singular vectors of the Jacobian, of the whole image or of a region.

    With a mask they are those of the Jacobian of the pixels in it. With `null` :math:`= r' > 0` in
    addition, each is projected to where the Jacobian of all other pixels hardly acts,
    :math:`v \propto (I - \bar V \bar V^T) v`, with :math:`\bar V` the first r' right singular
    vectors of that one; then they are no longer orthogonal.

    Source: LOCO-Edit (2409.02374, algorithm 1), with `molrg.jacobian.top_singular` in place of its
    power method.

    Args:
        denoiser: any differentiable denoiser; each point of a batch on its own.
        x_t: points (B, \\*event).
        t: scalar or (B,), in [0, 1].
        k: number of directions, 1 ... number of pixels looked at.
        mask: booleans (or 0 and 1) that broadcast to the event; not all equal.
        null: directions to project away, 0 ... number of pixels outside the mask.
        tolerance: of the singular vectors, > 0.

    Returns:
        The directions; the sign of each is chosen so that the region as a whole brightens.

    Raises:
        ValueError: where an argument is out of range, `null` has no mask, or nothing of a direction
            is left; and as `molrg.jacobian.top_singular`.
    """
    event = x_t.shape[1:]
    inside, k, null = check_region(event, k, mask, null)
    inside = inside if inside is None else inside.to(x_t)
    seen = jacobian.Linearised(denoiser if inside is None else _Region(denoiser, inside), x_t, t)
    U, S, V = leading(seen, k, tolerance=tolerance)
    brighter = U.sum(-2)
    kept = torch.ones_like(S)
    if inside is not None and null:
        rest = jacobian.Linearised(_Region(denoiser, 1 - inside), x_t, t)
        V, kept = _projected(V, leading(rest, null, tolerance=tolerance)[2], null)
        brighter = seen.jvp(V.mT).sum(-2)
    V = torch.where(brighter.unsqueeze(-1) < 0, -V, V)
    return Directions(V.reshape(*V.shape[:2], *event), S, kept)


def _projected(V: Tensor, outside: Tensor, null: int) -> tuple[Tensor, Tensor]:
    """Rows of V without their part in the span of the rows of `outside`, and the norms left."""
    V = V - V @ outside.mT @ outside
    kept = torch.linalg.vector_norm(V, dim=-1)
    least = kept.min().item()
    if least <= _NOTHING_LEFT:
        raise ValueError(
            f"null = {null}, which leaves {least:.1g} of a direction: allowed is fewer"
        )
    return V / kept.unsqueeze(-1), kept


def check_region(
    event: torch.Size, k: int, mask: Tensor | None, null: int
) -> tuple[Tensor | None, int, int]:
    """The mask, k and null of `directions`, checked against the shape of an event.

    Args:
        event: the shape.
        k: number of directions.
        mask: as given.
        null: as given.

    Raises:
        ValueError: as `directions`.
    """
    inside = None if mask is None else as_mask(mask, event)
    looked_at = event.numel() if inside is None else int(inside.sum())
    if null != 0 and inside is None:
        raise ValueError(f"null = {null}: allowed is 0 where there is no mask")
    k = checks.count("k", k, 1, looked_at)
    return inside, k, checks.count("null", null, 0, event.numel() - looked_at)


def as_mask(mask: Tensor, event: torch.Size) -> Tensor:
    """A mask in the shape of an event.

    Args:
        mask: booleans, or 0 and 1, that broadcast to it.
        event: the shape.

    Raises:
        ValueError: where it does not, or is all or nothing.
    """
    try:
        whole = mask.expand(event)
    except RuntimeError:
        raise ValueError(
            f"mask.shape = {tuple(mask.shape)}: allowed is one that broadcasts to {tuple(event)}"
        ) from None
    pixels = int((whole != 0).sum())
    if not bool(((whole == 0) | (whole == 1)).all()) or not 0 < pixels < whole.numel():
        raise ValueError(
            f"mask = {pixels} of {whole.numel()} pixels: allowed is 0 and 1 (or booleans), some of"
            " each"
        )
    return whole


def white(
    event: Sequence[int],
    m: int,
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """m unit directions, (m, \\*event), uniform on the sphere.

    Args:
        event: shape of one.
        m: number of directions, >= 1.
        generator: source of the draws.
        dtype: of the directions.
        device: of the directions; the numbers are the same on each.

    Raises:
        ValueError: where m is out of range.
    """
    m = checks.count("m", m)
    return _unit(draws.normal((m, *event), generator=generator, dtype=dtype, device=device))


def smooth(images: Tensor, m: int, *, generator: torch.Generator) -> Tensor:
    """m unit directions (m, C, H, W) with the power spectrum of the images and random phases.

    They are as smooth as the images and know nothing else of them: a stationary Gaussian field,
    in which each place is as good as another.

    Source: ours; random phases are the usual null for images.

    Args:
        images: (N, C, H, W), N >= 2; their mean is taken away.
        m: number of directions, >= 1.
        generator: source of the phases.

    Raises:
        ValueError: where the images are not as above, or all the same.
    """
    _centred(images)
    if images.dim() != 4:
        raise ValueError(f"images.shape = {tuple(images.shape)}: allowed is (N, C, H, W)")
    amplitude = torch.fft.fft2(images - images.mean(0)).abs().square().mean(0).sqrt()
    noise = _noise(images, (checks.count("m", m), *images.shape[1:]), generator)
    return _unit(torch.fft.ifft2(torch.fft.fft2(noise) * amplitude).real)


def drawn(images: Tensor, m: int, *, generator: torch.Generator) -> Tensor:
    """m unit directions (m, \\*event) drawn from a Gaussian with the covariance of the images.

    A stricter comparison than `smooth`: these know where in the picture images differ, too.

    Args:
        images: (N, \\*event), N >= 2; their mean is taken away.
        m: number of directions, >= 1.
        generator: source of the draws.

    Raises:
        ValueError: where the images are fewer than two, all the same, or not finite.
    """
    centred = _centred(images)
    weights = _noise(images, (checks.count("m", m), len(images)), generator)
    return _unit((weights @ centred).reshape(-1, *images.shape[1:]))


def principal(images: Tensor, m: int) -> Tensor:
    """The first m principal directions of images, (m, \\*event).

    Args:
        images: (N, \\*event), N > m; their mean is taken away.
        m: number of directions, >= 1.

    Raises:
        ValueError: where m is out of range, or the images are all the same or not finite.
    """
    centred = _centred(images)
    m = checks.count("m", m, 1, min(len(images) - 1, centred.shape[1]))
    return torch.linalg.svd(centred, full_matrices=False).Vh[:m].reshape(m, *images.shape[1:])


def _noise(images: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return draws.normal(shape, generator=generator, dtype=images.dtype, device=images.device)


def _centred(images: Tensor) -> Tensor:
    """The images less their mean, (N, n), checked."""
    checks.finite("images", images)
    if images.dim() < 2 or len(images) < 2:
        raise ValueError(
            f"images.shape = {tuple(images.shape)}: allowed is (N, *event) with N >= 2"
        )
    centred = (images - images.mean(0)).flatten(1)
    if not bool(centred.any()):
        raise ValueError("images = all the same: allowed is different ones")
    return centred


def _unit(x: Tensor) -> Tensor:
    size = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return x / size.reshape(-1, *[1] * (x.dim() - 1))
