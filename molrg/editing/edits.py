r"""Editing: invert an image to noise, move it along singular vectors of the denoiser's Jacobian, come back.

All of it asks for a denoiser ``x0_hat = denoiser(x_t, t)`` and nothing else. ``strip`` is the whole of it in one
call; a direction found on one image is moved along on another by giving it to `edit`.

Source: LOCO-Edit (Chen et al., 2409.02374, section 4 and algorithms 1 and 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molrg import checks, jacobian, sampling
from molrg.denoisers import Denoiser, ForEvents

_AT_ONCE = 64  # images in one evaluation


def invert(
    denoiser: Denoiser, x_0: Tensor, t: float, *, steps: int = 25, corrections: int = 2
) -> Tensor:
    """The noisy x_t from which DDIM finds back to the images.

    Source: DDIM inversion as in LOCO-Edit; with corrections, each step is solved backwards (`sampling.ddim_invert`).

    Args:
        denoiser: any denoiser.
        x_0: images (B, \\*event).
        t: where to stop, in (0, 1].
        steps: of DDIM, >= 1; `finish` with as many goes back on the same times.
        corrections: further evaluations a step; 0 for plain DDIM inversion.

    Returns:
        x_t, in the shape of x_0.

    Raises:
        ValueError: where x_0 is not finite, or t, steps or corrections are out of range.
    """
    times = _times(denoiser, t, steps).flip(0)
    return _in_parts(
        checks.finite("x_0", x_0),
        lambda x: sampling.ddim_invert(denoiser, x, times, corrections=corrections),
    )


def finish(denoiser: Denoiser, x_t: Tensor, t: float, *, steps: int = 25) -> Tensor:
    """The finished images: DDIM from x_t (B, \\*event) at t down to 0.

    Raises:
        ValueError: where x_t is not finite, or t or steps are out of range.
    """
    times = _times(denoiser, t, steps)
    return _in_parts(checks.finite("x_t", x_t), lambda x: sampling.ddim(denoiser, x, times))


def _times(denoiser: Denoiser, t: float, steps: int) -> Tensor:
    one = not isinstance(t, Tensor) or t.numel() == 1
    checks.require(one and 0 < float(t) <= 1, "t", t, "one time in (0, 1]")
    return sampling.time_grid(denoiser.schedule, steps, start=float(t), stop=0.0)


@torch.no_grad()
def _in_parts(x: Tensor, sampler) -> Tensor:
    checks.require(
        x.dim() >= 2 and x.numel() > 0, "x.shape", tuple(x.shape), "(B, *event), not empty"
    )
    return torch.cat([sampling.finish(sampler(part)) for part in x.split(_AT_ONCE)])


@dataclass(frozen=True)
class Directions:
    """Unit directions at each of B points, strongest first."""

    vectors: Tensor  # (B, k, *event)
    values: Tensor  # (B, k) singular values: change of the denoised region for a unit step, before projection
    kept: Tensor  # (B, k) norm of the vector that the projection left, 1 without one


class _Region:
    """A denoiser of which only some pixels are looked at."""

    def __init__(self, denoiser: Denoiser, mask: Tensor) -> None:
        self.denoiser, self.schedule, self.mask = denoiser, denoiser.schedule, mask

    def __call__(self, x_t: Tensor, t: float | Tensor) -> Tensor:
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
    r"""Leading right singular vectors of :math:`\partial \hat x_0/\partial x_t`, of the whole image or of a region.

    With a mask they are those of the Jacobian of the pixels in it. With `null` :math:`= r' > 0` in addition, each is projected to
    where the Jacobian of all other pixels hardly acts, :math:`v \propto (I - \bar V \bar V^T) v`, with
    :math:`\bar V` the first r' right singular vectors of that one; then they are no longer orthogonal.

    Source: LOCO-Edit (2409.02374, algorithm 1), with `molrg.jacobian.top_singular` in place of its power method.

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
        ValueError: where an argument is out of range, `null` has no mask, or nothing of a direction is left.
    """
    checks.finite("x_t", x_t)
    checks.require(
        x_t.dim() >= 2 and x_t.numel() > 0, "x_t.shape", tuple(x_t.shape), "(B, *event), not empty"
    )
    event = x_t.shape[1:]
    inside, k, null = _asked(event, k, mask, null)
    inside = inside if inside is None else inside.to(x_t.dtype)
    seen = denoiser if inside is None else _Region(denoiser, inside)
    U, S, V = jacobian.top_singular(seen, x_t, t, k, tolerance=tolerance)
    brighter, kept = U.sum(-2), torch.ones_like(S)
    if null:
        outside = jacobian.top_singular(
            _Region(denoiser, 1 - inside), x_t, t, null, tolerance=tolerance
        )[2]
        V = V - V @ outside.mT @ outside
        kept = torch.linalg.vector_norm(V, dim=-1)
        least = kept.min().item()
        checks.require(
            least > 1e-4, "null", f"{null}, which leaves {least:.1g} of a direction", "fewer"
        )
        V = V / kept.unsqueeze(-1)
        brighter = jacobian.Linearised(seen, x_t, t).jvp(V.mT).sum(-2)
    V = V * torch.where(brighter < 0, -1, 1).to(V.dtype).unsqueeze(-1)
    return Directions(V.reshape(*V.shape[:2], *event), S, kept)


def _asked(
    event: torch.Size, k: int, mask: Tensor | None, null: int
) -> tuple[Tensor | None, int, int]:
    """What `directions` is asked for, checked."""
    inside = None if mask is None else _as_mask(mask, event)
    looked_at = event.numel() if inside is None else int(inside.sum())
    checks.require(null == 0 or mask is not None, "null", null, "0 where there is no mask")
    return (
        inside,
        checks.count("k", k, 1, looked_at),
        checks.count("null", null, 0, event.numel() - looked_at),
    )


def _as_mask(mask: Tensor, event: torch.Size) -> Tensor:
    try:
        whole = torch.as_tensor(mask).expand(event)
    except RuntimeError:
        whole = None
    checks.require(
        whole is not None,
        "mask.shape",
        tuple(torch.as_tensor(mask).shape),
        f"one that broadcasts to {tuple(event)}",
    )
    proper = bool(((whole == 0) | (whole == 1)).all()) and 0 < int(whole.sum()) < whole.numel()
    checks.require(
        proper,
        "mask",
        f"{int((whole != 0).sum())} of {whole.numel()} pixels",
        "0 and 1 (or booleans), some of each",
    )
    return whole


def edit(denoiser: Denoiser, x_t: Tensor, t: float, shifts: Tensor, *, steps: int = 25) -> Tensor:
    """Move every point by every shift and finish: ``alpha * v``, a sum of several, or directions of another image.

    Source: LOCO-Edit (2409.02374, section 4).

    Args:
        denoiser: any denoiser.
        x_t: points (B, \\*event), as `invert` gives.
        t: their time, in (0, 1].
        shifts: (m, \\*event) for all points, or (B, m, \\*event).
        steps: of DDIM, as in `invert`.

    Returns:
        Finished images (B, m, \\*event).

    Raises:
        ValueError: where shapes do not fit, numbers are not finite, or t or steps are out of range.
    """
    checks.finite("x_t", x_t), checks.finite("shifts", shifts)
    event = tuple(x_t.shape[1:])
    own = shifts.dim() == x_t.dim() + 1
    fits = (
        tuple(shifts.shape[1 + own :]) == event
        and (not own or len(shifts) == len(x_t))
        and shifts.numel() > 0
    )
    checks.require(
        fits,
        "shifts.shape",
        tuple(shifts.shape),
        f"(m, {', '.join(map(str, event))}), with {len(x_t)} in front or without",
    )
    moved = x_t.unsqueeze(1) + shifts.to(x_t.dtype)
    return finish(denoiser, moved.flatten(0, 1), t, steps=steps).unflatten(0, moved.shape[:2])


@dataclass(frozen=True)
class Strip:
    """Edits of one image along its own directions."""

    images: Tensor  # (k, A, *event), a row for each direction, a column for each alpha
    alphas: tuple[float, ...]
    directions: Directions
    error: float  # mean squared difference between the image and what comes back without an edit


def strip(
    denoiser: Denoiser,
    image: Tensor,
    t: float = 0.5,
    *,
    k: int = 4,
    alphas: Sequence[float] = (-2.0, -1.0, 0.0, 1.0, 2.0),
    mask: Tensor | None = None,
    null: int = 0,
    steps: int = 25,
    corrections: int = 2,
) -> Strip:
    """From an image to its edits: inversion, directions, edits, all in one call.

    ``plots.image_grid(strip(denoiser, image).images.flatten(0, 1), columns=5)`` shows them.

    Args:
        denoiser: any differentiable denoiser.
        image: (\\*event), or (1, \\*event) where the denoiser has more axes.
        t: time to invert to, in (0, 1]; more noise gives larger edits.
        k: number of directions.
        alphas: lengths of the step along each.
        mask: as in `directions`, like `null`.
        null: as in `directions`.
        steps: of DDIM, both ways.
        corrections: as in `invert`.

    Raises:
        ValueError: as `invert`, `directions` and `edit`; where alphas are not finite numbers, one or more.
    """
    checks.require(
        len(alphas) > 0 and all(math.isfinite(a) for a in alphas),
        "alphas",
        list(alphas),
        "finite numbers, one or more",
    )
    checks.finite("image", image)
    event = denoiser.event if isinstance(denoiser, ForEvents) else None
    single = (
        image.dim() >= 2 and len(image) == 1 and (event is None or image.dim() == len(event) + 1)
    )
    x_0 = image if single else image.unsqueeze(0)
    _asked(x_0.shape[1:], k, mask, null)
    x_t = invert(denoiser, x_0, t, steps=steps, corrections=corrections)
    found = directions(denoiser, x_t, t, k, mask, null)
    lengths = torch.tensor(alphas, dtype=x_t.dtype).reshape(1, -1, *[1] * (x_0.dim() - 1))
    shifts = (found.vectors[0].unsqueeze(1) * lengths).flatten(0, 1)
    # the image without an edit comes last, for the error of the way there and back
    edited = edit(denoiser, x_t, t, torch.cat([shifts, torch.zeros_like(shifts[:1])]), steps=steps)[
        0
    ]
    error = (edited[-1] - x_0[0]).square().mean().item()
    return Strip(
        edited[:-1].unflatten(0, (k, len(alphas))), tuple(map(float, alphas)), found, error
    )


# directions to compare with


def white(
    event: Sequence[int], m: int, *, generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> Tensor:
    """m unit directions, (m, \\*event), uniform on the sphere."""
    return _unit(torch.randn(checks.count("m", m), *event, generator=generator, dtype=dtype))


def smooth(images: Tensor, m: int, *, generator: torch.Generator) -> Tensor:
    """m unit directions (m, C, H, W) with the power spectrum of the images and random phases.

    They are as smooth as the images and know nothing else of them: a stationary Gaussian field, in which each place is as good
    as another.

    Source: ours; random phases are the usual null for images.

    Args:
        images: (N, C, H, W), N >= 2; their mean is taken away.
        m: number of directions, >= 1.
        generator: source of the phases.

    Raises:
        ValueError: where the images are not as above, or all the same.
    """
    _sample(images)
    checks.require(images.dim() == 4, "images.shape", tuple(images.shape), "(N, C, H, W)")
    amplitude = torch.fft.fft2(images - images.mean(0)).abs().square().mean(0).sqrt()
    noise = torch.randn(
        checks.count("m", m), *images.shape[1:], generator=generator, dtype=images.dtype
    )
    return _unit(torch.fft.ifft2(torch.fft.fft2(noise) * amplitude).real)


def drawn(images: Tensor, m: int, *, generator: torch.Generator) -> Tensor:
    """m unit directions (m, \\*event) drawn from a Gaussian with the covariance of the images (N, \\*event).

    A stricter comparison than `smooth`: these know where in the picture images differ, too.

    Raises:
        ValueError: where the images are fewer than two, all the same, or not finite.
    """
    centred = _sample(images)
    weights = torch.randn(
        checks.count("m", m), len(images), generator=generator, dtype=images.dtype
    )
    return _unit((weights @ centred).reshape(-1, *images.shape[1:]))


def principal(images: Tensor, m: int) -> Tensor:
    """The first m principal directions (m, \\*event) of the images (N, \\*event), m < N.

    Raises:
        ValueError: where m is out of range, or the images are all the same or not finite.
    """
    centred = _sample(images)
    m = checks.count("m", m, 1, min(len(images) - 1, centred.shape[1]))
    return torch.linalg.svd(centred, full_matrices=False).Vh[:m].reshape(m, *images.shape[1:])


def _sample(images: Tensor) -> Tensor:
    checks.finite("images", images)
    checks.require(
        images.dim() >= 2 and len(images) >= 2,
        "images.shape",
        tuple(images.shape),
        "(N, *event) with N >= 2",
    )
    centred = (images - images.mean(0)).flatten(1)
    checks.require(bool(centred.any()), "images", "all the same", "different ones")
    return centred


def _unit(x: Tensor) -> Tensor:
    size = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return x / size.reshape(-1, *[1] * (x.dim() - 1))


# what an edit does


def linearity(changes: Tensor, alphas: Tensor) -> Tensor:
    r"""Share of the change that is proportional to alpha, over the alphas given.

    .. math:: R^2 = 1 - \frac{\sum_a \|\Delta(a) - a b\|^2}{\sum_a \|\Delta(a)\|^2}, \qquad b = \frac{\sum_a a \Delta(a)}{\sum_a a^2}

    One says that a step of twice the length makes twice the same change; a step that changes nothing counts as one, too. A random
    direction can reach it, so it is no evidence of meaning.

    Args:
        changes: (..., A, n), finished image after the edit less that without.
        alphas: (A,), finite, not all zero.

    Returns:
        (...).
    """
    checks.finite("changes", changes), checks.finite("alphas", alphas)
    fits = changes.dim() >= 2 and alphas.shape == changes.shape[-2:-1] and bool(alphas.any())
    checks.require(
        fits,
        "alphas",
        alphas.tolist(),
        f"{changes.shape[-2] if changes.dim() >= 2 else 1} numbers, not all zero",
    )
    alphas = alphas.to(changes.dtype)
    slope = torch.einsum("a,...an->...n", alphas, changes) / alphas.square().sum()
    rest = (changes - alphas.unsqueeze(-1) * slope.unsqueeze(-2)).square().sum((-1, -2))
    return 1 - rest / changes.square().sum((-1, -2)).clamp_min(torch.finfo(changes.dtype).tiny)


def interaction(both: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """How far two edits together are from the sum of the two: |both - first - second| / |first + second|, over the last axis.

    Args:
        both: (..., n), change of the finished image when both directions are moved along.
        first: the same for the first alone.
        second: the same for the second alone.
    """
    checks.require(
        both.shape == first.shape == second.shape,
        "both.shape",
        tuple(both.shape),
        f"{tuple(first.shape)}, as of the others",
    )
    size = torch.linalg.vector_norm(first + second, dim=-1).clamp_min(torch.finfo(both.dtype).tiny)
    return torch.linalg.vector_norm(both - first - second, dim=-1) / size


def leak(changes: Tensor, mask: Tensor) -> Tensor:
    """Share of a change (..., \\*event) that lies outside the mask (of as many axes as an event), in squares: 0 for a local edit.

    Raises:
        ValueError: where a change is not finite, or the mask does not fit, or is all or nothing.
    """
    checks.finite("changes", changes)
    mask = torch.as_tensor(mask)
    event = (
        changes.shape[changes.dim() - mask.dim() :] if mask.dim() <= changes.dim() else torch.Size()
    )
    outside = 1 - _as_mask(mask, event).to(changes.dtype)
    axes = tuple(range(-outside.dim(), 0))
    whole = changes.square().sum(axes).clamp_min(torch.finfo(changes.dtype).tiny)
    return (changes * outside).square().sum(axes) / whole
