"""Ctrl-C and polite kills, held back while something must not be torn in two."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil

_GLANCE = 0.5  # seconds between two looks at a process that is followed
_POLITE = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def held_back() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM or SIGHUP set instead of interrupting the block.

    The block looks at it when it can stop. A signal that is ignored from outside stays ignored, as
    nohup does with SIGHUP. In other threads than the main one, where Python allows no handlers,
    signals are left alone and the event stays unset.
    """
    asked = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()

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


def follow(process: int) -> None:
    """End this process when another one ends, however it does: workers must not outlive their run.

    Args:
        process: number of the other process.
    """

    def watch() -> None:
        with suppress(psutil.NoSuchProcess):  # it has ended already
            other = psutil.Process(process)
            while other.is_running() and other.status() != psutil.STATUS_ZOMBIE:
                time.sleep(_GLANCE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end(process: int) -> None:
    """Kill a process and all that it has started, at once.

    Args:
        process: its number; nothing happens where it has ended.
    """
    try:
        parent = psutil.Process(process)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
