"""Moved: molrg.images.scenes."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.images.scenes")
