"""Statistics over seeds: summaries, intervals, transitions, success maps, corrected tests.

What ``__init__.pyi`` lists is imported on first use: the ledger needs summaries, and no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
