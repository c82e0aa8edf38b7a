"""Sweeps over cells and seeds, with stores that lose nothing."""

from molrg.sweeps.batches import batched, by_cell
from molrg.sweeps.fingerprints import fingerprint
from molrg.sweeps.runner import JobFailed, kept, run
from molrg.sweeps.stores import Job, Store, key_of, lines, name_of, plain

__all__ = [
    "Job",
    "JobFailed",
    "Store",
    "batched",
    "by_cell",
    "fingerprint",
    "kept",
    "key_of",
    "lines",
    "name_of",
    "plain",
    "run",
]
