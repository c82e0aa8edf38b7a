"""Ensembles: models chosen from them, denoisers stacked into one, and what a denoiser is."""

from __future__ import annotations

import functools

import pytest
import torch
from factories import EXACT, complains, general, normal, rng, worst
from torch import nn

from molrg import MoLRG
from molrg.denoisers import (
    MLP,
    Assigning,
    Denoiser,
    Empirical,
    Ensemble,
    ForEvents,
    FreeMixture,
    Gaussian,
    LinearMixture,
    LowRank,
    Retractable,
    Selectable,
    Stacked,
    Tangential,
    check_denoiser,
    ensemble_of,
)
from molrg.schedules import EDM, VP, Discrete
from molrg.subspaces import random_basis


def low_rank(E: int = 4) -> LowRank:
    drawn = [random_basis(12, d, generator=rng(d), ensemble=(E,)) for d in (2, 3)]
    return LowRank(drawn, VP(), weights=[0.3, 0.7])


def ragged() -> LowRank:
    dims = [(2, 3), (1, 1), (4, 2), (1, 5)]
    models = [[random_basis(12, d, generator=rng(d + e)) for d in ds] for e, ds in enumerate(dims)]
    return LowRank(models, VP())


def perceptrons() -> MLP:
    model = MLP(12, VP(), width=8, depth=2, ensemble=(4,), generator=[rng(e) for e in range(4)])
    with torch.no_grad():
        model.weights[-1].normal_(generator=rng(9))  # the last layer starts at zero
    return model


def free() -> FreeMixture:
    return FreeMixture(12, VP(), 2, ensemble=(4,), generator=[rng(e) for e in range(4)])


def stacked() -> Stacked:
    return Stacked([Empirical(normal(5, 12, seed=e), VP()) for e in range(4)])


KINDS = [low_rank, ragged, perceptrons, free, stacked]
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
SINGLE = (perceptrons, free)  # those whose parameters are in single precision


def noisy(kind) -> torch.Tensor:
    return normal(4, 6, 12, dtype=torch.float32 if kind in SINGLE else torch.float64)


@every
@pytest.mark.parametrize("models", [[2], [3, 0, 3], torch.tensor([1, 2])])
def test_chosen_models_are_those_of_the_ensemble(kind, models):
    ensemble, x_t = kind(), noisy(kind)
    chosen = ensemble.select(models)
    indices = [int(e) for e in models]
    assert chosen.ensemble == (len(indices),)
    expected = ensemble(x_t, 0.4)[indices]
    assert worst(chosen(x_t[indices], 0.4), expected) < (1e-5 if kind in SINGLE else EXACT)


@every
def test_chosen_models_are_a_copy(kind):
    ensemble, x_t = kind(), noisy(kind)
    before = ensemble(x_t, 0.4)
    chosen = ensemble.select([1])
    if isinstance(chosen, nn.Module):
        with torch.no_grad():
            for parameter in chosen.parameters():
                parameter.mul_(2)
    assert worst(ensemble(x_t, 0.4), before) == 0


@every
def test_models_that_are_not_there_cannot_be_chosen(kind):
    with complains("models[1]"):
        kind().select([0, 4])
    with complains("models[0]"):
        kind().select([-1])
    with complains("len(models)"):
        kind().select([])


def test_from_a_single_model_there_is_nothing_to_choose():
    with complains("ensemble"):
        LowRank(low_rank().bases_of(0), VP()).select([0])


# stacked


def test_stacked_denoisers_are_each_by_itself():
    parts = [Empirical(normal(5, 12), VP()), Gaussian(normal(9, 12), VP())]
    together, x_t = Stacked(parts), normal(2, 6, 12)
    for t in (0.3, torch.tensor([0.2, 0.5]), torch.rand(2, 6, generator=rng())):
        times = t if isinstance(t, torch.Tensor) else [t, t]
        alone = [part(x, u) for part, x, u in zip(parts, x_t, times, strict=True)]
        assert worst(together(x_t, t), torch.stack(alone)) == 0


def test_stacked_denoisers_take_points_in_their_own_shape():
    class Images:
        schedule = VP()

        def __call__(self, x_t, t):
            assert x_t.shape[1:] == (3, 2, 2)
            return 2 * x_t

    x_t = normal(1, 6, 12)
    assert worst(Stacked([Images()], event=(3, 2, 2))(x_t, 0.5), 2 * x_t) == 0


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: Stacked([]), "len(denoisers)"),
        (
            lambda: Stacked([Empirical(normal(5, 4), VP()), Empirical(normal(5, 4), EDM())]),
            "denoisers[1].schedule",
        ),
        (lambda: stacked()(normal(3, 6, 12), 0.5), "x_t.shape"),
        (lambda: stacked()(normal(6, 12), 0.5), "x_t.shape"),
        (lambda: stacked()(normal(4, 6, 12), torch.full((3,), 0.5)), "t.shape"),
        (lambda: stacked()(normal(4, 6, 12), torch.full((4, 5), 0.5)), "t.shape"),
        (lambda: stacked()(normal(4, 6, 12), torch.full((4, 6, 12), 0.5)), "t.shape"),
    ],
)
def test_bad_stacks(call, name):
    with complains(name):
        call()


@pytest.mark.parametrize("shape", [(1,), (4,), (1, 1), (4, 1), (1, 6), (4, 6)])
def test_a_stack_takes_times_that_broadcast(shape):
    x_t, t = normal(4, 6, 12), 0.1 + 0.8 * torch.rand(shape, generator=rng())
    whole = t.reshape(*shape, *[1] * (2 - len(shape))).expand(4, 6)
    assert worst(stacked()(x_t, t), stacked()(x_t, whole)) < EXACT


def test_equal_tables_are_one_schedule():
    table = torch.linspace(0.9, 0.1, 5, dtype=torch.float64)
    assert Discrete(table) == Discrete(table.clone())
    assert hash(Discrete(table)) == hash(Discrete(table.clone()))
    assert Discrete(table) != Discrete(0.5 * table)
    assert Discrete(table) != VP()


# models of unlike dimensions


def test_a_ragged_ensemble_is_its_models():
    together, x_t = ragged(), normal(4, 6, 12)
    for e in range(4):
        alone = LowRank(together.bases_of(e), VP())
        assert alone.dims == [[2, 3], [1, 1], [4, 2], [1, 5]][e]
        assert worst(together(x_t, 0.4)[e], alone(x_t[e], 0.4)) < EXACT
        weights = together.soft_weights(x_t, 0.4)[e]
        assert worst(weights, alone.soft_weights(x_t[e], 0.4)) < EXACT
    assert together.dims == [4, 5]


def test_in_a_ragged_ensemble_missing_columns_stay_zero():
    together = ragged()
    missing = together.columns.detach() == 0
    optimiser = torch.optim.Adam(together.parameters(), lr=0.1)
    for seed in range(3):
        optimiser.zero_grad()
        together(normal(4, 6, 12, seed=seed), 0.4).square().sum().backward()
        optimiser.step()
        together.retract_()
    assert missing.any()
    assert (together.columns.detach()[missing] == 0).all()
    for e in range(4):
        for U in together.bases_of(e):
            assert worst(U.T @ U, torch.eye(U.shape[1], dtype=torch.float64)) < EXACT


@pytest.mark.parametrize(
    ("models", "name"),
    [
        ([[]], "len(bases[0])"),
        ([[normal(6, 2)]], "bases[0][0]"),
        ([[torch.eye(6, 2)], [torch.eye(6, 2), torch.eye(6, 1)]], "len(bases[1])"),
        ([[torch.eye(6, 2)], [torch.eye(5, 2)]], "bases"),
    ],
)
def test_bad_models_of_unlike_dimensions(models, name):
    with complains(name):
        LowRank(models, VP())


def test_tangent_gradients_lead_along_the_bases():
    model = LowRank([random_basis(12, d, generator=rng(d)) for d in (2, 3)], VP(), tangent=True)
    model(normal(6, 12), 0.4).square().sum().backward()
    before = model.columns.grad.clone()
    model.project_gradient_()
    for U, gradient in zip(model.bases, model.columns.grad.split(3, -1), strict=True):
        assert (U.T @ gradient).abs().max() < EXACT
    assert worst(before, model.columns.grad) > 1e-3
    plain = LowRank(model.bases, VP())
    plain(normal(6, 12), 0.4).square().sum().backward()
    plain.project_gradient_()
    assert worst(plain.columns.grad, before) < EXACT
    with complains("tangent"):
        LowRank(list(torch.eye(6, 4).split(2, 1)), VP(), joint=True, tangent=True)


# what a denoiser is


@pytest.mark.parametrize(
    ("denoiser", "protocols"),
    [
        (general().denoiser(VP()), {Denoiser}),
        (Empirical(normal(5, 4), VP()), {Denoiser}),
        (low_rank(), {Denoiser, Ensemble, Selectable, Retractable, Tangential, Assigning}),
        (perceptrons(), {Denoiser, Ensemble, Selectable}),
        (free(), {Denoiser, Ensemble, Selectable, Retractable}),
        (stacked(), {Denoiser, Ensemble, Selectable}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_denoiser_follows_the_protocols_that_are_said(denoiser, protocols):
    known = {Denoiser, Ensemble, Selectable, Retractable, Tangential, Assigning, ForEvents}
    assert {protocol for protocol in known if isinstance(denoiser, protocol)} == protocols


def test_only_ensembles_have_axes_of_models():
    assert ensemble_of(low_rank()) == (4,)
    assert ensemble_of(LowRank(low_rank().bases_of(0), VP())) == ()
    assert ensemble_of(general().denoiser(VP())) == ()


@pytest.mark.parametrize("wrap", [functools.partial, nn.DataParallel, lambda d: d.schedule])
def test_what_is_no_denoiser_is_named(wrap):
    check_denoiser(perceptrons())
    with complains("denoiser"):
        check_denoiser(wrap(perceptrons()))


# devices


def test_denoisers_move():
    mixture = general()
    eye = torch.eye(6, dtype=torch.float64).expand(3, 6, 6)
    linear = LinearMixture(mixture.weights, torch.stack(mixture.means), eye, VP())
    for denoiser in (linear, Empirical(normal(5, 6), VP()), Gaussian(normal(5, 6), VP())):
        x_t = normal(4, 6)
        expected = denoiser(x_t, 0.3)
        assert torch.equal(denoiser.to("cpu")(x_t, 0.3), expected)
        away = denoiser.to("meta")
        assert {value.device.type for value in away.buffers()} == {"meta"}
    parts = stacked().to("meta").denoisers
    assert {part.data.device.type for part in parts} == {"meta"}


def test_on_another_device_a_denoiser_answers_there():
    """The meta device computes shapes only, and refuses tensors of another."""
    for kind in KINDS:
        x_t = noisy(kind).to("meta")
        x0_hat = kind().to("meta")(x_t, 0.4)
        assert x0_hat.device.type == "meta"
        assert x0_hat.shape == x_t.shape
    mixture = MoLRG.random(12, [2, 3], noise=0.1, generator=rng()).to("meta")
    assert mixture.denoiser(VP())(normal(6, 12).to("meta"), 0.4).device.type == "meta"
