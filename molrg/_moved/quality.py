"""Moved: molrg.images.quality."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.images.quality")
