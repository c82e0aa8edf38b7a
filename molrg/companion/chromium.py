"""A Chromium, without a network, on the pages of the site."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class NoChromium(RuntimeError):
    """There is no Chromium on this machine, or nothing to drive it with."""


def executable() -> str | None:
    """Path of a Chromium, or None: $CHROMIUM, one on the path, or Playwright's own.

    Raises:
        ModuleNotFoundError: where Playwright is not installed and none of the others is there.
    """
    named = [os.environ.get("CHROMIUM"), *(shutil.which(name) for name in _NAMES)]
    for path in named:
        if path:
            return path
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an optional package

    with sync_playwright() as player:
        own = player.chromium.executable_path
    return own if Path(own).exists() else None


@contextmanager
def browser() -> Iterator[Browser]:
    """One headless Chromium; closed at the end.

    Raises:
        NoChromium: where there is no Chromium or no Playwright, with what to install.
    """
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an optional package

        path = executable()
    except ModuleNotFoundError as error:
        raise NoChromium("Playwright is not installed: pip install 'molrg[browser]'") from error
    if path is None:
        raise NoChromium(
            "no Chromium found: set CHROMIUM to its path, or run `playwright install chromium`"
        )
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=path, args=quiet)
        try:
            yield chromium
        finally:
            chromium.close()
