"""Training many cells of unlike sizes at once: against cells trained alone and a loop by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from factories import complains, normal, rng, worst

from molrg import training
from molrg.denoisers import LowRank
from molrg.schedules import VP
from molrg.subspaces import orthonormalise, pca, projector_distance

# training many cells


def cell(N, d, seed, n=12):
    """Data on a subspace (N, n), a start (n, d)."""
    return normal(N, d, seed=seed) @ orthonormalise(normal(n, d, seed=seed + 50)).T, orthonormalise(
        normal(n, d, seed=seed + 99)
    )


SIZES = [(2, 3), (4, 2), (5, 3), (7, 1), (9, 4), (10, 2)]


def trained(which, steps=30, **settings):
    data, starts = zip(*(cell(*SIZES[e], e) for e in which), strict=True)
    return training.train_cells(
        data, starts, VP(), generators=[rng(e) for e in which], steps=steps, **settings
    )


def test_cells_trained_together_are_those_trained_alone():
    """To 1e-7: Adam's epsilon (1e-8) feels the scale of the loss a little."""
    for e, U in enumerate(together := trained(range(len(SIZES)))):
        assert U.shape == (12, SIZES[e][1])
        assert worst(U, trained([e])[0]) < 1e-7
    assert len(together) == len(SIZES)


def by_hand(x, start, steps, seed):
    """Adam on W, with U = qr(W) in the forward pass."""
    schedule, W = VP(), start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([W], lr=0.05)
    decay = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda k: 0.5 * (1 + np.cos(np.pi * k / steps))
    )
    source = rng(seed)
    for _ in range(steps):
        u, noise = (
            torch.rand(len(x), generator=source),
            torch.empty(x.shape).normal_(generator=source),
        )
        t = training.log_uniform_times(schedule, (0.1, 1.0), u)
        s, gamma = schedule.at(t, x)
        x_t = s * x + gamma * noise.double()
        U, _ = torch.linalg.qr(W)
        optimiser.zero_grad()
        (s / (s**2 + gamma**2) * (x_t @ U @ U.T) - x).square().sum(-1).mean().backward()
        optimiser.step(), decay.step()
        with torch.no_grad():
            W.copy_(orthonormalise(W))
    return W.detach()


@pytest.mark.parametrize(("N", "d"), [(4, 3), (5, 2), (10, 4), (16, 1), (17, 4), (2, 3)])
def test_a_cell_is_what_a_loop_with_qr_in_the_forward_pass_gives(N, d):
    """Padded or not, below d or above, to 1e-6: Adam's epsilon feels the scale of the loss."""
    x, start = cell(N, d, 3)
    (U,) = training.train_cells([x], [start], VP(), generators=[rng(8)], steps=25)
    assert worst(U, by_hand(x, start, 25, 8)) < 1e-6


def test_averaging_over_noise_helps_only_with_the_tangent_gradient():
    """A weak direction, 16 draws of noise a point: a plain gradient with retraction misses it."""
    n, E = 24, 12
    truth = torch.eye(n, dtype=torch.float64)[:, :2]
    x = (torch.tensor([[1.0, 0.0], [0.0, 0.25]], dtype=torch.float64) @ truth.T).repeat(16, 1)
    starts = [orthonormalise(normal(n, 2, seed=e)) for e in range(E)]
    settings = {"steps": 300, "lr": 0.1, "sigma": (0.05, 0.5)}
    tangent = torch.stack(
        training.train_cells(
            [x] * E, starts, VP(), generators=[rng(e) for e in range(E)], **settings
        )
    )
    model = LowRank([torch.stack(starts)], VP())
    training.fit(model, x, generator=[rng(e) for e in range(E)], **settings)
    errors = [float(projector_distance(U, truth).median()) for U in (tangent, model.bases[0])]
    assert errors[0] < 0.5 * errors[1], errors


def test_training_many_cells_finds_the_principal_subspaces():
    """Weakest direction of each data set above 0.3, narrow noise: all within 0.1 of PCA."""
    sizes = [(N, d) for N in (5, 8, 12) for d in (1, 2, 3)]
    data, starts = zip(*(cell(N, d, 10 * k) for k, (N, d) in enumerate(sizes)), strict=True)
    assert (
        min(float(torch.linalg.svdvals(x)[d - 1]) for x, (_, d) in zip(data, sizes, strict=True))
        > 0.3
    )
    found = training.train_cells(
        data,
        starts,
        VP(),
        generators=[rng(k) for k in range(9)],
        steps=300,
        lr=0.2,
        sigma=(0.01, 0.1),
    )
    errors = [
        float(projector_distance(U, pca(x, d)))
        for U, x, (_, d) in zip(found, data, sizes, strict=True)
    ]
    assert max(errors) < 0.1, errors


def test_bad_cells_are_refused():
    x, start = cell(4, 2, 0)
    with complains("len(data), len(starts), len(generators)"):
        training.train_cells([x], [start], VP(), generators=[], steps=1)
    with complains("starts[0]"):
        training.train_cells([x], [2 * start], VP(), generators=[rng()], steps=1)
    with complains("data[0].shape"):
        training.train_cells([x[:, :8]], [start], VP(), generators=[rng()], steps=1)
