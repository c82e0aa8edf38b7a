"""Moved: molrg.denoisers."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.denoisers", "molrg.denoisers.networks")
