"""Properties of what is measured on images: copies, quality, attributes, edits, scenes, faces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from factories import SCHEDULES, complains, normal, rng
from hypothesis import given, settings, strategies as st
from strategies import (
    Border,
    bases,
    clouds,
    dtypes,
    no_count,
    no_real,
    no_share,
    permutations,
    rotations,
    same,
    seeds,
    spoiled,
)

from molrg import MoLRG, editing, memorization
from molrg.editing import attributes
from molrg.editing.directions import as_mask
from molrg.images import faces, quality, rendered
from molrg.images.scenes import Pieces, Scenes

VP = SCHEDULES["VP"]
DATA, SAMPLES, OTHER = normal(6, 4), normal(3, 4, seed=1), normal(6, 4, seed=2)
PAIR = list(torch.eye(4, dtype=torch.float64).split([2, 1, 1], dim=1))[:2]
PICTURES = normal(4, 1, 8, 8, seed=3).tanh()
LAW = MoLRG(PAIR, noise=0.5)
EXACT = LAW.denoiser(VP)
ALPHAS = torch.tensor([-2.0, -1.0, 1.0, 2.0])
MASK = torch.tensor([True, False, False, True])
VALUES = {"mass": normal(2, 4), "width": normal(2, 4, seed=4)}
SPREAD = {"mass": 1.0, "width": 2.0}
FACTORS = faces.draw_factors(2, generator=rng())
POSED = faces.draw_factors(2, pose=True, generator=rng())
no_threshold = no_real(0.0, 1.0, open_low=True)
no_mask = st.sampled_from([torch.ones(4).bool(), torch.zeros(4).bool(), torch.ones(3).bool()])
no_size = st.sampled_from([0, 8, 31, 128])
own = {"x": SAMPLES, "own": DATA, "other": OTHER}
one = {"x": SAMPLES, "data": DATA}
no_points = {"x": spoiled(SAMPLES), "data": spoiled(DATA)}


def spoilt_table(column: str, value: Any):
    spoilt = FACTORS.copy()
    spoilt[column] = value
    return st.just(spoilt)


BORDERS = [
    Border(
        memorization.halves,
        lambda: {"data": DATA, "N": 2, "generator": rng()},
        {"N": no_count(1, 3), "data": spoiled(DATA)},
    ),
    Border(memorization.nearest, lambda: one, {**no_points, "k": no_count()}),
    Border(
        memorization.copy_ratio,
        lambda: one,
        {"x": spoiled(SAMPLES), "data": st.one_of(spoiled(DATA), st.just(DATA[:1]))},
    ),
    Border(memorization.memorised, lambda: one, {**no_points, "c": no_threshold}),
    Border(
        memorization.distance_ratio,
        lambda: own,
        {"x": spoiled(SAMPLES), "own": spoiled(DATA), "other": spoiled(OTHER)},
    ),
    Border(
        memorization.off_subspace,
        lambda: {"x": SAMPLES, "bases": PAIR},
        {"x": spoiled(SAMPLES), "bases": st.just([2 * PAIR[0]])},
    ),
    Border(memorization.generalisation_score, lambda: one, {**no_points, "c": no_threshold}),
    Border(
        memorization.scores,
        lambda: own,
        {"x": spoiled(SAMPLES), "own": spoiled(DATA), "other": spoiled(OTHER), "c": no_threshold},
    ),
    Border(
        memorization.agreement,
        lambda: {"a": DATA, "b": OTHER},
        {"a": st.one_of(spoiled(DATA), st.just(DATA[:1])), "b": spoiled(OTHER)},
    ),
    Border(
        quality.frechet,
        lambda: {"a": DATA, "b": OTHER},
        {
            "a": st.one_of(spoiled(DATA), st.just(DATA[:1])),
            "b": st.one_of(spoiled(OTHER), st.just(normal(3, 5))),
        },
    ),
    Border(quality.histogram, lambda: {"logits": SAMPLES}, {"logits": st.just(SAMPLES[0])}),
    Border(
        attributes.measure,
        lambda: {"images": PICTURES},
        {"images": st.one_of(spoiled(PICTURES), st.just(PICTURES[..., :7]))},
    ),
    Border(
        attributes.spread,
        lambda: {"images": PICTURES},
        {
            "images": spoiled(PICTURES),
            "labels": st.sampled_from([torch.arange(3), torch.arange(4)]),
        },
    ),
    Border(
        attributes.log_odds,
        lambda: {"logits": SAMPLES},
        {"logits": st.one_of(spoiled(SAMPLES), st.just(SAMPLES[:, :1]))},
    ),
    Border(
        attributes.movement,
        lambda: {"alphas": ALPHAS, "values": VALUES, "spread": SPREAD},
        {
            "alphas": st.sampled_from(
                [ALPHAS[:3], ALPHAS.clone().fill_(math.nan), torch.cat([ALPHAS, ALPHAS / 0])]
            ),
            "values": st.just({"mass": VALUES["mass"] / 0, "width": VALUES["width"]}),
            "spread": st.sampled_from(
                [{"mass": 1.0}, SPREAD | {"mass": 0.0}, SPREAD | {"mass": math.nan}]
            ),
            "size": no_real(0, open_low=True),
            "level": no_share(),
        },
    ),
    Border(
        editing.directions,
        lambda: {"denoiser": EXACT, "x_t": SAMPLES, "t": 0.5, "k": 2},
        {
            "x_t": spoiled(SAMPLES),
            "k": no_count(1, 4),
            "t": no_real(0, 1),
            "mask": no_mask,
            "null": no_count(0),
            "tolerance": no_real(0, open_low=True),
        },
    ),
    Border(as_mask, lambda: {"mask": MASK, "event": torch.Size([4])}, {"mask": no_mask}),
    Border(editing.white, lambda: {"event": (4,), "m": 2, "generator": rng()}, {"m": no_count()}),
    Border(
        editing.smooth,
        lambda: {"images": PICTURES, "m": 2, "generator": rng()},
        {
            "m": no_count(),
            "images": st.one_of(spoiled(PICTURES), st.just(PICTURES[:1]), st.just(0 * PICTURES)),
        },
    ),
    Border(
        editing.drawn,
        lambda: {"images": PICTURES, "m": 2, "generator": rng()},
        {
            "m": no_count(),
            "images": st.one_of(spoiled(PICTURES), st.just(PICTURES[:1]), st.just(0 * PICTURES)),
        },
    ),
    Border(
        editing.principal,
        lambda: {"images": PICTURES, "m": 2},
        {
            "m": no_count(1, 3),
            "images": st.one_of(spoiled(PICTURES), st.just(PICTURES[:1]), st.just(0 * PICTURES)),
        },
    ),
    Border(
        editing.invert,
        lambda: {"denoiser": EXACT, "x_0": SAMPLES, "t": 0.5, "steps": 2},
        {
            "x_0": spoiled(SAMPLES),
            "t": no_real(0, 1, open_low=True),
            "steps": no_count(),
            "corrections": no_count(0),
        },
    ),
    Border(
        editing.finish,
        lambda: {"denoiser": EXACT, "x_t": SAMPLES, "t": 0.5, "steps": 2},
        {"x_t": spoiled(SAMPLES), "t": no_real(0, 1, open_low=True), "steps": no_count()},
    ),
    Border(
        editing.edit,
        lambda: {"denoiser": EXACT, "x_t": SAMPLES, "t": 0.5, "shifts": DATA, "steps": 2},
        {
            "x_t": spoiled(SAMPLES),
            "shifts": st.one_of(spoiled(DATA), st.just(normal(2, 5))),
            "t": no_real(0, 1, open_low=True),
            "steps": no_count(),
        },
    ),
    Border(
        editing.strip,
        lambda: {"denoiser": EXACT, "image": SAMPLES[0], "k": 1, "steps": 2, "alphas": [1.0]},
        {
            "image": spoiled(SAMPLES[0]),
            "alphas": st.sampled_from([[], [math.nan]]),
            "k": no_count(1, 4),
            "t": no_real(0, 1, open_low=True),
        },
    ),
    Border(
        editing.linearity,
        lambda: {"changes": normal(2, 4, 3), "alphas": ALPHAS},
        {
            "changes": spoiled(normal(2, 4, 3)),
            "alphas": st.one_of(spoiled(ALPHAS), st.just(0 * ALPHAS), st.just(ALPHAS[:2])),
        },
    ),
    Border(
        editing.interaction,
        lambda: {"both": SAMPLES, "first": SAMPLES, "second": SAMPLES},
        {"both": st.just(SAMPLES[:2])},
    ),
    Border(
        editing.leak,
        lambda: {"changes": SAMPLES, "mask": MASK},
        {"changes": spoiled(SAMPLES), "mask": no_mask},
    ),
    Border(
        Scenes,
        lambda: {"d": 2, "size": 8},
        {"d": no_count(1, 24), "size": no_count(2), "curvature": no_real(0, 3)},
    ),
    Border(Scenes(2, 8).bent, lambda: {"curvature": 1.0}, {"curvature": no_real(0, 3)}),
    Border(Scenes(2, 8).sample, lambda: {"N": 2, "generator": rng()}, {"N": no_count()}),
    *(
        Border(
            method,
            lambda: {"factors": normal(2, 2)},
            {"factors": st.one_of(spoiled(normal(2, 2)), st.just(normal(2, 3)))},
        )
        for method in (Scenes(2, 8).render, Scenes(2, 8).tangents)
    ),
    Border(
        Pieces,
        lambda: {"families": [Scenes(1, 8)]},
        {"families": st.sampled_from([[], [Scenes(1, 8), Scenes(1, 4)]])},
    ),
    Border(
        Pieces([Scenes(1, 8)]).sample,
        lambda: {"N": 2, "generator": rng()},
        {"N": st.one_of(no_count(), st.just([1, 2]))},
    ),
    Border(
        rendered,
        lambda: {"d": 2, "size": 8},
        {"d": no_count(1, 24), "size": no_count(2), "curvature": no_real(0, 3)},
    ),
    Border(
        faces.draw,
        lambda: {"N": 1, "size": 16, "generator": rng()},
        {"N": no_count(), "size": no_size, "kinds": st.sampled_from([[], [-1], [768]])},
    ),
    Border(
        faces.render,
        lambda: {"factors": FACTORS, "size": 16},
        {
            "factors": st.one_of(spoilt_table("hair", "none such"), spoilt_table("hair", "bald")),
            "size": no_size,
        },
        {"factors": "hair"},
    ),
    Border(
        faces.tangents,
        lambda: {"factors": FACTORS, "size": 16},
        {"factors": spoilt_table(faces.COLOURS[0], math.nan), "size": no_size},
        {"factors": faces.COLOURS[0]},
    ),
    Border(
        faces.mixture,
        lambda: {"size": 16, "kinds": [0, 5]},
        {"size": no_size, "kinds": st.sampled_from([[], [-1], [768]]), "noise": no_real(0.0)},
    ),
    Border(
        faces.nearest,
        lambda: {"pictures": normal(1, 3, 16, 16)},
        {"pictures": st.one_of(spoiled(normal(1, 3, 16, 16)), st.just(normal(1, 3, 8, 8)))},
    ),
    Border(
        faces.fixed,
        lambda: {"rows": [0]},
        {
            "name": st.just("none"),
            "split": st.just("none"),
            "rows": st.sampled_from([[-1], [24000]]),
        },
    ),
    Border(
        faces.kinds_of,
        lambda: {"table": FACTORS},
        {"table": spoilt_table("hair", "none such")},
        {"table": "hair"},
    ),
]


@given(clouds(N=(4, 8), n=(3, 3)), seeds, st.data())
def test_copies_are_known_however_they_are_turned(data_set, seed, data):
    x = data_set[:2] + data_set.abs().max() * 0.1 * normal(2, 3, seed=seed).to(data_set.dtype)
    Q, order = data.draw(rotations(3, x.dtype)), data.draw(permutations(len(data_set)))
    loose = 1e-8 if x.dtype == torch.float64 else 1e-2
    for measure in (memorization.nearest, memorization.copy_ratio):
        here = measure(x, data_set)
        assert here.dtype == x.dtype and (here >= 0).all()
        same(measure(x, data_set[order]), here, loose)
        same(measure(x @ Q.T, data_set @ Q.T), here, loose)
        same(measure(x[:1], data_set), here[:1], loose)
    same(memorization.copy_ratio(4 * x, 4 * data_set), memorization.copy_ratio(x, data_set), loose)
    assert memorization.memorised(data_set, data_set).all()
    dense = (
        torch.cdist(x.double(), data_set.double(), compute_mode="donot_use_mm_for_euclid_dist")
        .sort()
        .values
    )
    same(memorization.nearest(x, data_set, k=3).double(), dense[:, :3], 1e-4)
    score = memorization.generalisation_score(x, data_set)
    assert math.isclose(score, 1 - float(memorization.memorised(x, data_set).double().mean()))
    numbers = memorization.scores(x, data_set, data_set.flip(0), cs=[0.5])
    assert numbers["ratio"] == 1 and 0 <= numbers["memorised"] <= 1
    same(memorization.distance_ratio(x, data_set, data_set), torch.ones_like(x[:, 0]))


@given(st.integers(1, 5), seeds)
def test_halves_are_disjoint_and_grow(N, seed):
    data = torch.arange(12.0)[:, None]
    a, b = memorization.halves(data, N, generator=rng(seed))
    assert len({*a.flatten().tolist(), *b.flatten().tolist()}) == 2 * N
    more, _ = memorization.halves(data, N + 1, generator=rng(seed))
    assert torch.equal(more[:N], a)


@given(bases(4, [2, 1]), seeds, st.data())
def test_what_lies_on_a_subspace_is_on_it(parts, seed, data):
    on = normal(3, 2, seed=seed) @ parts[0].T
    x = torch.cat([on, normal(2, 4, seed=seed + 1)])
    residual = memorization.off_subspace(x, parts)
    assert (residual[:3] < 1e-9).all() and (residual <= 1 + 1e-12).all()
    Q = data.draw(rotations(4))
    same(memorization.off_subspace(x @ Q.T, [Q @ U for U in parts]), residual, 1e-8)
    same(memorization.off_subspace(3 * x, parts[::-1]), residual, 1e-8)


@given(clouds(N=(5, 8), n=(3, 3), dtype=torch.float64), seeds, st.data())
def test_agreement_and_distance_of_two_sets(a, seed, data):
    b = a + a.std() * normal(*a.shape, seed=seed)
    Q, order = data.draw(rotations(3)), data.draw(permutations(len(a)))
    here = memorization.agreement(a, b)
    assert -1 <= here.paired <= 1 + 1e-12 and here.distance >= 0
    there = memorization.agreement(a[order] @ Q.T, b[order] @ Q.T)
    assert np.allclose(there, here, rtol=1e-6, atol=1e-9)
    assert math.isclose(memorization.agreement(a, a).paired, 1.0)
    distance = quality.frechet(a, b)
    assert math.isclose(
        quality.frechet(b, a), distance, rel_tol=1e-4, abs_tol=1e-6 * float(a.var())
    )
    assert math.isclose(
        quality.frechet(a[order] @ Q.T, b @ Q.T),
        distance,
        rel_tol=1e-4,
        abs_tol=1e-6 * float(a.var()),
    )
    assert abs(quality.frechet(a, a)) < 1e-6 * float(a.var() + 1)


@given(seeds, dtypes)
def test_quality_is_measured_on_a_scale(seed, dtype):
    pictures = normal(12, 1, 4, 4, seed=seed).tanh().to(dtype)
    flat = lambda images: images.flatten(1)
    numbers = quality.scale(flat, pictures[:4], pictures[4:], pictures[:4], generator=rng(seed))
    assert math.isclose(numbers["samples"], numbers["floor"]) and abs(numbers["excess"]) < 1e-6
    assert all(math.isfinite(value) for value in numbers.values())
    blurred = quality.blurred(pictures)
    assert blurred.shape == pictures.shape and blurred.dtype == dtype
    same(quality.blurred(torch.ones_like(pictures)), torch.ones_like(pictures))
    shares = quality.histogram(pictures.flatten(1))
    assert math.isclose(float(shares.sum()), 1.0) and (shares >= 0).all()


@given(seeds, st.data())
def test_attributes_are_of_the_picture_alone(seed, data):
    pictures = normal(5, 1, 8, 8, seed=seed).tanh()
    measured = attributes.measure(pictures)
    order = data.draw(permutations(5))
    mirrored = attributes.measure(pictures.flip(-1))
    for name in attributes.NAMES:
        same(attributes.measure(pictures[order])[name], measured[name][order], 1e-8)
        same(attributes.measure(pictures[:1])[name], measured[name][:1], 1e-8)
        expected = -measured[name] if name == "slant" else measured[name]
        if name != "stroke":  # edges are taken to the left and above
            same(mirrored[name], expected, 1e-6)
    sizes = attributes.spread(pictures)
    assert math.isclose(sizes["mass"], float(measured["mass"].std()), rel_tol=1e-6)
    odds = attributes.log_odds(pictures.flatten(1))
    same(odds.sigmoid(), pictures.flatten(1).softmax(-1), 1e-8)


@given(seeds, st.sampled_from([0.5, 3.0]))
def test_a_movement_does_not_know_the_unit(seed, unit):
    values = {name: normal(2, 5, seed=seed + k) for k, name in enumerate(("mass", "width"))}
    alphas = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    here = attributes.movement(alphas, values, SPREAD)
    there = attributes.movement(
        alphas,
        {name: unit * value for name, value in values.items()},
        {name: unit * size for name, size in SPREAD.items()},
    )
    assert np.allclose(here.effect, there.effect) and np.allclose(here.p, there.p)
    assert (here.p >= 0).all() and (here.p <= 1).all() and here.any.shape == (2,)


@given(seeds, st.integers(1, 3))
def test_directions_are_unit_vectors(seed, m):
    pictures = normal(5, 1, 4, 4, seed=seed)
    drawn = [
        editing.white((1, 4, 4), m, generator=rng(seed), dtype=torch.float64),
        editing.smooth(pictures, m, generator=rng(seed)),
        editing.drawn(pictures, m, generator=rng(seed)),
        editing.principal(pictures, m),
    ]
    for vectors in drawn:
        assert vectors.shape == (m, 1, 4, 4)
        same(vectors.flatten(1).norm(dim=-1), torch.ones(m, dtype=torch.float64), 1e-6)
    principal = drawn[3].flatten(1)
    same(principal @ principal.T, torch.eye(m, dtype=torch.float64), 1e-8)


@settings(max_examples=3)
@given(seeds, st.floats(0.2, 0.8))
def test_edits_of_an_exact_law(seed, t):
    x_0, _ = LAW.sample(2, generator=rng(seed))
    x_t = editing.invert(EXACT, x_0, t, steps=10, corrections=10)
    same(editing.finish(EXACT, x_t, t, steps=10), x_0, 1e-2)
    found = editing.directions(EXACT, x_t, t, 2)
    same(found.vectors.norm(dim=-1), torch.ones(2, 2, dtype=torch.float64), 1e-6)
    still = editing.edit(EXACT, x_t, t, torch.zeros(1, 4, dtype=torch.float64), steps=10)
    same(still[:, 0], editing.finish(EXACT, x_t, t, steps=10), 1e-8)
    strip = editing.strip(EXACT, x_0[0], t, k=1, alphas=[0.0, 1.0], steps=10)
    assert strip.images.isfinite().all() and strip.images.shape[:2] == (1, 2)


@given(seeds, st.data())
def test_shares_of_a_change(seed, data):
    slope = normal(3, seed=seed)
    changes = ALPHAS.double()[:, None] * slope
    same(editing.linearity(changes, ALPHAS), torch.ones((), dtype=torch.float64), 1e-9)
    noisy = changes + normal(4, 3, seed=seed + 1)
    Q = data.draw(rotations(3))
    same(editing.linearity(noisy @ Q.T, ALPHAS), editing.linearity(noisy, ALPHAS), 1e-8)
    first, second = normal(2, 3, seed=seed), normal(2, 3, seed=seed + 2)
    assert (editing.interaction(first + second, first, second) < 1e-9).all()
    turned = editing.interaction(first @ Q.T, second @ Q.T, first @ Q.T)
    same(turned, editing.interaction(first, second, first), 1e-8)
    change = normal(2, 4, seed=seed)
    same(
        editing.leak(change, MASK) + editing.leak(change, ~MASK), torch.ones(2, dtype=torch.float64)
    )
    assert torch.equal(as_mask(MASK, torch.Size([4])), MASK)


@settings(max_examples=3)
@given(st.integers(1, 4), seeds, dtypes)
def test_scenes_are_of_their_factors(d, seed, dtype):
    family = rendered(d, 8)
    images, factors = family.sample(2, rng(seed), dtype=dtype)
    assert images.dtype == dtype and images.shape == (2, 1, 8, 8)
    same(family.render(factors), images, 1e-4)
    same(family.render(factors[:1]), images[:1], 1e-4)
    tangents = family.tangents(factors.double())
    step = 1e-5
    for j in range(d):
        moved = factors.double().clone()
        moved[:, j] += step
        moved_back = factors.double().clone()
        moved_back[:, j] -= step
        slope = (family.render(moved) - family.render(moved_back)) / (2 * step)
        same(tangents[:, j], slope, 1e-5)
    union = rendered([d, 1], 8)
    pictures, _, labels = union.sample([1, 2], rng(seed))
    assert labels.tolist() == [0, 1, 1] and pictures.isfinite().all()


@settings(max_examples=3)
@given(st.integers(0, 767), seeds, st.booleans())
def test_faces_are_of_their_factors(kind, seed, pose):
    pictures, table = faces.draw(
        2, size=16, pose=pose, kinds=[kind], generator=rng(seed), dtype=torch.float64
    )
    assert faces.kinds_of(table).tolist() == [kind, kind]
    row = faces.kinds().iloc[kind]
    assert faces.kind(**row[list(faces.ATTRIBUTES)].to_dict()) == kind
    same(faces.render(table, size=16, dtype=torch.float64), pictures, 1e-8)
    tangents = faces.tangents(table, size=16, dtype=torch.float64)
    assert tangents.shape == (2, 768, 10 if pose else 7) and tangents.isfinite().all()
    if not pose:
        nearest = faces.nearest(pictures)
        assert nearest.kinds.tolist() == [kind, kind]
        assert (nearest.distances < 1e-6).all()
        law = faces.mixture(size=16, noise=0.1, kinds=[kind], dtype=torch.float64)
        residual = memorization.off_subspace(pictures.flatten(1) - law.means[0], law.bases)
        assert (residual < 1e-6).all()


@given(st.sampled_from(["mouth", "beard"]))
def test_a_kind_has_every_attribute(name):
    with complains("factors"):
        faces.kind(**{name: "none such"})
    row = faces.kinds().iloc[0].to_dict()
    with complains(name):
        faces.kind(**(row | {name: "none such"}))
