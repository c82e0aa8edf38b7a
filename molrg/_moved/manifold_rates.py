"""Moved: molrg.studies.manifold_rates."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.studies.manifold_rates")
