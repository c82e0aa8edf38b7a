"""Moved: molrg.studies.forward_backward."""

from molrg._moved import forward

__getattr__ = forward(__name__, "molrg.studies.forward_backward")
