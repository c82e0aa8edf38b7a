"""Jacobian ranks: tables at tiny size on laws whose Jacobian is known, and on small networks."""

# mypy: disable-error-code="arg-type, call-arg, list-item"
# bad input is handed over on purpose

from __future__ import annotations

import numpy as np
import pytest
import torch
from factories import complains, normal, rng, worst

from molrg import jacobian
from molrg.denoisers import Gaussian
from molrg.denoisers.networks import UNet
from molrg.mixture import MoLRG
from molrg.schedules import VP
from molrg.studies import (
    jacobian_models,
    jacobian_rank,
    jacobian_spans,
    mixture_jacobians,
)
from molrg.zoo import recipes

LOW, HIGH = (VP().t_of_sigma(sigma).item() for sigma in (0.02, 20.0))


def plane():
    """One subspace of dimension two in six, and a point of it for each seed."""
    mixture = MoLRG.random(6, [2], generator=rng())
    x, _ = mixture.sample(8, generator=rng(1))
    return mixture.denoiser(VP()), lambda seed: x[seed][None]


def unet(**more):
    network = recipes.unet((1, 8, 8), (16, 32, 96), seed=3).eval()
    return UNet(network, VP(), prediction="v", **more)


def test_noise_of_a_seed_is_the_same_at_all_times():
    x0 = normal(2, 3)
    noises = []
    for t in (0.3, 0.8):
        s, gamma = VP().at(t, x0)
        noises.append((jacobian_rank.noised(VP(), x0, t, 5) - s * x0) / gamma)
    assert worst(*noises) < 1e-12


def test_readings_of_one_gaussian():
    """J is a multiple of a projection of rank two: s / (s^2 + gamma^2) twice, symmetric."""
    denoiser, picture = plane()
    table = jacobian_rank.readings(denoiser, picture, [(0, LOW), (3, HIGH)], keep=[HIGH])
    assert table["rank"].tolist() == [2, 2]
    assert table["share"].tolist() == pytest.approx([1 / 3] * 2)
    assert table["asymmetry"].tolist() == pytest.approx([0, 0], abs=1e-12)
    for row in table.itertuples():
        s, gamma = VP().s(row.t).item(), VP().gamma(row.t).item()
        assert row.trace == pytest.approx(2 * s / (s**2 + gamma**2))
        assert row.S.sum() == pytest.approx(row.trace)
    assert table["J"][0] is None
    assert jacobian_rank.stacked_rank(table) == 2


def test_two_subspaces_stack_to_the_sum_of_their_ranks():
    mixture = MoLRG.random(8, [2, 2], generator=rng())
    x, _ = mixture.sample([1, 1], generator=rng(1))
    cells = jacobian_rank.cells([0, 1], [LOW], always=LOW, followed=[])
    table = jacobian_rank.readings(
        mixture.denoiser(VP()), lambda seed: x[seed][None], cells, keep=[LOW]
    )
    assert table["rank"].tolist() == [2, 2]
    assert jacobian_rank.stacked_rank(table) == 4


def test_followed_seeds_have_all_times_and_the_others_one():
    cells = jacobian_rank.cells([0, 1, 2], [0.1, 0.5], always=0.5, followed=[1])
    assert cells == [(0, 0.5), (1, 0.1), (1, 0.5), (2, 0.5)]


def test_products_agree_with_the_matrix_and_three_values_do_not():
    mixture = MoLRG.random(12, [6], generator=rng())
    x, _ = mixture.sample(3, generator=rng(1))
    denoiser, picture = mixture.denoiser(VP()), lambda seed: x[seed][None]
    table = jacobian_rank.readings(denoiser, picture, [(seed, 0.5) for seed in range(3)])
    by_products = jacobian_rank.without_matrix(denoiser, picture, range(3), 0.5)
    agreement = jacobian_rank.agreement(by_products, table)
    assert (agreement["off"] <= 1).all()
    assert agreement["off_of_three"].tolist() == [3, 3, 3], "three less than six, in units of one"


def test_one_gaussian_has_the_ranks_of_its_denoiser():
    x = normal(200, 1, 2, 4) * torch.linspace(0.1, 2, 8).reshape(1, 2, 4)
    gaussian = Gaussian(x, VP())
    table = jacobian_rank.gaussian_ranks(gaussian, [0.2, 0.6])
    measured = jacobian_rank.readings(gaussian, lambda _: x[:1], [(0, 0.2), (0, 0.6)])
    assert table["rank"].tolist() == measured["rank"].tolist()
    assert table["trace"].tolist() == pytest.approx(measured["trace"].tolist())


def test_errors_by_hand():
    x = normal(150, 1, 2, 4)
    known = {"answer": None, "zero": lambda x_t, t: torch.zeros_like(x_t)}
    chosen = x[torch.randperm(150, generator=rng(4))[:100]]
    known["answer"] = lambda x_t, t: chosen
    table = jacobian_rank.denoising_errors(known, VP(), x, [4], [0.5])
    errors = table.set_index("denoiser")["error"]
    assert errors["answer"] == 0
    assert errors["zero"] == pytest.approx(chosen.square().mean().item())


def test_an_untrained_network_has_high_rank_and_weights_of_its_seed():
    network, x = unet(), normal(120, 1, 8, 8).float()
    picture = jacobian_rank.by_class(x, torch.arange(120) % 10)
    table = jacobian_rank.untrained_networks(network, picture, x, [0, 1], 0.75)
    assert (table["share"] > 0.5).all()
    blank = [jacobian_rank.untrained(network, (1, 8, 8), seed) for seed in (0, 0, 1)]
    first = [next(b.parameters()) for b in blank]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert blank[0].prediction == "v"
    assert table["error"][0] != table["error"][1]


def test_two_seeds_in_a_row_share_a_class():
    labels = torch.arange(40) % 10
    picture = jacobian_rank.by_class(torch.arange(40.0).reshape(40, 1, 1, 1), labels)
    classes = [int(picture(seed)) % 10 for seed in range(6)]
    assert classes == [0, 0, 1, 1, 2, 2]
    assert picture(0) != picture(1)


def test_models_of_the_zoo():
    """The network of independent pixels has nearly full rank at images of its kind."""
    table = jacobian_models.ranks(["white-noise"], [0], [0.75])
    assert table["share"].item() > 0.8
    assert table[["model", "data", "target"]].iloc[0].tolist() == ["white-noise"] * 2 + ["v"]


# spans


def test_affinity_from_zero_to_one():
    basis = torch.linalg.qr(normal(6, 4))[0]
    assert jacobian_spans.affinity(basis[:, :2], basis[:, :2]) == pytest.approx(1)
    assert jacobian_spans.affinity(basis[:, :2], basis[:, 2:]) == pytest.approx(0, abs=1e-12)
    assert jacobian_spans.affinity(basis[:, :2], basis[:, 1:3]) == pytest.approx(0.5)


def test_for_one_gaussian_all_spans_are_the_same():
    x = normal(300, 1, 2, 4) * torch.tensor([3.0, 2.5, 2, 1.5, 0.1, 0.1, 0.1, 0.1]).reshape(1, 2, 4)
    gaussian = Gaussian(x, VP())
    table = jacobian_spans.affinities(
        gaussian, lambda seed: x[seed][None], range(4), [0.5], gaussian, k=3
    )
    columns = ["with the Gaussian", "within a class", "across"]
    assert table[columns].iloc[0].tolist() == pytest.approx([1] * 3, abs=0.02)


def test_for_a_mixture_spans_follow_the_class():
    mixture = MoLRG.random(8, [2, 2], generator=rng())
    x, _ = mixture.sample([2, 2], generator=rng(1))
    gaussian = Gaussian(mixture.sample(500, generator=rng(2))[0], VP())
    table = jacobian_spans.affinities(
        mixture.denoiser(VP()), lambda seed: x[seed][None], range(4), [LOW], gaussian, k=2
    )
    assert table["within a class"].item() == pytest.approx(1, abs=1e-3)
    assert table["across"].item() == pytest.approx(0, abs=1e-3)


# the mixture

SIZES = {"n": 12, "d": 2, "K": 3}


def test_exact_ranks_are_those_of_the_theory():
    table = mixture_jacobians.exact_ranks([0, 1], [0.01, 30.0], **SIZES)
    ranks = {law: mixture_jacobians.curves(rows) for law, rows in table.groupby("law")}
    assert ranks["exact"].tolist() == [[2, 6], [2, 6]]
    assert ranks["one subspace"].tolist() == [[2, 2], [2, 2]]
    assert (ranks["ambient noise"][:, 0] == 12).all()
    assert (mixture_jacobians.largest_fall(ranks["exact"]) < 0).all()
    assert (mixture_jacobians.largest_fall(ranks["ambient noise"]) > 5).all()


def test_trained_ranks_depend_on_training_and_seed_alone():
    def trained(steps, seeds=(0, 1)):
        table = mixture_jacobians.trained_ranks("x0", seeds, [1.0], **SIZES, steps=steps)
        return mixture_jacobians.curves(table)

    assert trained(2).tolist() == trained(2).tolist()
    assert trained(2).shape == (2, 1)
    assert (trained(60) <= 12).all()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (
            lambda: jacobian_rank.stacked_rank(jacobian_rank.readings(*plane(), [(0, 0.5)])),
            "table",
        ),
        (
            lambda: jacobian_spans.affinities(
                *plane(), [0, 1], [0.5], Gaussian(normal(9, 6), VP())
            ),
            "seeds",
        ),
        (
            lambda: mixture_jacobians.trained_ranks("x0", [0], [1.0], **SIZES, steps=0),
            "steps",
        ),
        (lambda: jacobian_models.ranks(["no such model"], [0], [0.5]), "name"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()


def test_matrix_rank_is_that_of_the_singular_values():
    J = normal(3, 5, 5)
    assert jacobian_rank.matrix_rank(J).tolist() == [
        int(jacobian.numerical_rank(torch.linalg.svdvals(matrix))) for matrix in J
    ]


def test_the_largest_fall_is_between_neighbours():
    ranks = np.array([[9.0, 7.0, 2.0, 2.5], [4.0, 4.0, 5.0, 5.0]])
    assert mixture_jacobians.largest_fall(ranks).tolist() == [5.0, 0.0]
