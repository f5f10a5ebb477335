"""What several browser tests share: the app in a process of its own, and a Chromium.

Both live for one module: Playwright keeps an event loop running in its thread as long as it is open, in which no other
module's `asyncio.run` would work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from web_driving import FLAGS, Server, chromium, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    yield from serving("--port", "0")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()
