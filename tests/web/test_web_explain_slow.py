"""The Explain tab with a model of the Hub that takes long: how far it is, and an end for who has enough."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from tiny_classifiers import GENRES, save_classifier
from visiting import Visit
from web_driving import ANSWER_MS, CHANGE, Server, serving

from fluxbeat.models.registry import checkpoints_folder

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

SLOW_SERVER = """
import time
from fluxbeat.analysis import windows
from fluxbeat.explanation import occlusion

def slow(model, sounds):
    time.sleep(0.7)
    return windows.sound_logits(model, sounds)

occlusion.sound_logits = slow
from fluxbeat.web.server import serve
serve(port=0)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of one network and one classifier, which is as slow as a large one where it is explained."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(checkpoints_folder() / "cnn", folder / "cnn")
    save_classifier(folder / "sounds", "hubert")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUXBEAT_CHECKPOINTS", str(folder))
        patch.setenv("FLUXBEAT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield from serving(program=("-c", SLOW_SERVER))


def test_a_listener_reads_how_far_it_is_stops_it_and_asks_again(browser: Any, server: Server) -> None:
    visit = Visit(browser, server.url)
    page = visit.page
    visit.give(CHANGE)
    visit.await_track(CHANGE.name)
    page.get_by_role("tab", name="Explain").click()
    busy = page.locator(".fb-explain-busy")
    busy.wait_for(timeout=ANSWER_MS)
    page.wait_for_function("document.querySelector('.fb-explain-busy progress').value > 0", timeout=ANSWER_MS)
    assert busy.inner_text().startswith("sounds is listening without parts of the sound")
    busy.get_by_role("button", name="Stop").click()
    busy.wait_for(state="hidden", timeout=ANSWER_MS)
    page.wait_for_selector("#explain .fb-explain:not([aria-busy])")
    assert page.locator(".fb-explain-row[data-model=sounds]").count() == 0
    page.locator("#explain select").select_option(GENRES[2])
    page.locator(".fb-explain-row[data-model=sounds]").wait_for(timeout=ANSWER_MS)
    assert busy.is_hidden()
    visit.leave()
