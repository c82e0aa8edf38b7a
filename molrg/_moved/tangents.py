"""Moved: molrg.dimension.tangents."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.dimension.tangents")
