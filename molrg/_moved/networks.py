"""Moved: molrg.denoisers.networks."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.denoisers.networks")
