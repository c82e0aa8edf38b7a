"""Moved: molrg.studies.ladder, molrg.stats."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.studies.ladder", "molrg.stats")
