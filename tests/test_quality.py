"""Quality: the Frechet distance against closed forms and scipy's matrix root, and its scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from factories import complains, normal, rng
from scipy import linalg

from molrg.images import quality


def textbook(a, b):
    """With the root of the product itself."""
    a, b = a.numpy(), b.numpy()
    cov, other = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(cov @ other).real
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov + other - 2 * root)


def test_frechet_is_the_textbook_formula():
    a, b = normal(50, 6) @ normal(6, 6, seed=1), normal(40, 6, seed=2) @ normal(6, 6, seed=3) + 0.5
    assert abs(quality.frechet(a, b) - textbook(a, b)) < 1e-8 * textbook(a, b)


def test_a_shift_and_a_scale_cost_what_they_should():
    a = normal(30, 4)
    assert abs(quality.frechet(a, a)) < 1e-6
    assert abs(quality.frechet(a, a + 2.0) - 16) < 1e-6
    cov = torch.cov(a.T)
    assert abs(quality.frechet(a - a.mean(0), 3 * (a - a.mean(0))) - 4 * cov.trace().item()) < 1e-6


def test_the_order_does_not_matter_and_a_rotation_changes_nothing():
    a, b = normal(50, 5), normal(60, 5, seed=1) * 2
    rotation = torch.linalg.qr(normal(5, 5, seed=2))[0]
    assert abs(quality.frechet(a, b) - quality.frechet(b, a)) < 1e-8
    assert abs(quality.frechet(a, b) - quality.frechet(a @ rotation, b @ rotation)) < 1e-8


def test_fewer_images_than_features():
    """The root of the product does not exist, the distance does."""
    a = normal(5, 20)
    assert abs(quality.frechet(a, a)) < 1e-5
    assert abs(quality.frechet(a, a + 1.0) - 20) < 1e-5


@pytest.mark.parametrize("shape", [(10, 64), (2, 500), (64, 64), (300, 4)])
def test_a_set_is_at_distance_zero_from_itself(shape):
    """Whatever its rank, and wherever it lies."""
    a = normal(*shape)
    for cloud in (a, a + 1e7, 1e-6 * a):
        scale = torch.cov(cloud.T).trace().item()
        assert abs(quality.frechet(cloud, cloud)) < 1e-12 * scale
    assert quality.frechet(a.half(), a.half()) == pytest.approx(0, abs=1e-10)


@pytest.mark.gpu
def test_the_scale_on_a_gpu_is_that_on_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA here")
    sets = [smooth(60, 2), smooth(300, 0), smooth(60, 1)]
    here, there = (
        quality.scale(lambda x: x.flatten(1)[:, ::9], *moved, generator=rng())
        for moved in (sets, [x.cuda() for x in sets])
    )
    assert there == pytest.approx(here, rel=1e-4)


def test_one_feature():
    a, b = normal(200, 1), 2 * normal(300, 1, seed=1)
    expected = (a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2
    assert abs(quality.frechet(a, b) - expected.item()) < 1e-10


def smooth(n, seed):
    return torch.nn.functional.interpolate(
        normal(n, 1, 4, 4, seed=seed, dtype=torch.float32), size=16, mode="bilinear"
    ).clamp(-1, 1)


def test_the_scale_orders_what_it_should():
    reference, held_out = smooth(900, 0), smooth(200, 1)
    found = quality.scale(
        lambda x: x.flatten(1)[:, ::5], smooth(200, 2), reference, held_out, generator=rng()
    )
    assert found["floor"] < found["noisy"] < found["noise"]
    assert found["floor"] < found["blurred"]
    assert abs(found["excess"]) < 0.5
    worse = quality.scale(
        lambda x: x.flatten(1)[:, ::5],
        held_out + 0.4 * normal(*held_out.shape).float(),
        reference,
        held_out,
        generator=rng(),
    )
    assert worse["excess"] > 1.5
    assert worse["floor"] == found["floor"]


def test_the_histogram_counts():
    logits = torch.eye(4)[[0, 0, 2, 0]]
    assert quality.histogram(logits).tolist() == [0.75, 0, 0.25, 0]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: quality.frechet(normal(1, 3), normal(5, 3)), "a.shape"),
        (lambda: quality.frechet(normal(5, 3), normal(5, 4)), "b.shape"),
        (lambda: quality.frechet(normal(5, 3), normal(5, 3) * float("nan")), "b"),
        (lambda: quality.frechet(normal(2, 5, 3), normal(5, 3)), "a.shape"),
        (
            lambda: quality.scale(
                lambda x: x.flatten(1), smooth(3, 0), smooth(9, 1), smooth(4, 2), generator=rng()
            ),
            "len(samples)",
        ),
        (
            lambda: quality.scale(
                lambda x: normal(len(x), 3),
                smooth(4, 0),
                smooth(9, 1),
                smooth(4, 2),
                generator=rng(),
            ),
            "features",
        ),
        (lambda: quality.histogram(normal(4)), "logits.shape"),
    ],
)
def test_bad_input(call, name):
    with complains(name):
        call()
