r"""Local denoisers: every pixel is estimated from the window around it, and from nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from molrg import checks
from molrg.denoisers.protocol import Denoiser, check_denoiser
from molrg.schedules import Schedule, variance_floor

CHUNK = 2**22  # numbers in the largest array
_AT_ONCE = 2**18  # numbers in an array that the processor keeps at hand


def window_starts(length: int, size: int) -> list[int]:
    """Where the window of each of `length` places begins.

    A window is centred on its place, with the extra place of an even size on the left. At the
    borders it is moved inwards, so that all windows have `size` places.
    """
    return [min(max(place - size // 2, 0), length - size) for place in range(length)]


def windows(length: int, size: int) -> Tensor:
    """Which places (columns) belong to the window of each place (rows), (length, length), 0 or 1.

    The result is on the CPU, in double precision.
    """
    member = torch.zeros(length, length, dtype=torch.float64, device="cpu")
    for place, start in enumerate(window_starts(length, size)):
        member[place, start : start + size] = 1
    return member


class Patches(nn.Module):
    r"""The best denoiser of the training set among those that see one window a pixel.

    .. math:: \hat x_0[p] = \sum_i w_i(p)\, x^{(i)}[p],\qquad
              w_i(p) \propto \exp(-\|x_t[W_p] - s_t x^{(i)}[W_p]\|^2 / 2\gamma_t^2)

    Here W_p is the square window around pixel p, with all channels; at the borders of the picture
    it is moved inwards (`window_starts`). Windows are compared at the same place only. A window
    that is the whole picture gives `Empirical`.

    Source: the locality of Kamb and Ganguli (2412.20292) and of Niedoba et al. (2411.19339),
        derived here as the posterior mean given a window.

    Args:
        data: training images (N, C, H, W).
        schedule: the forward process.
        size: height and width of a window, from 1 to the smaller of H and W.

    Raises:
        ValueError: where data are no images or not finite, or the size does not fit.
    """

    data: Tensor
    tall: Tensor
    wide: Tensor

    def __init__(self, data: Tensor, schedule: Schedule, size: int) -> None:
        super().__init__()
        data = checks.at_least_single(checks.finite("data", data))
        if data.dim() != 4 or not len(data):
            raise ValueError(f"data.shape = {tuple(data.shape)}: allowed is (N, C, H, W), N >= 1")
        self.schedule = schedule
        self.size = _size(size, *data.shape[-2:])
        self.register_buffer("data", data.permute(1, 2, 3, 0).contiguous())  # (C, H, W, N)
        self.register_buffer("tall", windows(data.shape[-2], self.size).to(data))
        self.register_buffer("wide", windows(data.shape[-1], self.size).to(data))

    @property
    def event(self) -> tuple[int | None, ...]:
        """(C, H, W)."""
        return tuple(self.data.shape[:3])

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from (B, \\*event), a few images at a time."""
        points = checks.at_least_single(checks.flat_events("x_t", x_t, self.data[..., 0].numel()))
        s, gamma = self.schedule.at(t, points)
        s, gamma = (scale.expand(len(points), 1) for scale in (s, gamma))
        at_once = max(1, CHUNK // self.data.numel())
        parts = zip(points.split(at_once), s.split(at_once), gamma.split(at_once), strict=True)
        estimates = [self._estimate(*part) for part in parts]
        return torch.cat([*estimates, points[:0]]).to(x_t.dtype).reshape(x_t.shape)

    def _estimate(self, points: Tensor, s: Tensor, gamma: Tensor) -> Tensor:
        """Estimates (b, n) of points (b, n), with scales (b, 1)."""
        images = points.unflatten(1, self.data.shape[:3])
        s, gamma = s[..., None, None], gamma[..., None, None]  # (b, 1, 1, 1)
        variance = gamma.square().clamp_min(variance_floor(points.dtype))
        few = max(1, _AT_ONCE // images[:, 0].numel())
        distances = [self._distances(part, images, s) for part in self.data.split(few, -1)]
        weights = torch.softmax(torch.cat(distances, -1).mul_(-0.5 / variance), dim=-1)
        return torch.einsum("bhwn,chwn->bchw", weights, self.data).flatten(1)

    def _distances(self, data: Tensor, images: Tensor, s: Tensor) -> Tensor:
        """|x_t - s x|^2 of the window of each pixel, (b, H, W, n), less what all x share."""
        cross = torch.einsum("bchw,chwn->bhwn", 2 * s * images, data)
        distance = s.square() * data.square().sum(0) - cross
        distance = torch.einsum("ph,bhwn->bpwn", self.tall, distance)
        return torch.einsum("qw,bpwn->bpqn", self.wide, distance)


class Windowed(nn.Module):
    """A denoiser of windows, applied to the window of every pixel of an image.

    Every pixel is estimated from its own window, which is moved inwards at the borders
    (`window_starts`); of the estimated window only that pixel is kept. One denoiser serves all
    places.

    Source: ours; with a mixture of Gaussians it is a prior on patches as in image restoration.

    Args:
        denoiser: of events (C, size, size) or of C size^2 numbers.
        event: (C, H, W) of the images.
        size: height and width of a window, from 1 to the smaller of H and W.

    Raises:
        ValueError: where `denoiser` is none, or the size does not fit.
    """

    def __init__(self, denoiser: Denoiser, event: tuple[int, int, int], size: int) -> None:
        super().__init__()
        self.denoiser = check_denoiser(denoiser)
        self.event = event
        self.size = _size(size, *event[1:])

    @property
    def schedule(self) -> Schedule:
        """That of the denoiser of windows."""
        return self.denoiser.schedule

    def forward(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Estimate x_0 from (B, \\*event); t is a scalar, (B,) or (1,).

        Raises:
            ValueError: where x_t or t has another shape.
        """
        channels, height, width = self.event
        points = checks.flat_events("x_t", x_t, channels * height * width)
        images = points.unflatten(1, self.event)
        unfolded = images.unfold(2, self.size, 1).unfold(3, self.size, 1)  # (B, C, Y, X, P, P)
        down, across = unfolded.shape[2:4]
        patches = unfolded.permute(0, 2, 3, 1, 4, 5).reshape(len(points) * down * across, -1)
        times = t
        if isinstance(t, Tensor) and t.dim():
            if t.numel() not in (1, len(points)):
                allowed = f"(), (1,) or ({len(points)},)"
                raise ValueError(f"t.shape = {tuple(t.shape)}: allowed is {allowed}")
            times = t.flatten().expand(len(points)).repeat_interleave(down * across)
        shape = (len(points), down, across, channels, self.size, self.size)
        estimates = self.denoiser(patches, times).reshape(shape)
        top, row = _places(height, self.size, points.device)
        left, column = _places(width, self.size, points.device)
        own = estimates[:, top[:, None], left, :, row[:, None], column]  # (H, W, B, C)
        return own.permute(2, 3, 0, 1).reshape(x_t.shape)


def _places(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each place, where its window begins and which place of the window it is."""
    start = torch.tensor(window_starts(length, size), device=device)
    return start, torch.arange(length, device=device) - start


def _size(size: int, height: int, width: int) -> int:
    """The size of a window that fits."""
    size = checks.count("size", size)
    if size > min(height, width):
        raise ValueError(f"size = {size}: allowed is 1 to {min(height, width)}")
    return size
