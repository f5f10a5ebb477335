"""What is asked of a request before its body is read, and while it is: a place in the queue, its size, and no pause."""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fluxbeat.web.analysis_queue import QueueFullError
from fluxbeat.web.problems import Refused
from fluxbeat.web.security import refuse
from fluxbeat.web.service import Service

COME_BACK_S = 10
ADDING, MOST_WORDS_BYTES = "/models", 20_000
"""What is posted there is read into memory at once, whoever sends it."""
_LAST = {"Connection": "close"}  # the rest of the body is not wanted


class RequestLimits:
    """ASGI layer in front of all routes that take a body: recordings, and the few words of `ADDING`."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._settings, self._queue = service.settings, service.queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        most_bytes = MOST_WORDS_BYTES if scope["path"].endswith(ADDING) else self._settings.max_body_bytes
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > most_bytes:
            await refuse(_too_large(most_bytes), scope, receive, send)
            return
        try:
            with self._queue.place():
                await self._app(scope, _body_reader(receive, most_bytes, self._settings.upload_pause_s), send)
        except QueueFullError as full:
            await refuse(Refused(429, str(full), {"Retry-After": str(COME_BACK_S)}), scope, receive, send)


def _body_reader(receive: Receive, limit_bytes: int, pause_s: float) -> Receive:
    """The body as it comes in: counted, and not waited for forever."""
    read_bytes, complete = 0, False

    async def receive_body() -> Message:
        nonlocal read_bytes, complete
        if complete:
            return await receive()
        try:
            with anyio.fail_after(pause_s):
                message = await receive()
        except TimeoutError:
            words = f"nothing came for {pause_s:g} s in the middle of the upload: send it again"
            raise Refused(408, words) from None
        read_bytes += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if read_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        return message

    return receive_body


def _too_large(limit_bytes: int) -> Refused:
    return Refused(413, f"at most {limit_bytes:,} bytes can be sent: cut the recording or compress it", _LAST)
