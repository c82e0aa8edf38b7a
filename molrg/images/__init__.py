"""Image sets by name, folders of pictures, drawn scenes, and the quality of samples."""

from molrg.images.cards import card, table
from molrg.images.folders import PictureWarning, class_names, file_names, folder
from molrg.images.pictures import SUFFIXES
from molrg.images.records import RECORDS, SPLITS, Place, Record, Split
from molrg.images.scenes import APART, EDGE, FINE, KINDS, RANGES, Pieces, Scenes
from molrg.images.sets import (
    Availability,
    altered,
    available,
    fetch,
    load,
    make_slice,
    names,
    record,
    rendered,
)
from molrg.images.slices import SHIPPED, SLICE

__all__ = [
    "APART",
    "EDGE",
    "FINE",
    "KINDS",
    "RANGES",
    "RECORDS",
    "SHIPPED",
    "SLICE",
    "SPLITS",
    "SUFFIXES",
    "Availability",
    "PictureWarning",
    "Pieces",
    "Place",
    "Record",
    "Scenes",
    "Split",
    "altered",
    "available",
    "card",
    "class_names",
    "fetch",
    "file_names",
    "folder",
    "load",
    "make_slice",
    "names",
    "record",
    "rendered",
    "table",
]
