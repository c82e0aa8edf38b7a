"""Faces: the shipped drawings, their law, their tangents, and what is said about bad input."""

from __future__ import annotations

import math
import re
import shutil

import numpy as np
import pytest
import torch
from factories import EXACT, complains, normal, rng, worst

from molrg import images, schedules
from molrg.__main__ import main
from molrg.images import faces
from molrg.images.faces import art, fixed_draws, law, maps, pose

SIZES = faces.SIZES
FOUR = [  # far apart, and each attribute takes several values
    faces.kind(hair="curly", eyes="open", mouth="bigSmile", beard="none"),
    faces.kind(hair="long", eyes="glasses", mouth="lips", beard="none"),
    faces.kind(hair="mohawk", eyes="sunglasses", mouth="frown", beard="goatee"),
    faces.kind(hair="shortCombover", eyes="open", mouth="surprise", beard="shadow"),
]
EVERY = torch.arange(faces.KINDS)


def in_unit_interval(kinds, size=32):
    """Pictures at the mean colours, in [0, 1], (B, 3 size size)."""
    return (faces.means(kinds, size).flatten(1) + 1) / 2


def distances(points):
    """Between all pairs, infinite on the diagonal; float64 bears the cancellation."""
    apart = torch.cdist(points, points, compute_mode="use_mm_for_euclid_dist")
    apart.diagonal(dim1=-2, dim2=-1).fill_(math.inf)
    return apart


def drawn(N, *, seed=0, **more):
    return faces.draw(N, generator=rng(seed), dtype=torch.float64, **more)


# kinds and their drawings


def test_kinds_are_numbered_and_named_one_to_one():
    table = faces.kinds()
    assert len(table) == faces.KINDS == math.prod(map(len, faces.ATTRIBUTES.values()))
    assert not table.duplicated().any()
    assert (faces.kinds_of(table) == np.arange(faces.KINDS)).all()
    assert faces.kind(**table.loc[321].to_dict()) == 321
    assert {name: set(table[name]) for name in table} == {
        name: set(values) for name, values in faces.ATTRIBUTES.items()
    }


@pytest.mark.parametrize("attribute", faces.ATTRIBUTES)
def test_no_option_hides_another(attribute):
    """Whatever the other three are, two values of an attribute give pictures that differ."""
    points = in_unit_interval(EVERY).reshape(*map(len, faces.ATTRIBUTES.values()), -1)
    values = points.movedim(list(faces.ATTRIBUTES).index(attribute), -2).flatten(0, 2)
    apart = distances(values)
    assert apart.min() >= 0.8


def test_the_two_nearest_kinds_are_apart():
    points = in_unit_interval(EVERY)
    apart = distances(points)
    assert 0.8 <= apart.min() < 0.82


@pytest.mark.parametrize("size", SIZES)
def test_every_kind_has_dimension_seven(size):
    shares = []
    for part in EVERY.split(128):
        values = torch.linalg.svdvals(faces.columns(part, size).flatten(2))
        shares.append(values[:, -1] / values[:, 0])
    assert torch.cat(shares).min() > 0.1
    hair = torch.from_numpy(maps.load(size)[:, 4].astype(float)) / 255
    assert hair.flatten(1).sum(1).min() > 0.02 * size**2  # seen in every kind


@pytest.mark.parametrize("size", SIZES)
def test_pictures_at_the_mean_colours_lie_in_range_on_a_white_ground(size):
    points = in_unit_interval(EVERY, size)
    assert points.min() >= 0
    assert points.max() <= 1.01
    assert (points.unflatten(1, (3, size, size))[:, :, 0, 0] == 1).all()


def test_differences_are_undone_exactly():
    table = np.random.default_rng(0).integers(0, 256, (faces.KINDS, 2, 3), dtype=np.uint8)
    assert (maps.undo_differences(maps.take_differences(table)) == table).all()
    shipped = maps.take_differences(maps.load(32))
    assert (shipped != 0).mean() < 0.01  # what makes the file small


def test_the_card_says_the_bytes_the_sha256_and_the_law():
    card = maps.FILE.with_suffix(".md").read_text(encoding="utf-8")
    assert f"| Bytes | {maps.FILE.stat().st_size} |" in card
    assert f"`{maps.SHA256}`" in card
    assert maps.FILE.stat().st_size < 3e6
    for values in faces.ATTRIBUTES.values():
        assert all(value in card for value in values)
    for word in ("Draftbit", "CC BY 4.0", "DiceBear", "stand for no population", "Made by"):
        assert word in card
    for colour in (law.LIGHT_SKIN, law.DARK_SKIN, law.HAIR, law.SHIRT):
        assert "({:.2f}, {:.2f}, {:.2f})".format(*colour) in card
    for spreads in (law.HAIR_SPREADS, law.SHIRT_SPREADS):
        assert "{:.2f}, {:.2f}, {:.2f}".format(*spreads) in card


def extra():
    for name in ("dicebear", "dicebear_styles", "resvg_py"):
        pytest.importorskip(
            name, reason=f"{name} is not installed: the drawings are NOT checked against the art"
        )


@pytest.mark.slow
def test_the_art_gives_the_shipped_arrays_again():
    extra()
    assert (art.draw([16])[16] == maps.load(16)).all()


@pytest.mark.slow
def test_the_command_draws_everything_and_compares(tmp_path, monkeypatch, capsys):
    extra()
    monkeypatch.setenv("MOLRG_ROOT", str(tmp_path))
    monkeypatch.setattr("molrg.claims.root", lambda: tmp_path)
    drawing = {size: maps.load(size) for size in SIZES}
    monkeypatch.setattr(art, "draw", lambda: drawing)
    assert main(["draw", "faces"]) == 0
    assert "arrays equal to the shipped ones" in capsys.readouterr().out
    drawing[16] = drawing[16].copy()
    drawing[16][5, 3, 2, 1] += 1
    assert main(["draw", "faces"]) == 1
    assert "NOT equal" in capsys.readouterr().out


# the law


def test_draws_are_seeded_and_differ_by_seed():
    first, factors = faces.draw(20, generator=rng(3), pose=True)
    again, same = faces.draw(20, generator=rng(3), pose=True)
    other, _ = faces.draw(20, generator=rng(4), pose=True)
    assert torch.equal(first, again)
    assert factors.equals(same)
    assert not torch.equal(first, other)
    assert (first.shape, first.dtype) == ((20, 3, 32, 32), torch.float32)
    assert list(factors) == ["kind", *faces.ATTRIBUTES, *faces.COLOURS, *faces.POSE]
    assert torch.equal(faces.render(factors), first)


@pytest.mark.parametrize("size", [16, 32])
def test_pictures_of_a_kind_have_the_mean_and_the_covariance_of_its_component(size):
    """Exactly: the picture is affine in its colours, so eight pictures give mean and covariance."""
    mixture = faces.mixture(size=size, noise=0.0, kinds=FOUR, dtype=torch.float64)
    table = faces.kinds().iloc[np.repeat(FOUR, 8)].reset_index()
    colours = torch.cat([torch.zeros(1, 7), torch.eye(7)]).repeat(4, 1)
    table[list(faces.COLOURS)] = colours.numpy()
    pictures = faces.render(table, size=size, dtype=torch.float64).reshape(4, 8, -1)
    for k in range(4):
        columns = (pictures[k, 1:] - pictures[k, :1]).T
        basis, spectrum = mixture.bases[k], mixture.variances[k]
        assert worst(pictures[k, 0], mixture.means[k]) < EXACT
        assert worst(columns @ columns.T, (basis * spectrum) @ basis.T) < EXACT


def test_draws_follow_the_mixture():
    """Frequencies of kinds, and per kind whitened coordinates that are standard normal.

    4,000 faces of 4 kinds. A frequency is off by 4.5 standard errors once in 10^5; so is a mean; a
    second moment of N normal numbers has standard error at most sqrt(2 / N).
    """
    mixture = faces.mixture(noise=0.0, kinds=FOUR, dtype=torch.float64)
    pictures, factors = drawn(4000, kinds=FOUR)
    for k, number in enumerate(FOUR):
        rows = torch.tensor((factors["kind"] == number).tolist())
        N = int(rows.sum())
        assert abs(N - 1000) < 4.5 * math.sqrt(4000 * 0.25 * 0.75)
        centred = pictures[rows].flatten(1) - mixture.means[k]
        z = (centred @ mixture.bases[k]) / mixture.variances[k].sqrt()
        assert worst(z * mixture.variances[k].sqrt() @ mixture.bases[k].T, centred) < EXACT
        assert z.mean(0).abs().max() < 5 / math.sqrt(N)
        assert worst(z.T @ z / N, torch.eye(7, dtype=z.dtype)) < 5 * math.sqrt(2 / N)


def test_log_likelihoods_of_draws_are_those_of_samples_of_the_mixture():
    mixture = faces.mixture(size=16, noise=0.05, kinds=FOUR, dtype=torch.float64)
    N, edm = 2000, schedules.EDM()
    clean, factors = drawn(N, size=16, kinds=FOUR)
    noisy = clean.flatten(1) + 0.05 * normal(N, clean[0].numel(), seed=5)
    sampled, _ = mixture.sample(N, generator=rng(6))
    ours, theirs = (mixture.log_prob(x, 0.0, edm) for x in (noisy, sampled))
    error = math.sqrt((ours.var() + theirs.var()).item() / N)
    assert abs((ours.mean() - theirs.mean()).item()) < 4.5 * error
    posterior = mixture.responsibilities(noisy, 0.0, edm)
    number = torch.tensor([FOUR.index(kind) for kind in factors["kind"]])
    assert (posterior.argmax(1) == number).all()


def test_components_are_in_the_order_of_kinds():
    mixture = faces.mixture(size=16)
    assert (mixture.K, mixture.n, set(mixture.dims)) == (faces.KINDS, 3 * 16 * 16, {7})
    pictures, factors = faces.draw(64, size=16, generator=rng(1))
    ddpm = schedules.DDPM()
    w = mixture.responsibilities(pictures, 0.0, ddpm)
    assert (w.argmax(1).numpy() == factors["kind"].to_numpy()).all()


# the exact denoiser


def test_the_exact_denoiser_is_tweedie_on_the_density():
    mixture = faces.mixture(size=16, noise=0.02, kinds=FOUR, dtype=torch.float64)
    ddpm, t = schedules.DDPM(), 0.4
    s, gamma = ddpm.s(t), ddpm.gamma(t)
    x_t = (
        s * drawn(6, size=16, kinds=FOUR)[0].flatten(1) + gamma * normal(6, mixture.n)
    ).requires_grad_()
    (score,) = torch.autograd.grad(mixture.log_prob(x_t, t, ddpm).sum(), x_t)
    tweedie = (x_t + gamma**2 * score) / s
    assert worst(mixture.denoiser(ddpm)(x_t, t), tweedie) < EXACT


def test_the_exact_denoiser_is_what_importance_sampling_over_factors_gives():
    """E[x_0 | x_t] by 20,000 faces drawn and weighted by N(x_t; s x_0, gamma^2)."""
    mixture = faces.mixture(size=16, noise=0.0, kinds=FOUR, dtype=torch.float64)
    edm = schedules.EDM()
    t = edm.t_of_sigma(8.0).item()
    prior = drawn(20_000, size=16, kinds=FOUR, seed=2)[0].flatten(1)
    x_t = drawn(3, size=16, kinds=FOUR)[0].flatten(1) + 8.0 * normal(3, mixture.n)
    exact = mixture.denoiser(edm)(x_t, t)
    for point, wanted in zip(x_t, exact, strict=True):
        w = (-0.5 * (point - prior).square().sum(1) / 64).softmax(0)
        estimate = w @ prior
        error = (w.square() @ (prior - estimate).square()).sqrt()
        direction = normal(mixture.n, seed=9)
        direction /= direction.norm()
        along = ((prior - estimate) @ direction).square()
        assert abs((estimate - wanted) @ direction) < 5 * (w.square() @ along).sqrt()
        assert ((estimate - wanted).abs() < 6 * error + 1e-9).all()


# tangents


@pytest.mark.parametrize("posed", [False, True])
@pytest.mark.parametrize("size", [16, 32])
def test_tangents_are_finite_differences_of_the_renderer(posed, size):
    _, factors = drawn(5, size=size, pose=posed)
    exact = faces.tangents(factors, size=size, dtype=torch.float64)
    names = [*faces.COLOURS, *(faces.POSE if posed else ())]
    assert exact.shape == (5, 3 * size * size, len(names))
    for j, name in enumerate(names):
        ahead, behind = (factors.assign(**{name: factors[name] + h}) for h in (1e-5, -1e-5))
        pictures = [
            faces.render(table, size=size, dtype=torch.float64) for table in (ahead, behind)
        ]
        difference = (pictures[0] - pictures[1]).flatten(1) / 2e-5
        assert worst(exact[..., j], difference) < 1e-6 * max(1, difference.abs().max().item())


def test_tangents_span_ten_dimensions_with_a_pose_and_the_component_without():
    _, factors = drawn(20, pose=True)
    values = torch.linalg.svdvals(faces.tangents(factors, dtype=torch.float64))
    assert (values[:, -1] > 0.02 * values[:, 0]).all()
    unposed = factors.drop(columns=list(faces.POSE))
    tangents = faces.tangents(unposed[:1], dtype=torch.float64)[0]
    basis = faces.mixture(kinds=[factors["kind"][0]], dtype=torch.float64).bases[0]
    assert worst(basis @ (basis.T @ tangents), tangents) < EXACT


def test_a_pose_of_zero_leaves_the_picture_and_a_whole_pixel_moves_it():
    pictures, factors = drawn(4)
    zero = factors.assign(**dict.fromkeys(faces.POSE, 0.0))
    assert torch.equal(faces.render(zero, dtype=torch.float64), pictures)
    moved = faces.render(zero.assign(right=0.5), dtype=torch.float64)  # one pixel of 32
    assert worst(moved[..., 1:], pictures[..., :-1]) < EXACT
    assert worst(moved[..., 0], pictures[..., 0]) < EXACT  # the border is repeated
    down = faces.render(zero.assign(down=-1.0), dtype=torch.float64)
    assert worst(down[..., :-2, :], pictures[..., 2:, :]) < EXACT


def test_the_warp_keeps_a_constant_picture_at_the_largest_pose():
    corners = torch.cartesian_prod(*[torch.tensor([-pose.REACH, pose.REACH]).double()] * 3)
    for size in SIZES:
        flat = torch.ones(len(corners), 1, size, size, dtype=torch.float64)
        assert worst(pose.warp(flat, corners), flat) < EXACT


# the fixed draws


@pytest.mark.parametrize("name", faces.SETS)
def test_the_fixed_draws_are_sets_like_others(name):
    assert name in images.names()
    x, y = images.load(name, n=50)
    assert (x.shape, x.dtype, y.dtype) == ((50, 3, 32, 32), torch.float32, torch.int64)
    again, table = faces.fixed(name, rows=range(50))
    assert torch.equal(x, again)
    assert table["kind"].tolist() == y.tolist()
    held_out, _ = images.load(name, "test", n=50)
    assert torch.cdist(x.flatten(1), held_out.flatten(1)).min() > 0.5
    at_random, kinds = images.load(name, n=30, generator=rng(1))
    same, _ = images.load(name, n=30, generator=rng(1))
    assert torch.equal(at_random, same)
    assert len(kinds.unique()) > 20
    assert [row.offline for row in images.available() if row.name == name] == [True]
    counts = {split: len(fixed_draws.fixed_factors(name, split)) for split in faces.COUNTS}
    assert counts == {"train": 24_000, "test": 4_000}


# bad input


def test_bad_arguments_are_refused_in_one_line():
    generator = rng()
    _, factors = drawn(3, pose=True)
    with complains("N"):
        faces.draw(0, generator=generator)
    with complains("size"):
        faces.draw(3, size=28, generator=generator)
    with complains("size"):
        faces.mixture(size=48)
    with complains("kinds[1]"):
        faces.draw(3, kinds=[0, 768], generator=generator)
    with complains("kinds"):
        faces.mixture(kinds=[])
    with complains("noise"):
        faces.mixture(size=16, noise=-0.1)
    with complains("eyes"):
        faces.render(factors.assign(eyes="closed"))
    with complains("factors"):
        faces.render(factors.drop(columns="mouth"))
    with complains("factors"):
        faces.tangents(factors.drop(columns="down"))
    with complains("factors"):
        faces.render(factors[:0])
    with complains("hair_red"):
        faces.render(factors.assign(hair_red=math.nan))
    with complains("pose"):
        faces.render(factors.assign(right=2.5))
    with complains("hair"):
        faces.kind(hair="bald", eyes="open", mouth="lips", beard="none")
    with complains("factors"):
        faces.kind(hair="curly")
    with complains("n"):
        images.load("faces", n=24_001)


def test_a_changed_attribute_changes_the_kind_whatever_the_old_number_says():
    _, factors = drawn(4)
    changed = faces.render(factors.assign(eyes="sunglasses"), dtype=torch.float64)
    kinds = faces.kinds_of(factors.assign(eyes="sunglasses"))
    right = faces.render(factors.assign(eyes="sunglasses", kind=kinds), dtype=torch.float64)
    assert torch.equal(changed, right)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    file = tmp_path / "faces.npz"
    shutil.copy(maps.FILE, file)
    monkeypatch.setattr(maps, "FILE", file)
    maps.load.cache_clear()
    yield file
    maps.load.cache_clear()


def test_a_damaged_or_missing_file_is_not_used(elsewhere):
    data = bytearray(elsewhere.read_bytes())
    data[1000] ^= 1
    elsewhere.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"^sha256 of .*faces.npz = .*: allowed is .*draw faces$"):
        faces.draw(1, generator=rng())
    elsewhere.write_bytes(bytes(data[:5000]))
    with pytest.raises(ValueError, match=r"^.*faces.npz = unreadable .*: allowed is .*draw faces$"):
        maps.read(elsewhere, 32)
    elsewhere.unlink()
    with pytest.raises(FileNotFoundError, match=r"faces.npz is missing: reinstall"):
        faces.draw(1, generator=rng())


def test_arrays_of_another_shape_are_refused(tmp_path):
    file = tmp_path / "other.npz"
    np.savez(file, size_32=np.zeros((3, 6, 32, 32), np.uint8))
    with complains("size_32"):
        maps.read(file, 32)


def test_a_missing_extra_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "dicebear", None)
    monkeypatch.setattr("molrg.claims.root", lambda: tmp_path)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'molrg\[faces\]'") as caught:
        art.draw([16])
    assert "\n" not in str(caught.value)
    assert main(["draw", "faces"]) == 2
    assert re.search(r"error: dicebear is missing.*molrg\[faces\]", capsys.readouterr().err)


def test_maps_are_written_and_read_as_they_were(tmp_path):
    shape = (maps.KINDS, maps.LAYERS)
    drawn = {size: np.zeros((*shape, size, size), dtype=np.uint8) for size in maps.SIZES}
    for k in range(3):
        drawn[maps.SIZES[0]][k * 7, k % maps.LAYERS] = 40 + k
    file, other = tmp_path / "maps.npz", tmp_path / "other.npz"
    digest = maps.write(file, drawn)
    assert digest == maps.write(other, drawn)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["maps.npz", "other.npz"]
    again = maps.undo_differences(maps.read(file, maps.SIZES[0]))
    assert np.array_equal(again, drawn[maps.SIZES[0]])
    assert maps.equal(file, other)
    drawn[maps.SIZES[0]][0, 0] = 1
    maps.write(other, drawn)
    assert not maps.equal(file, other)
    np.savez(tmp_path / "bad.npz", size_16=np.zeros(2))
    with pytest.raises(ValueError, match=r"size_16 of .* = float64 \(2,\)"):
        maps.read(tmp_path / "bad.npz", 16)
