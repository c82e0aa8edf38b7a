"""The named sets: one record each. A new set is one module here, and its line in `RECORDS`."""

from molrg.images.dataset import SPLITS, Place, Record, Split
from molrg.images.records.cifar10 import CIFAR10
from molrg.images.records.digits import DIGITS
from molrg.images.records.faces import FACES, FACES_POSE
from molrg.images.records.fashion_mnist import FASHION_MNIST, FASHION_MNIST_SLICE
from molrg.images.records.mnist import MNIST, MNIST_SLICE

# in the order in which they are listed: what needs no network first
RECORDS: dict[str, Record] = {
    record.name: record
    for record in (
        DIGITS,
        MNIST_SLICE,
        FASHION_MNIST_SLICE,
        FACES,
        FACES_POSE,
        MNIST,
        FASHION_MNIST,
        CIFAR10,
    )
}

__all__ = ["RECORDS", "SPLITS", "Place", "Record", "Split"]
