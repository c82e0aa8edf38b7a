"""Local denoisers: against the whole picture, single pixels, and a loop over windows."""

from __future__ import annotations

import pytest
import torch
from factories import EXACT, complains, normal, worst

from molrg.denoisers import Empirical, Gaussian, Patches, Windowed, patches
from molrg.schedules import EDM, VP


class Anything(Empirical):
    """Without a schedule."""

    def __init__(self) -> None:
        super().__init__(DATA, VP())
        self.schedule = None  # type: ignore[assignment]


DATA, X_T = normal(12, 2, 5, 6), normal(4, 2, 5, 6, seed=1)
T = 0.4


def by_loop(data, x_t, t, size, whole):
    """Posterior mean of each pixel: `whole` denoises its window, given the same window of data."""
    height, width = data.shape[-2:]
    x0_hat = torch.empty_like(x_t)
    for row in range(height):
        top = min(max(row - size // 2, 0), height - size)
        for column in range(width):
            left = min(max(column - size // 2, 0), width - size)
            here = (..., slice(top, top + size), slice(left, left + size))
            window = whole(data[here])(x_t[here], t)
            x0_hat[..., row, column] = window[..., row - top, column - left]
    return x0_hat


def test_windows_are_moved_inwards_at_the_borders():
    assert patches.window_starts(7, 3) == [0, 0, 1, 2, 3, 4, 4]
    assert patches.window_starts(5, 4) == [0, 0, 0, 1, 1]
    assert patches.window_starts(4, 4) == [0, 0, 0, 0]
    assert (patches.windows(7, 3).sum(1) == 3).all()
    assert (patches.windows(7, 3).diagonal() == 1).all()


def test_a_window_of_the_whole_picture_is_the_empirical_denoiser():
    data, x_t = normal(12, 2, 5, 5), normal(4, 2, 5, 5, seed=1)
    for t in (0.0, 0.4, 1.0):
        assert worst(Patches(data, VP(), 5)(x_t, t), Empirical(data, VP())(x_t, t)) < EXACT


def test_a_window_of_one_pixel_is_the_empirical_denoiser_of_each_pixel():
    x0_hat = Patches(DATA, VP(), 1)(X_T, T)
    for row in range(5):
        for column in range(6):
            pixel = Empirical(DATA[..., row, column], VP())
            expected = pixel(X_T[..., row, column], T)
            assert worst(x0_hat[..., row, column], expected) < EXACT


@pytest.mark.parametrize("size", [2, 3, 4])
def test_patches_are_posterior_means_of_windows(size):
    expected = by_loop(DATA, X_T, T, size, lambda data: Empirical(data, VP()))
    assert worst(Patches(DATA, VP(), size)(X_T, T), expected) < EXACT


def test_chunks_change_nothing(monkeypatch):
    t = torch.tensor([0.1, 0.4, 0.7, 1.0], dtype=torch.float64)
    together = Patches(DATA, EDM(), 3)(X_T, t)
    monkeypatch.setattr(patches, "CHUNK", DATA.numel())
    assert worst(Patches(DATA, EDM(), 3)(X_T, t), together) < EXACT


def test_far_pixels_are_not_seen():
    """Nothing outside the window of a pixel moves its estimate, and what is inside does."""
    changed = X_T.clone()
    changed[..., 4, 5] += 1
    moved = (Patches(DATA, VP(), 3)(changed, T) - Patches(DATA, VP(), 3)(X_T, T)).abs().amax((0, 1))
    assert (moved[:3] == 0).all()
    assert (moved[3:, 4:] > 0).all()


def test_windows_cut_off_at_the_border_are_told_apart():
    """The wrong variant: a window that ends at the border instead of moving inwards."""
    right, wrong = Patches(DATA, VP(), 3), Patches(DATA, VP(), 3)
    cut = [[abs(a - b) <= 1 for a in range(6)] for b in range(6)]
    wrong.wide = torch.tensor(cut, dtype=torch.float64)
    assert worst(right(X_T, T), wrong(X_T, T)) > 0.01
    inside = (..., slice(1, -1))
    assert worst(right(X_T, T)[inside], wrong(X_T, T)[inside]) < EXACT


def test_weights_of_the_whole_picture_are_told_apart():
    wrong = Empirical(DATA, VP())(X_T, T)
    assert worst(Patches(DATA, VP(), 3)(X_T, T), wrong) > 0.01


@pytest.mark.parametrize("size", [1, 3, 4])
def test_windowed_denoises_each_window(size):
    points = normal(20, 2, size, size, seed=5)
    patch = Gaussian(points, VP())
    expected = by_loop(X_T, X_T, T, size, lambda _: patch)
    assert worst(Windowed(patch, (2, 5, 6), size)(X_T, T), expected) < EXACT


def test_a_window_of_the_whole_picture_is_the_denoiser_itself():
    data, x_t = normal(20, 2, 5, 5), normal(4, 2, 5, 5, seed=1)
    whole = Gaussian(data, VP())
    assert worst(Windowed(whole, (2, 5, 5), 5)(x_t, T), whole(x_t, T)) < EXACT


def test_one_time_of_all_windows_may_have_an_axis():
    model = Windowed(Gaussian(DATA[..., :3, :3], VP()), (2, 5, 6), 3)
    assert worst(model(X_T, torch.tensor([T], dtype=X_T.dtype)), model(X_T, T)) < EXACT


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: Patches(DATA.flatten(1), VP(), 1), "data.shape"),
        (lambda: Patches(DATA[:0], VP(), 1), "data.shape"),
        (lambda: Patches(DATA * torch.nan, VP(), 1), "data"),
        (lambda: Patches(DATA, VP(), 0), "size"),
        (lambda: Patches(DATA, VP(), 6), "size"),
        (lambda: Patches(DATA, VP(), 3)(X_T[..., :5], T), "x_t.shape"),
        (lambda: Windowed(Gaussian(DATA, VP()), (2, 5, 6), 6), "size"),
        (lambda: Windowed(Anything(), (2, 5, 6), 3), "denoiser"),
        (lambda: Windowed(Gaussian(DATA, VP()), (2, 5, 6), 3)(X_T[:, :1], T), "x_t.shape"),
        (lambda: Windowed(Gaussian(DATA, VP()), (2, 5, 6), 3)(X_T, torch.ones(2)), "t.shape"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()
