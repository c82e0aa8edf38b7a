"""What is learned from faces: directions that are colours, groups that are kinds, new faces."""

from __future__ import annotations

import pytest
import torch
from factories import EXACT, complains, worst

from molrg import memorization
from molrg.denoisers import Empirical
from molrg.images import faces
from molrg.studies import faces_learned
from molrg.subspaces import clustering_accuracy

SIZE = 16
KIND = faces.kind(hair="curlyHighTop", eyes="glasses", mouth="bigSmile", beard="none")


def given(N=12):
    return faces_learned.sorted_faces(23, N, size=SIZE)


def test_principal_directions_of_many_faces_are_the_colours():
    many = faces_learned.principal_directions(KIND, 2000, seed=0, size=SIZE)
    assert many.cosines.min() > 0.9
    lengths = many.found.norm(dim=1) / many.true.norm(dim=1)
    assert ((lengths - 1).abs() < 0.1).all()
    few = faces_learned.principal_directions(KIND, 8, seed=0, size=SIZE)
    assert few.cosines.min() < many.cosines.min(), "eight faces span them and do not tell them"


def test_directions_lie_in_the_span_of_the_colours():
    some = faces_learned.principal_directions(KIND, 9, seed=1, size=SIZE)
    basis = torch.linalg.qr(some.true.T).Q
    assert worst(some.found @ basis @ basis.T, some.found) < EXACT


def test_groups_are_kinds_and_the_order_says_nothing():
    found = given()
    assert clustering_accuracy(found.labels, found.kinds) == 1
    by_order = torch.arange(48) // 12
    assert clustering_accuracy(by_order, found.kinds) < 0.6


def test_the_best_denoiser_copies_and_the_learned_law_does_not():
    found = given()
    law = faces_learned.learned_law(found.x, found.labels)
    schedule = faces_learned.SCHEDULE
    copies, new = (
        faces_learned.sample(denoiser, 24, found.x.shape[1], seed=0)
        for denoiser in (Empirical(found.x, schedule), law.denoiser(schedule))
    )
    assert memorization.memorised(copies, found.x).all()
    assert memorization.memorised(new, found.x).double().mean() < 0.2
    nearest = faces.nearest(new.view(-1, 3, SIZE, SIZE))
    assert set(nearest.kinds.tolist()) <= set(
        faces.nearest(found.x.view(-1, 3, SIZE, SIZE)).kinds.tolist()
    )


def test_the_learned_law_has_the_means_and_variances_of_its_groups():
    found = given(20)
    law = faces_learned.learned_law(found.x, found.labels, noise=0.0)
    for k, mean in enumerate(law.means):
        group = found.x[found.labels == k]
        assert worst(mean, group.mean(0)) < EXACT
        total = (group - mean).square().sum() / (len(group) - 1)
        assert law.variances[k].sum().item() == pytest.approx(total.item())


def test_bad_input():
    with complains("N"):
        faces_learned.principal_directions(KIND, 7, seed=0)
    found = given(9)
    with complains("labels"):
        faces_learned.learned_law(found.x, torch.arange(36) // 4)
