"""Moved: molrg.stats, molrg.training."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.stats", "molrg.training")
