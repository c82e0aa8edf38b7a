"""Addresses of version 0.1 that have moved: they work, with a warning, and go in version 0.3."""

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def forward(old: str, *new: str) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that looks a name up where it is now."""
    now = " and ".join(new)
    warnings.warn(
        f"{old} has moved to {now}; the old address goes in version 0.3",
        DeprecationWarning,
        stacklevel=3,
    )

    def find(name: str) -> Any:
        for place in map(import_module, new):
            if not name.startswith("__") and hasattr(place, name):
                return getattr(place, name)
        raise AttributeError(
            f"{old} has moved to {now}; neither has {name!r}"
            if len(new) > 1
            else f"{now} has no {name!r}"
        )

    return find


def from_room(room: str, moved: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a room that stays while some of its names have moved.

    Args:
        room: the module's own name.
        moved: {name: the module where it is now}.
    """

    def find(name: str) -> Any:
        if name not in moved:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        warnings.warn(
            f"{room}.{name} has moved to {moved[name]}; the old address goes in version 0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(import_module(moved[name]), name)

    return find
