"""Images: the named sets, their files and what is said when they cannot be had."""

from __future__ import annotations

import gzip
import re
import struct
import zlib

import numpy as np
import pytest
import torch

from molrg import files, images
from molrg.images import downloads, pictures, slices

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
    monkeypatch.setattr(downloads, "cache", lambda name: tmp_path / "cache" / name)
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
            # before a class has its quota every row is in the slice: early rows are consecutive
            assert index[0] == 0
            assert (index[:500] == np.arange(500)).all()


@pytest.mark.parametrize("name", images.names())
def test_a_record_says_what_is_read(name):
    known = images.record(name)
    assert known.name == name
    assert known.offline in images.names()
    assert (images.record(known.offline).place is None) and known.credit and known.licence
    if known.place is None:
        for split, count in known.counts.items():
            part = known.read(known, split)
            assert len(part.labels) == count
            assert part.labels.min() >= 0
            assert part.labels.max() < len(known.classes)
            if split == "train":
                assert len(part.labels.unique()) == len(known.classes)
            assert images.load(name, split, n=3)[0].shape == (3, *known.shape)
    else:
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in known.place.files.values())


@pytest.mark.parametrize("name", images.names())
def test_a_card_is_made_from_the_record(name):
    card = images.card(name)
    known = images.record(name)
    assert card.startswith(f"# {name}\n")
    for words in ("| Source |", "| Changes |", "## Licence", "## Know before use"):
        assert words in card
    assert "None" not in card.replace("\nNone", "")
    if known.file:
        path = images.SHIPPED / known.file
        assert f"| Bytes | {path.stat().st_size} |" in card
        assert known.sha256 == files.sha256(path)
        assert "| Selection |" in card
    if known.file == f"{name}.npz":
        assert card == path.with_suffix(".md").read_text(encoding="utf-8")


def test_the_table_has_a_row_for_each_set():
    head, rule, *rows = images.table().splitlines()
    assert [row.split("`")[1] for row in rows] == images.names()
    assert {line.count("|") for line in (head, rule, *rows)} == {6}
    for row, known in zip(rows, images.RECORDS.values(), strict=True):
        assert known.licence in row
        assert (f"{known.name}/" in row) == (known.place is not None)


def test_all_that_is_shipped_has_a_record():
    shipped = {path.name for path in images.SHIPPED.glob("*.npz")}
    assert shipped == {known.file for known in images.RECORDS.values() if known.file}


@pytest.mark.fault(
    "truncated or altered weights and data",
    "one bit of a shipped slice",
    "refused by its sha256; other sets still load",
)
def test_a_damaged_slice_is_not_used(monkeypatch, tmp_path):
    data = bytearray((images.SHIPPED / "mnist-slice.npz").read_bytes())
    data[1000] ^= 1
    (tmp_path / "mnist-slice.npz").write_bytes(bytes(data))
    monkeypatch.setattr(slices, "SHIPPED", tmp_path)
    with pytest.raises(ValueError, match=r"sha256 of .*mnist-slice.npz"):
        images.load("mnist-slice")
    rows = {row.name: row for row in images.available()}
    assert not rows["mnist-slice"].offline
    assert "sha256 of" in rows["mnist-slice"].problem
    assert "missing" in rows["fashion-mnist-slice"].problem
    assert rows["digits"].offline
    with pytest.raises(FileNotFoundError, match=r"missing.*as its card says"):
        images.load("fashion-mnist-slice")


def test_a_choice_is_the_first_n_or_a_seeded_draw():
    x, _ = images.load("mnist-slice")
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


@pytest.mark.fault(
    "truncated or altered weights and data",
    "a data file cut short",
    "refused by name",
)
def test_a_truncated_idx_file_is_refused(fake, tmp_path):
    path = tmp_path / "data" / "mnist" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.*complete idx file"):
        images.load("mnist")


def test_damaged_files_are_named(fake, tmp_path):
    folder = tmp_path / "data" / "mnist"
    labels = folder / "train-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    for damaged in (whole[:-9], b"no gzip", whole[:12] + b"\xff\xff" + whole[14:], b""):
        labels.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte.gz = .*allowed is"):
            images.load("mnist")
    write_idx(labels, np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match=r"mnist train = \(3,\) labels of \(15, 28, 28\) images"):
        images.load("mnist")


def test_a_cut_batch_of_cifar10_is_named(monkeypatch, tmp_path):
    (tmp_path / "cifar10").mkdir()
    monkeypatch.setenv("MOLRG_DATA", str(tmp_path))
    for size in (0, 3072):
        (tmp_path / "cifar10" / "test_batch.bin").write_bytes(bytes(size))
        with pytest.raises(ValueError, match=f"test_batch.bin = {size} bytes"):
            images.load("cifar10", "test")
    with pytest.raises(FileNotFoundError, match="no data_batch"):
        images.load("cifar10")


def test_an_archive_is_unpacked_once_and_whole(tmp_path):
    import tarfile

    inside = tmp_path / "made" / "batches"
    inside.mkdir(parents=True)
    (inside / "a.bin").write_bytes(b"1")
    archive = tmp_path / "cache" / "archive.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(inside, "batches")
    folder = downloads.unpack(archive, "batches")
    assert (folder / "a.bin").read_bytes() == b"1"
    (folder / "a.bin").write_bytes(b"2")
    assert (downloads.unpack(archive, "batches") / "a.bin").read_bytes() == b"2"
    assert sorted(p.name for p in archive.parent.iterdir()) == ["archive.tar.gz", "batches"]


def test_cifar10_is_read_from_binary_batches_and_from_pictures(monkeypatch, tmp_path):
    from PIL import Image

    generator = np.random.default_rng(0)
    pixels, labels = (
        generator.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8),
        np.array([1, 0, 1, 0, 1, 0], np.uint8),
    )
    records = np.concatenate([labels[:, None], pixels.reshape(6, -1)], axis=1)
    folder = tmp_path / "cifar10"
    for name in ("cat", "ape"):  # alphabetical: ape is class 0, cat class 1
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
    with pytest.raises(FileNotFoundError, match=r"MOLRG_DATA = .*nowhere"):
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
    assert not any(row.problem for row in rows.values())


def test_a_folder_of_ones_own_is_available_once_it_is_whole(offline, fake, monkeypatch, tmp_path):
    assert {row.name: row for row in images.available()}["mnist"].offline
    (tmp_path / "data" / "mnist" / "t10k-images-idx3-ubyte").unlink()
    row = {row.name: row for row in images.available()}["mnist"]
    assert not row.offline
    assert "t10k-images-idx3-ubyte" in row.problem
    monkeypatch.setenv("MOLRG_DATA", str(tmp_path / "nowhere"))
    rows = images.available()
    assert all("MOLRG_DATA" in row.problem for row in rows if row.download_megabytes)
    assert rows[0].offline


def test_altered_files_of_the_cache_are_named(offline, tmp_path):
    assert images.altered("mnist") == []
    folder = tmp_path / "cache" / "mnist"
    folder.mkdir(parents=True)
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"altered")
    assert images.altered("mnist") == [str(folder / "t10k-labels-idx1-ubyte.gz")]


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
    with pytest.raises(FileNotFoundError, match=r"\.png"):
        images.folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        images.folder(tmp_path / "nowhere")


def test_what_is_left_out_is_said(tmp_path):
    write_pictures(tmp_path / "dogs", [(4, 4, 3)] * 2)
    write_pictures(tmp_path / "cats", [(4, 4, 3)])
    write_pictures(tmp_path / "dogs" / "more", [(4, 4, 3)])
    write_pictures(tmp_path, [(9, 9, 3)])
    (tmp_path / "apes").mkdir()
    (tmp_path / "dogs" / "raw.heic").write_bytes(b"")
    (tmp_path / "dogs" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.warns(images.PictureWarning, match="left out") as caught:
        x, y = images.folder(tmp_path)
    assert (len(x), y.tolist()) == (3, [0, 1, 1])
    assert images.class_names(tmp_path) == ["cats", "dogs"]
    (message,) = (str(warning.message) for warning in caught)
    for name in ("0.png", "apes", "gone.png"):
        assert name in message
    assert "and 1 more" in message or "dogs/more" in message


@pytest.mark.parametrize(
    "hidden",
    [
        (".ipynb_checkpoints/0-checkpoint.png",),
        ("dogs/._0.png", "._0.png"),
        ("__MACOSX/0.png", "__MACOSX/dogs/._0.png"),
        (".DS_Store", "Thumbs.db", "dogs/Thumbs.db", "dogs/desktop.ini"),
    ],
)
def test_what_systems_and_editors_leave_behind_does_not_count(hidden, tmp_path, recwarn):
    write_pictures(tmp_path / "dogs", [(4, 4, 3)] * 2)
    for name in hidden:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7 not a picture")
    x, y = images.folder(tmp_path)
    assert (len(x), y.tolist(), images.class_names(tmp_path)) == (2, [0, 0], ["dogs"])
    assert not [w for w in recwarn if w.category is images.PictureWarning]


# one picture: every depth, mode and format


RAMP = np.linspace(0, 65535, 16).astype(np.uint16)[None].repeat(16, 0)


def save(path, array, mode=None, **options):
    from PIL import Image

    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("suffix", "order"),
    [(".png", "<u2"), (".pgm", "<u2"), (".tif", "<u2"), (".TIFF", ">u2"), (".PNG", ">u2")],
)
def test_sixteen_bits_are_scaled_and_not_clipped(suffix, order, tmp_path):
    path = save(tmp_path / f"ramp{suffix}", RAMP.astype(order))
    for grey, channels in ((True, 1), (False, 3)):
        x, _ = images.folder(tmp_path, grey=grey)
        assert x.shape == (1, channels, 16, 16)
        expected = torch.linspace(-1, 1, 16).expand(channels, 16, 16)
        assert (x[0] - expected).abs().max() < 1e-4
    small, _ = images.folder(tmp_path, size=4, grey=True)
    assert (small[0, 0, 0].diff() > 0.3).all()
    assert small.abs().max() <= 1
    assert pictures.read(path).frames == 1


def test_eight_and_sixteen_bits_of_one_scene_are_the_same(tmp_path):
    eight = np.arange(256, dtype=np.uint8).reshape(16, 16)
    save(tmp_path / "8.png", eight)
    save(tmp_path / "16.png", eight.astype(np.uint16) * 257)
    x, _ = images.folder(tmp_path, grey=True)
    assert (x[0] - x[1]).abs().max() < 1e-6


def test_hidden_colours_do_not_count(tmp_path):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[2:6, 2:6] = 255, 0, 0, 255
    save(tmp_path / "black.png", rgba)
    rgba[rgba[..., 3] == 0] = 255, 255, 255, 0
    save(tmp_path / "white.png", rgba)
    rgba[rgba[..., 3] == 0] = 0, 255, 0, 0
    save(tmp_path / "green.webp", rgba, lossless=True, exact=True)
    save(tmp_path / "green.tif", rgba)
    for size in (None, 5):
        x, _ = images.folder(tmp_path, size=size)
        assert (x - x[0]).abs().max() == 0
        assert (x[:, :, 0, 0] == 1).all(), "the ground is white"
    half = np.full((2, 2, 4), (0, 0, 0, 51), np.uint8)
    opaque = pictures.read(save(tmp_path / "half.png", half)).values
    assert (opaque == 204).all(), "a fifth of black on white"


@pytest.mark.parametrize(
    ("mode", "colour", "transparency"), [("L", 7, 7), ("RGB", (7, 8, 9), (7, 8, 9)), ("P", 1, 1)]
)
def test_a_colour_that_is_declared_transparent_is_white(mode, colour, transparency, tmp_path):
    from PIL import Image

    path = tmp_path / "key.png"
    image = Image.new(mode, (4, 4), colour)
    if mode == "P":
        image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 0, 0, 0])
    image.save(path, transparency=transparency)
    for grey in (False, True):
        assert (pictures.read(path, grey=grey).values == 255).all()


def test_a_transparent_grey_of_sixteen_bits_is_white(tmp_path):
    path = save(tmp_path / "key.png", RAMP, transparency=0)
    values = pictures.read(path, grey=True).values[0, 0]
    assert values[0] == 255
    assert values[1] == pytest.approx(17)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("1", ".png"),
        ("L", ".png"),
        ("LA", ".png"),
        ("RGBA", ".webp"),
        ("P", ".gif"),
        ("P", ".bmp"),
        ("CMYK", ".jpg"),
        ("CMYK", ".tif"),
        ("YCbCr", ".jpg"),
        ("LAB", ".tif"),
        ("RGB", ".ppm"),
    ],
)
def test_all_modes_show_their_colours(mode, suffix, tmp_path):
    from PIL import Image

    colour = (0, 0, 0) if mode in ("1", "L", "LA") else (204, 0, 51)
    image = Image.new("RGB", (8, 8), colour)
    image.convert(mode).save(tmp_path / f"a{suffix}")
    values = pictures.read(tmp_path / f"a{suffix}").values
    assert values.shape == (3, 8, 8)
    assert np.abs(values.transpose(1, 2, 0).astype(int) - colour).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_pictures_stand_as_the_camera_was_held(orientation, deep, tmp_path):
    from PIL import Image

    array = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    stored = array.astype(np.uint16) * 257 if deep else array
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    turned = {
        1: array,
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.T,
        6: array.T[:, ::-1],
        7: array[::-1, ::-1].T,
        8: array.T[::-1],
    }[orientation]
    values = pictures.read(tmp_path / "a.png", grey=True).values[0]
    assert np.allclose(values, turned, atol=1e-3)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_of_an_animation_the_first_picture_is_read_and_that_is_said(suffix, tmp_path):
    from PIL import Image

    frames = [Image.new("RGB", (4, 4), (60 * k, 0, 0)) for k in range(4)]
    options = {"lossless": True} if suffix == ".webp" else {}
    frames[1].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[2:], **options)
    with pytest.warns(images.PictureWarning, match=rf"only the first picture .* of: a\{suffix}"):
        x, _ = images.folder(tmp_path)
    assert ((x[0, 0] + 1) * 127.5).round().unique().tolist() == [60]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp", ".tif", ".bmp", ".ppm"])
@pytest.mark.parametrize("damage", ["cut", "empty", "head", "other"])
@pytest.mark.fault(
    "truncated or altered weights and data",
    "pictures of seven formats cut, empty, or no pictures",
    "each named in one line",
)
def test_a_damaged_picture_is_named(suffix, damage, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    save(tmp_path / "0.png", noise)
    path = save(tmp_path / f"1{suffix}", noise)
    whole = path.read_bytes()
    path.write_bytes(
        {"cut": whole[: len(whole) // 2], "empty": b"", "head": whole[:20], "other": b"text"}[
            damage
        ]
    )
    with pytest.raises(ValueError, match=": allowed is ") as caught:
        images.folder(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{path} = ")
    assert "\n" not in text


def test_ranges_that_are_not_known_are_refused(tmp_path):
    for dtype, words in ((np.int32, "32 bits"), (np.float32, "floating-point")):
        path = save(tmp_path / "a.tif", RAMP.astype(dtype))
        with pytest.raises(ValueError, match=f"a.tif = .*{words}.*8 or 16 bits"):
            pictures.read(path)


def png_of(width, height):
    """A PNG file of a kilobyte that says it has so many pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_500, 60_000, 100_000])
@pytest.mark.fault(
    "hostile files",
    "a picture of a kilobyte that unpacks to gigabytes",
    "refused before it is unpacked",
)
def test_a_decompression_bomb_is_named(side, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(side, side))
    with pytest.raises(ValueError, match=r"bomb.png = a picture that is too large.*pixels"):
        images.folder(tmp_path, size=8)


def test_more_than_memory_holds_is_refused_before_it_is_read(monkeypatch, tmp_path):
    from types import SimpleNamespace

    from molrg.images import folders

    write_pictures(tmp_path, [(4, 4, 3)] * 3)
    free = SimpleNamespace(available=1000)
    monkeypatch.setattr(folders.psutil, "virtual_memory", lambda: free)
    with pytest.raises(ValueError, match=r"3 pictures of .* fits into memory.*smaller size"):
        images.folder(tmp_path)
