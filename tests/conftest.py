"""The four gears, each a folder and a mark; and what several browser tests share.

The app in a process of its own and a Chromium live for one module: Playwright keeps an event loop running in its thread
as long as it is open, in which no other module's `asyncio.run` would work.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from web_driving import FLAGS, Server, chromium, serving

import fluxbeat  # noqa: F401  (before any test imports torch, whose threads it tells not to spin while they wait)

GEARS = ("unit", "engine", "web", "slow")
IN_CI = os.environ.get("CI") == "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the name of its folder, so that `pytest tests -m "unit or engine"` works too."""
    for item in items:
        gear = item.path.parent.name
        if gear not in GEARS:
            raise pytest.UsageError(f"{item.path.name}: a test lies in one of the folders {', '.join(GEARS)} of tests/")
        item.add_marker(gear)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration nothing may be missing that a test needs: who skips, fails."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
    return report


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    yield from serving("--port", "0")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright import sync_api

    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()
