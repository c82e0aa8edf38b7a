"""The digits of 8 by 8 pixels that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from molrg.images.dataset import Record, Split

TRAIN = 1500  # of 1,797; the other 297 are the test split
_WHITE = 16


def _read(record: Record, split: str) -> Split:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import

    bunch = load_digits()
    part = slice(TRAIN) if split == "train" else slice(TRAIN, None)
    images = bunch.images[part, None].astype(np.uint8)
    return Split.of_arrays(images, bunch.target[part], white=_WHITE)


DIGITS = Record(
    name="digits",
    title="handwritten digits of 8 by 8 pixels",
    shape=(1, 8, 8),
    counts={"train": TRAIN, "test": 297},
    classes=tuple("0123456789"),
    credit="digits 8x8 (UCI, by way of scikit-learn), CC BY 4.0",
    licence="CC BY 4.0 (UCI)",
    read=_read,
    where="scikit-learn",
    offline="digits",
    about=(
        "1,797 handwritten digits (8 by 8 pixels, 17 grey values, ten classes) that come with\n"
        'scikit-learn. Load them with `molrg.images.load("digits")`.'
    ),
    card={
        "Source": "Optical Recognition of Handwritten Digits (Alpaydin, Kaynak; UCI Machine "
        "Learning Repository), its test set, as `sklearn.datasets.load_digits` gives it",
        "Selection": 'the first 1,500 are "train", the other 297 "test"',
        "Changes": "none to any pixel; 0 to 16 become -1 to 1",
    },
    terms="CC BY 4.0, as the repository states.",
    caveats="Few pixels and few grey values: some images are close to others of their class.",
)
