"""The random hierarchy model: against enumeration, mean field, and under extreme evidence."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from factories import EXACT, complains, rng, worst
from scipy import stats

from molrg import hierarchy as h, sampling, schedules
from molrg.hierarchy import mean_field
from molrg.hierarchy.messages import combine, pick

TINY = [
    (1, 2, 3, 2),
    (2, 2, 3, 2),
    (3, 2, 2, 1),
    (2, 3, 2, 3),
    (2, 2, 2, 2),
    (3, 1, 3, 1),
]  # L, s, v, m


def model(L=2, s=2, v=3, m=2, seed=0):
    return h.RHM.random(L, s, v, m, generator=rng(seed))


def sentences(M):
    """All trees of a model, as levels with the leaves first; all are equally probable."""

    def below(symbol, level):
        if level == 0:
            return [[[symbol]]]
        trees = []
        for rule in M.rules[level - 1][symbol].tolist():
            for parts in itertools.product(*(below(child, level - 1) for child in rule)):
                levels = [list(itertools.chain(*(p[k] for p in parts))) for k in range(level)]
                trees.append([*levels, [symbol]])
        return trees

    every = [tree for symbol in range(M.v) for tree in below(symbol, M.L)]
    return [torch.tensor([tree[k] for tree in every]) for k in range(M.L + 1)]


def enumerated(M, log_evidence):
    """Weights (B, trees) of all trees, and the marginals of every level, by summing over them."""
    trees = sentences(M)
    score = torch.stack([e[torch.arange(e.shape[0]), trees[0]].sum(-1) for e in log_evidence])
    weights = score.softmax(-1)
    hot = [torch.nn.functional.one_hot(level, M.v).double() for level in trees]
    return weights, [torch.einsum("bt,tnv->bnv", weights, level) for level in hot]


def evidence(M, B=5, scale=2.0, seed=1):
    return scale * torch.randn(B, M.s**M.L, M.v, generator=rng(seed), dtype=torch.float64)


# oracle: enumeration


@pytest.mark.parametrize("shape", TINY)
@pytest.mark.parametrize("scale", [0.0, 2.0, 40.0])
def test_beliefs_equal_enumeration(shape, scale):
    M = model(*shape)
    given = evidence(M, scale=scale)
    _, expected = enumerated(M, given)
    for level, truth in zip(M.marginals(given), expected, strict=True):
        assert level.dtype == torch.float64
        assert worst(level, truth) < EXACT
    assert worst(M.class_posterior(given), expected[-1][:, 0]) < EXACT


def test_posterior_samples_have_the_enumerated_law():
    """Chi-squared over all 24 trees of one model. False fail 1e-4."""
    M = model(2, 2, 3, 2, seed=3)
    trees = sentences(M)
    given = evidence(M, B=1, scale=0.7)
    weights, _ = enumerated(M, given)
    drawn = M.posterior_sample(given.expand(20000, -1, -1), generator=rng(2))
    position = {tuple(leaves): k for k, leaves in enumerate(trees[0].tolist())}
    counts = torch.bincount(
        torch.tensor([position[tuple(leaves)] for leaves in drawn[0].tolist()]),
        minlength=len(position),
    )
    assert stats.chisquare(counts.numpy(), (20000 * weights[0]).numpy()).pvalue > 1e-4
    for level, truth in zip(drawn, M.parse(drawn[0]), strict=True):
        assert (level == truth).all()


def test_denoiser_is_the_enumerated_posterior_mean():
    M, schedule = model(2, 2, 3, 2), schedules.VP()
    x_t = torch.randn(6, 4, 3, generator=rng(4), dtype=torch.float64)
    s, gamma = schedule.s(0.3), schedule.gamma(0.3)
    leaves = sentences(M)[0]
    atoms = 1.7 * torch.nn.functional.one_hot(leaves, 3).double().flatten(1)
    distance = (x_t.flatten(1)[:, None] - s * atoms).square().sum(-1)
    expected = (-distance / (2 * gamma**2)).softmax(-1) @ atoms
    assert worst(M.denoiser(schedule, amplitude=1.7)(x_t, 0.3).flatten(1), expected) < EXACT
    flat = M.denoiser(schedule, amplitude=1.7)(x_t.flatten(1), torch.full((6,), 0.3))
    assert worst(flat, expected) < 1e-6  # a float32 time


def test_denoiser_at_no_noise_returns_the_sentence():
    M, schedule = model(3, 2, 8, 3), schedules.VP()
    hot = torch.nn.functional.one_hot(M.sample(5, generator=rng(17))[0], 8).double()
    assert worst(M.denoiser(schedule)(hot, 0.0), hot) < EXACT


# devices


def test_everything_follows_the_device_of_the_evidence():
    """On the meta device, where a tensor of another one is an error; values cannot be checked."""
    M = model(2, 2, 3, 2).to("meta")
    assert M.device.type == "meta"
    assert {level.device.type for level in M.sample(4, generator=rng())} == {"meta"}
    messages = torch.zeros(3, 5, 2, device="meta")
    assert {t.device.type for t in combine(M.rules[0], messages)} == {"meta"}
    assert pick(torch.ones(3, 5, device="meta"), rng()).device.type == "meta"


@pytest.mark.gpu
def test_inference_on_a_gpu_is_that_on_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA here")
    M = model(3, 2, 4, 2)
    given = evidence(M)
    expected = M.marginals(given)
    drawn = M.posterior_sample(given, generator=rng(4))
    M.to("cuda")
    for here, there in zip(expected, M.marginals(given.cuda()), strict=True):
        assert worst(here, there.cpu()) < EXACT
    for here, there in zip(drawn, M.posterior_sample(given.cuda(), generator=rng(4)), strict=True):
        assert torch.equal(here, there.cpu())


# the model itself


@pytest.mark.parametrize("shape", [(2, 3, 2), (2, 8, 8), (3, 4, 16), (64, 16, 4), (1, 5, 1)])
def test_rules_are_dealt_without_sharing(shape):
    s, v, m = shape
    rules = h.random_rules(s, v, m, generator=rng())
    assert rules.shape == (v, m, s)
    assert rules.min() >= 0
    assert rules.max() < v
    assert len(torch.unique(rules.flatten(0, 1), dim=0)) == v * m


def test_rules_are_uniform():
    """Each of the 9 pairs is equally often a rule of symbol 0. False fail 1e-4."""
    draws = torch.stack(
        [h.random_rules(2, 3, 1, generator=g) for g in [rng(5)] for _ in range(3000)]
    )
    counts = torch.bincount(draws[:, 0, 0, 0] * 3 + draws[:, 0, 0, 1], minlength=9)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_a_sample_parses_to_itself():
    M = model(4, 2, 8, 3)
    tree = M.sample(50, generator=rng(6))
    assert [tuple(level.shape) for level in tree] == [(50, 16), (50, 8), (50, 4), (50, 2), (50, 1)]
    assert all((a == b).all() for a, b in zip(tree, M.parse(tree[0]), strict=True))


def test_what_no_rule_makes_is_marked():
    M = model(2, 2, 8, 1)
    tree = M.sample(1, generator=rng(7))
    broken = tree[0].clone()
    used = {tuple(r) for r in M.rules[0].flatten(0, 1).tolist()}
    broken[0, :2] = torch.tensor(
        next(p for p in itertools.product(range(8), repeat=2) if p not in used)
    )
    parsed = M.parse(broken)
    assert parsed[1][0, 0] == -1
    assert parsed[1][0, 1] == tree[1][0, 1]
    assert parsed[2][0, 0] == -1


# equivalence and invariance


def test_batches_and_chunks_change_nothing(monkeypatch):
    M = model(5, 2, 6, 2)
    given = evidence(M, B=7)
    together = M.marginals(given)
    monkeypatch.setattr("molrg.hierarchy.model._CELLS", 1)
    single = M.marginals(given)
    assert all(worst(a, b) < EXACT for a, b in zip(together, single, strict=True))


def test_a_constant_on_a_leaf_changes_nothing():
    M = model(3, 2, 4, 2)
    given = evidence(M)
    shifted = given + 1e3 * torch.randn(5, 8, 1, generator=rng(8), dtype=torch.float64)
    assert all(
        worst(a, b) < EXACT for a, b in zip(M.marginals(given), M.marginals(shifted), strict=True)
    )


def test_float32_stays_float32_and_close():
    M = model(6, 2, 16, 4)
    tree = M.sample(4, generator=rng(9))
    double = M.marginals(h.epsilon_evidence(tree[0], 0.7, 16))
    single = M.marginals(h.epsilon_evidence(tree[0], 0.7, 16, dtype=torch.float32))
    assert all(
        b.dtype == torch.float32 and worst(a, b.double()) < 1e-4
        for a, b in zip(double, single, strict=True)
    )


# extreme evidence


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_evidence_that_would_underflow_as_a_product(dtype):
    """Contrasts of e^1e5 that contradict the grammar at every leaf: all products are zero."""
    M = model(2, 2, 3, 2)
    given = evidence(M, scale=1e5).to(dtype)
    _, expected = enumerated(M, given.double())
    found = M.marginals(given)
    assert all(bool(torch.isfinite(level).all()) for level in found)
    assert all(worst(a.double(), b) < 1e-6 for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("sigma", [1e-18, 1e-6, 1e6, 1e18])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_deep_trees_at_extreme_noise(sigma, dtype):
    M = model(9, 2, 8, 3)
    tree = M.sample(3, generator=rng(10))
    hot = torch.nn.functional.one_hot(tree[0], 8).to(dtype)
    x = hot + sigma * torch.randn(hot.shape, generator=rng(11), dtype=dtype)
    found = M.marginals(h.gaussian_evidence(x, sigma))
    for level, truth in zip(found, tree, strict=True):
        expected = (
            torch.nn.functional.one_hot(truth, 8).to(dtype)
            if sigma < 1
            else torch.full_like(level, 1 / 8)
        )
        assert bool(torch.isfinite(level).all())
        assert worst(level.sum(-1), torch.ones_like(level[..., 0])) < 1e-4
        if sigma < 1 or level is found[-1]:
            assert worst(level, expected) < 1e-4


def test_noise_without_signal_leaves_the_prior():
    M = model(3, 2, 4, 2)
    leaves = M.sample(2, generator=rng(12))[0]
    trees = sentences(M)
    prior = [torch.nn.functional.one_hot(level, 4).double().mean(0) for level in trees]
    for level, truth in zip(M.marginals(h.epsilon_evidence(leaves, 1.0, 4)), prior, strict=True):
        assert worst(level, truth.expand_as(level)) < EXACT


def test_what_is_outside_the_grammar_is_unlikely_but_not_impossible():
    """Almost no noise, and leaves that no rule produces: float32 would overflow to certainty."""
    M = model(2, 2, 8, 1)
    x = torch.nn.functional.one_hot(torch.zeros(1, 4, dtype=torch.int64), 8).float()
    assert M.parse(torch.zeros(1, 4, dtype=torch.int64))[-1] == -1
    found = M.marginals(h.gaussian_evidence(x, 1e-25))
    assert all(bool(torch.isfinite(level).all()) for level in found)


def test_beliefs_of_the_epsilon_process():
    leaves = torch.tensor([[0, 2], [1, 1]])
    beliefs = h.epsilon_evidence(leaves, torch.tensor([0.4, 1.0]), 4).exp()
    assert worst(beliefs.sum(-1), torch.ones(2, 2).double()) < EXACT
    assert worst(beliefs[0, 1], torch.tensor([0.1, 0.1, 0.7, 0.1]).double()) < 1e-7
    assert worst(beliefs[1], torch.full((2, 4), 0.25).double()) < EXACT


def test_clean_evidence_is_parsed():
    M = model(7, 2, 8, 3)
    tree = M.sample(4, generator=rng(13))
    for level, truth in zip(M.marginals(h.epsilon_evidence(tree[0], 0.0, 8)), tree, strict=True):
        assert worst(level, torch.nn.functional.one_hot(truth, 8).double()) < EXACT


# mean field and density evolution


@pytest.mark.parametrize(("v", "m"), [(8, 3), (16, 4), (32, 8), (12, 2)])
def test_threshold_for_pairs_is_the_formula(v, m):
    p = (m - 1) / (v - m)
    assert abs(h.fixed_point(2, v, m) - p) < 1e-12
    assert abs(h.epsilon_threshold(2, v, m) - (1 - p) * v / (v - 1)) < 1e-12


@pytest.mark.parametrize(("s", "v", "m"), [(2, 16, 4), (3, 8, 4), (4, 5, 6), (3, 8, 6)])
def test_fixed_point_is_one_and_unstable(s, v, m):
    p, step = h.fixed_point(s, v, m), 1e-6
    assert 1 / v < p < 1
    assert abs(h.mean_field_map(p, s, v, m) - p) < 1e-12
    assert h.mean_field_map(p + step, s, v, m) > p + step
    assert h.mean_field_map(p - step, s, v, m) < p - step
    slope = (h.mean_field_map(1.0, s, v, m) - h.mean_field_map(1 - step, s, v, m)) / step
    assert abs(slope - s * m * (v - 1) / (v**s - 1)) < 1e-4


@pytest.mark.parametrize("v", [4, 9, 16])
def test_transition_exists_where_said(v):
    for m in range(1, v + 1):
        assert (h.fixed_point(2, v, m) is not None) == (2 <= m < (v + 1) / 2)


@pytest.mark.parametrize(("s", "v", "m"), [(2, 5, 2), (3, 3, 2)])
def test_mean_field_is_one_step_of_the_averaged_recursion(s, v, m):
    """Numerator and denominator of F are means over random rules. False fail 1e-5."""
    p, g, right, total = 0.6, rng(14), [], []
    for _ in range(4000):
        rules = h.random_rules(s, v, m, generator=g)
        rules = (rules - rules[0, 0]) % v
        belief = torch.full((v,), (1 - p) / (v - 1), dtype=torch.float64)
        belief[0] = p
        products = belief[rules].prod(-1)
        right.append(products[0].sum()), total.append(products.sum())
    right, total = torch.stack(right), torch.stack(total)
    expected = h.mean_field_map(p, s, v, m)
    error = (right - expected * total).std() / len(total) ** 0.5 / total.mean()
    assert abs(right.mean() / total.mean() - expected) < 4.5 * error


def test_density_evolution_of_several_noise_levels_is_that_of_each():
    def leaves(count, g):
        z = torch.randn(count, 6, generator=g, dtype=torch.float64)
        return torch.stack([level * z for level in levels])

    def evolved():
        sizes = {"population": 32, "grammars": 4}
        return h.density_evolution(leaves, 3, 2, 6, 2, **sizes, generator=rng(0))

    levels = [0.5, 1.0, 2.0]
    together = evolved()
    assert together.shape == (3, 4)
    for row, level in zip(together, (0.5, 1.0, 2.0), strict=True):
        levels = [level]
        assert worst(row, evolved()[0]) < 1e-13


def test_density_evolution_at_depth_one_is_a_tree_of_depth_one():
    """Mean belief of one level over many grammars, both ways. False fail 1e-5."""
    v, m, q = 8, 2, 1.2

    def leaves(count, g):
        z = torch.randn(count, v, generator=g, dtype=torch.float64)
        z[:, 0] += q
        return q * z

    evolved = torch.stack(
        [
            h.density_evolution(
                leaves, 1, 2, v, m, population=2048, grammars=64, generator=rng(seed)
            )
            for seed in range(12)
        ]
    )
    direct = []
    for seed in range(400):
        M = model(1, 2, v, m, seed=100 + seed)
        tree = M.sample(64, generator=rng(seed))
        x = (
            torch.nn.functional.one_hot(tree[0], v)
            + torch.randn(64, 2, v, generator=rng(1000 + seed), dtype=torch.float64) / q
        )
        direct.append(M.class_posterior(h.gaussian_evidence(x, 1 / q)).gather(1, tree[1]).mean())
    direct = torch.stack(direct)
    error = math.hypot(float(evolved[:, 1].std()) / 12**0.5, float(direct.std()) / 20)
    assert abs(float(evolved[:, 1].mean() - direct.mean())) < 4.5 * error


def test_reverse_process_ends_in_the_grammar():
    M, schedule = model(3, 2, 8, 2), schedules.VP()
    x = sampling.prior((20, 8, 8), schedule, generator=rng(15))
    times = sampling.time_grid(schedule, 60)
    end = sampling.finish(sampling.ancestral(M.denoiser(schedule), x, times, generator=rng(16)))
    assert (M.parse(end.argmax(-1))[-1] >= 0).all()


# bite


def test_sharing_between_levels_is_used():
    """Inference leaf by leaf, without the tree, is far from the enumerated marginals."""
    M = model(2, 2, 3, 2)
    given = evidence(M)
    _, expected = enumerated(M, given)
    assert worst(given.softmax(-1), expected[0]) > 0.1


# bad input


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("m", lambda: model(m=4)),
        ("m", lambda: h.random_rules(2, 4, 5, generator=rng())),
        ("m", lambda: h.random_rules(1, 4, 2, generator=rng())),
        ("m", lambda: model(m=0)),
        ("L", lambda: model(L=0)),
        ("s", lambda: model(s=0)),
        ("v", lambda: model(v=1)),
        ("len(rules)", lambda: h.RHM([])),
        ("rules shapes", lambda: h.RHM([torch.zeros(2, 1, 2), torch.zeros(2, 1, 3)])),
        ("rules[0]", lambda: h.RHM([torch.zeros(2, 1, 2)])),
        ("rules[0]", lambda: h.RHM([torch.tensor([[[0, 1]], [[1, 2]]])])),
        ("N", lambda: model().sample(0, generator=rng())),
        ("leaves.shape", lambda: model().parse(torch.zeros(3, 5, dtype=torch.int64))),
        ("log_evidence.shape", lambda: model().marginals(torch.zeros(3, 4, 2))),
        ("log_evidence.shape", lambda: model().class_posterior(torch.zeros(0, 4, 3))),
        (
            "log_evidence.dtype",
            lambda: model().class_posterior(torch.zeros(1, 4, 3, dtype=torch.int64)),
        ),
        ("log_evidence", lambda: model().class_posterior(torch.zeros(1, 4, 3).log())),
        ("log_evidence", lambda: model().marginals(torch.full((1, 4, 3), math.nan))),
        ("log_evidence", lambda: model().marginals(torch.full((1, 4, 3), math.inf))),
        ("x_t.shape", lambda: model().denoiser(schedules.VP())(torch.zeros(1, 5), 0.5)),
        ("x_t", lambda: model().denoiser(schedules.VP())(torch.full((1, 12), math.nan), 0.5)),
        ("amplitude", lambda: model().denoiser(schedules.VP(), amplitude=0)),
        ("epsilon", lambda: h.epsilon_evidence(torch.zeros(1, 4, dtype=torch.int64), -0.1, 3)),
        ("epsilon", lambda: h.epsilon_evidence(torch.zeros(1, 4, dtype=torch.int64), 1.1, 3)),
        ("epsilon", lambda: h.epsilon_evidence(torch.zeros(1, 4, dtype=torch.int64), math.nan, 3)),
        (
            "epsilon.shape",
            lambda: h.epsilon_evidence(
                torch.zeros(1, 4, dtype=torch.int64), torch.full((3,), 0.1), 3
            ),
        ),
        (
            "epsilon.shape",
            lambda: h.epsilon_evidence(
                torch.zeros(2, 4, dtype=torch.int64), torch.full((2, 1), 0.1), 3
            ),
        ),
        ("rules[0].dtype", lambda: h.RHM([torch.tensor([[[0.0]], [[1.5]]])])),
        ("rules[0].dtype", lambda: h.RHM([torch.tensor([[[False]], [[True]]])])),
        ("leaves", lambda: h.epsilon_evidence(torch.full((1, 4), 3), 0.1, 3)),
        ("leaves", lambda: h.epsilon_evidence(torch.zeros(1, 4), 0.1, 3)),
        ("sigma", lambda: h.gaussian_evidence(torch.zeros(1, 4, 3), -1.0)),
        ("sigma", lambda: h.gaussian_evidence(torch.zeros(1, 4, 3), 0.0)),
        ("sigma", lambda: h.gaussian_evidence(torch.zeros(1, 4, 3), math.nan)),
        ("amplitude", lambda: h.gaussian_evidence(torch.zeros(1, 4, 3), 1.0, amplitude=-1)),
        ("x", lambda: h.gaussian_evidence(torch.full((1, 4, 3), math.inf), 1.0)),
        ("m", lambda: h.mean_field_map(0.5, 2, 4, 5)),
        ("p", lambda: h.mean_field_map(1.5, 2, 4, 2)),
        ("m", lambda: h.epsilon_threshold(2, 4, 1)),
        ("m", lambda: h.epsilon_threshold(2, 4, 4)),
        (
            "depth",
            lambda: h.density_evolution(
                lambda n, g: torch.zeros(n, 4), 0, 2, 4, 2, generator=rng()
            ),
        ),
        (
            "population",
            lambda: h.density_evolution(
                lambda n, g: torch.zeros(n, 4), 1, 2, 4, 2, population=3, generator=rng()
            ),
        ),
        (
            "leaves(...)",
            lambda: h.density_evolution(
                lambda n, g: torch.zeros(n, 3), 1, 2, 4, 2, generator=rng()
            ),
        ),
        ("second", lambda: h.overlap([torch.zeros(1, 2)], [torch.zeros(1, 3)])),
    ],
)
def test_bad_input(name, call):
    with complains(name):
        call()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sigma", [1e-3, 0.5])
def test_half_precision_is_inferred_in_single(dtype, sigma):
    M = model(2, 2, 8, 1)
    leaves = M.sample(3, generator=rng())[0]
    x = torch.nn.functional.one_hot(leaves, 8).to(dtype)
    evidence = h.gaussian_evidence(x, sigma)
    assert evidence.dtype == torch.float32
    assert torch.equal(evidence, h.gaussian_evidence(x.float(), sigma))
    denoiser = M.denoiser(schedules.VP())
    estimate = denoiser(x, 0.3)
    assert estimate.dtype == dtype
    assert torch.equal(estimate, denoiser(x.float(), 0.3).to(dtype))


@pytest.mark.parametrize("population", [8, 9, 13])
def test_every_level_of_a_population_draws_as_many_rules_as_asked_for(population, monkeypatch):
    drawn = []

    def count(*shape, generator):
        drawn.append(shape)
        return h.random_rules(*shape, generator=generator)

    monkeypatch.setattr(mean_field, "random_rules", count)
    h.density_evolution(
        lambda n, g: torch.zeros(n, 4, dtype=torch.float64),
        2,
        2,
        4,
        2,
        population=population,
        grammars=8,
        generator=rng(),
    )
    assert len(drawn) == 2 * 8


def test_impossible_sentences_are_refused():
    """Certain evidence for leaves that no rule produces."""
    M = model(2, 2, 8, 1)
    used = {tuple(r) for r in M.rules[0].flatten(0, 1).tolist()}
    wrong = next(p for p in itertools.product(range(8), repeat=2) if p not in used)
    leaves = torch.tensor([[*wrong, *wrong]])
    with complains("log_evidence"):
        M.class_posterior(h.epsilon_evidence(leaves, 0.0, 8))
