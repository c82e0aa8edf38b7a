"""Named image sets: (B, C, H, W) float32 in [-1, 1] with labels (B,).

Some can be had without a network: ``digits`` comes with scikit-learn, slices of others are shipped
(cards beside them, in ``molrg/zoo/images``). The full sets ``mnist``, ``fashion-mnist`` and
``cifar10`` are looked for in this order:

1. the folder named by the environment variable ``MOLRG_DATA``, in these formats::

       mnist/train-images-idx3-ubyte[.gz]  and the other three idx files, under their usual names
       fashion-mnist/                      the same four names
       cifar10/data_batch_1.bin ...        the binary version (also in cifar-10-batches-bin/)
       cifar10/train/<class>/*.png|jpg     or pictures in class folders, and cifar10/test/<class>/

2. pooch's cache, filled by a download whose sha256 is checked. Pickled files are never read.

What is known of each set stands in its record, in `molrg.images.records`. Beside them, `rendered`
makes images whose intrinsic dimension is known, and `folder` reads a reader's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from molrg import checks, files
from molrg.images import downloads, slices
from molrg.images.dataset import SPLITS, Record
from molrg.images.records import RECORDS
from molrg.images.scenes import KINDS, Pieces, Scenes


@dataclass(frozen=True)
class Availability:
    """Whether a set can be loaded without a network, from where, and what a download would cost.

    Attributes:
        problem: what is wrong with files that are there; empty where nothing is.
    """

    name: str
    offline: bool
    where: str
    download_megabytes: int
    licence: str
    problem: str = ""


def names() -> list[str]:
    """Names that :func:`load` accepts."""
    return list(RECORDS)


def record(name: str) -> Record:
    """What is known of a named set: shape, counts, classes, licence, where it comes from.

    Raises:
        ValueError: where there is no such set.
    """
    return RECORDS[checks.one_of("name", name, tuple(RECORDS))]


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
        images (B, C, H, W), float32 in [-1, 1], and labels (B,), int64; their names are
        ``record(name).classes``.

    Raises:
        ValueError: where an argument is not allowed, or a file has another checksum or format.
        FileNotFoundError: where a full set is neither in ``MOLRG_DATA`` nor in the cache, and
            cannot be downloaded.
    """
    known = record(name)
    part = known.read(known, checks.one_of("split", split, SPLITS))
    total = len(part.labels)
    size = total if n is None else checks.count("n", n, 1, total)
    if generator is None:
        rows = torch.arange(size, device="cpu")
    else:
        rows = torch.randperm(total, generator=generator, device="cpu")[:size]
    return part.images(rows), part.labels[rows]


def available() -> list[Availability]:
    """What is there offline and what would be downloaded, without touching the network."""
    return [_availability(known) for known in RECORDS.values()]


def _availability(known: Record) -> Availability:
    try:
        where = _where(known)
        problem = ""
    except (OSError, ValueError) as error:
        where = None
        problem = str(error)
    megabytes = 0
    offline = where is not None
    if known.place and not offline:
        megabytes = known.place.megabytes
        where = known.place.mirrors[0]
    return Availability(known.name, offline, where or known.name, megabytes, known.licence, problem)


def _where(known: Record) -> str | None:
    """Where a set is on this machine; None where it would be downloaded.

    Raises:
        OSError: where files that should be there are missing.
        ValueError: where a shipped file was altered.
    """
    if known.file:
        return str(slices.shipped_file(known))
    if known.place is None:
        return known.where
    folder = downloads.own_folder(known.name)
    if folder is not None:
        for split in SPLITS:
            known.place.find(folder, split)
        return str(folder)
    cache = downloads.cache(known.name)
    cached = all((cache / file).is_file() for file in known.place.files)
    return str(cache) if cached else None


def altered(name: str) -> list[str]:
    """Files of a set in the cache whose sha256 is another; none where it is not in the cache.

    Raises:
        ValueError: where there is no such set.
    """
    known = record(name)
    wanted = known.place.files if known.place else {}
    paths = {downloads.cache(name) / file: digest for file, digest in wanted.items()}
    return [str(p) for p, digest in paths.items() if p.is_file() and files.sha256(p) != digest]


def fetch(name: str) -> list[Path]:
    """Download a full set into pooch's cache (for going offline later); nothing is fetched twice.

    Raises:
        ValueError: where `name` is not a full set, or a downloaded file fails its sha256.
        FileNotFoundError: where no mirror answers.
    """
    full = {known.name: known.place for known in RECORDS.values() if known.place}
    place = full[checks.one_of("name", name, tuple(full))]
    return [downloads.download(RECORDS[name], file) for file in place.files]


def make_slice(name: str, path: str | Path, *, counts: Mapping[str, int] | None = None) -> str:
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
    of = {known.name: known.full for known in RECORDS.values() if known.full}
    full = RECORDS[of[checks.one_of("name", name, tuple(of))]]
    return slices.cut(full, Path(path), counts or slices.SLICE)


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

    Source: ours; see `molrg.images.scenes`.

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
        ValueError: as `molrg.images.scenes.Scenes`.
    """

    def family(dim: int, seed: int) -> Scenes:
        return Scenes(dim, size, objects=objects, kinds=kinds, curvature=curvature, scene=seed)

    if isinstance(d, Sequence):
        return Pieces([family(dim, scene + k) for k, dim in enumerate(d)])
    return family(d, scene)
