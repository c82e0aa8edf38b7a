"""Phase diagrams: boundaries and lines against maps made by hand, intervals against scipy and a coverage count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from factories import complains, rng
from scipy import stats

from molrg import phase

D, N = np.arange(2, 9), np.arange(2, 16)


def made(success, x=N, y=D):
    return phase.SuccessMap(np.asarray(x), np.asarray(y), np.arange(len(success)), np.asarray(success, dtype=bool))


def step(boundaries, x=N):
    """Trials (S, Q, P) that succeed from their boundary (S, Q) on."""
    return np.asarray(x) >= np.asarray(boundaries)[..., None]


def tidy(success):
    rows = [(s, d, n, float(success[s, i, j])) for j, n in enumerate(N) for s in range(len(success)) for i, d in enumerate(D)]
    return pd.DataFrame(rows, columns=["seed", "d", "N", "success"])


# success


def test_tolerance_is_a_tenth_until_the_angle_is_small():
    assert phase.tolerance() == phase.tolerance(45.0) == 0.1
    assert phase.tolerance(5.0) == pytest.approx(np.sin(np.pi / 36) / 4)
    assert phase.succeeded([0.09, 0.1, np.nan]).tolist() == [True, False, False]
    assert phase.succeeded([0.03], angle=5.0).tolist() == [False]
    with complains("angle"):
        phase.tolerance(0.0)


# maps


def test_a_tidy_table_becomes_a_map_whatever_its_order():
    success = np.random.default_rng(0).random((5, len(D), len(N))) < 0.5
    cells = phase.SuccessMap.of(tidy(success).sample(frac=1, random_state=1))
    assert (cells.success == success).all() and cells.x.tolist() == N.tolist() and cells.y.tolist() == D.tolist()
    assert np.allclose(cells.rates, success.mean(0))


def test_a_table_with_gaps_is_refused():
    table = tidy(step(np.tile(D, (3, 1))))
    with complains("table"):
        phase.SuccessMap.of(table.iloc[1:])
    with complains("table"):
        phase.SuccessMap.of(pd.concat([table.iloc[1:], table.iloc[1:2]]))
    with complains("table.columns"):
        phase.SuccessMap.of(table.drop(columns="seed"))
    with complains("success"):
        phase.SuccessMap.of(table.assign(success=0.5))


def test_first_success_is_the_first_at_one_half():
    rates = np.array([[0.2, 0.5, 0.4, 1.0], [0.0, 0.1, 0.2, 0.49], [1.0, 0.0, 0.0, 0.0]])
    assert phase.first_success(np.array([2, 4, 6, 8]), rates).tolist() == [4.0, np.inf, 2.0]


def test_boundaries_of_trials_and_of_all():
    cells = made(step([D, D + 1, D + 1]))
    assert (cells.boundaries == [D, D + 1, D + 1]).all() and (cells.boundary == D + 1).all()
    assert np.allclose(cells.slopes, 1)


def test_agreement_tells_never_and_always_from_the_edge():
    expected = step(D)
    edge, never, always = (made([cells] * 2) for cells in (expected, np.zeros_like(expected), np.ones_like(expected)))
    assert edge.agreement(expected).tolist() == [1, 1]
    assert never.agreement(expected)[0] == pytest.approx((~expected).mean()) and always.agreement(expected)[0] == pytest.approx(expected.mean())
    assert np.allclose(never.slopes, 0) and np.allclose(always.slopes, 0), "a slope does not tell the two apart"
    with complains("expected.shape"):
        edge.agreement(expected[1:])


def test_the_interval_is_wilsons():
    cells = made(np.random.default_rng(3).random((20, 2, 3)) < 0.7, x=[1, 2, 3], y=[1, 2])
    low, high = cells.interval()
    z, p, S = stats.norm.ppf(0.975), cells.rates, 20
    middle, half = (p + z**2 / (2 * S)) / (1 + z**2 / S), z / (1 + z**2 / S) * np.sqrt(p * (1 - p) / S + z**2 / (4 * S**2))
    assert np.allclose(low, middle - half) and np.allclose(high, middle + half)


# lines


@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (1, 3), (2, -2)])
def test_a_straight_boundary_gives_its_line_and_no_width(slope, intercept):
    x = np.arange(1, 30)
    line = phase.boundary_line(made(step([slope * D + intercept] * 6, x), x=x), generator=rng())
    assert np.allclose((line.slope, *line.slope_interval), slope) and np.allclose((line.intercept, *line.intercept_interval), intercept)
    assert not line.censored.any() and np.allclose(line.at(D), line.boundary)


def test_a_map_without_success_is_marked():
    line = phase.boundary_line(made(np.zeros((4, len(D), len(N)))), generator=rng())
    assert line.censored.all() and (line.boundary == 16).all() and line.slope == pytest.approx(0)


def test_the_line_is_that_of_polyfit_and_reproducible():
    success = step(D + np.random.default_rng(5).integers(0, 4, (20, len(D))))
    line = phase.boundary_line(made(success), generator=rng(2))
    assert np.allclose((line.slope, line.intercept), np.polyfit(D, line.boundary, 1))
    again = phase.boundary_line(made(success), generator=rng(2))
    assert again.slope_interval == line.slope_interval and line.slope_interval[0] < line.slope < line.slope_interval[1]


def test_the_bootstrap_covers():
    """The 95 % interval covers the slope of the exact boundary in >= 85 of 100 maps.

    Each trial succeeds from d + a uniform offset in 0..9 on, so that the rate crosses one half at d + 4.5.
    False fail below 1e-4 where coverage is 0.95 (binomial); a boundary on integers covers more.
    """
    source, covered = np.random.default_rng(7), 0
    x = np.arange(2, 30)
    for k in range(100):
        cells = made(step(D + source.integers(0, 10, (20, len(D))), x), x=x)
        low, high = phase.boundary_line(cells, resamples=300, generator=rng(k)).slope_interval
        covered += low <= 1 <= high
    assert covered >= 85


def test_bad_lines_are_refused():
    cells = made(step([D] * 3))
    with complains("resamples"):
        phase.boundary_line(cells, resamples=10, generator=rng())
    with complains("len(cells.y)"):
        phase.boundary_line(made(np.ones((2, 1, 3)), x=[1, 2, 3], y=[1]), generator=rng())
