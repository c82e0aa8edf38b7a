"""The commands of ``python -m molrg``: the arguments of each beside its function.

A command imports what it needs when it is called, so that one that needs no torch starts without.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the class takes a parameter for the eyes of a type checker only
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction
