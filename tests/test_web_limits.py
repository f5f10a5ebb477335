"""What whoever runs the server decides holds for the page and its functions too, not for REST alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
import soundfile
from test_api_served import free_port, running
from test_load import gradio_says, number_of, silence, uploaded
from test_web_browser import Visit
from web_driving import TECHNO

from fluxbeat.errors import AudioDecodeError
from fluxbeat.ui.client_functions import ClientFunctions
from fluxbeat.ui.limits import PageLimits
from fluxbeat.ui.listening import listen
from fluxbeat.ui.page import build_page
from fluxbeat.ui.player import browser_file
from fluxbeat.zoo import load

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


def test_files_that_come_without_an_upload_are_measured_too() -> None:
    size_bytes = TECHNO.stat().st_size
    file: Any = {"path": str(TECHNO), "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(gr.Error, match=f"at most {size_bytes - 1:,} bytes"):
        ClientFunctions([load("cnn")], PageLimits(max_upload_bytes=size_bytes - 1)).analyze(file)
    assert ClientFunctions([load("cnn")], PageLimits(max_upload_bytes=size_bytes)).analyze(file)["duration_s"]


def test_longer_recordings_are_refused_to_programs(site: str) -> None:
    *_, done = gradio_says(site, "long", number_of(site, "analyze"), [uploaded(site, silence(121)), "cnn"])
    assert not done["success"]
    assert TOO_LONG in done["output"]["error"]


@pytest.mark.browser
def test_longer_recordings_are_refused_in_the_page(browser: Any, site: str, tmp_path: Path) -> None:
    visit = Visit(browser, f"{site}/")
    long = tmp_path / "long.flac"
    long.write_bytes(silence(121))
    visit.give(long)
    visit.page.locator(".fb-notice[role=alert]").get_by_text(TOO_LONG).wait_for()
    assert visit.errors == []
    visit.close()


def test_longer_recordings_are_neither_decoded_again_nor_copied(tmp_path: Path) -> None:
    short = PageLimits(max_duration_s=10.0).max_duration_s
    with pytest.raises(AudioDecodeError, match="0:00:10"):
        next(listen(str(TECHNO), "song", "1", [load("cnn")], lambda *_: None, max_duration_s=short))
    (heard,) = listen(str(TECHNO), "song", "1", [load("cnn")], lambda *_: None, max_duration_s=60.0)
    assert heard.max_duration_s == 60.0
    tone = tmp_path / "tone.aiff"
    soundfile.write(tone, np.zeros(8000 * 11), 8000)
    with pytest.raises(AudioDecodeError, match="0:00:10"):
        browser_file(str(tone), tone.name, short)


def test_one_analysis_runs_and_who_finds_the_line_full_is_told(site: str) -> None:
    analyze, long = number_of(site, "analyze"), uploaded(site, silence(110), "long.flac")
    first = gradio_says(site, "first", analyze, [long, "vit"])
    assert any(message["msg"] == "process_starts" for message in first), "it runs"
    others = [gradio_says(site, f"other{n}", analyze, [long, "vit"]) for n in range(2)]
    for place, other in enumerate(others):
        ranks = (message.get("rank") for message in other)
        assert next(rank for rank in ranks if rank is not None) == place
    call = {"data": [long, "vit"], "fn_index": analyze, "session_hash": "fourth"}
    refused = httpx.post(f"{site}/gradio_api/queue/join", json=call, timeout=60)
    assert refused.status_code == 503
    assert "Queue is full" in refused.text
    for each in (*others, first):
        each.close()


@pytest.mark.parametrize("at_once", [1, 12])
def test_no_function_of_the_page_widens_or_narrows_the_limit(at_once: int) -> None:
    page = build_page([load("cnn")], PageLimits(analyses_at_once=at_once, waiting_at_most=3))
    limits = [
        function.concurrency_limit
        for function in page.fns.values()
        if function.queue and function.concurrency_id in ("analysis", "explanation")
    ]
    assert len(limits) >= 10
    assert set(limits) == {at_once}
    assert page._queue.max_size == at_once + 3
