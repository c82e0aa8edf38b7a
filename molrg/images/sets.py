"""Named image sets: (B, C, H, W) float32 in [-1, 1] with labels (B,).

Three can be had without a network: ``digits`` comes with scikit-learn, ``mnist-slice`` and
``fashion-mnist-slice`` are shipped (cards beside them, in ``molrg/zoo/images``). The full sets
``mnist``, ``fashion-mnist`` and ``cifar10`` are looked for in this order:

1. the folder named by the environment variable ``MOLRG_DATA``, in these formats::

       mnist/train-images-idx3-ubyte[.gz]  and the other three idx files, under their usual names
       fashion-mnist/                      the same four names
       cifar10/data_batch_1.bin ...        the binary version (also in cifar10/cifar-10-batches-bin/)
       cifar10/train/<class>/*.png|jpg     or pictures in class folders, and cifar10/test/<class>/

2. pooch's cache, filled by a download whose sha256 is checked. Pickled files are never read.

Beside them, `rendered` makes images whose intrinsic dimension is known, and `folder` reads a reader's own.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrg import checks
from molrg.images import faces
from molrg.images.scenes import KINDS, Pieces, Scenes

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]
SHIPPED = Path(__file__).parents[1] / "zoo" / "images"
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
SPLITS = ("train", "test")
DIGITS_TRAIN = 1500  # of 1,797; the remaining 297 are the test split
SLICE = {"train": 300, "test": 100}  # images of each class


@dataclass(frozen=True)
class _Source:
    """Where a full set is downloaded from: mirrors, then {file: sha256}."""

    mirrors: tuple[str, ...]
    files: dict[str, str]
    megabytes: int
    licence: str


_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_SOURCES = {
    "mnist": _Source(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
        12,
        "CC BY-SA 3.0 as commonly stated",
    ),
    "fashion-mnist": _Source(
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        31,
        "MIT",
    ),
    "cifar10": _Source(
        ("https://www.cs.toronto.edu/~kriz/",),
        {
            "cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
        },
        170,
        "none stated by its authors",
    ),
}
_SLICES = {  # sha256 of the shipped files; the cards repeat them
    "mnist-slice": "27d52e95bad65c8f6c759b69ce99ab2075eb6d0e26a5e30dbe78890a5c920832",
    "fashion-mnist-slice": "71dee264e9a5a2b384d794b15ed29218780a1980b8ab9ea22a9659a07ca6c08b",
}
NAMES = ("digits", *_SLICES, *faces.SETS, *_SOURCES)


@dataclass(frozen=True)
class Availability:
    """Whether a set can be loaded without a network, from where, and what a download would cost."""

    name: str
    offline: bool
    where: str
    download_megabytes: int
    licence: str


def names() -> list[str]:
    """Names that :func:`load` accepts."""
    return list(NAMES)


def load(
    name: str,
    split: str = "train",
    *,
    n: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Load a set of images by name.

    Source: ours. ``digits`` is scikit-learn's (1,797 images of 8x8; the first 1,500 are "train").

    Args:
        name: one of :func:`names`.
        split: "train" or "test".
        n: number of images, at most those there are; None for all. The first n in the set's own
            order (which may be sorted by class), or n at random without replacement where a
            generator is given.
        generator: source of the random choice and order.

    Returns:
        images (B, C, H, W), float32 in [-1, 1], and labels (B,), int64.

    Raises:
        ValueError: where an argument is not allowed, or a file does not have its checksum or format.
        FileNotFoundError: where a full set is neither in ``MOLRG_DATA`` nor in the cache, and
            cannot be downloaded.
    """
    checks.one_of("name", name, NAMES), checks.one_of("split", split, SPLITS)
    if name in faces.SETS:
        return faces.load(name, split, n=n, generator=generator)
    images, labels = _arrays(name, split)
    size = len(labels) if n is None else checks.count("n", n, 1, len(labels))
    rows = (
        slice(size)
        if generator is None
        else torch.randperm(len(labels), generator=generator)[:size].numpy()
    )
    white = 16 if name == "digits" else 255
    pixels = torch.from_numpy(images[rows].astype(np.float32))
    return pixels * (2 / white) - 1, torch.from_numpy(labels[rows].astype(np.int64))


def rendered(
    d: int | Sequence[int],
    size: int = 16,
    *,
    objects: int = 4,
    kinds: Sequence[str] = KINDS,
    curvature: float = 1.0,
    scene: int = 0,
) -> Scenes | Pieces:
    """Images made to measure: d factors and size x size pixels, set independently.

    ``images.rendered(8, 16).sample(100, generator)`` gives 100 images and their factors.

    Source: ours; see `molrg.rendering`.

    Args:
        d: number of factors; or one number for each of several families, whose base scenes differ.
        size: pixels along a side.
        objects: ellipses in the picture.
        kinds: which factors an object has.
        curvature: in [0, 3]; 0 is exactly linear.
        scene: seed of the base scene; of the first, where there are several.

    Returns:
        A family, or the union of several.

    Raises:
        ValueError: as `molrg.rendering.Scenes`.
    """

    def family(dim: int, seed: int) -> Scenes:
        return Scenes(dim, size, objects=objects, kinds=kinds, curvature=curvature, scene=seed)

    if isinstance(d, Sequence):
        return Pieces([family(dim, scene + k) for k, dim in enumerate(d)])
    return family(d, scene)


def folder(
    path: str | Path, *, size: int | None = None, grey: bool = False
) -> tuple[Tensor, Tensor]:
    """Read a folder of pictures: png, jpg, bmp or webp files in it, or in folders in it, one a class.

    Args:
        path: the folder.
        size: each picture is cut to its central square and resized to size x size; where omitted,
            all must have one size.
        grey: one channel in place of three.

    Returns:
        images (B, C, H, W), float32 in [-1, 1], in alphabetical order, and labels (B,), int64: the
        number of the class folder in alphabetical order, and 0 where there are none.

    Raises:
        ValueError: where sizes differ and none is asked for.
        FileNotFoundError: where there is no such folder, or no picture in it.
    """
    from PIL import Image, ImageOps

    root, side = Path(path), None if size is None else checks.count("size", size, 2)
    classes = (
        [root]
        if any(_is_picture(p) for p in root.glob("*"))
        else sorted(p for p in root.glob("*") if p.is_dir())
    )
    files = [
        (k, file)
        for k, c in enumerate(classes)
        for file in sorted(c.iterdir())
        if _is_picture(file)
    ]
    if not files:
        raise FileNotFoundError(
            f"{root}: no such folder, or no {', '.join(sorted(PICTURES))} in it or in the folders in it"
        )
    arrays = []
    for _, file in files:
        with Image.open(file) as opened:
            picture = ImageOps.exif_transpose(opened).convert("L" if grey else "RGB")
        fitted = picture if side is None else ImageOps.fit(picture, (side, side))
        arrays.append(np.atleast_3d(np.asarray(fitted)).transpose(2, 0, 1))
        same = arrays[-1].shape == arrays[0].shape
        checks.require(
            same,
            f"{file.name}",
            arrays[-1].shape[1:],
            f"the size of the first, {arrays[0].shape[1:]}; or give size",
        )
    pixels = torch.from_numpy(np.stack(arrays).astype(np.float32))
    return pixels * (2 / 255) - 1, torch.tensor([k for k, _ in files])


def _is_picture(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in PICTURES


def available() -> list[Availability]:
    """What is there offline and what would be downloaded, without touching the network."""
    rows = [Availability("digits", True, "scikit-learn", 0, "CC BY 4.0 (UCI)")]
    for name in _SLICES:
        path = SHIPPED / f"{name}.npz"
        rows.append(
            Availability(
                name, path.is_file(), str(path), 0, _SOURCES[name.removesuffix("-slice")].licence
            )
        )
    drawn = "drawn by molrg.images.faces"
    rows += [Availability(name, True, drawn, 0, "CC BY 4.0 (Draftbit)") for name in faces.SETS]
    for name, source in _SOURCES.items():
        folder, cached = (
            _folder(name),
            all((_cache(name) / file).is_file() for file in source.files),
        )
        where = str(folder or (_cache(name) if cached else source.mirrors[0]))
        there = folder is not None or cached
        rows.append(
            Availability(name, there, where, 0 if there else source.megabytes, source.licence)
        )
    return rows


def fetch(name: str) -> list[Path]:
    """Download a full set into pooch's cache (for going offline later); nothing is fetched twice.

    Raises:
        ValueError: where `name` is not a full set, or a downloaded file fails its sha256.
        FileNotFoundError: where no mirror answers.
    """
    checks.one_of("name", name, tuple(_SOURCES))
    return [_download(name, file) for file in _SOURCES[name].files]


def make_slice(name: str, path: str | Path, *, counts: dict[str, int] | None = None) -> str:
    """Cut a shipped slice from the full set: the first images of each class in the official order.

    Images keep the order and the row numbers (``*_index``) they have in the full set. The same
    arrays come out everywhere, and the same bytes wherever zlib is the same.

    Args:
        name: "mnist-slice" or "fashion-mnist-slice".
        path: the npz file to write; an existing file is replaced once the new one is complete.
        counts: images of each class, {"train": 300, "test": 100} unless given.

    Returns:
        sha256 of the file.

    Raises:
        ValueError: where the name is not a slice, or a class has too few images.
        FileNotFoundError: where the full set cannot be had.
    """
    checks.one_of("name", name, tuple(_SLICES))
    arrays: dict[str, np.ndarray] = {}
    for split, count in (counts or SLICE).items():
        images, labels = _arrays(name.removesuffix("-slice"), split)
        rows = _first_of_each(labels, count, split)
        arrays[f"{split}_images"] = images[rows]
        arrays[f"{split}_labels"] = labels[rows].astype(np.uint8)
        arrays[f"{split}_index"] = rows.astype(np.int32)
    target = Path(path)
    partial = target.with_name(target.name + ".part.npz")
    np.savez_compressed(partial, allow_pickle=False, **arrays)
    partial.replace(target)
    return _sha256(target)


def _first_of_each(labels: NDArray[np.int64], count: int, split: str) -> NDArray[np.int64]:
    rows = [np.flatnonzero(labels == c)[:count] for c in np.unique(labels)]
    fewest = min(len(r) for r in rows)
    checks.require(
        fewest == count,
        f"counts[{split!r}]",
        count,
        f"at most {fewest}, the size of the smallest class",
    )
    return np.sort(np.concatenate(rows))


def _arrays(name: str, split: str) -> Arrays:
    """uint8 images (N, C, H, W) and labels (N,) of any named set."""
    if name == "digits":
        from sklearn.datasets import load_digits

        bunch = load_digits()
        part = slice(DIGITS_TRAIN) if split == "train" else slice(DIGITS_TRAIN, None)
        return bunch.images[part, None].astype(np.uint8), bunch.target[part].astype(np.int64)
    if name in _SLICES:
        return _shipped(name, split)
    folder = _folder(name)
    if name == "cifar10":
        return _cifar(folder or _unpack(_download(name, "cifar-10-binary.tar.gz")), split)
    stem = "t10k" if split == "test" else "train"
    files = [file for file in _IDX if file.startswith(stem)]
    images, labels = (
        _idx(_find(folder, f) if folder else _download(name, f"{f}.gz")) for f in files
    )
    checks.require(
        len(images) == len(labels),
        f"{name} {split}",
        len(labels),
        f"{len(images)} labels, one an image",
    )
    return images[:, None], labels.astype(np.int64)


def _shipped(name: str, split: str) -> Arrays:
    path = SHIPPED / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: reinstall molrg, or remake it with molrg.images.make_slice"
        )
    found = _sha256(path)
    checks.require(
        found == _SLICES[name], f"sha256 of {path}", found, f"{_SLICES[name]} (remake the file)"
    )
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[f"{split}_images"], arrays[f"{split}_labels"].astype(np.int64)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _folder(name: str) -> Path | None:
    """The folder of a full set inside MOLRG_DATA, where there is one."""
    root = os.environ.get("MOLRG_DATA")
    if not root:
        return None
    if not Path(root).is_dir():
        raise FileNotFoundError(
            f"MOLRG_DATA = {root}: no such folder; unset it, or name the folder that holds mnist/ ..."
        )
    folder = Path(root) / name
    return folder if folder.is_dir() else None


def _find(folder: Path, stem: str) -> Path:
    for path in (folder / stem, folder / f"{stem}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder} has no {stem} or {stem}.gz")


def _idx(path: Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes: two zeros, type 8, number of axes, sizes (big-endian), data."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    start = 4 + 4 * (raw[3] if len(raw) > 3 else 0)
    shape = tuple(np.frombuffer(raw[4:start], ">u4").astype(int)) if len(raw) >= start else ()
    whole = raw[:3] == b"\x00\x00\x08" and len(raw) == start + int(np.prod(shape))
    checks.require(
        whole,
        str(path),
        f"{len(raw)} bytes starting {raw[:4]!r}",
        "a complete idx file of unsigned bytes",
    )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _cifar(folder: Path, split: str) -> Arrays:
    """CIFAR-10 from its binary version (records of 1 + 3,072 bytes) or from pictures in class folders."""
    batches = "test_batch.bin" if split == "test" else "data_batch_?.bin"
    files = sorted(folder.glob(batches)) or sorted(folder.glob(f"cifar-10-batches-bin/{batches}"))
    if files:
        raw = np.concatenate([np.fromfile(file, np.uint8) for file in files])
        checks.require(
            raw.size % 3073 == 0, str(files[0]), f"{raw.size} bytes", "whole records of 3,073 bytes"
        )
        records = raw.reshape(-1, 3073)
        return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)
    return _pictures(folder / split)


def _pictures(folder: Path) -> Arrays:
    """Pictures in class folders; classes and files in alphabetical order, labels 0, 1, ..."""
    from PIL import Image

    classes = sorted(p for p in folder.glob("*") if p.is_dir())
    files = [
        (k, f)
        for k, c in enumerate(classes)
        for f in sorted(c.iterdir())
        if f.suffix in {".png", ".jpg", ".jpeg"}
    ]
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no <class>/*.png or *.jpg, and no CIFAR-10 binary batches lie beside it"
        )
    arrays = [np.asarray(Image.open(file).convert("RGB")) for _, file in files]
    odd = [f for (_, f), a in zip(files, arrays, strict=True) if a.shape != arrays[0].shape]
    checks.require(
        not odd, "picture", odd[0] if odd else "", f"the size of the first, {arrays[0].shape[:2]}"
    )
    return np.stack(arrays).transpose(0, 3, 1, 2), np.array([k for k, _ in files], dtype=np.int64)


def _cache(name: str) -> Path:
    import pooch

    return Path(pooch.os_cache("molrg")) / name


def _download(name: str, file: str) -> Path:
    """One file of a full set, from the cache or the first mirror that answers; sha256 checked."""
    import pooch

    source = _SOURCES[name]
    for mirror in source.mirrors:
        try:
            return Path(
                pooch.retrieve(
                    mirror + file, f"sha256:{source.files[file]}", fname=file, path=_cache(name)
                )
            )
        except (
            OSError
        ) as error:  # requests' errors are OSErrors; a wrong checksum is a ValueError and is raised
            reason = error
    shipped = f"{name}-slice" if f"{name}-slice" in _SLICES else "fashion-mnist-slice"
    raise FileNotFoundError(
        f"{name}: {file} ({source.megabytes} MB for the set) could not be downloaded ({type(reason).__name__}). Put the set"
        f" under $MOLRG_DATA/{name} (formats: help(molrg.images)), or use {shipped!r} or 'digits', which need no network"
    ) from reason


def _unpack(archive: Path) -> Path:
    """Unpack the CIFAR-10 archive beside itself, once, and return the folder of its batches."""
    import tarfile

    folder, partial = archive.parent / "cifar-10-batches-bin", archive.parent / "partial"
    if not folder.is_dir():
        with tarfile.open(archive) as tar:
            tar.extractall(partial, filter="data")
        (partial / folder.name).replace(folder)
    return folder
