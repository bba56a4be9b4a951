"""A headless Chromium, driven by playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 60_000  # a busy machine is no failure


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield the browser; playwright gives it a new and empty profile."""
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError(
            "these tests need the command chromium: apt-get update && apt-get install -y chromium"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=WAIT_MS)
        yield browser
        browser.close()
