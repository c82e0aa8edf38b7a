"""Four kinds of faces: the law of N faces, kinds of start, and the faces that seven leave out."""

from __future__ import annotations

import pytest
import torch
from factories import EXACT, complains, worst

from molrg.images import faces
from molrg.studies import faces_counting, faces_lessons
from molrg.studies.faces_counting import D
from molrg.subspaces import k_subspaces, subspace_error

SIZE = 16
SEEDS = range(2)


def counted(counts, *starts, **more):
    return faces_counting.counted(counts, SEEDS, size=SIZE, starts=starts, restarts=3, **more)


def test_faces_of_a_kind_lie_in_its_eight_dimensions_and_in_no_other():
    x, bases = faces_counting.draw(0, 12, size=SIZE), faces_counting.truth(size=SIZE)
    for k, points in enumerate(x):
        missed = [(points - points @ U @ U.T).norm() / points.norm() for U in bases]
        assert missed[k] < EXACT
        assert min(missed[:k] + missed[k + 1 :]) > 0.1
        assert torch.linalg.matrix_rank(points) == D
    assert worst(faces_counting.draw(0, 5, size=SIZE), x[:, :5]) == 0


def test_kinds_share_the_shirt_and_a_bound_follows_for_orthogonal_bases():
    between = faces_counting.angles(size=SIZE)
    assert between.shape == (6, D)
    assert (between.iloc[:, :3] < 1e-5).all(axis=None), "the colours of the shirt"
    assert (between.iloc[:, 3] > 1).all()
    floor = faces_counting.joint_floor(size=SIZE)
    assert floor > 0.4
    assert counted([12], "true labels", joint=True).error.min() > floor
    assert counted([12], "true labels").error.max() < 1e-6 < floor, "bases one by one"


def test_seven_faces_obey_the_law_and_eight_leave_no_error():
    table = counted([6, 7, 8], "true labels", "k-means")
    law = table.N.map(faces_counting.law)
    # a random completion lies a little, about sqrt(D / n), in the subspace that it completes
    assert (table.error - law).abs().max() < 0.01
    assert (table.success == (table.N >= D)).all()


def test_at_eight_a_random_split_has_zero_loss_and_is_wrong_and_at_nine_it_has_not():
    table = counted([D, D + 1], "random split")
    assert (table.error > 0.4).all()
    assert (table.zero_loss == (table.N == D)).all()


def test_random_bases_fail_where_the_truth_is_the_only_solution():
    table = counted([D + 1], "random bases", "true labels")
    wrong = table[table.start == "random bases"]
    assert not wrong.success.any()
    assert not wrong.zero_loss.any(), "a local optimum, not another solution"
    assert table[table.start == "true labels"].zero_loss.all()


def test_kinds_that_look_alike_are_identified_and_not_found_by_k_means():
    table = counted([D + 1], "k-means", "true labels", group="alike")
    assert (table.success == (table.start == "true labels")).all()


def test_the_face_that_seven_leave_out_is_of_its_kind_and_eight_draw_it():
    lesson = faces_lessons.lesson(0, (D - 1, D), size=SIZE, length=3.0)
    nearest = faces.nearest(lesson.asked)
    assert nearest.kinds.tolist() == list(faces_counting.GROUPS["apart"])
    assert nearest.colours.norm(dim=1).tolist() == pytest.approx([3.0] * 4)
    assert nearest.distances.max() < 1e-5
    assert lesson.missed[D].max() < 1e-6
    assert lesson.missed[D - 1].min() > 1


def test_no_other_face_of_these_colours_is_left_out_further():
    """Where it says farthest: random colours of the same length miss by less."""
    lesson = faces_lessons.lesson(1, (D - 1,), size=SIZE, length=3.0)
    seen = faces_counting.draw(1, D - 1, size=SIZE)
    generator = torch.Generator().manual_seed(0)
    for k, kind in enumerate(faces_counting.GROUPS["apart"]):
        number = torch.tensor([kind])
        colours = torch.randn(500, D - 1, generator=generator, dtype=torch.float64)
        colours = 3 * colours / colours.norm(dim=1, keepdim=True)
        columns = faces.columns(number, SIZE)[0].flatten(1)
        others = faces.means(number, SIZE).flatten() + colours @ columns
        basis = torch.linalg.svd(seen[k], full_matrices=False).Vh.T
        missed = (others - others @ basis @ basis.T).norm(dim=1)
        assert missed.max() < lesson.missed[D - 1][k]


def test_groups_at_random_have_zero_loss_on_what_they_saw_and_draw_it_wrongly():
    lesson = faces_lessons.lesson(0, (D,), size=SIZE)
    distance = (lesson.sorted_wrongly - lesson.asked).flatten(1).norm(dim=1)
    assert distance.min() > 1
    x = faces_counting.draw(0, D, size=SIZE).flatten(0, 1)
    source = torch.Generator().manual_seed(0)
    split = k_subspaces(x, 4, D, init="balanced", restarts=1, generator=source)
    assert split.objective == pytest.approx(x.square().sum(-1).mean().item())
    assert subspace_error(split.bases, list(faces_counting.truth(size=SIZE))) > 0.4


def test_bad_input():
    with complains("N"):
        faces_counting.draw(0, 0, size=SIZE)
    with complains("group"):
        faces_counting.draw(0, 3, group="strangers")
    with complains("start"):
        faces_counting.trial(0, 3, "luck", size=SIZE)
    with complains("size"):
        faces_counting.draw(0, 3, size=30)
