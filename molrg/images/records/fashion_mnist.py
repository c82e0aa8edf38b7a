"""Fashion-MNIST, and its shipped slice."""

from __future__ import annotations

from molrg.images.dataset import Place, Record
from molrg.images.formats import idx_files, read_idx_set
from molrg.images.slices import read_slice

_CREDIT = "Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv 1708.07747), MIT, copyright 2017 Zalando SE"
_TERMS = """\
MIT, copyright 2017 Zalando SE. Permission is hereby granted, free of charge, to any person
obtaining a copy of this software and associated documentation files (the "Software"), to deal in
the Software without restriction, including without limitation the rights to use, copy, modify,
merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons
to whom the Software is furnished to do so, subject to the following conditions: the above
copyright notice and this permission notice shall be included in all copies or substantial portions
of the Software. The Software is provided "as is", without warranty of any kind, express or
implied, including but not limited to the warranties of merchantability, fitness for a particular
purpose and noninfringement. In no event shall the authors or copyright holders be liable for any
claim, damages or other liability, whether in an action of contract, tort or otherwise, arising
from, out of or in connection with the Software or the use or other dealings in the Software."""
_CAVEATS = """\
The pictures were made from product photographs by trimming, scaling to the longer side, inverting
and extending to a square, so position and scale are nearly fixed."""
_OF_SLICE = """ On the slice the estimates of intrinsic
dimension agree with those on 3,000 random images of the full training set."""

FASHION_MNIST = Record(
    name="fashion-mnist",
    title="pictures of clothes of 28 by 28 pixels",
    shape=(1, 28, 28),
    counts={"train": 60_000, "test": 10_000},
    classes=(
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    credit=_CREDIT,
    licence="MIT",
    read=read_idx_set,
    place=Place(
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        files={
            "train-images-idx3-ubyte.gz": (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
            ),
            "train-labels-idx1-ubyte.gz": (
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
            ),
            "t10k-images-idx3-ubyte.gz": (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
            ),
        },
        megabytes=31,
        in_words="the four idx files, plain or `.gz`",
        find=idx_files,
    ),
    offline="fashion-mnist-slice",
    about=(
        "70,000 pictures of clothes (28 by 28 pixels, grey, ten classes). Load them with\n"
        '`molrg.images.load("fashion-mnist")`.'
    ),
    card={
        "Source": "the four idx files of Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv 1708.07747, "
        "Zalando SE)",
        "Elsewhere": "OpenML 40996 (Fashion-MNIST), in one table of 70,000",
        "Changes": "none to any pixel; 0 to 255 become -1 to 1",
    },
    terms=_TERMS,
    caveats=_CAVEATS,
)

FASHION_MNIST_SLICE = Record(
    name="fashion-mnist-slice",
    title="300 + 100 of each class of Fashion-MNIST",
    shape=FASHION_MNIST.shape,
    counts={"train": 3000, "test": 1000},
    classes=FASHION_MNIST.classes,
    credit=_CREDIT,
    licence="MIT",
    read=read_slice,
    file="fashion-mnist-slice.npz",
    sha256="71dee264e9a5a2b384d794b15ed29218780a1980b8ab9ea22a9659a07ca6c08b",
    full="fashion-mnist",
    offline="fashion-mnist-slice",
    about=(
        "4,000 of the 70,000 pictures of clothes of Fashion-MNIST (28 by 28 pixels, grey, ten "
        "classes), so that\n"
        'the book runs without a network. Load it with `molrg.images.load("fashion-mnist-slice")`.'
    ),
    card={
        "Source": "the four idx files of Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv 1708.07747, "
        "Zalando SE); contents equal to the files with sha256 `3aede38d...` (training images), "
        "`a04f1713...` (training labels), `346e55b9...` (test images), `67da17c7...` (test labels)",
        "Changes": "none to any pixel",
    },
    terms=_TERMS,
    caveats=_CAVEATS + _OF_SLICE,
)
