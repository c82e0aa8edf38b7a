"""Moved: molrg.subspaces.alternation."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.subspaces.alternation")
