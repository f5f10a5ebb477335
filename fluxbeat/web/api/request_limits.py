"""What is asked of a request before its body is read, and while it is: a place in the queue, its size, and no pause."""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fluxbeat.web.analysis_queue import QueueFullError
from fluxbeat.web.problems import Refused
from fluxbeat.web.security import refuse
from fluxbeat.web.service import Service
from fluxbeat.web.settings import WebSettings

COME_BACK_S = 10
_LAST = {"Connection": "close"}  # the rest of the body is not wanted


class RequestLimits:
    """ASGI layer in front of all routes that take a recording."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._settings, self._queue = service.settings, service.queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self._settings.max_body_bytes:
            await refuse(_too_large(self._settings.max_body_bytes), scope, receive, send)
            return
        try:
            with self._queue.place():
                await self._app(scope, _BodyReader(receive, self._settings), send)
        except QueueFullError as full:
            await refuse(Refused(429, str(full), {"Retry-After": str(COME_BACK_S)}), scope, receive, send)


class _BodyReader:
    """The body as it comes in: counted, and not waited for forever."""

    def __init__(self, receive: Receive, settings: WebSettings) -> None:
        self._receive = receive
        self._limit_bytes = settings.max_body_bytes
        self._pause_s = settings.upload_pause_s
        self._read_bytes = 0
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            with anyio.fail_after(self._pause_s):
                message = await self._receive()
        except TimeoutError:
            raise Refused(
                408, f"nothing came for {self._pause_s:g} s in the middle of the upload: send it again"
            ) from None
        self._read_bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._read_bytes > self._limit_bytes:
            raise _too_large(self._limit_bytes)
        return message


def _too_large(limit_bytes: int) -> Refused:
    return Refused(413, f"at most {limit_bytes:,} bytes can be sent: cut the recording or compress it", _LAST)
