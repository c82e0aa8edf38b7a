r"""Edits: invert an image to noise, move it along directions, come back; and what an edit does.

All of it asks for a denoiser ``x0_hat = denoiser(x_t, t)`` and nothing else. ``strip`` is the whole
of it in one call; a direction found on one image is moved along on another by giving it to `edit`.

Source: LOCO-Edit (Chen et al., 2409.02374, section 4 and algorithms 1 and 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molrg import checks, sampling
from molrg.denoisers.protocol import Denoiser, ForEvents
from molrg.editing.directions import Directions, as_mask, check_region, directions

_AT_ONCE = 64  # images in one evaluation: more fill the memory and not the processor


def invert(
    denoiser: Denoiser, x_0: Tensor, t: float, *, steps: int = 25, corrections: int = 2
) -> Tensor:
    """The noisy x_t from which DDIM finds back to the images.

    Source: DDIM inversion as in LOCO-Edit; with corrections, each step is solved backwards
    (`sampling.ddim_invert`).

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
    _require_batch("x_0", x_0)

    def sampler(x: Tensor) -> Iterator[sampling.Step]:
        return sampling.ddim_invert(denoiser, x, times, corrections=corrections)

    return _in_parts(x_0, sampler)


def finish(denoiser: Denoiser, x_t: Tensor, t: float, *, steps: int = 25) -> Tensor:
    """The finished images: DDIM from x_t down to t = 0.

    Args:
        denoiser: any denoiser.
        x_t: (B, \\*event).
        t: their time, in (0, 1].
        steps: of DDIM, >= 1.

    Raises:
        ValueError: where x_t is not finite, or t or steps are out of range.
    """
    times = _times(denoiser, t, steps)
    _require_batch("x_t", x_t)
    return _finished(denoiser, x_t, times)


def _finished(denoiser: Denoiser, x_t: Tensor, times: Tensor) -> Tensor:
    return _in_parts(x_t, lambda x: sampling.ddim(denoiser, x, times))


def _times(denoiser: Denoiser, t: float, steps: int) -> Tensor:
    one = not isinstance(t, Tensor) or t.numel() == 1
    if not one or not 0 < float(t) <= 1:
        raise ValueError(f"t = {t}: allowed is one time in (0, 1]")
    return sampling.time_grid(denoiser.schedule, steps, start=float(t), stop=0.0)


def _require_batch(name: str, x: Tensor) -> None:
    checks.finite(name, x)
    if x.dim() < 2 or x.numel() == 0:
        raise ValueError(f"{name}.shape = {tuple(x.shape)}: allowed is (B, *event), not empty")


@torch.no_grad()
def _in_parts(x: Tensor, sampler: Callable[[Tensor], Iterator[sampling.Step]]) -> Tensor:
    return torch.cat([sampling.finish(sampler(part)) for part in x.split(_AT_ONCE)])


def edit(denoiser: Denoiser, x_t: Tensor, t: float, shifts: Tensor, *, steps: int = 25) -> Tensor:
    """Move every point by every shift and finish.

    A shift is ``alpha * v``, a sum of several, or a direction of another image.

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
    times = _times(denoiser, t, steps)
    _require_batch("x_t", x_t)
    checks.finite("shifts", shifts)
    own = shifts.dim() == x_t.dim() + 1
    fits = shifts.numel() > 0 and shifts.shape[1 + own :] == x_t.shape[1:]
    if not fits or (own and len(shifts) != len(x_t)):
        event = ", ".join(map(str, x_t.shape[1:]))
        raise ValueError(
            f"shifts.shape = {tuple(shifts.shape)}: allowed is (m, {event}), with {len(x_t)} in"
            " front or without"
        )
    moved = x_t.unsqueeze(1) + shifts.to(x_t)
    return _finished(denoiser, moved.flatten(0, 1), times).unflatten(0, moved.shape[:2])


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
        ValueError: as `invert`, `directions` and `edit`; where alphas are not finite numbers, one
            or more.
    """
    alphas = tuple(map(float, alphas))
    if not alphas or not all(map(math.isfinite, alphas)):
        raise ValueError(f"alphas = {list(alphas)}: allowed is finite numbers, one or more")
    checks.finite("image", image)
    x_0 = image if _has_batch(denoiser, image) else image.unsqueeze(0)
    check_region(x_0.shape[1:], k, mask, null)  # before the work of the inversion
    x_t = invert(denoiser, x_0, t, steps=steps, corrections=corrections)
    found = directions(denoiser, x_t, t, k, mask, null)
    lengths = x_t.new_tensor(alphas).reshape(1, -1, *[1] * (x_0.dim() - 1))
    shifts = (found.vectors[0].unsqueeze(1) * lengths).flatten(0, 1)
    shifts = torch.cat([shifts, torch.zeros_like(shifts[:1])])  # last, none: there and back
    edited = edit(denoiser, x_t, t, shifts, steps=steps)[0]
    error = (edited[-1] - x_0[0]).square().mean().item()
    return Strip(edited[:-1].unflatten(0, (k, len(alphas))), alphas, found, error)


def _has_batch(denoiser: Denoiser, image: Tensor) -> bool:
    """Whether an image has an axis of points already, of one."""
    if image.dim() < 2 or len(image) != 1:
        return False
    return not isinstance(denoiser, ForEvents) or image.dim() == len(denoiser.event) + 1


def linearity(changes: Tensor, alphas: Tensor) -> Tensor:
    r"""Share of the change that is proportional to alpha, over the alphas given.

    .. math:: R^2 = 1 - \frac{\sum_a \|\Delta(a) - a b\|^2}{\sum_a \|\Delta(a)\|^2},
              \qquad b = \frac{\sum_a a \Delta(a)}{\sum_a a^2}

    One says that a step of twice the length makes twice the same change; a step that changes
    nothing counts as one, too. A random direction can reach it, so it is no evidence of meaning.

    Args:
        changes: (..., A, n), finished image after the edit less that without.
        alphas: (A,), finite, not all zero.

    Returns:
        (...), in single precision where changes are in half.

    Raises:
        ValueError: where numbers are not finite, do not fit, or alphas are all zero.
    """
    checks.finite("changes", changes)
    checks.finite("alphas", alphas)
    fits = changes.dim() >= 2 and alphas.shape == changes.shape[-2:-1] and bool(alphas.any())
    if not fits:
        wanted = changes.shape[-2] if changes.dim() >= 2 else 1
        raise ValueError(f"alphas = {alphas.tolist()}: allowed is {wanted} numbers, not all zero")
    changes, alphas = checks.scaled(changes, (-2, -1)), checks.scaled(alphas)
    alphas = alphas.to(changes)
    slope = torch.einsum("a,...an->...n", alphas, changes) / alphas.square().sum()
    rest = (changes - alphas.unsqueeze(-1) * slope.unsqueeze(-2)).square().sum((-1, -2))
    return 1 - rest / changes.square().sum((-1, -2)).clamp_min(torch.finfo(changes.dtype).tiny)


def interaction(both: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """How far two edits together are from their sum: |both - first - second| / |first + second|.

    Args:
        both: (..., n), change of the finished image when both directions are moved along.
        first: the same for the first alone.
        second: the same for the second alone.

    Returns:
        (...), norms taken over the last axis; in single precision where changes are in half.

    Raises:
        ValueError: where the shapes differ.
    """
    if not both.shape == first.shape == second.shape:
        raise ValueError(
            f"both.shape = {tuple(both.shape)}: allowed is {tuple(first.shape)}, as of the others"
        )
    both, first, second = checks.scaled(torch.stack([both, first, second]), (0, -1))
    size = torch.linalg.vector_norm(first + second, dim=-1).clamp_min(torch.finfo(both.dtype).tiny)
    return torch.linalg.vector_norm(both - first - second, dim=-1) / size


def leak(changes: Tensor, mask: Tensor) -> Tensor:
    """Share of a change that lies outside the mask, in squares: 0 for a local edit.

    Args:
        changes: (..., \\*event), of as many last axes as the mask has.
        mask: booleans (or 0 and 1), not all equal.

    Returns:
        (...), in single precision where changes are in half.

    Raises:
        ValueError: where a change is not finite, or the mask does not fit, or is all or nothing.
    """
    checks.finite("changes", changes)
    first = changes.dim() - mask.dim()
    event = changes.shape[first:] if first >= 0 else torch.Size()
    axes = tuple(range(-mask.dim(), 0))
    outside = as_mask(mask, event).logical_not().to(changes.device)
    changes = checks.scaled(changes, axes)
    whole = changes.square().sum(axes).clamp_min(torch.finfo(changes.dtype).tiny)
    return (changes * outside).square().sum(axes) / whole
