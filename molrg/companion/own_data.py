"""What ``python -m molrg describe`` says of a reader's own pictures or numbers."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from torch import Tensor

from molrg import dimension, images
from molrg.dimension.array_files import is_array_file, read_array


def is_grey(pixels: Tensor) -> bool:
    """Whether pictures that were read in colour have none.

    Args:
        pixels: (B, C, H, W).
    """
    return bool((pixels == pixels[:, :1]).all())


def describe(path: Path, *, size: int | None = None, grey: bool = False) -> tuple[str, list[str]]:
    """The report on a folder of pictures or a file of arrays, and what was left out on reading.

    Args:
        path: a folder of pictures, or of folders of them, one per class; or an .npy or .npz file.
        size: pixels along a side to which pictures are cut and resized.
        grey: read pictures in grey.

    Raises:
        ValueError: where a file is damaged, or the points do not allow an estimate.
        FileNotFoundError: where there is nothing to read.
    """
    if is_array_file(path):
        if size is not None or grey:
            raise ValueError(f"path = {path}: allowed is a folder, where --size or --grey is given")
        points, labels = read_array(path)
        return repr(dimension.describe(points, labels)), []
    if path.is_file():
        raise ValueError(f"path = {path}: allowed is a folder, or an .npy or .npz file")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", images.PictureWarning)
        pixels, numbers = images.folder(path, size=size, grey=grey)
    if is_grey(pixels):
        pixels = pixels[:, :1]
    notes = [str(w.message) for w in caught if issubclass(w.category, images.PictureWarning)]
    names = np.array(images.class_names(path))
    return repr(dimension.describe(pixels, names[numbers] if len(names) else None)), notes
