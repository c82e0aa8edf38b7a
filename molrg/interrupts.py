"""Ctrl-C and polite kills, held back while something must not be torn in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_POLITE = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def held_back(*, patience: int | None = None) -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM or SIGHUP set instead of interrupting the block.

    A signal that is ignored from outside stays ignored, as nohup does with SIGHUP. In other threads
    than the main one, where Python allows no handlers, signals are left alone and the event stays
    unset.

    Args:
        patience: after so many signals the block is interrupted all the same; never where omitted.

    Raises:
        KeyboardInterrupt: inside the block, by the signal after `patience` others.
    """
    asked = threading.Event()
    count = 0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        asked.set()
        if patience is not None and count > patience:
            raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in _POLITE if hasattr(signal, name)]
        heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, note) for number in heard}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
