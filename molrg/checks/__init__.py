"""Checks of arguments at the border: one line names the argument, its value and what is allowed.

Those of tensors are imported on first use, so that what needs none, such as the ledger, does
without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
