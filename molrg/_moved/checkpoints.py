"""Moved: molrg.denoisers.checkpoints."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.denoisers.checkpoints")
