"""Moved: molrg.sweeps.fingerprints."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.sweeps.fingerprints")
