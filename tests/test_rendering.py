"""Rendered images: dimension, smoothness and resolution are what they are said to be."""

from __future__ import annotations

import pytest
import torch
from factories import complains, rng, worst

from molrg import dimension, images
from molrg.images import scenes as rendering
from molrg.images.scenes import KINDS, Pieces, Scenes

F64 = torch.float64


def drawn(family, N=8, seed=0):
    return family.sample(N, rng(seed), dtype=F64)


# oracles


@pytest.mark.parametrize("curvature", [0.0, 0.5, 1.0, 3.0])
def test_tangents_are_finite_differences(curvature):
    family = Scenes(12, 8, curvature=curvature)
    _, z = drawn(family, 3)
    step = 1e-5 * torch.eye(12, dtype=F64)
    differences = torch.stack(
        [(family.render(z + h) - family.render(z - h)) / 2e-5 for h in step], dim=1
    )
    assert (
        worst(family.tangents(z), differences) < 1e-8
    )  # error of order step^2, rounding 1e-16 / step


@pytest.mark.parametrize(
    ("d", "objects", "kinds"), [(1, 1, KINDS), (6, 4, KINDS), (24, 4, KINDS), (32, 16, ("x", "y"))]
)
@pytest.mark.parametrize("curvature", [0.0, 1.0, 3.0])
def test_tangent_spaces_have_dimension_d(d, objects, kinds, curvature):
    family = Scenes(d, 16, objects=objects, kinds=kinds, curvature=curvature)
    _, z = drawn(family, 4)
    spectra = torch.linalg.svdvals(family.tangents(z).flatten(2))
    assert spectra.shape == (4, d)
    assert float((spectra[:, -1] / spectra[:, 0]).min()) > 1e-4


def test_the_linear_end_spans_exactly_d_dimensions_and_the_curved_one_more():
    flat, curved = (drawn(Scenes(6, 16, curvature=c), 100)[0].flatten(1) for c in (0.0, 1.0))
    spectrum = torch.linalg.svdvals(flat - flat.mean(0))
    assert spectrum[5] > 1e-3 * spectrum[0]
    assert spectrum[6] < 1e-12 * spectrum[0]
    bent = torch.linalg.svdvals(curved - curved.mean(0))
    assert bent[6] > 1e-2 * bent[0]


def test_all_curvatures_touch_at_the_base_scene_and_approach_the_linear_one():
    families = [Scenes(6, 16, curvature=c) for c in (0.0, 0.01, 0.02, 1.0)]
    zero = torch.zeros(1, 6, dtype=F64)
    assert all(worst(f.render(zero), families[0].base[None]) < 1e-14 for f in families)
    assert all(worst(f.tangents(zero), families[0].tangents(zero)) < 1e-12 for f in families)
    _, z = drawn(families[0])
    straight, *bent = (f.render(z) for f in families)
    near, far, full = (worst(x, straight) for x in bent)
    assert far / near == pytest.approx(2, rel=0.05)
    assert full > 20 * near


@pytest.mark.parametrize("curvature", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(("small", "large"), [(8, 16), (8, 32), (4, 16)])
def test_images_of_one_scene_agree_at_all_sizes(small, large, curvature):
    coarse, fine = (Scenes(4, size, curvature=curvature) for size in (small, large))
    (x, z), (y, same) = drawn(coarse), drawn(fine)
    assert torch.equal(z, same)
    assert worst(x, torch.nn.functional.avg_pool2d(y, large // small)) < 1e-13
    other = Scenes(4, large, curvature=curvature, scene=1).render(z)
    assert worst(x, torch.nn.functional.avg_pool2d(other, large // small)) > 0.05


def test_sizes_that_do_not_divide_the_grid_agree_nearly():
    """The pixels are then averages over another grid: what differs is the error of that average."""
    coarse, fine = Scenes(6, 14), Scenes(6, 28)
    _, z = drawn(coarse)
    assert worst(coarse.render(z), torch.nn.functional.avg_pool2d(fine.render(z), 2)) < 0.02


def test_the_image_is_smooth_in_the_factors():
    """Third differences along a line shrink as the third power of the step: no kinks, no steps."""
    family, direction = Scenes(24, 16, curvature=3.0), drawn(Scenes(24, 16), 1)[1]

    def third(step):
        return (
            (
                family.render(
                    direction * step * torch.tensor([[-3.0], [-1], [1], [3]], dtype=F64) / 2
                ).diff(n=3, dim=0)
            )
            .abs()
            .max()
        )

    assert float(third(0.02) / third(0.01)) == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("d", [2, 4])
def test_estimated_dimension_is_the_number_of_factors(d):
    x, _ = Scenes(d, 16, objects=2).sample(1500, rng())
    found = dimension.estimate(x.double(), k=10, generator=rng())
    assert 0.8 * d < found.value < 1.25 * d, "both bounds exclude the next multiple of two"


def test_estimated_dimension_does_not_see_the_pixels():
    found = [
        dimension.estimate(Scenes(4, size).sample(800, rng())[0].double(), generator=rng()).value
        for size in (8, 32)
    ]
    assert found[1] == pytest.approx(found[0], rel=0.05)


# invariance and contract


def test_the_same_seed_gives_the_same_images_and_another_one_others():
    family = Scenes(6, 8)
    (x, z), (again, _), (other, _) = drawn(family), drawn(family), drawn(family, seed=1)
    assert torch.equal(x, again)
    assert not torch.equal(x, other)
    assert torch.equal(family.render(z), x)
    assert z.shape == (8, 6)
    assert z.abs().max() <= 1
    assert not torch.equal(Scenes(6, 8, scene=1).render(z), x), "another scene"


def test_a_bent_family_is_the_one_made_so():
    family = Scenes(5, 8)
    for curvature in (0.0, 3.0):
        bent, made = family.bent(curvature), Scenes(5, 8, curvature=curvature)
        z = drawn(made)[1]
        assert torch.equal(bent.render(z), made.render(z))
        assert torch.equal(bent.tangents(z), made.tangents(z))
    assert family.curvature == 1.0
    with complains("curvature"):
        family.bent(3.1)


def test_factors_beyond_d_are_at_rest():
    few, many = Scenes(3, 16), Scenes(24, 16)
    _, z = drawn(few)
    assert worst(few.render(z), many.render(torch.nn.functional.pad(z, (0, 21)))) < 1e-14
    assert many.names[:3] == few.names == ["x of object 0", "y of object 0", "angle of object 0"]


@pytest.mark.parametrize("curvature", [1.0, 3.0])
def test_pictures_are_in_range_and_of_the_dtype_asked_for(curvature):
    x, z = Scenes(24, 16, curvature=curvature).sample(200, rng())
    assert x.shape == (200, 1, 16, 16)
    assert x.dtype == z.dtype == torch.float32
    assert float(x.abs().max()) <= 1
    assert float(x.max()) > -0.2
    assert Scenes(2, 8).render(z[:, :2].double()).dtype == F64


def test_every_kind_changes_the_picture():
    for kind in KINDS:
        changed = Scenes(1, 16, objects=1, kinds=(kind,)).tangents(torch.zeros(1, 1, dtype=F64))
        assert 0.1 < float(changed.norm()) / 16 < 1, kind


def test_a_union_has_the_images_of_its_families():
    union = images.rendered([2, 5], 16)
    assert isinstance(union, Pieces)
    assert union.dims == [2, 5]
    assert union.size == 16
    x, z, y = union.sample([3, 4], rng(), dtype=F64)
    assert y.tolist() == [0] * 3 + [1] * 4
    assert z.shape == (7, 5)
    assert x.shape == (7, 1, 16, 16)
    assert z[:3, 2:].isnan().all()
    assert not z[3:].isnan().any()
    assert worst(x[3:], Scenes(5, 16, scene=1).render(z[3:])) == 0
    assert worst(x[:3], Scenes(2, 16, scene=0).render(z[:3, :2])) == 0
    labels = union.sample(200, rng())[2]
    assert 60 < int(labels.sum()) < 140  # 5.6 standard deviations of a fair coin


def test_images_rendered_is_the_family():
    _, z = drawn(Scenes(4, 8, objects=2, curvature=2.0, scene=3))
    family = images.rendered(4, 8, objects=2, curvature=2.0, scene=3)
    assert isinstance(family, Scenes)
    assert worst(family.render(z), Scenes(4, 8, objects=2, curvature=2.0, scene=3).render(z)) == 0


# bad input


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("d", {"d": 0}),
        ("d", {"d": 25}),
        ("d", {"d": 9, "kinds": ("x", "y")}),
        ("size", {"size": 1}),
        ("size", {"d": 24, "size": 4}),
        ("size", {"d": 36, "objects": 6, "size": 6}),
        ("objects", {"objects": 0}),
        ("kinds", {"kinds": ("x", "colour")}),
        ("kinds", {"kinds": ("x", "x")}),
        ("kinds", {"kinds": ()}),
        ("curvature", {"curvature": -0.1}),
        ("curvature", {"curvature": 3.5}),
        ("curvature", {"curvature": float("nan")}),
        ("scene", {"scene": -1}),
    ],
)
def test_bad_settings(name, settings):
    with complains(name):
        Scenes(**({"d": 2} | settings))


def test_bad_calls():
    family = Scenes(2, 8)
    with complains("N"):
        family.sample(0, rng())
    for bad in (torch.zeros(2), torch.zeros(2, 3)):
        with complains("factors.shape"):
            family.render(bad)
    with complains("factors"):
        family.tangents(torch.full((1, 2), float("nan")))
    with complains("sizes of families"):
        Pieces([Scenes(2, 8), Scenes(2, 16)])
    with complains("sizes of families"):
        Pieces([])
    union = images.rendered([1, 2], 8)
    for name, N in (("N", 0), ("len(N)", [1]), ("N[1]", [1, 0])):
        with complains(name):
            union.sample(N, rng())


def test_the_limit_on_pixels_is_the_rank_of_the_tangents():
    """Bite: with the check off, the family it refuses does have dependent tangents."""
    limit, rendering.APART = rendering.APART, 0.0
    try:
        family = Scenes(36, 6, objects=6)
    finally:
        rendering.APART = limit
    spectrum = torch.linalg.svdvals(family.tangents(torch.zeros(1, 36, dtype=F64))[0].flatten(1))
    assert float(spectrum[-1] / spectrum[0]) < limit
