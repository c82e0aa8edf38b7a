"""Properties of exact laws: the mixture, and the random hierarchy model."""

from __future__ import annotations

import math

import torch
from factories import SCHEDULES, complains, normal, rng, worst
from hypothesis import given, settings, strategies as st
from strategies import (
    Border,
    close,
    laws,
    no_count,
    no_real,
    permutations,
    rotations,
    same,
    schedules,
    seeds,
    sigmas,
    spoiled,
    times,
    turned,
)

from molrg import MoLRG, hierarchy, mixture
from molrg.hierarchy import RHM

EDM, VP = SCHEDULES["EDM"], SCHEDULES["VP"]
LAW = MoLRG.random(4, [1, 2], noise=0.1, generator=rng())
POINTS = normal(12, 4)
FEW = POINTS[:3]
TREES = RHM.random(2, 2, 3, 2, generator=rng())
EVIDENCE = normal(2, 4, 3)
LEAVES = torch.tensor([[0, 1, 2, 0]])
no_time = no_real(0.0, 1.0)
no_events = st.sampled_from([normal(3, 5), normal(3), normal(2, 3, 1), torch.ones(3, 4).long()])


def fitted(**changed):
    arguments = {"x": POINTS, "K": 2, "d": 1, "starts": 1, "iterations": 2, "generator": rng()}
    return MoLRG.fit(**(arguments | changed)).bases


def evolve(**changed):
    def leaves(count: int, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros(count, 4, dtype=torch.float64)

    arguments = {"leaves": leaves, "depth": 1, "s": 2, "v": 4, "m": 2, "population": 32}
    sizes = {"grammars": 4, "generator": rng()}
    return hierarchy.density_evolution(**(arguments | sizes | changed))


GRAMMAR = {"s": no_count(1), "v": no_count(2), "m": no_count(1, 4)}
at_a_time = {"t": no_time, "x_t": no_events}
BORDERS = [
    Border(
        MoLRG,
        lambda: {"bases": LAW.bases},
        {
            "bases": st.sampled_from(
                [[], [2 * LAW.bases[0]], [LAW.bases[0].float(), LAW.bases[1]]]
            ),
            "weights": st.sampled_from([[0.5, 0.6], [1.5, -0.5], [math.nan, 1.0], [1.0]]),
            "means": st.sampled_from([[FEW[0]], [FEW[0], FEW[0] * math.nan]]),
            "variances": st.sampled_from([[torch.zeros(1), torch.ones(2)], [torch.ones(1)]]),
            "noise": no_real(0.0),
        },
    ),
    Border(
        MoLRG.random,
        lambda: {"n": 4, "dims": [1, 2], "generator": rng()},
        {
            "n": no_count(3),
            "dims": st.sampled_from([[0], [4]]),
            "angle": no_real(0, 90),
            "noise": no_real(0.0),
        },
    ),
    Border(
        fitted,
        lambda: {"K": 2},
        {
            "x": st.one_of(spoiled(POINTS), st.just(POINTS[:4])),  # N > K (d + 1)
            "K": no_count(),
            "d": no_count(1, 3),
            "starts": no_count(),
            "iterations": no_count(),
            "tolerance": no_real(0.0),
        },
    ),
    Border(
        MoLRG.of_labels,
        lambda: {"x": POINTS, "labels": torch.arange(12) % 2, "d": 1},
        {
            "x": spoiled(POINTS),
            "labels": st.sampled_from([torch.arange(3), -torch.ones(12).long()]),
            "d": no_count(1, 3),
        },
    ),
    Border(
        LAW.sample,
        lambda: {"N": 3, "generator": rng()},
        {"N": st.one_of(no_count(), st.sampled_from([[1], [-1, 2], [0, 0]]))},
    ),
    *(
        Border(method, lambda: {"x_t": FEW, "t": 0.5, "schedule": VP}, at_a_time)
        for method in (LAW.log_prob, LAW.score, LAW.responsibilities, LAW.posterior_mean)
    ),
    Border(LAW.denoiser(VP), lambda: {"x_t": FEW, "t": 0.5}, at_a_time),
    Border(LAW.log_likelihood, lambda: {"x": FEW}, {"x": no_events}),
    Border(
        mixture.held_out,
        lambda: {
            "x": POINTS,
            "others": FEW,
            "sizes": [(1, 1)],
            "iterations": 2,
            "generator": rng(),
        },
        {"x": spoiled(POINTS), "others": st.one_of(spoiled(FEW), no_events)},
    ),
    Border(
        hierarchy.epsilon_evidence,
        lambda: {"leaves": LEAVES, "epsilon": 0.5, "v": 3},
        {"leaves": st.sampled_from([LEAVES + 1, LEAVES - 1]), "epsilon": no_real(0, 1)},
    ),
    Border(
        hierarchy.gaussian_evidence,
        lambda: {"x": EVIDENCE, "sigma": 1.0},
        {
            "x": spoiled(EVIDENCE),
            "sigma": no_real(0, open_low=True),
            "amplitude": no_real(0, open_low=True),
        },
    ),
    Border(
        hierarchy.mean_field_map,
        lambda: {"p": 0.5, "s": 2, "v": 4, "m": 2},
        {"p": no_real(0, 1), **GRAMMAR},
    ),
    Border(hierarchy.fixed_point, lambda: {"s": 2, "v": 4, "m": 2}, GRAMMAR),
    Border(
        hierarchy.epsilon_threshold,
        lambda: {"s": 2, "v": 4, "m": 2},
        GRAMMAR | {"m": st.sampled_from([1, 3, 4])},
    ),
    Border(
        evolve,
        lambda: {"depth": 1},
        {
            "depth": no_count(),
            "s": no_count(2),
            "v": no_count(2),
            "m": no_count(1, 4),
            "grammars": no_count(),
            "population": no_count(4),
        },
    ),
    Border(hierarchy.random_rules, lambda: {"s": 2, "v": 4, "m": 2, "generator": rng()}, GRAMMAR),
    Border(
        RHM.random,
        lambda: {"L": 1, "s": 2, "v": 4, "m": 2, "generator": rng()},
        {"L": no_count(), **GRAMMAR},
    ),
    Border(
        RHM,
        lambda: {"rules": TREES.rules},
        {"rules": st.sampled_from([[], [TREES.rules[0] + 1], [TREES.rules[0] * 0]])},
    ),
    *(
        Border(
            method,
            lambda: {"log_evidence": EVIDENCE},
            {"log_evidence": st.one_of(spoiled(EVIDENCE), st.just(EVIDENCE[:, :3]))},
        )
        for method in (TREES.class_posterior, TREES.marginals)
    ),
    Border(
        TREES.posterior_sample,
        lambda: {"log_evidence": EVIDENCE, "generator": rng()},
        {"log_evidence": spoiled(EVIDENCE)},
    ),
    Border(TREES.denoiser, lambda: {"schedule": VP}, {"amplitude": no_real(0, open_low=True)}),
]


@st.composite
def seen(draw: st.DrawFn, noise: tuple[float, ...] = (0.0, 0.1)):
    """A law, a schedule, a time, and points of the law with that much noise."""
    law, schedule = draw(laws(noise)), draw(schedules)
    t = float(schedule.t_of_sigma(draw(sigmas)))
    x, _ = law.sample(draw(st.integers(1, 4)), generator=rng(draw(seeds)))
    noise_of = normal(*x.shape, seed=draw(seeds)).to(x.dtype)
    return law, schedule, t, schedule.add_noise(x, t, noise_of)


@given(seen(), st.data())
def test_the_posterior_turns_with_the_law(case, data):
    law, schedule, t, x_t = case
    Q = data.draw(rotations(law.n, x_t.dtype))
    tolerance = 1e-8 if x_t.dtype == torch.float64 else 2e-2
    there = turned(law, Q)
    mean = law.posterior_mean(x_t, t, schedule)
    same(there.posterior_mean(x_t @ Q.T, t, schedule), mean @ Q.T, tolerance)
    weights = law.responsibilities(x_t, t, schedule)
    same(there.responsibilities(x_t @ Q.T, t, schedule), weights, tolerance)
    same(weights.sum(-1), torch.ones_like(weights[:, 0]))
    density = law.log_prob(x_t, t, schedule)
    same(there.log_prob(x_t @ Q.T, t, schedule), density, tolerance)


@given(seen(), st.data())
def test_names_of_components_and_order_of_points_do_not_count(case, data):
    law, schedule, t, x_t = case
    order = data.draw(permutations(law.K)).tolist()
    renamed = MoLRG(
        [law.bases[k] for k in order],
        law.weights[order],
        [law.means[k] for k in order],
        [law.variances[k] for k in order],
        law.noise,
    )
    mean = law.posterior_mean(x_t, t, schedule)
    same(renamed.posterior_mean(x_t, t, schedule), mean, 1e-4)
    rows = data.draw(permutations(len(x_t)))
    same(law.posterior_mean(x_t[rows], t, schedule), mean[rows], 1e-4)
    same(law.denoiser(schedule)(x_t[:1], t), mean[:1], 1e-4)  # alone and in a batch
    each = torch.full((len(x_t),), t, dtype=torch.float64)
    same(law.posterior_mean(x_t, each, schedule), mean, 1e-4)


@given(laws(), sigmas, seeds)
def test_variance_preserving_and_exploding_are_one(law, sigma, seed):
    y = (sigma + 1) * normal(3, law.n, seed=seed).to(law.bases[0].dtype)
    t, u = float(VP.t_of_sigma(sigma)), float(EDM.t_of_sigma(sigma))
    s, _ = VP.at(t, y)
    tolerance = 1e-8 if y.dtype == torch.float64 else 1e-3
    exploding = law.posterior_mean(y, u, EDM)
    same(law.posterior_mean(s * y, t, VP), exploding, tolerance)
    same(s * law.score(s * y, t, VP), law.score(y, u, EDM), tolerance)


@given(seen(noise=(0.1,)))
def test_score_and_mean_obey_tweedie(case):
    law, schedule, t, x_t = case
    s, gamma = schedule.at(t, x_t)
    tweedie = (x_t + gamma**2 * law.score(x_t, t, schedule)) / s
    same(
        tweedie, law.posterior_mean(x_t, t, schedule), 1e-8 if x_t.dtype == torch.float64 else 2e-2
    )
    assert law.log_likelihood(x_t).isfinite().all()


@given(seen(noise=(0.1,)), st.sampled_from([math.nan, math.inf]))
def test_a_point_that_is_not_finite_changes_no_other(case, wrong):
    law, schedule, t, x_t = case
    spoilt = torch.cat([x_t, torch.full_like(x_t[:1], wrong)])
    for measure in (law.posterior_mean, law.score, law.log_prob, law.responsibilities):
        same(measure(spoilt, t, schedule)[:-1], measure(x_t, t, schedule), 1e-4)
        assert not measure(spoilt, t, schedule)[-1].isfinite().all()


@given(laws())
def test_without_noise_there_is_no_density(law):
    silent = MoLRG(law.bases, law.weights)
    with complains("noise"):
        silent.log_likelihood(torch.zeros(1, law.n, dtype=law.bases[0].dtype))


@given(laws(noise=(0.0,)), st.integers(1, 5), seeds)
def test_samples_lie_on_their_subspaces(law, N, seed):
    x, labels = law.sample(N, generator=rng(seed))
    assert x.shape == (N, law.n) and x.dtype == law.bases[0].dtype
    for point, k in zip(x, labels.tolist(), strict=True):
        centred = point - law.means[k]
        U = law.bases[k]
        assert worst(U @ (U.T @ centred), centred) < close(x.dtype) * 10
    counts = list(range(1, law.K + 1))
    _, ordered = law.sample(counts, generator=rng(seed))
    assert ordered.bincount(minlength=law.K).tolist() == counts


@settings(max_examples=3)
@given(seeds, st.data())
def test_a_fit_turns_with_the_points_and_climbs(seed, data):
    x, _ = MoLRG.random(4, [1, 1], noise=0.1, generator=rng(seed)).sample(60, generator=rng(seed))
    fit = MoLRG.fit(x, 2, 1, starts=1, iterations=20, generator=rng(seed))
    history = torch.tensor(fit.history)
    assert (history.diff() > -1e-9 * history.abs().max()).all()
    labels = torch.arange(60) % 2
    Q = data.draw(rotations(4))
    here, there = MoLRG.of_labels(x, labels, 1), MoLRG.of_labels(x @ Q.T, labels, 1)
    same(there.log_likelihood(x @ Q.T), here.log_likelihood(x), 1e-8)
    table = mixture.held_out(x[:40], x[40:], [(1, 1), (2, 1)], iterations=5, generator=rng(seed))
    assert mixture.best(table) in [(1, 1), (2, 1)]
    assert table[["fitted", "held out"]].to_numpy().dtype == float


@st.composite
def grammars(draw: st.DrawFn) -> RHM:
    s, v = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    m = draw(st.integers(1, min(3, v ** (s - 1))))
    return RHM.random(draw(st.integers(1, 3)), s, v, m, generator=rng(draw(seeds)))


@given(grammars(), st.integers(1, 4), seeds)
def test_trees_are_parsed_and_their_posteriors_agree(model, N, seed):
    tree = model.sample(N, generator=rng(seed))
    parsed = model.parse(tree[0])
    assert (hierarchy.overlap(tree, parsed) == 1).all()
    v = model.rules[0].shape[0]
    evidence = hierarchy.epsilon_evidence(tree[0], 0.4, v)
    marginals = model.marginals(evidence)
    same(marginals[-1][:, 0], model.class_posterior(evidence))
    for level in marginals:
        same(level.sum(-1), torch.ones_like(level[..., 0]))
    same(model.class_posterior(evidence[:1]), model.class_posterior(evidence)[:1])
    drawn = model.posterior_sample(evidence, generator=rng(seed))
    assert (model.parse(drawn[0])[-1] == drawn[-1]).all()
    certain = hierarchy.epsilon_evidence(tree[0], 0.0, v)
    assert (model.posterior_sample(certain, generator=rng(seed))[-1] == tree[-1]).all()


@given(grammars(), times, seeds)
def test_the_leaves_posterior_mean_is_a_mean(model, t, seed):
    tree = model.sample(2, generator=rng(seed))
    v = model.rules[0].shape[0]
    x0 = torch.nn.functional.one_hot(tree[0], v).double()
    x_t = VP.add_noise(x0, t, normal(*x0.shape, seed=seed))
    mean = model.denoiser(VP)(x_t, t)
    same(mean.sum(-1), torch.ones_like(mean[..., 0]))
    assert (mean >= 0).all()
    s, gamma = VP.at(t, x_t)
    evidence = hierarchy.gaussian_evidence(x_t / s, float(gamma / s))
    same(model.marginals(evidence)[0], mean, 1e-8)


@given(st.integers(2, 4), st.integers(3, 8), st.data())
def test_the_mean_field_map_keeps_its_fixed_points(s, v, data):
    m = data.draw(st.integers(1, v))
    for p in (1.0, 1 / v):
        assert math.isclose(hierarchy.mean_field_map(p, s, v, m), p, rel_tol=1e-9)
    at = hierarchy.fixed_point(s, v, m)
    if at is None:
        with complains("m"):
            hierarchy.epsilon_threshold(s, v, m)
    else:
        assert 1 / v < at < 1
        assert math.isclose(hierarchy.mean_field_map(at, s, v, m), at, rel_tol=1e-6)
        assert math.isclose(
            hierarchy.epsilon_threshold(s, v, m), (1 - at) * v / (v - 1), rel_tol=1e-9
        )


@given(st.integers(2, 4), st.integers(1, 3), seeds)
def test_rules_share_no_tuple(v, s, seed):
    m = min(2, v ** (s - 1))
    rules = hierarchy.random_rules(s, v, m, generator=rng(seed))
    assert rules.shape == (v, m, s)
    assert len(rules.reshape(-1, s).unique(dim=0)) == v * m


@settings(max_examples=3)
@given(st.floats(0.01, 1.0), seeds)
def test_density_evolution_gives_probabilities(epsilon, seed):
    def leaves(count: int, generator: torch.Generator) -> torch.Tensor:
        return hierarchy.epsilon_evidence(torch.zeros(count, 1, dtype=torch.long), epsilon, 4)[:, 0]

    means = hierarchy.density_evolution(
        leaves, 2, 2, 4, 2, population=64, grammars=4, generator=rng(seed)
    )
    assert means.shape == (3,)
    assert (means >= 0).all() and (means <= 1 + 1e-9).all()
    assert math.isclose(float(means[0]), 1 - epsilon + epsilon / 4, rel_tol=1e-6)
