"""What several browser tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from visiting import Visit
from web_driving import TECHNO, Server


@pytest.fixture(scope="module")
def listener(browser: Any, server: Server) -> Iterator[Visit]:
    """One page on which a track is open; tests leave it as they found it."""
    visit = Visit(browser, server.url)
    visit.give(TECHNO)
    visit.await_track(TECHNO.name)
    yield visit
    visit.leave()
