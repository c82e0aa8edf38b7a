"""MNIST, and its shipped slice."""

from __future__ import annotations

from molrg.images.dataset import Place, Record
from molrg.images.formats import idx_files, read_idx_set
from molrg.images.slices import read_slice

_CREDIT = "MNIST (LeCun, Cortes, Burges), commonly stated to be CC BY-SA 3.0"
_LICENCE = "CC BY-SA 3.0 as commonly stated"
_TERMS = """\
MNIST derives from NIST's Special Databases 1 and 3. Its licence is commonly stated (for instance in
the documentation of Keras) as: copyright Yann LeCun and Corinna Cortes, made available under
[Creative Commons Attribution-Share Alike 3.0](https://creativecommons.org/licenses/by-sa/3.0/).
We have not found that statement by the authors themselves, and some redistributors print another
licence. We treat the slice as CC BY-SA 3.0: it is not covered by the licence of the code."""
_CENTRED = """\
Digits are centred by mass and size-normalised by MNIST's authors, which removes translations and
scale: the dimension measured on them is that of the normalised set. The grey values come from the
anti-aliasing of that normalisation."""
_ORDER = """\
The first images of a file are not a random sample of it. Images near each other in the file are
more alike than images far apart (a nearest neighbour within 50 rows is four times as frequent as
chance), and even and odd rows differ: few writers contributed many images each, from two sources.
On the slice the maximum-likelihood estimate of intrinsic dimension (k = 20) is 10.8, on 3,000
random images of the full training set 11.2 to 11.4."""

MNIST = Record(
    name="mnist",
    title="handwritten digits of 28 by 28 pixels",
    shape=(1, 28, 28),
    counts={"train": 60_000, "test": 10_000},
    classes=tuple("0123456789"),
    credit=_CREDIT,
    licence=_LICENCE,
    read=read_idx_set,
    place=Place(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        files={
            "train-images-idx3-ubyte.gz": (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
            ),
            "train-labels-idx1-ubyte.gz": (
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
            ),
            "t10k-images-idx3-ubyte.gz": (
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
            ),
        },
        megabytes=12,
        in_words="the four idx files, plain or `.gz`",
        find=idx_files,
    ),
    offline="mnist-slice",
    about=(
        "70,000 handwritten digits (28 by 28 pixels, grey, ten classes). Load them with\n"
        '`molrg.images.load("mnist")`.'
    ),
    card={
        "Source": "the four idx files of MNIST (LeCun, Cortes, Burges), training and test set",
        "Elsewhere": "OpenML 554 (mnist_784), in one table of 70,000",
        "Changes": "none to any pixel; 0 to 255 become -1 to 1",
    },
    terms=_TERMS,
    caveats=_CENTRED,
)

MNIST_SLICE = Record(
    name="mnist-slice",
    title="300 + 100 of each class of MNIST",
    shape=MNIST.shape,
    counts={"train": 3000, "test": 1000},
    classes=MNIST.classes,
    credit=_CREDIT,
    licence=_LICENCE,
    read=read_slice,
    file="mnist-slice.npz",
    sha256="27d52e95bad65c8f6c759b69ce99ab2075eb6d0e26a5e30dbe78890a5c920832",
    full="mnist",
    offline="mnist-slice",
    about=(
        "4,000 of the 70,000 handwritten digits of MNIST (28 by 28 pixels, grey, ten classes), so "
        "that the\n"
        'book runs without a network. Load it with `molrg.images.load("mnist-slice")`.'
    ),
    card={
        "Source": "the four idx files of MNIST (LeCun, Cortes, Burges), training and test set; the "
        "uncompressed files used had sha256 `ba891046...` (training images), `65a50cbb...` "
        "(training labels), `0fa7898d...` (test images), `ff7bcfd4...` (test labels)",
        "Changes": "none to any pixel",
    },
    terms=_TERMS,
    caveats=f"{_CENTRED}\n\n{_ORDER}",
)
