"""Properties of schedules, draws, checks and statistics."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from factories import SCHEDULES, complains, normal, rng
from hypothesis import given, strategies as st
from strategies import (
    Border,
    bases,
    close,
    clouds,
    dtypes,
    no_count,
    no_real,
    no_share,
    permutations,
    same,
    schedules,
    seeds,
    sigmas,
    spoiled,
    times,
)

from molrg import checks, dimension, draws, hierarchy, memorization, stats, sweeps
from molrg.denoisers import MLP, Empirical, FreeMixture, patches
from molrg.mixture import MoLRG
from molrg.schedules import DDPM, EDM, VP, Discrete, as_time, variance_floor
from molrg.subspaces import k_subspaces, random_bases, random_basis, spectral_labels

no_time = no_real(0.0, 1.0)
TIMES = torch.tensor([0.1, 0.9])
POINTS = normal(2, 3)
POINTS_20 = normal(20, 4)

BORDERS = [
    Border(as_time, lambda: {"t": 0.5}, {"t": no_time}),
    *(Border(schedule.s, lambda: {"t": 0.5}, {"t": no_time}) for schedule in SCHEDULES.values()),
    *(
        Border(schedule.gamma, lambda: {"t": 0.5}, {"t": no_time})
        for schedule in SCHEDULES.values()
    ),
    *(
        Border(schedule.sigma, lambda: {"t": 0.5}, {"t": no_time})
        for schedule in SCHEDULES.values()
    ),
    *(
        Border(
            schedule.t_of_sigma,
            lambda: {"sigma": 1.0},
            {"sigma": st.sampled_from([math.nan, -1.0, 1e9])},
        )
        for schedule in SCHEDULES.values()
    ),
    Border(VP().at, lambda: {"t": TIMES, "like": POINTS}, {"t": no_time}),
    Border(
        VP().add_noise,
        lambda: {"x0": POINTS, "t": TIMES, "noise": POINTS},
        {"t": st.one_of(no_time, st.just(torch.full((3,), 0.5)))},
    ),
    Border(
        VP,
        lambda: {"beta_min": 0.1, "beta_max": 2.0},
        {"beta_min": no_real(0, 2, open_low=True), "beta_max": no_real(0.1, open_low=True)},
    ),
    Border(
        EDM,
        lambda: {"sigma_min": 0.1},
        {
            "sigma_min": no_real(0, 80, open_low=True),
            "sigma_max": no_real(0.1, open_low=True),
            "rho": no_real(0, open_low=True),
        },
    ),
    Border(
        DDPM,
        lambda: {"steps": 10},
        {"steps": no_count(2), "beta_start": no_share(), "beta_end": no_share()},
    ),
    Border(
        Discrete,
        lambda: {"alpha_bar": torch.tensor([0.9, 0.1])},
        {
            "alpha_bar": st.sampled_from(
                [
                    torch.tensor([0.9]),
                    torch.tensor([0.1, 0.9]),
                    torch.tensor([1.0, 0.5]),
                    torch.tensor([0.5, math.nan]),
                ]
            )
        },
    ),
    Border(
        stats.wilson,
        lambda: {"successes": 3, "trials": 5},
        {
            "successes": st.sampled_from([-1, 6, 1.5, math.nan]),
            "trials": st.sampled_from([0, 2.5, math.nan, math.inf]),
            "level": no_share(),
        },
    ),
    Border(
        stats.positive,
        lambda: {"values": [1.0, 2.0]},
        {
            "values": st.sampled_from([[], [0.0, 1.0], [-1.0], [math.nan], [math.inf, 1.0]]),
            "level": no_share(),
        },
    ),
    Border(
        stats.bootstrap,
        lambda: {"values": [1.0, 2.0], "resamples": 100, "generator": rng()},
        {
            "values": st.sampled_from([[math.nan, 1.0], [math.inf, 1.0], []]),
            "level": no_share(),
            "resamples": no_count(100),
        },
    ),
    Border(stats.tolerance, lambda: {"angle": 45.0}, {"angle": no_real(0, 90, open_low=True)}),
    Border(
        stats.holm,
        lambda: {"p": np.array([[0.1, 0.2]])},
        {"p": st.sampled_from([np.array([0.1]), np.array([[1.1]]), np.array([[math.nan]])])},
    ),
    Border(
        stats.fit_transition,
        lambda: {"x": [1.0, 2, 4, 8], "score": [0.0, 0.1, 0.9, 1]},
        {
            "x": st.sampled_from([[1.0, 2, 2, 8], [0.0, 1, 2, 3], [1.0, 2, 3, math.nan]]),
            "score": st.sampled_from([[0.0, 1], [math.nan, 0, 1, 1]]),
        },
    ),
    Border(
        stats.crossing,
        lambda: {"N": [1.0, 2, 4], "values": [0.9, 0.5, 0.1], "level": 0.3},
        {
            "N": st.sampled_from([[2.0, 1, 3], [0.0, 1, 2], [1.0, 2, math.nan]]),
            "values": st.sampled_from([[1.0, 2], [math.nan, 1, 2]]),
        },
    ),
    Border(checks.finite, lambda: {"name": "x", "x": POINTS}, {"x": spoiled(POINTS)}),
    Border(checks.points, lambda: {"name": "x", "x": POINTS}, {"x": spoiled(POINTS)}),
    Border(
        draws.spread, lambda: {"generator": rng(), "models": 2}, {"generator": st.just([rng()])}
    ),
]


@given(schedules, times, times)
def test_schedules_are_finite_and_sigma_rises(schedule, first, second):
    t = torch.tensor(sorted([first, second]), dtype=torch.float64)
    s, gamma, sigma = schedule.s(t), schedule.gamma(t), schedule.sigma(t)
    assert s.dtype == gamma.dtype == sigma.dtype == torch.float64
    assert (s > 0).all() and (gamma >= 0).all() and sigma.isfinite().all()
    assert sigma[0] <= sigma[1]
    same(sigma, gamma / s)
    same(sigma[0], schedule.sigma(float(t[0])))  # batched against single


@given(schedules, sigmas)
def test_times_and_noise_levels_are_inverse(schedule, sigma):
    t = schedule.t_of_sigma(sigma)
    assert 0 <= float(t) <= 1
    again = float(schedule.sigma(t))
    step = 0.12 if isinstance(schedule, DDPM) else 1e-6  # half a step of DDPM's table, in log
    assert abs(math.log(again / sigma)) < step or sigma < float(schedule.sigma(0.0))
    same(schedule.t_of_sigma(schedule.sigma(t)), t, 1e-6)


@given(schedules, clouds(), times)
def test_noise_is_added_as_the_formula_says(schedule, x0, t):
    noise = torch.ones_like(x0)
    s, gamma = schedule.at(t, x0)
    assert s.dtype == gamma.dtype == x0.dtype
    same(schedule.add_noise(x0, t, noise), s * x0 + gamma * noise)
    each = torch.full((len(x0),), t, dtype=torch.float64)
    same(schedule.add_noise(x0, each, noise), schedule.add_noise(x0, t, noise))


@given(st.integers(2, 20), seeds)
def test_a_table_of_signal_powers_is_given_back(steps, seed):
    table = torch.rand(steps, generator=rng(seed), dtype=torch.float64).mul(0.98).add(0.01)
    table = table.sort(descending=True).values
    schedule = Discrete(table)
    t = torch.arange(steps, dtype=torch.float64) / (steps - 1)
    same(schedule.s(t).square(), table)
    same(schedule.s(t).square() + schedule.gamma(t).square(), torch.ones_like(table))
    assert schedule.step(t).tolist() == list(range(steps))
    assert schedule.alpha_bar.shape == DDPM(steps=steps).alpha_bar.shape


@given(clouds(lead=(2,)), st.integers(-100, 100), st.data())
def test_magnitudes_are_powers_of_two_and_scaling_is_exact(x, power, data):
    axes = data.draw(st.sampled_from([(), (-1,), (-2,), (-2, -1)]))
    moved = x * 2.0**power
    sizes = checks.magnitude(moved, axes)
    assert (sizes.frexp().mantissa == 0.5).all() and sizes.dim() == x.dim()
    assert torch.equal(checks.scaled(moved, axes) * sizes, moved)
    assert torch.equal(checks.scaled(moved, axes), checks.scaled(x, axes))
    largest = checks.scaled(moved, axes).abs().amax(axes)
    assert (largest >= 1).all() and (largest < 2).all()
    assert not checks.scaled(0 * x, axes).any()
    assert checks.scaled(x.half(), axes).dtype == torch.float32


@given(dtypes)
def test_the_floor_can_be_divided_by(dtype):
    floor = torch.tensor(variance_floor(dtype), dtype=dtype)
    assert floor > 0 and (1 / floor).isfinite()


@given(seeds, st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]))
def test_half_precision_is_made_single_and_nothing_else_changes(seed, dtype):
    x = normal(3, 4, seed=seed).to(dtype)
    wide = checks.at_least_single(x)
    assert wide.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(wide.to(dtype), x)


@given(seeds, seeds, st.integers(1, 5), dtypes)
def test_draws_are_of_their_key(seed, other, N, dtype):
    first = draws.normal((N, 2), generator=draws.source(seed, 1), dtype=dtype)
    again = draws.normal((N, 2), generator=draws.source(seed, 1), dtype=dtype)
    assert first.dtype == dtype and torch.equal(first, again)
    if seed != other:
        assert not torch.equal(
            first, draws.normal((N, 2), generator=draws.source(other, 1), dtype=dtype)
        )
    like = draws.normal_like(first, generator=draws.source(seed, 1))
    assert torch.equal(like, first)
    uniform = draws.uniform((N,), generator=draws.source(seed, 2), dtype=dtype)
    assert uniform.dtype == dtype and (uniform >= 0).all() and (uniform < 1).all()
    assert len(draws.spread(rng(), N)) == N


@given(seeds, st.integers(1, 3), st.integers(1, 3), dtypes)
def test_several_generators_draw_equal_parts(seed, parts, rows, dtype):
    x = torch.zeros(parts * rows, 2, dtype=dtype)
    drawn = draws.normal_like(x, generator=[draws.source(seed, part) for part in range(parts)])
    for part, block in enumerate(drawn.split(rows)):
        own = draws.normal((rows, 2), generator=draws.source(seed, part), dtype=dtype)
        assert torch.equal(block, own)
    for wrong in ([], [rng()] * (parts * rows + 1)):
        with complains("len(generator)"):
            draws.normal_like(x, generator=wrong)


@given(st.one_of(st.just(()), st.tuples(st.integers(max_value=-1))))
def test_a_key_is_of_whole_numbers(key):
    with complains("key"):
        draws.source(*key)


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0.5, 0.999))
def test_wilsons_interval_holds_the_share_and_mirrors(successes, more, level):
    trials = successes + more
    low, high = stats.wilson(successes, trials, level)
    assert 0 <= low <= successes / trials + 1e-12 and successes / trials - 1e-12 <= high <= 1
    other_low, other_high = stats.wilson(trials - successes, trials, level)
    assert np.allclose([low, high], [1 - other_high, 1 - other_low], atol=1e-12)
    rows = stats.wilson([successes, successes], [trials, trials], level)
    assert np.allclose(rows[0], low) and np.allclose(rows[1], high)


values_of_seeds = st.lists(st.floats(0.01, 100), min_size=2, max_size=6)


@given(values_of_seeds, st.floats(0.1, 10))
def test_intervals_follow_the_unit(values, unit):
    low, high = stats.positive(values)
    scaled = stats.positive([unit * value for value in values])
    mean = math.exp(np.log(values).mean())
    assert 0 < low <= mean * (1 + 1e-9) and mean <= high * (1 + 1e-9)
    if math.isfinite(high):
        assert np.allclose(scaled, [unit * low, unit * high], rtol=1e-6)


@given(values_of_seeds, st.floats(-5, 5), seeds)
def test_the_bootstrap_stays_in_the_range_and_moves_along(values, shift, seed):
    low, high = stats.bootstrap(values, resamples=100, generator=rng(seed))
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    moved = stats.bootstrap(np.array(values) + shift, resamples=100, generator=rng(seed))
    assert np.allclose(moved, [low + shift, high + shift])


@given(values_of_seeds, st.data())
def test_a_summary_does_not_know_the_order(values, data):
    order = data.draw(permutations(len(values)))
    first = stats.Summary.of(np.array(values))
    second = stats.Summary.of(np.array(values)[order])
    assert np.allclose(
        [first.mean, first.lower, first.upper], [second.mean, second.lower, second.upper]
    )
    assert first.lower <= first.mean <= first.upper
    assert first.min - 1e-12 <= first.mean <= first.max + 1e-12  # a mean is rounded


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.data())
def test_holms_values_are_larger_in_the_same_order(p, data):
    order = data.draw(permutations(len(p))).numpy()
    raw = np.array([p])
    corrected = stats.holm(raw)
    assert corrected.shape == raw.shape and (corrected >= raw).all() and (corrected <= 1).all()
    assert (np.diff(corrected[0][np.argsort(raw[0], kind="stable")]) >= 0).all()
    assert np.allclose(stats.holm(raw[:, order]), corrected[:, order])


@given(st.floats(0.5, 90.0), st.floats(0.0, 1.0))
def test_success_is_an_error_below_the_tolerance(angle, error):
    bound = stats.tolerance(angle)
    assert 0 < bound <= 0.1
    assert stats.succeeded(error, angle) == (error < bound)
    assert not stats.succeeded(math.nan, angle)


@st.composite
def maps(draw: st.DrawFn) -> stats.SuccessMap:
    shape = (draw(st.integers(1, 4)), draw(st.integers(2, 3)), draw(st.integers(2, 5)))
    success = torch.rand(shape, generator=rng(draw(seeds))).numpy() < 0.5
    x, y = np.arange(1, shape[2] + 1), np.arange(1, shape[1] + 1)
    return stats.SuccessMap(x, y, np.arange(shape[0]), success)


@given(maps(), st.data())
def test_a_success_map_does_not_know_the_order_of_its_table(cells, data):
    S, Q, P = cells.success.shape
    rows = [
        {"seed": s, "d": cells.y[q], "N": cells.x[p], "success": int(cells.success[s, q, p])}
        for s in range(S)
        for q in range(Q)
        for p in range(P)
    ]
    order = data.draw(permutations(len(rows))).tolist()
    again = stats.SuccessMap.of(pd.DataFrame(rows).iloc[order])
    assert np.array_equal(again.success, cells.success)
    low, high = cells.interval()
    rates = cells.rates
    assert (low <= rates + 1e-12).all() and (rates <= high + 1e-12).all()
    assert np.array_equal(cells.boundary, stats.first_success(cells.x, rates))
    assert cells.boundaries.shape == (S, Q) and np.isfinite(cells.slopes).all()
    assert cells.beyond > cells.x[-1]
    assert np.array_equal(cells.agreement(cells.success[0])[:1], [1.0])
    line = stats.boundary_line(cells, resamples=100, generator=rng())
    assert np.isfinite(
        [line.slope, line.intercept, *line.slope_interval, *line.intercept_interval]
    ).all()
    assert np.allclose(line.at([0.0, 1.0]), [line.intercept, line.intercept + line.slope])


@given(st.floats(0.8, 3.0), st.floats(0.2, 0.6), st.sampled_from([2.0, 4.0]))
def test_a_transition_moves_with_the_unit_of_x(centre, width, unit):
    x = np.array([1.0, 2, 4, 8, 16])
    score = 1 / (1 + np.exp(-(np.log2(x) - centre) / width))
    here = stats.fit_transition(x, score)
    there = stats.fit_transition(unit * x, score)
    assert here.found and abs(here.centre - centre) < 1e-4 and abs(here.width - width) < 1e-4
    assert abs(there.centre - here.centre - math.log2(unit)) < 1e-4
    assert np.allclose(here(x), score, atol=1e-4)
    assert math.isclose(here.at(0.5), 2**here.centre, rel_tol=1e-6)


@given(no_share())
def test_a_share_of_the_rise_is_between_zero_and_one(level):
    with complains("level"):
        stats.fit_transition([1.0, 2, 4, 8], [0.0, 0.1, 0.9, 1.0]).at(level)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=6), st.floats(0.1, 0.9), st.floats(0.5, 20))
def test_a_crossing_lies_on_the_curve_and_moves_with_the_unit(values, level, unit):
    N = np.arange(1.0, len(values) + 1)
    falling = stats.crossing(N, values, level)
    assert N[0] <= falling <= N[-1]
    assert math.isclose(stats.crossing(unit * N, values, level), unit * falling, rel_tol=1e-9)
    mirrored = stats.crossing(N, [1 - value for value in values], 1 - level, falls=False)
    assert math.isclose(mirrored, falling, rel_tol=1e-6)


@given(st.integers(1, 9), no_count(1, 9), no_real(0.0, 2.0), st.sampled_from(["c", 1, None]))
def test_checks_hand_on_what_is_inside_and_name_what_is_not(whole, no_whole, no_number, other):
    assert checks.count("k", whole, 1, 9) == whole
    with complains("k"):
        checks.count("k", no_whole, 1, 9)
    assert checks.real("r", whole / 9, 0.0, 2.0) == whole / 9
    with complains("r"):
        checks.real("r", no_number, 0.0, 2.0)
    assert checks.one_of("kind", "a", ("a", "b")) == "a"
    with complains("kind"):
        checks.one_of("kind", other, ("a", "b"))
    with complains("flag"):
        checks.require(False, "flag", other, "another value")
    checks.require(True, "flag", other, "any")


@given(bases(5, [1, 3, 2]), st.floats(0.01, 1.0))
def test_checks_of_bases_and_weights(parts, stretch):
    checks.orthonormal_each("bases", parts)
    assert checks.orthonormal("U", parts[1]) is parts[1]
    assert float(checks.deviation_from_orthonormal(parts[1])) < close(torch.float64)
    with complains("bases[1]"):
        checks.orthonormal_each("bases", [parts[0], parts[1] * (1 + stretch)])
    with complains("U"):
        checks.orthonormal("U", parts[1] * (1 + stretch))
    same(checks.probabilities("pi", None, 4), torch.full((4,), 0.25, dtype=torch.float64))
    with complains("pi"):
        checks.probabilities("pi", [0.5, 0.5 + stretch], 2)
    events = normal(3, 2, 2)
    assert checks.flat_events("x", events, 4).shape == (3, 4)
    with complains("x.shape"):
        checks.flat_events("x", events, 5)


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 1.0, True, "1", None]), st.integers(0, 9)), max_size=8
    )
)
def test_jobs_of_one_cell_are_computed_together(jobs):
    cells, seeds = [{"a": a} for a, _ in jobs], [seed for _, seed in jobs]
    together = []

    def rows(cell, its):
        together.append((cell["a"], its))
        return [{"a": cell["a"], "seed": seed} for seed in its]

    found = sweeps.by_cell(rows, cells, seeds)
    assert repr(found) == repr([{"a": a, "seed": seed} for a, seed in jobs])  # 1 is not True
    assert sorted(repr(a) for a, _ in together) == sorted({repr(a) for a, _ in jobs})
    if jobs:
        with pytest.raises(ValueError):  # noqa: PT011 - zip's own
            sweeps.by_cell(lambda cell, its: [], cells, seeds)


WHOLE = {  # a call of whole numbers, as ints or as floats
    "random_basis": lambda f: random_basis(f(8), f(2), generator=rng()),
    "random_bases": lambda f: random_bases(f(8), [f(2), f(3)], generator=rng())[1],
    "k_subspaces": lambda f: (
        k_subspaces(
            POINTS_20, K=f(2), d=f(1), restarts=f(2), max_iterations=f(5), generator=rng()
        ).labels
    ),
    "spectral_labels": lambda f: spectral_labels(POINTS_20, f(2), seed=0),
    "MoLRG.fit": lambda f: MoLRG.fit(POINTS_20, f(2), f(1), generator=rng()).means[0],
    "RHM.random": lambda f: hierarchy.RHM.random(f(2), f(2), f(4), f(2), generator=rng()).rules[1],
    "density_evolution": lambda f: hierarchy.density_evolution(
        lambda count, generator: torch.zeros(count, 4),
        f(2),
        f(2),
        f(4),
        f(2),
        population=f(8),
        grammars=f(4),
        generator=rng(),
    ),
    "epsilon_evidence": lambda f: hierarchy.epsilon_evidence(
        torch.zeros(1, 2, dtype=torch.int64), 0.5, f(3)
    ),
    "readings": lambda f: torch.tensor([*dimension.readings(POINTS_20, ks=(f(5),)).values()]),
    "calibration": lambda f: torch.tensor(
        dimension.calibration(f(40), dims=[f(2)], k=f(5), generator=rng()).to_numpy()
    ),
    "nearest": lambda f: memorization.nearest(POINTS_20, POINTS_20 + 1, f(2)),
    "MLP": lambda f: MLP(f(4), VP(), width=f(8), depth=f(1), generator=rng())(
        torch.ones(2, 4), 0.5
    ),
    "FreeMixture": lambda f: FreeMixture(f(4), VP(), f(2), generator=rng())(torch.ones(2, 4), 0.5),
    "DDPM": lambda f: DDPM(steps=f(50)).alpha_bar,
    "fixed_point": lambda f: torch.tensor(hierarchy.fixed_point(f(2), f(8), f(2))),
    "Windowed": lambda f: patches.Windowed(Empirical(torch.ones(2, 4), VP()), (1, 4, 4), f(2))(
        torch.ones(1, 1, 4, 4), 0.5
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_float_is_a_whole_number(name):
    assert torch.equal(WHOLE[name](float), WHOLE[name](int))
