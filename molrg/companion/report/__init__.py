"""A report on anybody's denoiser: ``python -m molrg report MODEL --images FOLDER``.

It holds no mathematics of its own: the studies of the package, asked about one network.
"""

from molrg.companion.report.running import Options, write

__all__ = ["Options", "write"]
