"""Asking the REST service in tests: in the same process, over ASGI."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import soundfile
from fastapi import FastAPI

from fluxbeat.web.api import build_api_alone
from fluxbeat.web.problems import API_PREFIX
from fluxbeat.web.settings import WebSettings

PLAIN = build_api_alone(WebSettings())
PROBLEM = "application/problem+json"
LINES = {"Accept": "application/x-ndjson"}


def clicks(duration_s: float, rate_hz: int = 8000) -> bytes:
    """A WAV file with a click every half second."""
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.sin(2 * np.pi * 220 * t) * (t % 0.5 < 0.05), rate_hz, format="WAV")
    return file.getvalue()


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://test{API_PREFIX}", timeout=120)


def ask(method: str, path: str, app: FastAPI = PLAIN, **request: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        async with client(app) as asking:
            return await asking.request(method, path, **request)

    return asyncio.run(once())


def send(path: str, content: bytes, name: str = "song.mp3", app: FastAPI = PLAIN, **request: Any) -> httpx.Response:
    return ask("POST", path, app, files={"file": (name, content)}, **request)


def refused(response: httpx.Response, status: int) -> str:
    """The sentence of a problem document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["type"] == "about:blank"
    return str(problem["detail"])


def asgi(
    app: FastAPI, headers: dict[str, str], receive: Callable[[], Any], path: str = "/analyze?model=cnn", kind="http"
):
    """One request by hand: what the service sent, until it is done."""
    sent: list[dict[str, Any]] = []

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    path, _, query = (API_PREFIX + path).partition("?")
    scope = {
        "type": kind, "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "method": "POST", "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("test", 80), "subprotocols": [],
    }  # fmt: skip

    async def go() -> list[dict[str, Any]]:
        await asyncio.wait_for(app(scope, receive, keep), 60)
        return sent

    return go()


def status(sent: list[dict[str, Any]]) -> int:
    return int(sent[0]["status"])


FORM = {"content-type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"
