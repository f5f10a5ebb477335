"""Limits of the REST service: size, time, how many at once; and clients that leave."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_asking import FORM, HEAD, LINES, TAIL, asgi, ask, clicks, client, refused, send, status

from fluxbeat.analysis.track import Progress
from fluxbeat.web import service as web_service
from fluxbeat.web.api import build_api_alone
from fluxbeat.web.settings import WebSettings


@pytest.fixture(autouse=True)
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where uploads go; nothing of them may be left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.glob("fluxbeat-upload-*"))


@pytest.mark.parametrize("headers", [{}, LINES])
def test_upload_is_removed_whatever_comes_of_it(monkeypatch, uploads, headers):
    seen: list[Path] = []
    analyze = web_service.compare

    def watched(path: str, *arguments: Any, **options: Any) -> Any:
        seen.append(Path(path))
        assert uploads in seen[-1].parents
        return analyze(path, *arguments, **options)

    monkeypatch.setattr(web_service, "compare", watched)
    send("/analyze?model=cnn", clicks(5), headers=headers)
    send("/analyze?model=cnn", b"no music", headers=headers)
    assert len(seen) == 2
    assert not list(uploads.iterdir())


def test_announced_size_over_the_limit_is_refused_before_the_body_is_read():
    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    small = build_api_alone(WebSettings(max_body_bytes=1000))
    sent = asyncio.run(asgi(small, {**FORM, "content-length": "1001"}, receive))
    assert status(sent) == 413
    assert json.loads(sent[1]["body"])["detail"].startswith("at most 1,000 bytes")


def test_unannounced_size_is_counted_and_reading_stops_at_the_limit():
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": HEAD if read == 1 else b"x" * 10_000, "more_body": True}

    small = build_api_alone(WebSettings(max_body_bytes=100_000))
    assert status(asyncio.run(asgi(small, FORM, receive))) == 413
    assert read == 11
    assert "at most 100,000 bytes" in refused(send("/analyze", bytes(100_001), app=small), 413)


def test_upload_that_stands_still_is_given_up():
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(30)
        return {"type": "http.request", "body": HEAD, "more_body": True}

    began = time.monotonic()
    impatient = build_api_alone(WebSettings(upload_pause_s=0.2))
    assert status(asyncio.run(asgi(impatient, FORM, receive))) == 408
    assert time.monotonic() - began < 5


class Held:
    """An analysis that goes on until it is let go, and knows how many go on at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.release, self.cancelled = threading.Event(), threading.Event(), threading.Event()
        self.now, self.most = 0, 0
        self.paths: list[str] = []
        self._lock = threading.Lock()
        self._analyze = web_service.compare
        monkeypatch.setattr(web_service, "compare", self)

    def __call__(self, path: str, *arguments: Any, progress: Progress, **options: Any) -> Any:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.paths.append(path)
        self.begun.set()
        try:
            while not self.release.wait(0.01):
                progress(0.5, "holding")
        except BaseException:
            self.cancelled.set()
            raise
        finally:
            with self._lock:
                self.now -= 1
        return self._analyze(path, *arguments, progress=progress, **options)


def test_full_queue_sends_the_next_away_and_then_serves_again(monkeypatch):
    held = Held(monkeypatch)
    busy = build_api_alone(WebSettings(analyses_at_once=1, waiting_at_most=2))

    async def crowd() -> tuple[list[int], httpx.Response, Any]:
        async with client(busy) as asking:
            form = {"file": ("a.wav", clicks(5))}
            first = [asyncio.create_task(asking.post("/analyze?model=cnn", files=form)) for _ in range(3)]
            while (await asking.get("/health")).json()["places_taken"] < 3 or not held.begun.is_set():
                await asyncio.sleep(0.01)
            health = (await asking.get("/health")).json()
            fourth = await asking.post("/analyze?model=cnn", files=form)
            held.release.set()
            served = [(await each).status_code for each in first]
            served.append((await asking.post("/analyze?model=cnn", files=form)).status_code)
            return served, fourth, health

    served, fourth, health = asyncio.run(crowd())
    assert "try again" in refused(fourth, 429)
    assert int(fourth.headers["retry-after"]) > 0
    assert served == [200] * 4
    assert health["running"] == 1
    assert held.most == 1


@pytest.mark.parametrize("headers", [{}, LINES])
def test_client_that_leaves_ends_its_analysis_and_its_file_is_removed(monkeypatch, headers):
    held = Held(monkeypatch)
    alone = build_api_alone(WebSettings(analyses_at_once=1, waiting_at_most=0))
    messages = iter([{"type": "http.request", "body": HEAD + clicks(5) + TAIL}])

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        while not held.begun.is_set():
            await asyncio.sleep(0.01)
        assert Path(held.paths[0]).is_file()
        return {"type": "http.disconnect"}

    asyncio.run(asgi(alone, {**FORM, **headers}, receive))
    assert held.cancelled.is_set()
    assert not Path(held.paths[0]).exists()
    held.release.set()
    assert send("/analyze?model=cnn", clicks(5), app=alone).status_code == 200


def test_client_that_leaves_the_queue_is_never_analysed(monkeypatch):
    held = Held(monkeypatch)
    alone = build_api_alone(WebSettings(analyses_at_once=1, waiting_at_most=1))

    async def scene() -> None:
        async with client(alone) as asking:
            first = asyncio.create_task(asking.post("/analyze?model=cnn", files={"file": ("a.wav", clicks(5))}))
            while not held.begun.is_set():
                await asyncio.sleep(0.01)
            messages = iter([{"type": "http.request", "body": HEAD + clicks(5) + TAIL}])

            async def receive() -> dict[str, Any]:
                for message in messages:
                    return message
                await asyncio.sleep(0.2)
                return {"type": "http.disconnect"}

            await asgi(alone, FORM, receive)
            held.release.set()
            assert (await first).status_code == 200
            assert len(held.paths) == 1

    asyncio.run(scene())


def test_client_that_leaves_while_it_uploads_gives_its_place_back():
    alone = build_api_alone(WebSettings(analyses_at_once=1, waiting_at_most=0))
    messages = iter([{"type": "http.request", "body": HEAD, "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(messages)

    asyncio.run(asgi(alone, FORM, receive))
    assert ask("GET", "/health", alone).json()["places_taken"] == 0
