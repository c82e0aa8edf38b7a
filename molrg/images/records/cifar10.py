"""CIFAR-10, of which no image is shipped."""

from __future__ import annotations

from molrg.images.dataset import Place, Record
from molrg.images.formats import cifar_files, read_cifar

CIFAR10 = Record(
    name="cifar10",
    title="colour photographs of 32 by 32 pixels",
    shape=(3, 32, 32),
    counts={"train": 50_000, "test": 10_000},
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    credit=(
        "CIFAR-10 (Krizhevsky), no licence stated by its authors: no image of it is in this folder"
    ),
    licence="none stated by its authors",
    read=read_cifar,
    place=Place(
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        files={
            "cifar-10-binary.tar.gz": (
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
            )
        },
        megabytes=170,
        in_words="the binary batches, or `train/<class>/` and `test/<class>/` with pictures",
        find=cifar_files,
    ),
    offline="fashion-mnist-slice",
    about=(
        "60,000 colour photographs (32 by 32 pixels, ten classes). Load them with\n"
        '`molrg.images.load("cifar10")`.'
    ),
    card={
        "Source": "the binary version of CIFAR-10 (Krizhevsky, 2009)",
        "Elsewhere": "OpenML 40927 (CIFAR_10), in one table of 60,000",
        "Changes": "none to any pixel; 0 to 255 become -1 to 1",
    },
    terms="Its authors state none, so no image of it is shipped.",
    caveats=(
        "Copies as JPEG, which may stand in for it in `MOLRG_DATA`, are slightly lossy: say so\n"
        "with what is made from them. Some test images are near copies of training images."
    ),
)
