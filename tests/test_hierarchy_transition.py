"""Class transition of hierarchies: tables at tiny size, against inference by hand and limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from factories import complains, rng

from molrg import hierarchy
from molrg.hierarchy import RHM
from molrg.studies import hierarchy_parts, hierarchy_transition
from molrg.studies.hierarchy_transition import beliefs, by_seed, crossing, sharpening


def test_a_row_is_the_mean_belief_by_hand():
    """A tree of one level: the product of the children's beliefs, summed over the rules."""
    table = beliefs((1, 2, 6, 3), [0.5], [7], trees=9, dtype=torch.float64)
    generator = rng(7)
    model = RHM.random(1, 2, 6, 3, generator=generator)
    leaves, root = model.sample(9, generator=generator)
    children = hierarchy.epsilon_evidence(leaves, 0.5, 6).exp()
    rules = model.rules[0]
    messages = (children[:, 0, rules[..., 0]] * children[:, 1, rules[..., 1]]).sum(-1)
    posterior = messages / messages.sum(-1, keepdim=True)
    assert table["class"].item() == pytest.approx(posterior.gather(1, root).mean().item())


@pytest.mark.parametrize("process", ["epsilon", "gaussian"])
def test_beliefs_go_from_certainty_to_chance(process):
    low, high = {"epsilon": (0.001, 1.0), "gaussian": (0.05, 1e3)}[process]
    table = beliefs((2, 2, 8, 3), [low, high], [0, 1], trees=50, process=process)
    assert (by_seed(table, "class")[:, 0] > 0.99).all()
    assert (by_seed(table, "leaves")[:, 0] > 0.99).all()
    assert by_seed(table, "leaves")[:, 1] == pytest.approx(1 / 8, abs=0.05)


def test_a_seed_does_not_depend_on_the_others():
    alone, beside = (
        beliefs((2, 2, 8, 3), [0.4], seeds, trees=5, process="gaussian") for seeds in ([3], [1, 3])
    )
    assert alone["class"].tolist() == beside[beside["seed"] == 3]["class"].tolist()


@pytest.mark.parametrize("process", ["epsilon", "gaussian"])
def test_the_class_needs_no_leaves(process):
    both, alone = (
        beliefs((3, 2, 8, 3), [0.3, 0.6], [0, 1], trees=7, process=process, leaves=leaves)
        for leaves in (True, False)
    )
    assert alone["class"].to_numpy() == pytest.approx(both["class"].to_numpy(), rel=1e-5)
    assert list(alone.columns) == ["seed", "noise", "class"]


def test_crossing_is_where_the_lead_ends():
    noises = [0.1, 0.2, 0.3]
    assert crossing(noises, [0.5, 0.5, 0.5], [0.7, 0.6, 0.4]) == pytest.approx(0.25)
    assert crossing(noises, [0.5] * 3, [0.4] * 3) == 0.1
    assert crossing(noises, [0.5] * 3, [0.6] * 3) == 0.3


def test_sharpening_does_not_count_a_curve_that_only_moves():
    """Curves in the logarithm of the noise, moved by a factor: no gain. Twice as steep: two."""
    noises = np.geomspace(0.01, 1, 41)

    def curves(place, width):
        fall = 1 / (1 + np.exp(np.log(noises / place) / width))
        leaf = 1 / (1 + np.exp(np.log(noises / 0.1)))
        return pd.DataFrame({"seed": 0, "noise": noises, "class": fall, "leaves": leaf})

    assert sharpening(curves(0.1, 0.5), curves(0.05, 0.5)) == pytest.approx(1, rel=0.01)
    assert sharpening(curves(0.1, 0.5), curves(0.1, 0.25)) == pytest.approx(2, rel=0.02)


def test_crossings_are_near_the_threshold_and_mean_field_errs_on_gaussian_noise():
    table = hierarchy_transition.epsilon_thresholds([(16, 4)], [0, 1], trees=48)
    assert table["mean_field"].unique() == pytest.approx(hierarchy.epsilon_threshold(2, 16, 4))
    assert (table["off_mean_field"].abs() < 0.08).all()
    noisy = hierarchy_transition.gaussian_thresholds([(16, 4)], [0], trees=24, population=1024)
    assert noisy["off_mean_field"].item() < -0.1
    assert abs(noisy["off_density_evolution"].item()) < 0.1


def test_mean_field_noise_has_the_fixed_point_as_mean_belief():
    sigma = hierarchy_transition.mean_field_noise(16, 4)
    z = torch.randn(20_000, 16, generator=rng(5))
    logits = (z + torch.eye(16)[0] / sigma) / sigma
    assert logits.softmax(1)[:, 0].mean().item() == pytest.approx(0.25, abs=0.01)


def test_without_a_threshold_the_curves_cross_nowhere_near():
    table = hierarchy_transition.without_threshold(np.linspace(0.3, 0.98, 5), [0], trees=24)
    assert len(table) == 3 * 2 * 5
    ends = hierarchy_transition.family_crossings(table).set_index("family")["crossing"]
    threshold = hierarchy.epsilon_threshold(2, 16, 4)
    assert (ends / threshold - 1).abs().min() > 0.2
    assert ends["m = v"] < threshold < ends["flat"]


# parts


def test_little_noise_changes_nothing_and_much_noise_nearly_all():
    model = RHM.random(3, 2, 8, 3, generator=rng())
    tree = model.sample(1, generator=rng(1))
    calm, wild = hierarchy_parts.changed_symbols(model, tree, [0.01, 100.0], seed=2)
    assert not any(level.any() for level in calm)
    assert [level.shape for level in wild] == [level.shape for level in tree]
    assert wild[0].double().mean() > 0.5


def test_levels_of_a_changed_class():
    table = hierarchy_parts.unchanged_levels([0.75], [0, 1], trees=64)
    assert len(table) == 2 * 7
    assert (table[table["level"] == 6][["posterior", "unrelated"]] == 0).all(axis=None)
    leaves = table[table["level"] == 0]
    assert (leaves["posterior"] > 0.3).all()
    assert leaves["unrelated"].to_numpy() == pytest.approx(1 / 16, abs=0.03)
    rise = hierarchy_parts.least_rise(table)
    assert (rise["posterior"] > rise["unrelated"]).all()


def test_least_rise_by_hand():
    table = pd.DataFrame({"seed": 0, "level": range(4), "posterior": [0.9, 0.5, 0.4, 0.0]})
    rise = hierarchy_parts.least_rise(table.assign(unrelated=0.1))
    assert rise.loc[0].tolist() == pytest.approx([0.1, 0.0])


def test_many_steps_keep_what_the_posterior_keeps_and_two_keep_more():
    """400 starts: z is a standard normal where nothing is wrong; false fail 1e-4 at 4."""
    table = hierarchy_parts.reverse_process_excess([2, 60], [0], starts=400)
    z = table.set_index(["steps", "part"])["z"]
    assert z[2, "leaves"] > 5
    assert abs(z[60, "class"]) < 4
    assert abs(z[60, "leaves"]) < 4


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: beliefs((2, 2, 8, 3), [0.5], [0], trees=0), "trees"),
        (lambda: beliefs((2, 2, 8, 3), [0.5], [0], trees=2, process="flip"), "process"),
        (lambda: crossing([0.2, 0.1], [1, 1], [1, 1]), "noises"),
        (lambda: crossing([0.1, 0.2], [1, 1], [1, 1, 1]), "deep.shape"),
        (lambda: hierarchy_transition.mean_field_noise(16, 12), "m"),
        (lambda: hierarchy_parts.unchanged_levels([0.7], [0], trees=0), "trees"),
        (lambda: hierarchy_parts.reverse_process_excess([2], [0], starts=1), "starts"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()
