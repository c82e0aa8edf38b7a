"""Moved: molrg.editing.attributes, molrg.stats."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.editing.attributes", "molrg.stats")
