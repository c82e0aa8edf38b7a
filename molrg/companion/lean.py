"""Quick starts: what a library would import that nothing here needs."""

from __future__ import annotations

import sys
from typing import Any, cast


def leave_out() -> None:
    """Let jsonschema do without its grammar of web addresses, as where it is not installed.

    nbformat imports jsonschema. Building that grammar takes a second, in every command and for
    every notebook, and no notebook holds an address to check.
    """
    modules = cast(dict[str, Any], sys.modules)
    modules.setdefault("rfc3987_syntax", None)  # importing it then raises ImportError
