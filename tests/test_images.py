"""Images: the named sets, their files and what is said when they cannot be had."""

from __future__ import annotations

import gzip
import re
import struct

import numpy as np
import pytest
import torch

from molrg import images

SLICES = ("mnist-slice", "fashion-mnist-slice")


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    data = header + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No MOLRG_DATA, an empty cache, and a network that refuses."""
    import pooch

    def refuse(*args, **kwargs):
        raise ConnectionError("no network in tests")

    monkeypatch.delenv("MOLRG_DATA", raising=False)
    monkeypatch.setattr(images.sets, "_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(pooch, "retrieve", refuse)


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A small set in the idx format: 5 images of each of 3 classes for training, 2 for testing."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    arrays = {}
    for split, stem, count in (("train", "train", 5), ("test", "t10k", 2)):
        labels = generator.permutation(np.repeat(np.arange(3, dtype=np.uint8), count))
        pixels = generator.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
        write_idx(folder / f"{stem}-images-idx3-ubyte", pixels)
        write_idx(folder / f"{stem}-labels-idx1-ubyte.gz", labels)
        arrays[split] = (pixels, labels)
    monkeypatch.setenv("MOLRG_DATA", str(folder.parent))
    return arrays


# contract


@pytest.mark.parametrize(
    ("name", "size"), [("digits", (1500, 1, 8, 8)), *((s, (3000, 1, 28, 28)) for s in SLICES)]
)
def test_offline_sets_have_the_promised_shape_and_range(name, size):
    x, y = images.load(name)
    assert x.shape == size
    assert x.dtype == torch.float32
    assert y.shape == size[:1]
    assert y.dtype == torch.int64
    assert x.min() == -1
    assert x.max() == 1
    held_out, _ = images.load(name, "test")
    shared = {v.numpy().tobytes() for v in x} & {v.numpy().tobytes() for v in held_out}
    assert not shared


@pytest.mark.parametrize("name", SLICES)
def test_slices_hold_the_first_images_of_each_class(name):
    for split, count in images.SLICE.items():
        _, y = images.load(name, split)
        assert y.bincount().tolist() == [count] * 10
        with np.load(images.SHIPPED / f"{name}.npz", allow_pickle=False) as arrays:
            index = arrays[f"{split}_index"]
            assert (np.diff(index) > 0).all()
            # every row before the last of each class's quota is in the slice, so early rows are consecutive
            assert index[0] == 0
            assert (index[:500] == np.arange(500)).all()


@pytest.mark.parametrize("name", SLICES)
def test_the_card_says_the_bytes_and_the_sha256_of_its_file(name):
    card = (images.SHIPPED / f"{name}.md").read_text(encoding="utf-8")
    path = images.SHIPPED / f"{name}.npz"
    assert re.search(rf"\| Bytes \| {path.stat().st_size} \|", card)
    assert f"`{images.sets._sha256(path)}`" in card
    assert images.sets._SLICES[name] == images.sets._sha256(path)
    for word in ("Source", "Selection", "Made by", "Licence"):
        assert word in card


def test_a_damaged_slice_is_not_used(monkeypatch, tmp_path):
    data = bytearray((images.SHIPPED / "mnist-slice.npz").read_bytes())
    data[1000] ^= 1
    (tmp_path / "mnist-slice.npz").write_bytes(bytes(data))
    monkeypatch.setattr(images.sets, "SHIPPED", tmp_path)
    with pytest.raises(ValueError, match="sha256 of .*mnist-slice.npz"):
        images.load("mnist-slice")
    with pytest.raises(FileNotFoundError, match="make_slice"):
        images.load("fashion-mnist-slice")


def test_a_choice_is_the_first_n_or_a_seeded_draw():
    x, y = images.load("mnist-slice")
    first, _ = images.load("mnist-slice", n=7)
    assert torch.equal(first, x[:7])
    drawn = [
        images.load("mnist-slice", n=50, generator=torch.Generator().manual_seed(s))
        for s in (3, 3, 4)
    ]
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert not torch.equal(drawn[0][0], drawn[2][0])
    assert len(torch.unique(drawn[0][0].flatten(1), dim=0)) == 50


# files of the full sets


def test_idx_files_are_read_plain_and_compressed(fake):
    for split, (pixels, labels) in fake.items():
        x, y = images.load("mnist", split)
        assert torch.equal(((x + 1) * 127.5).round().byte()[:, 0], torch.from_numpy(pixels))
        assert y.tolist() == labels.tolist()


def test_a_slice_is_cut_from_the_official_order_array_for_array(fake, tmp_path):
    first = images.make_slice("mnist-slice", tmp_path / "a.npz", counts={"train": 3, "test": 1})
    assert first == images.make_slice(
        "mnist-slice", tmp_path / "b.npz", counts={"train": 3, "test": 1}
    )
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        for split, count in (("train", 3), ("test", 1)):
            pixels, labels = fake[split]
            index = sorted(i for c in range(3) for i in np.flatnonzero(labels == c)[:count])
            assert arrays[f"{split}_index"].tolist() == index
            assert (arrays[f"{split}_images"][:, 0] == pixels[index]).all()
            assert (arrays[f"{split}_labels"] == labels[index]).all()
    assert sorted(p.name for p in tmp_path.glob("*.npz")) == ["a.npz", "b.npz"]
    with pytest.raises(ValueError, match=r"counts\['train'\] = 6"):
        images.make_slice("mnist-slice", tmp_path / "c.npz", counts={"train": 6})


def test_a_truncated_idx_file_is_refused(fake, tmp_path):
    path = tmp_path / "data" / "mnist" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.*complete idx file"):
        images.load("mnist")


def test_cifar10_is_read_from_binary_batches_and_from_pictures(monkeypatch, tmp_path):
    from PIL import Image

    generator = np.random.default_rng(0)
    pixels, labels = (
        generator.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8),
        np.array([1, 0, 1, 0, 1, 0], np.uint8),
    )
    records = np.concatenate([labels[:, None], pixels.reshape(6, -1)], axis=1)
    folder = tmp_path / "cifar10"
    for k, name in enumerate(("cat", "ape")):  # alphabetical: ape is class 0, cat class 1
        (folder / "test" / name).mkdir(parents=True)
        for i in np.flatnonzero(labels == (name == "cat")):
            Image.fromarray(pixels[i].transpose(1, 2, 0)).save(folder / "test" / name / f"{i}.png")
    monkeypatch.setenv("MOLRG_DATA", str(tmp_path))
    x, y = images.load("cifar10", "test")
    order = [1, 3, 5, 0, 2, 4]
    assert y.tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.equal(((x + 1) * 127.5).round().byte(), torch.from_numpy(pixels[order]))
    records.tofile(folder / "test_batch.bin")
    x, y = images.load("cifar10", "test")
    assert torch.equal(((x + 1) * 127.5).round().byte(), torch.from_numpy(pixels))
    assert y.tolist() == labels.tolist()


# errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: images.load("mnits"), "name = 'mnits'.*'mnist'"),
        (lambda: images.load("digits", "validation"), "split = 'validation'"),
        (lambda: images.load("digits", n=0), "n = 0"),
        (lambda: images.load("digits", n=1501), "n = 1501.*1500"),
        (lambda: images.make_slice("mnist", "x.npz"), "name = 'mnist'"),
        (lambda: images.fetch("digits"), "name = 'digits'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_missing_set_says_what_to_do(offline):
    with pytest.raises(FileNotFoundError, match=r"MOLRG_DATA/mnist.*'mnist-slice'"):
        images.load("mnist")
    with pytest.raises(FileNotFoundError, match=r"170 MB.*MOLRG_DATA/cifar10.*'digits'"):
        images.load("cifar10")


def test_a_wrong_data_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MOLRG_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="MOLRG_DATA = .*nowhere"):
        images.load("mnist")
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("MOLRG_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        images.load("mnist")


def test_what_is_available_is_told_without_a_network(offline, monkeypatch, tmp_path):
    rows = {row.name: row for row in images.available()}
    assert list(rows) == images.names()
    assert all(
        rows[name].offline and rows[name].download_megabytes == 0 for name in ("digits", *SLICES)
    )
    assert [rows[name].download_megabytes for name in ("mnist", "fashion-mnist", "cifar10")] == [
        12,
        31,
        170,
    ]
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("MOLRG_DATA", str(tmp_path))
    assert {row.name: row for row in images.available()}["mnist"].offline


def test_the_second_mirror_is_tried_and_a_wrong_checksum_is_not_forgiven(
    offline, monkeypatch, tmp_path
):
    import pooch

    tried = []

    def second_answers(url, known_hash, fname, path):
        tried.append(url)
        if len(tried) == 1:
            raise ConnectionError("first mirror is down")
        raise ValueError(f"hash of {fname} does not match {known_hash}")

    monkeypatch.setattr(pooch, "retrieve", second_answers)
    with pytest.raises(ValueError, match="does not match sha256"):
        images.fetch("mnist")
    assert len(tried) == 2
    assert tried[0] != tried[1]


# a reader's own folder


def write_pictures(folder, shapes, suffix=".png"):
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    for k, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{k}{suffix}")
    return np.stack(arrays) if len(set(shapes)) == 1 else arrays


def test_a_folder_of_pictures_comes_back_pixel_by_pixel(tmp_path):
    arrays = write_pictures(tmp_path, [(5, 4, 3)] * 3)
    (tmp_path / "notes.txt").write_text("not a picture")
    x, y = images.folder(tmp_path)
    assert x.shape == (3, 3, 5, 4)
    assert x.dtype == torch.float32
    assert y.tolist() == [0, 0, 0]
    assert np.array_equal(
        ((x.numpy() + 1) * 127.5).round().astype(np.uint8), arrays.transpose(0, 3, 1, 2)
    )


def test_folders_in_a_folder_are_classes(tmp_path):
    write_pictures(tmp_path / "dogs", [(4, 4, 3)] * 2, ".bmp")
    write_pictures(tmp_path / "cats", [(4, 4, 3)])
    (tmp_path / "empty").mkdir()
    x, y = images.folder(tmp_path, grey=True)
    assert x.shape == (3, 1, 4, 4)
    assert y.tolist() == [0, 1, 1]


def test_a_folder_of_pictures_of_many_sizes_is_cut_to_squares(tmp_path):
    write_pictures(tmp_path, [(6, 9), (12, 5)])
    x, _ = images.folder(tmp_path, size=4, grey=True)
    assert x.shape == (2, 1, 4, 4)
    assert x.abs().max() <= 1
    with pytest.raises(
        ValueError, match=r"1.png = \(12, 5\): allowed is the size of the first, \(6, 9\)"
    ):
        images.folder(tmp_path)
    with pytest.raises(ValueError, match="size = 1: allowed"):
        images.folder(tmp_path, size=1)


def test_a_folder_without_pictures_says_what_it_looks_for(tmp_path):
    for missing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=r"\.png"):
            images.folder(missing)
