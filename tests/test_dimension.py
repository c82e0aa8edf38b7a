"""Dimension: against closed forms, scikit-dimension and known sets; intervals; tangent spaces."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from molrg import MoLRG, dimension, subspaces
from molrg.dimension import estimators, tangents


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def gaussian(N, d, seed=0):
    return torch.randn(N, d, generator=seeded(seed), dtype=torch.float64)


# oracles and equivalences


@pytest.mark.parametrize(("method", "k"), [("mle", 5), ("mle", 20), ("twonn", 2)])
def test_the_vectorised_formula_is_that_of_scikit_dimension(method, k):
    distances, _ = dimension.nearest(gaussian(400, 6).numpy(), 30)
    assert estimators._formula(distances, method, k) == pytest.approx(
        estimators._skdim(distances, method, k), rel=1e-10
    )


def test_readings_are_the_estimates_without_intervals():
    x = gaussian(300, 5)
    found = dimension.readings(x, ks=(5, 20))
    assert list(found) == ["MLE k=5", "MLE k=20", "TwoNN"]
    wanted = [
        dimension.estimate(x, k=5),
        dimension.estimate(x, k=20),
        dimension.estimate(x, "twonn"),
    ]
    assert list(found.values()) == pytest.approx([e.value for e in wanted], rel=1e-12)


@pytest.mark.parametrize("method", dimension.METHODS)
def test_estimate_equals_scikit_dimension_called_directly(method):
    import skdim

    x = gaussian(500, 4)
    if method == "twonn":
        expected = skdim.id.TwoNN().fit(x.numpy()).dimension_
    else:
        expected = skdim.id.MLE().fit(x.numpy(), n_neighbors=20).dimension_
    assert dimension.estimate(x, method, generator=seeded(0)).value == pytest.approx(
        expected, rel=1e-6
    )


def test_neighbours_in_a_half_are_those_found_by_searching_the_half():
    x = gaussian(600, 3).numpy()
    distances, near = dimension.nearest(x, 110)
    half = estimators._half(600, seeded(1))
    direct, _ = dimension.nearest(x[half], 20)
    assert np.allclose(estimators._within(distances, near, half, 20), direct, atol=1e-7)


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("method", dimension.METHODS)
def test_low_dimensions_are_read_right(d, method):
    # a Gaussian in d <= 4: bias below 3 %, and 4 standard errors of the 0.06 d (TwoNN) at N = 2,000
    assert dimension.estimate(gaussian(2000, d), method).value == pytest.approx(d, rel=0.16)


def test_affinity_is_the_mean_squared_cosine_of_principal_angles():
    x = gaussian(200, 12)
    pairs = tangents.tangent_pairs(x, anchors=6, neighbours=10, d=3, generator=seeded(0))
    _, near = dimension.nearest(x.numpy(), 10, queries=x[pairs.rows].numpy())
    cloud = x[torch.from_numpy(near)]
    bases = subspaces.pca(cloud - cloud.mean(1, keepdim=True), 3)
    for i in range(6):
        for j in range(6):
            expected = subspaces.principal_angles(bases[i], bases[j]).cos().square().mean()
            assert pairs.affinity[i, j] == pytest.approx(float(expected), abs=1e-10)
            assert bool(pairs.disjoint[i, j]) == (not set(near[i]) & set(near[j]))


def test_the_twin_has_the_mean_and_covariance_of_the_data():
    x = (
        gaussian(300, 3)
        @ torch.tensor([[1.0, 2, 0, 1], [0, 1, 1, 0], [0, 0, 3, 1]], dtype=torch.float64)
        + 5
    )
    twin = dimension.gaussian_twin(x, N=200_000, generator=seeded(1))
    # entries of the covariance have standard errors up to sqrt(2) * 16 / sqrt(200,000) = 0.05
    assert torch.allclose(twin.mean(0), x.mean(0), atol=0.05)
    assert torch.allclose(twin.T.cov(correction=0), x.T.cov(correction=0), atol=0.3)
    assert torch.linalg.matrix_rank(twin - twin.mean(0)) == 3
    assert twin.dtype == x.dtype


# invariance


@pytest.mark.parametrize("method", dimension.METHODS)
def test_isometry_scale_and_order_do_not_matter(method):
    x = gaussian(300, 5)
    frame = subspaces.random_basis(40, 5, generator=seeded(2))
    moved = 3 * x[torch.randperm(300, generator=seeded(3))] @ frame.T + 1
    first, second = (dimension.estimate(points, method) for points in (x, moved))
    assert first.value == pytest.approx(second.value, rel=1e-6)


def test_images_are_flattened_and_arrays_are_taken():
    x = gaussian(200, 12)
    values = {
        float(dimension.estimate(view, k=5)) for view in (x, x.reshape(200, 3, 2, 2), x.numpy())
    }
    assert len(values) == 1


# statistical


@pytest.mark.parametrize(("method", "k"), [("mle", 20), ("twonn", 2)])
def test_the_interval_covers_the_mean_of_the_estimator(method, k):
    """With true coverage 0.9 or more, fewer than 0.72 of 100 sets has probability below 1e-7 (binomial)."""
    runs = [
        dimension.estimate(gaussian(300, 4, s), method, k=max(k, 3), generator=seeded(s))
        for s in range(100)
    ]
    mean = np.mean([e.value for e in runs])
    covered = np.mean([e.low <= mean <= e.high for e in runs])
    assert covered >= 0.72
    width, spread = (
        np.mean([e.high - e.low for e in runs]) / (2 * 1.96),
        np.std([e.value for e in runs]),
    )
    assert 0.7 < width / spread < 1.4  # not wide either; 100 sets give the ratio to about 0.08


def test_a_bootstrap_would_have_collapsed():
    """Why the interval uses halves: resampled points are each other's nearest neighbours, at distance 0."""
    x = gaussian(300, 4)
    drawn = x[torch.randint(300, (300,), generator=seeded(0))]
    distances, _ = dimension.nearest(drawn.numpy(), 5)
    assert (distances[:, 0] < 1e-6).mean() > 0.5
    estimate = dimension.estimate(drawn, k=5)  # duplicates are dropped, and counted
    assert estimate.duplicates == 300 - estimate.N > 90


# tangent spaces


def test_components_of_a_mixture_are_told_apart_and_shuffled_labels_are_not():
    x, y = MoLRG.random(60, [5, 5, 5], generator=seeded(0)).sample(
        [200, 200, 200], generator=seeded(1)
    )
    pairs = tangents.tangent_pairs(x, anchors=150, neighbours=12, d=5, generator=seeded(2))
    gap = pairs.gap(y)
    assert min(gap.naive, gap.disjoint, gap.matched) > 0.5
    assert gap.kept > 0.5
    assert abs(pairs.gap(y[torch.randperm(600, generator=seeded(3))]).matched) < 0.05


def test_proximity_alone_fools_the_naive_comparison_and_not_the_matched_one():
    """One smooth sheet cut into regions: no pieces, yet the naive difference is large."""
    z = torch.rand(1500, 2, generator=seeded(0), dtype=torch.float64) * 6
    x = torch.cat([torch.cos(z), torch.sin(z)], 1)
    labels = (z[:, 0] // 2).long() * 3 + (z[:, 1] // 2).long()
    gap = tangents.tangent_affinity(x, labels, anchors=300, neighbours=10, d=2, generator=seeded(1))
    assert gap.naive > 0.1
    assert abs(gap.matched) < 0.5 * gap.naive


# the report


def test_a_report_says_what_the_number_of_samples_allows():
    x, y = gaussian(400, 6), torch.arange(400) % 2
    report = dimension.describe(x, y, ks=(5, 10), generator=seeded(0))
    assert len(report.table()) == 5
    assert set(report.classes) == {0, 1}
    assert report.low < 6 * 1.2
    assert report.high > 6 * 0.8
    text = repr(report)
    for words in (
        "400 points in 6 coordinates",
        "Samples per dimension",
        "N_k >= d_k",
        "Not shown",
    ):
        assert words in text
    assert "<table" in report._repr_html_()
    assert repr(dimension.describe(x, y, ks=(5, 10), generator=seeded(0))) == text


def test_a_report_holds_the_data_against_their_gaussian_twin():
    """A Gaussian is its own twin; a circle in a plane reads one where its twin fills the plane."""
    angle = 2 * math.pi * torch.rand(400, generator=seeded(3), dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    same, curve = (
        dimension.describe(x, ks=(5, 10), generator=seeded(0)) for x in (gaussian(400, 6), circle)
    )
    assert same.reference.value / same.twin == pytest.approx(1, abs=0.1)
    assert curve.reference.value / curve.twin == pytest.approx(0.5, abs=0.1)
    told = repr(curve)
    assert f"log2(N/d) = {math.log2(400 / curve.high):.1f}" in told
    assert f"the data read {curve.reference.value / curve.twin:.2f}" in told


def test_calibration_saturates_in_high_dimension():
    table = dimension.calibration(400, [2, 20, 200], k=10, generator=seeded(0))
    ratio = (table["mle"] / table["d"]).tolist()
    assert ratio[0] > 0.9
    assert ratio == sorted(ratio, reverse=True)
    assert ratio[2] < 0.4
    assert estimators._invert(table, float(table["mle"][1])) == pytest.approx(20)
    assert math.isinf(estimators._invert(table, 1e6))


# errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: dimension.estimate(x, "pca"), "method = 'pca'.*'mle' or 'twonn'"),
        (lambda x: dimension.estimate(x, k=2), "k = 2"),
        (lambda x: dimension.estimate(x, k=20), "x = 60 different points.*80"),
        (lambda x: dimension.estimate(x, k=5, level=1.0), "level = 1.0"),
        (lambda x: dimension.estimate(x, k=5, splits=1), "splits = 1"),
        (lambda x: dimension.estimate(x[:, 0], k=5), r"x.shape = \(60,\)"),
        (lambda x: dimension.estimate(torch.full((60, 3), math.nan), k=5), "x = an array with NaN"),
        (lambda x: dimension.readings(x, ks=(5, 60)), "k = 60"),
        (lambda x: dimension.describe(x, torch.zeros(3), ks=(5,)), r"labels.shape = \(3,\)"),
        (lambda x: dimension.calibration(10, [2], k=5, generator=seeded(0)), "N = 10"),
        (lambda x: tangents.tangent_pairs(x, anchors=61, generator=seeded(0)), "anchors = 61"),
        (
            lambda x: tangents.tangent_pairs(x, anchors=9, neighbours=3, d=3, generator=seeded(0)),
            "neighbours = 3",
        ),
        (
            lambda x: tangents.tangent_pairs(x, anchors=9, neighbours=8, d=6, generator=seeded(0)),
            "d = 6.*9 neighbourhoods",
        ),
        (
            lambda x: tangents.tangent_affinity(
                x, torch.zeros(60), anchors=9, neighbours=9, d=2, generator=seeded(0)
            ),
            "labels",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(gaussian(60, 4))


# the command line


def described(capsys, *words):
    from molrg.__main__ import main

    code = main(["describe", *map(str, words)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_command_line_describes_an_array(tmp_path, capsys):
    path = tmp_path / "points.npy"
    np.save(path, gaussian(300, 3).numpy())
    code, out, _ = described(capsys, path)
    assert code == 0
    assert "300 points in 3 coordinates" in out
    assert "log2(N/d)" in out
    assert str(dimension.describe(gaussian(300, 3))) == out.rstrip("\n")


def test_the_command_line_describes_a_folder_of_pictures_by_class(tmp_path, capsys):
    from PIL import Image

    from molrg import images

    x, _ = images.rendered(2, 8).sample(200, seeded(0))
    for k, image in enumerate(x):
        folder = tmp_path / ("even", "odd")[k % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(((image[0] + 1) * 127.5).round().numpy().astype(np.uint8)).save(
            folder / f"{k}.png"
        )
    code, out, _ = described(capsys, tmp_path, "--grey", "--size", 8)
    assert code == 0
    assert "200 points in 64 coordinates" in out
    assert "class 1" in out


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    pickled = tmp_path / "objects.npy"
    np.save(pickled, np.array([{}], dtype=object))
    few = tmp_path / "few.npy"
    np.save(few, gaussian(20, 3).numpy())
    for words, message in [
        ((tmp_path / "nowhere",), "no such folder"),
        ((few,), "x = 20 different points"),
        ((pickled,), "allow_pickle"),
        ((few, "--grey"), "path"),
    ]:
        code, _, err = described(capsys, *words)
        assert code == 2 and message in err, err
