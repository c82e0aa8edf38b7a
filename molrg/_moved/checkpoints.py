"""Moved: molrg.denoisers.checkpoints, molrg.denoisers.seals."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.denoisers.checkpoints", "molrg.denoisers.seals")
