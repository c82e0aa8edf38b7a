"""The dimension of images: parts, references that read what they are, groups that differ."""

from __future__ import annotations

import pytest
import torch
from factories import normal, rng

from molrg import draws
from molrg.studies import image_dimension as study


def flat(N=400, d=3, n=10, seed=0):
    return normal(N, d, seed=seed) @ normal(d, n, seed=seed + 1)


def test_parts_are_disjoint_and_cover_the_set():
    parts = study.parts(flat(101), [4, 5, 6])
    assert sorted(torch.cat(parts).tolist()) == list(range(101))
    assert len(parts) == 3 and not torch.equal(parts[0], study.parts(flat(101), [5, 6, 7])[0])


def test_shuffled_pixels_are_the_same_values_in_another_order_for_each_image():
    x = torch.arange(30.0).expand(4, 30)
    shuffled = study.shuffle_pixels(x, rng(0))
    assert torch.equal(shuffled.sort(1).values, x)
    assert not torch.equal(shuffled[0], shuffled[1])


def test_a_flat_set_reads_its_dimension_and_so_does_its_twin():
    """A Gaussian set is like its twin; 200 points of 3 dimensions read 2 to 4 by every method."""
    table = study.readings({"flat": flat()}, [0, 1])
    assert len(table) == 2 * 4 * 4 and set(table.seed) == {0, 1}
    images = table[table.cloud == "images"]
    assert images.d.between(2, 4).all() and (images.ratio == images.d / 10).all()
    assert (table[table.cloud == study.TWIN].over_twin == 1).all()
    assert images.over_twin.between(0.6, 1.7).all()


def test_the_yardstick_is_right_at_ten_dimensions_and_large_for_noise():
    table = study.references(300, [0, 1])
    assert table["flat"].between(6, 12).all() and (table.white > 30).all()


def test_a_sheet_is_one_set_of_its_dimension():
    from molrg import dimension

    x = study.sheet(500, 3, draws.source(0))
    assert x.shape == (500, 784) and dimension.readings(x)["TwoNN"] < 6


def test_regions_are_ten_groups_of_near_points():
    x = torch.cat([20.0 * k + normal(10, 5, seed=k) for k in range(10)])
    labels = study.regions(x).view(10, 10)
    assert (labels == labels[:, :1]).all() and len(labels.unique()) == 10


def test_orthogonal_pieces_differ_and_shuffled_labels_do_not():
    """Two classes on orthogonal subspaces of 9 dimensions, many points of each."""
    first, second = normal(400, 9), normal(400, 9, seed=1)
    blank = torch.zeros(400, 9, dtype=torch.float64)
    x = torch.cat([torch.cat([first, blank], 1), torch.cat([blank, second], 1)])
    y = torch.arange(2).repeat_interleave(400)
    table = study.affinities({"pieces": (x, y)}, [0, 1], anchors=60)
    pieces = table[table.set == "pieces"].set_index("labels")
    assert (pieces.loc["classes", "matched"] > 0.5).all()
    assert (pieces.loc["shuffled", "matched"].abs() < 0.2).all()
    assert set(table.set) == {"pieces", "sheet 12", "sheet 3"}
    assert len(table) == 2 * (4 + 2)


@pytest.mark.parametrize("purpose", [0, 1])
def test_the_same_seeds_give_the_same_parts(purpose):
    first, again = (study.parts(flat(50), [purpose, 9]) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
