"""What whoever runs the server decides holds for the page and its functions too, not for REST alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from api_asking import LINES
from test_api_served import free_port, running
from test_load import desc, gradio_says, number_of, silence, uploaded
from test_web_library import drop
from visiting import Visit
from web_driving import ANSWER_MS, TECHNO

from fluxbeat.errors import AudioDecodeError
from fluxbeat.models.registry import load
from fluxbeat.web.service import Service
from fluxbeat.web.settings import WebSettings
from fluxbeat.web.ui.page import build_page
from fluxbeat.web.ui.player import browser_file
from fluxbeat.web.ui.track_results import TrackResults

TOO_LONG = "the limit is 2:00:00"
LARGEST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    yield from running(
        "fluxbeat", "serve", "--port", str(free_port()),
        FLUXBEAT_MAX_BODY_BYTES=str(LARGEST_BYTES), FLUXBEAT_MAX_DURATION_S="7200",
        FLUXBEAT_ANALYSES_AT_ONCE="1", FLUXBEAT_WAITING_AT_MOST="1",
    )  # fmt: skip


def upload(site: str, size_bytes: int) -> int:
    return httpx.post(f"{site}/gradio_api/upload", files={"files": ("a.wav", bytes(size_bytes))}).status_code


def test_larger_files_are_refused(site: str) -> None:
    assert upload(site, LARGEST_BYTES) == 200
    assert upload(site, LARGEST_BYTES + 1) == 413
    assert httpx.get(f"{site}/config").json()["max_file_size"] == LARGEST_BYTES


def test_longer_recordings_are_refused_to_programs(site: str) -> None:
    *_, done = gradio_says(site, "long", number_of(site, "analyze"), [uploaded(site, silence(121)), "cnn", 0.0])
    assert not done["success"]
    assert TOO_LONG in done["output"]["error"]


@pytest.mark.browser
def test_longer_recordings_are_refused_in_the_page(browser: Any, site: str, tmp_path: Path) -> None:
    visit = Visit(browser, f"{site}/")
    long = tmp_path / "long.flac"
    long.write_bytes(silence(121))
    visit.give(long)
    notice = visit.page.locator(".fb-notice[role=alert]")
    notice.get_by_text(TOO_LONG).wait_for(timeout=ANSWER_MS)
    too_large = tmp_path / "large.wav"
    too_large.write_bytes(bytes(LARGEST_BYTES + 100_000))
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    words = "“large.wav” is too large: it has 3.1 MB, and this server takes 3 MB."
    visit.give(too_large)
    notice.get_by_text(words).wait_for(timeout=ANSWER_MS)
    assert "fb-locked" not in visit.page.evaluate("document.body.className")  # what is shown stays as it is
    visit.page.get_by_role("button", name="Close").click()
    drop(visit.page, ".fb-masthead", {"a.mp3": b"la", "large.wav": too_large.read_bytes()})  # the other one is taken
    notice.get_by_text(words).wait_for(timeout=ANSWER_MS)
    visit.page.locator(".fb-library-table tbody tr").get_by_text("a.mp3").first.wait_for(timeout=ANSWER_MS)
    assert visit.page.locator(".fb-library-table tbody tr").count() == 1
    assert sum("gradio_api/upload" in url for url in asked) == 1
    assert visit.errors == []
    visit.close()


def test_longer_recordings_are_neither_decoded_again_nor_copied(tmp_path: Path) -> None:
    short = 10.0
    with pytest.raises(AudioDecodeError, match="0:10"):
        next(TrackResults(str(TECHNO), "song", max_duration_s=short).answers([load("cnn")], lambda *_: None))
    (analysed,) = TrackResults(str(TECHNO), "song", max_duration_s=60.0).answers([load("cnn")], lambda *_: None)
    assert analysed.max_duration_s == 60.0
    tone = tmp_path / "tone.aiff"
    soundfile.write(tone, np.zeros(8000 * 11), 8000)
    with pytest.raises(AudioDecodeError, match="0:10"):
        browser_file(str(tone), tone.name, short)


def test_programs_of_service_and_page_wait_in_one_queue(site: str) -> None:
    """One may compute and one may wait, whichever way they come."""
    analyze, long = number_of(site, "analyze"), silence(110)

    def of_service() -> httpx.Response:
        return httpx.post(f"{site}/api/v1/analyze?model=vit", files={"file": ("long.flac", long)}, timeout=60)

    with httpx.stream(
        "POST", f"{site}/api/v1/analyze?model=vit", files={"file": ("long.flac", long)}, headers=LINES, timeout=60
    ) as first:
        lines = first.iter_lines()  # whose end would be the client's leaving
        assert any(json.loads(line)["doing"] != "waiting for its turn" for line in lines)
        second = gradio_says(site, "second", analyze, [uploaded(site, long, "long.flac"), "vit", 0.0])
        assert any("you are next" in desc(message) for message in second), "it waits for the one of the service"
        assert of_service().status_code == 429
        *_, third = gradio_says(site, "third", analyze, [uploaded(site, silence(1), "short.flac"), "cnn", 0.0])
        assert "2 requests are being worked on or wait already" in third["output"]["error"]
    second.close()
    end_s = time.monotonic() + 20
    while httpx.get(f"{site}/api/v1/health").json()["places_taken"]:
        assert time.monotonic() < end_s, "both have left"
        time.sleep(0.1)


@pytest.mark.parametrize("at_once", [1, 12])
def test_no_function_of_the_page_computes_beside_the_queue(at_once: int) -> None:
    """What Gradio would hold back by itself would neither be counted nor told its place."""
    service = Service(WebSettings(analyses_at_once=at_once, waiting_at_most=50), {"cnn": load("cnn")})
    page = build_page(service)
    names = {"analyse", "explain", "explain_whole", "play", "save_explained", "analyze", "compare"}
    in_queue = [
        each
        for each in page.fns.values()
        if getattr(each.fn, "__name__", "") in names and each.concurrency_id != "library"  # it waits file by file
    ]
    assert {each.fn.__name__ for each in in_queue} == names
    assert {each.concurrency_limit for each in in_queue} == {None}
    assert page._queue.max_thread_count >= at_once + 50
