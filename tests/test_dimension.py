"""Dimension: against closed forms, scikit-dimension and known sets; intervals; tangent spaces."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
import torch
from factories import complains
from scipy.spatial.distance import cdist

from molrg import MoLRG, dimension, images, subspaces
from molrg.dimension import estimators, gaussians, tangents


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def gaussian(N, d, seed=0):
    return torch.randn(N, d, generator=seeded(seed), dtype=torch.float64)


# oracles and equivalences


@pytest.mark.parametrize(("method", "k"), [("mle", 5), ("mle", 20), ("twonn", 2)])
def test_the_vectorised_formula_is_that_of_scikit_dimension(method, k):
    distances, _ = dimension.nearest_neighbours(gaussian(400, 6).numpy(), 30)
    assert estimators._formula(distances, method, k) == pytest.approx(
        estimators._reading(distances, method, k), rel=1e-10
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
    distances, near = dimension.nearest_neighbours(x, 110)
    half = estimators._half(600, seeded(1))
    direct, _ = dimension.nearest_neighbours(x[half], 20)
    assert np.allclose(estimators._within(distances, near, half, 20), direct, atol=1e-7)


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("method", dimension.METHODS)
def test_low_dimensions_are_read_right(d, method):
    # a Gaussian in d <= 4: bias below 3 %, and 4 standard errors of the 0.06 d (TwoNN) at N = 2,000
    assert dimension.estimate(gaussian(2000, d), method).value == pytest.approx(d, rel=0.16)


def test_affinity_is_the_mean_squared_cosine_of_principal_angles():
    x = gaussian(200, 12)
    pairs = tangents.tangent_pairs(x, anchors=6, neighbours=10, d=3, generator=seeded(0))
    _, others = dimension.nearest_neighbours(x.numpy(), 9, pairs.rows.numpy())
    near = np.column_stack([pairs.rows, others])
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
    """With true coverage 0.9, less than 0.72 of 100 sets has probability below 1e-7 (binomial)."""
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
    """Why the interval uses halves: points drawn twice are neighbours at distance 0."""
    x = gaussian(300, 4)
    drawn = x[torch.randint(300, (300,), generator=seeded(0))]
    distances, _ = dimension.nearest_neighbours(drawn.numpy(), 5)
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


# real data: far from the origin, of any scale and type, near-duplicates, ties and small classes


def by_hand(x, k=20):
    """Levina-Bickel from all distances by differences."""
    distances = np.sort(cdist(x, x), axis=1)[:, 1 : k + 1]
    return float(1 / np.log(distances[:, -1:] / distances[:, :-1]).mean())


def near_pairs():
    x = gaussian(200, 64).repeat_interleave(2, dim=0)
    return (x + 1e-9 * gaussian(400, 64, seed=1)).numpy()


def near_crowds():
    """Twenty crowds of thirty points, each 1e-9 wide: more near neighbours than are asked for."""
    x = gaussian(20, 5).repeat_interleave(30, dim=0)
    return (x + 1e-9 * gaussian(600, 5, seed=1)).numpy()


def with_an_outlier():
    x = gaussian(300, 3).numpy()
    x[0] = 1e9
    return x


@pytest.mark.parametrize("make", [near_pairs, near_crowds, with_an_outlier])
def test_neighbours_are_those_of_exact_distances(make):
    x = make()
    distances, near = dimension.nearest_neighbours(dimension.as_cloud(x).points, 20)
    centred = dimension.as_cloud(x).points
    exact = np.sort(cdist(centred, centred), axis=1)[:, 1:21]
    assert np.allclose(distances, exact, rtol=1e-6, atol=0)
    apart = np.linalg.norm(centred[:, None] - centred[near], axis=2)
    assert np.allclose(apart, distances, rtol=1e-6, atol=0)


@pytest.mark.parametrize("make", [near_pairs, near_crowds, with_an_outlier])
def test_estimates_are_those_of_exact_distances(make):
    x = make()
    assert dimension.estimate(x).value == pytest.approx(by_hand(x), rel=1e-4)


@pytest.mark.parametrize("offset", [0.0, 1e7, -1e10])
def test_data_far_from_the_origin_read_the_same(offset):
    x = gaussian(300, 3) @ gaussian(3, 10, seed=1)
    moved = dimension.describe(x + offset)
    # 1e10 leaves six digits to a double
    for method in dimension.METHODS:
        expected = dimension.estimate(x, method).value
        assert dimension.estimate(x + offset, method).value == pytest.approx(expected, rel=1e-3)
    assert moved.reference.value == pytest.approx(by_hand(x.numpy()), rel=1e-3)


def test_tangents_of_data_far_from_the_origin_are_the_same():
    x, y = MoLRG.random(20, [2, 2], generator=seeded(0)).sample([80, 80], generator=seeded(1))
    gaps = [
        tangents.tangent_affinity(points, y, anchors=60, neighbours=9, d=2, generator=seeded(2))
        for points in (x.double(), x.double() + 1e7)
    ]
    assert astuple(gaps[0]) == pytest.approx(astuple(gaps[1]), rel=1e-4)


@pytest.mark.parametrize("scale", [1e200, 1e30, 1e-30, 1e-200])
def test_no_scale_overflows(scale):
    x = gaussian(200, 3)
    plain, scaled = dimension.describe(x), dimension.describe(x * scale)
    assert scaled.reference.value == pytest.approx(plain.reference.value, rel=1e-6)
    assert scaled.twin == pytest.approx(plain.twin, rel=1e-6)
    pairs = tangents.tangent_pairs(x * scale, anchors=9, neighbours=9, d=2, generator=seeded(0))
    assert torch.isfinite(pairs.affinity).all()
    assert torch.allclose(pairs.distance / scale, torch.cdist(x[pairs.rows], x[pairs.rows]))


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int32, torch.uint8]
)
def test_all_real_types_are_read_as_their_values(dtype):
    x = (100 + 25 * gaussian(300, 4)).clamp(0, 255).to(dtype)
    expected = dimension.estimate(x.double())
    assert dimension.estimate(x).value == expected.value
    if dtype != torch.bfloat16:  # which numpy does not have
        assert dimension.estimate(x.numpy()).value == expected.value


@pytest.mark.parametrize("dtype", [complex, object, "U3", "M8[s]"])
def test_other_types_are_refused(dtype):
    with complains("x"):
        dimension.describe(np.ones((300, 3)).astype(dtype))


def lattice():
    side = torch.arange(20.0)
    return torch.cartesian_prod(side, side)


def test_ties_are_named_and_not_read():
    with pytest.raises(ValueError, match=r"x = points of which 100 % .*equal.*for TwoNN"):
        dimension.estimate(lattice(), "twonn")
    for method in dimension.METHODS:  # all distances are equal
        with pytest.raises(ValueError, match="x = points of which 100 % "):
            dimension.estimate(torch.eye(100), method)
    report = dimension.describe(lattice())
    assert [e.method for e in report.estimates] == ["mle"] * 3
    assert list(report.unmeasured) == ["TwoNN"]
    assert "Not measured: TwoNN (points of which 100 %" in repr(report)
    assert report.reference.value == pytest.approx(by_hand(lattice().numpy()))


def test_a_few_ties_are_harmless():
    """Grey values: the distances of 4 % of the points are equal."""
    x = (128 + 15 * gaussian(600, 5)).round()
    assert dimension.estimate(x, "twonn").value == pytest.approx(5, rel=0.25)


def test_points_that_a_double_cannot_tell_apart_are_named():
    x = torch.cat([gaussian(100, 2), 1e-170 * gaussian(100, 2, seed=1)])
    for call in (dimension.estimate, dimension.describe, dimension.readings):
        with pytest.raises(ValueError, match="x = 100 points at distance 0 from another one"):
            call(x)


@pytest.mark.parametrize("x", [torch.zeros(100, 3), torch.ones(100, 3), torch.full((2, 1), 1e7)])
def test_constant_data_are_named(x):
    for call in (dimension.estimate, dimension.describe):
        with complains("x"):
            call(x)
    with pytest.raises(ValueError, match=r"= 0|x = 1 different"):
        dimension.readings(x)


def test_classes_that_are_too_small_are_named_and_nothing_is_claimed_for_them():
    x = gaussian(135, 200)
    names = np.array(["cat"] * 100 + ["dog"] * 30 + ["eel"] * 5)
    report = dimension.describe(x, names)
    assert list(report.classes) == ["cat"]
    assert list(report.unmeasured) == ["class dog", "class eel"]
    text = repr(report)
    assert "class dog (30 different points, and needs >= 80 of them" in text
    assert "points in it: 5" in text
    assert "met: N_k" not in text
    assert "N_k >= d_k: not known" in text
    assert "in the measured class that has the fewest" in text


def test_where_no_class_can_be_measured_nothing_is_claimed():
    text = repr(dimension.describe(gaussian(120, 200), torch.arange(120) % 4))
    assert "met: N_k" not in text
    assert "N_k >= d_k: not known" in text


def test_many_small_classes_do_not_fill_the_report():
    text = repr(dimension.describe(gaussian(400, 3), torch.arange(400) % 40))
    assert "class 7 (" in text
    assert "class 8 (" not in text
    assert "and 32 more" in text


def test_a_class_of_duplicates_is_left_out_and_named():
    x = gaussian(300, 50)
    x[200:290] = 0.0
    report = dimension.describe(x, torch.arange(300) // 100)
    assert list(report.classes) == [0, 1]
    assert "11 different points" in report.unmeasured["class 2"]
    assert "points in it: 100" in repr(report)


def test_a_class_name_is_no_markup():
    report = dimension.describe(gaussian(100, 3), ["<b>"] * 90 + ["<i>"] * 10)
    assert "<b>" not in report._repr_html_()
    assert "<i>" not in report._repr_html_()


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
    assert gaussians._invert(table, float(table["mle"][1])) == pytest.approx(20)
    assert math.isinf(gaussians._invert(table, 1e6))


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
        (lambda x: dimension.readings(x, ks=(5, 60)), "x = 60 different"),
        (lambda x: dimension.describe(x, torch.zeros(3), ks=(5,)), r"labels.shape = \(3,\)"),
        (lambda x: dimension.calibration(10, [2], k=5, generator=seeded(0)), "N = 10"),
        (lambda x: tangents.tangent_pairs(x, anchors=61, generator=seeded(0)), "anchors = 61"),
        (
            lambda x: tangents.tangent_pairs(x, anchors=9, neighbours=3, d=3, generator=seeded(0)),
            "neighbours = 3",
        ),
        (
            lambda x: tangents.tangent_pairs(x, anchors=9, neighbours=8, d=6, generator=seeded(0)),
            "d = 6",
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


def test_a_table_of_neighbours_gives_no_estimate_from_more_than_it_has():
    table = estimators.NeighbourTable(gaussian(100, 4), 5)
    for k in (2, 6, 20):
        with complains("k"):
            table.estimate("mle", k)
    assert table.estimate("mle", 5).k == 5
    assert table.estimate("twonn", 5) == table.estimate("twonn", 2)
    with complains("largest"):
        estimators.NeighbourTable(gaussian(100, 4), 1)


@pytest.mark.parametrize("missing", [math.nan, None])
def test_labels_that_are_missing_are_named(missing):
    labels = np.array([missing] * 30 + [1] * 30, dtype=object)
    given = labels.astype(float) if missing is not None else labels
    with pytest.raises(ValueError, match=r"^labels = 30 NaN or None: allowed is"):
        dimension.describe(gaussian(60, 4), given, ks=(5,))


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
    assert "class odd" in out
    assert "class even" in out


def test_the_command_line_says_what_it_left_out(tmp_path, capsys):
    from PIL import Image

    x, _ = images.rendered(2, 8).sample(90, seeded(0))
    (tmp_path / "even").mkdir()
    pixels = ((x[:, 0] + 1) * 127.5).round().numpy().astype(np.uint8)
    for k, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "even" / f"{k}.png")
    Image.fromarray(pixels[0]).save(tmp_path / "preview.png")
    code, out, err = described(capsys, tmp_path, "--grey")
    assert code == 0, err
    assert err == f"note: {tmp_path}: left out: preview.png\n"
    assert "90 points" in out


@pytest.mark.parametrize("suffix", [".NPY", ".npz"])
def test_arrays_are_known_by_their_ending_in_any_case(suffix, tmp_path, capsys):
    path = tmp_path / f"points{suffix}"
    x = gaussian(300, 3).float().numpy()
    with path.open("wb") as file:
        if suffix == ".npz":
            np.savez_compressed(file, images=x, labels=np.arange(300) % 2)
        else:
            np.save(file, x)
    code, out, err = described(capsys, path)
    assert code == 0, err
    assert "300 points in 3 coordinates" in out
    assert ("class 1" in out) == (suffix == ".npz")


def write_array(path, array, **named):
    with path.open("wb") as file:
        if named:
            np.savez(file, **named)
        else:
            np.save(file, array)


def header_of(shape):
    """An .npy file whose header promises more than there is."""
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode()


def test_files_without_an_array_of_numbers_are_named(tmp_path, capsys):
    cases = {
        "empty.npy": b"",
        "text.npy": b"1, 2, 3",
        "cut.npy": header_of((300, 3)) + bytes(100),
        "huge.npy": header_of((10**9, 10**6)),
        "beyond.npy": header_of((10**30, 3)),
        "none.npy": header_of((0, 3)),
        "text.npz": b"PK no archive",
        "empty.npz": b"",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
    write_array(tmp_path / "objects.npy", np.array([{}] * 3, dtype=object))
    write_array(tmp_path / "objects.npz", None, x=np.array([{}] * 3, dtype=object))
    write_array(tmp_path / "many.npz", None, a=np.zeros(3), b=np.zeros(3))
    write_array(tmp_path / "texts.npy", np.array(["a"] * 300).reshape(100, 3))
    for path in sorted(tmp_path.glob("*.np?")):
        code, _, err = described(capsys, path)
        assert code == 2, path
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        assert path.name in err, err
        assert "allowed is" in err


def test_arrays_that_memory_does_not_hold_are_named(tmp_path, capsys, monkeypatch):
    from types import SimpleNamespace

    from molrg.dimension import array_files

    free = SimpleNamespace(available=10_000)
    monkeypatch.setattr(array_files.psutil, "virtual_memory", lambda: free)
    for name in ("big.npy", "bomb.npz"):
        write_array(
            tmp_path / name, np.zeros((100, 9)), **({} if "npy" in name else {"x": np.zeros(900)})
        )
        code, _, err = described(capsys, tmp_path / name)
        assert code == 2
        assert f"{name} = " in err
        assert "fit into" in err


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    pickled = tmp_path / "objects.npy"
    np.save(pickled, np.array([{}], dtype=object))
    few = tmp_path / "few.npy"
    np.save(few, gaussian(20, 3).numpy())
    for words, message in [
        ((tmp_path / "nowhere",), "no such folder"),
        ((few,), "x = 20 different points"),
        ((pickled,), "objects.npy = "),
        ((few, "--grey"), "path"),
    ]:
        code, _, err = described(capsys, *words)
        assert code == 2 and message in err, err


def test_a_twin_is_of_a_table_of_points():
    with complains("x.shape"):
        dimension.gaussian_twin(torch.zeros(6, 6, 7), generator=seeded(1))
