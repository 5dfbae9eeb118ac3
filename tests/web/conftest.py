"""A real browser: Chromium as the system installs it, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.service.conftest import Server, server

__all__ = ["server"]


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """One per module: Playwright keeps an event loop running in this thread, where no other may start meanwhile.

    Skips where no Chromium is installed: `make browser` installs it where it may."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None and os.environ.get("CI"):
        pytest.fail("no Chromium is installed: `make browser` does it")
    if chromium is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: object, server: Server) -> Iterator[object]:
    """A page that fails its test when it asks another host for anything, or reports an error."""
    opened = browser.new_page(base_url=server.url)  # type: ignore[attr-defined]
    asked: list[str] = []
    errors: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield opened
    opened.close()
    assert all(address.startswith(server.url) for address in asked), asked
    assert not errors
