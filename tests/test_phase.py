"""Phase diagrams: boundaries and lines against maps made by hand, intervals against scipy and a coverage count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from factories import complains, normal, rng, worst
from scipy import stats as scipy_stats

from molrg import stats, training
from molrg.denoisers import LowRank
from molrg.schedules import VP
from molrg.subspaces import orthonormalise, pca, projector_distance

D, N = np.arange(2, 9), np.arange(2, 16)


def made(success, x=N, y=D):
    return stats.SuccessMap(
        np.asarray(x), np.asarray(y), np.arange(len(success)), np.asarray(success, dtype=bool)
    )


def step(boundaries, x=N):
    """Trials (S, Q, P) that succeed from their boundary (S, Q) on."""
    return np.asarray(x) >= np.asarray(boundaries)[..., None]


def tidy(success):
    rows = [
        (s, d, n, float(success[s, i, j]))
        for j, n in enumerate(N)
        for s in range(len(success))
        for i, d in enumerate(D)
    ]
    return pd.DataFrame(rows, columns=["seed", "d", "N", "success"])


# success


def test_tolerance_is_a_tenth_until_the_angle_is_small():
    assert stats.tolerance() == stats.tolerance(45.0) == 0.1
    assert stats.tolerance(5.0) == pytest.approx(np.sin(np.pi / 36) / 4)
    assert stats.succeeded([0.09, 0.1, np.nan]).tolist() == [True, False, False]
    assert stats.succeeded([0.03], angle=5.0).tolist() == [False]
    with complains("angle"):
        stats.tolerance(0.0)


# maps


def test_a_tidy_table_becomes_a_map_whatever_its_order():
    success = np.random.default_rng(0).random((5, len(D), len(N))) < 0.5
    cells = stats.SuccessMap.of(tidy(success).sample(frac=1, random_state=1))
    assert (
        (cells.success == success).all()
        and cells.x.tolist() == N.tolist()
        and cells.y.tolist() == D.tolist()
    )
    assert np.allclose(cells.rates, success.mean(0))


def test_a_table_with_gaps_is_refused():
    table = tidy(step(np.tile(D, (3, 1))))
    with complains("table"):
        stats.SuccessMap.of(table.iloc[1:])
    with complains("table"):
        stats.SuccessMap.of(pd.concat([table.iloc[1:], table.iloc[1:2]]))
    with complains("table.columns"):
        stats.SuccessMap.of(table.drop(columns="seed"))
    with complains("success"):
        stats.SuccessMap.of(table.assign(success=0.5))


def test_first_success_is_the_first_at_one_half():
    rates = np.array([[0.2, 0.5, 0.4, 1.0], [0.0, 0.1, 0.2, 0.49], [1.0, 0.0, 0.0, 0.0]])
    assert stats.first_success(np.array([2, 4, 6, 8]), rates).tolist() == [4.0, np.inf, 2.0]


def test_boundaries_of_trials_and_of_all():
    cells = made(step([D, D + 1, D + 1]))
    assert (cells.boundaries == [D, D + 1, D + 1]).all() and (cells.boundary == D + 1).all()
    assert np.allclose(cells.slopes, 1)


def test_agreement_tells_never_and_always_from_the_edge():
    expected = step(D)
    edge, never, always = (
        made([cells] * 2) for cells in (expected, np.zeros_like(expected), np.ones_like(expected))
    )
    assert edge.agreement(expected).tolist() == [1, 1]
    assert never.agreement(expected)[0] == pytest.approx((~expected).mean()) and always.agreement(
        expected
    )[0] == pytest.approx(expected.mean())
    assert np.allclose(never.slopes, 0) and np.allclose(always.slopes, 0), (
        "a slope does not tell the two apart"
    )
    with complains("expected.shape"):
        edge.agreement(expected[1:])


def test_the_interval_is_wilsons():
    cells = made(np.random.default_rng(3).random((20, 2, 3)) < 0.7, x=[1, 2, 3], y=[1, 2])
    low, high = cells.interval()
    z, p, S = scipy_stats.norm.ppf(0.975), cells.rates, 20
    middle, half = (
        (p + z**2 / (2 * S)) / (1 + z**2 / S),
        z / (1 + z**2 / S) * np.sqrt(p * (1 - p) / S + z**2 / (4 * S**2)),
    )
    assert np.allclose(low, middle - half) and np.allclose(high, middle + half)


# lines


@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (1, 3), (2, -2)])
def test_a_straight_boundary_gives_its_line_and_no_width(slope, intercept):
    x = np.arange(1, 30)
    line = stats.boundary_line(made(step([slope * D + intercept] * 6, x), x=x), generator=rng())
    assert np.allclose((line.slope, *line.slope_interval), slope) and np.allclose(
        (line.intercept, *line.intercept_interval), intercept
    )
    assert not line.censored.any() and np.allclose(line.at(D), line.boundary)


def test_a_map_without_success_is_marked():
    line = stats.boundary_line(made(np.zeros((4, len(D), len(N)))), generator=rng())
    assert line.censored.all() and (line.boundary == 16).all() and line.slope == pytest.approx(0)


def test_the_line_is_that_of_polyfit_and_reproducible():
    success = step(D + np.random.default_rng(5).integers(0, 4, (20, len(D))))
    line = stats.boundary_line(made(success), generator=rng(2))
    assert np.allclose((line.slope, line.intercept), np.polyfit(D, line.boundary, 1))
    again = stats.boundary_line(made(success), generator=rng(2))
    assert (
        again.slope_interval == line.slope_interval
        and line.slope_interval[0] < line.slope < line.slope_interval[1]
    )


def test_the_bootstrap_covers():
    """The 95 % interval covers the slope of the exact boundary in >= 85 of 100 maps.

    Each trial succeeds from d + a uniform offset in 0..9 on, so that the rate crosses one half at d + 4.5.
    False fail below 1e-4 where coverage is 0.95 (binomial); a boundary on integers covers more.
    """
    source, covered = np.random.default_rng(7), 0
    x = np.arange(2, 30)
    for k in range(100):
        cells = made(step(D + source.integers(0, 10, (20, len(D))), x), x=x)
        low, high = stats.boundary_line(cells, resamples=300, generator=rng(k)).slope_interval
        covered += low <= 1 <= high
    assert covered >= 85


def test_bad_lines_are_refused():
    cells = made(step([D] * 3))
    with complains("resamples"):
        stats.boundary_line(cells, resamples=10, generator=rng())
    with complains("len(cells.y)"):
        stats.boundary_line(made(np.ones((2, 1, 3)), x=[1, 2, 3], y=[1]), generator=rng())


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
        assert U.shape == (12, SIZES[e][1]) and worst(U, trained([e])[0]) < 1e-7
    assert len(together) == len(SIZES)


def by_hand(x, start, rows, steps, seed):
    """Adam on W, with U = qr(W) in the forward pass, which draws `rows` points of noise and uses N."""
    schedule, W = VP(), start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([W], lr=0.05)
    decay = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda k: 0.5 * (1 + np.cos(np.pi * k / steps))
    )
    source, N = rng(seed), len(x)
    for _ in range(steps):
        u, noise = (
            torch.rand(rows, generator=source),
            torch.empty(rows, x.shape[1]).normal_(generator=source),
        )
        t = training.log_uniform_times(schedule, (0.1, 1.0), u)[:N]
        s, gamma = schedule.at(t, x)
        x_t = s * x + gamma * noise[:N].double()
        U, _ = torch.linalg.qr(W)
        optimiser.zero_grad()
        (s / (s**2 + gamma**2) * (x_t @ U @ U.T) - x).square().sum(-1).mean().backward()
        optimiser.step(), decay.step()
        with torch.no_grad():
            W.copy_(orthonormalise(W))
    return W.detach()


@pytest.mark.parametrize(
    ("N", "d", "rows"), [(4, 3, 4), (5, 2, 7), (10, 4, 10), (11, 1, 13), (2, 3, 4)]
)
def test_a_cell_is_what_a_loop_with_qr_in_the_forward_pass_gives(N, d, rows):
    """Padded or not, below d or above, to 1e-6: Adam's epsilon (1e-8) feels the scale of the loss a little."""
    x, start = cell(N, d, 3)
    (U,) = training.train_cells([x], [start], VP(), generators=[rng(8)], steps=25)
    assert worst(U, by_hand(x, start, rows, 25, 8)) < 1e-6


def test_averaging_over_noise_helps_only_with_the_tangent_gradient():
    """A weak direction, 16 draws of noise a point: the tangent gradient finds it, a plain one with retraction does not."""
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
