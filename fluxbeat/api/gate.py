"""What is asked of a request before its body is read: the key, its size, and a place in the line."""

from __future__ import annotations

import secrets
from contextlib import ExitStack

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fluxbeat.api.line import Line
from fluxbeat.api.problems import Refused
from fluxbeat.api.settings import ApiSettings

OPEN_PATHS = {"/health", "/docs", "/openapi.json"}
OPEN_FOLDER = "/static-offline-docs/"
"""Without a key: what says that the service lives, and how to use it."""
POLICY_VIOLATION = 1008


def key_sent(headers: Headers) -> str:
    """What a client gives as its key; empty where it gives none."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key") or (token.strip() if kind.lower() == "bearer" else "")


def is_key(given: str, key: str) -> bool:
    """Whether this is the key; takes the same time however much of it is right."""
    # Starlette reads headers as Latin-1: this gives back the bytes that were sent
    return secrets.compare_digest(given.encode("latin-1"), key.encode())


class Gate:
    """ASGI layer in front of all routes, those of WebSockets too."""

    def __init__(self, app: ASGIApp, settings: ApiSettings, line: Line) -> None:
        self._app = app
        self._settings = settings
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        with ExitStack() as stack:
            try:
                self._check_key(scope)
                if scope["type"] == "http" and scope["method"] == "POST":
                    self._check_announced_size(scope)
                    stack.enter_context(self._line.place())
                    receive = _BodyReader(receive, self._settings)
            except Refused as refused:
                await _refuse(refused, scope, receive, send)
                return
            await self._app(scope, receive, send)

    def _check_key(self, scope: Scope) -> None:
        if not self._settings.key or _is_open(scope):
            return
        given = key_sent(Headers(scope=scope))
        if not is_key(given, self._settings.key):
            found = "this one is not valid" if given else "none was sent"
            raise Refused(
                401,
                f"a key is needed and {found}: send it as X-API-Key or as Authorization: Bearer",
                {"WWW-Authenticate": "Bearer"},
            )

    def _check_announced_size(self, scope: Scope) -> None:
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self._settings.max_body_bytes:
            raise _too_large(self._settings.max_body_bytes)


class _BodyReader:
    """The body as it comes in: counted, and not waited for forever."""

    def __init__(self, receive: Receive, settings: ApiSettings) -> None:
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


def _is_open(scope: Scope) -> bool:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return scope["type"] == "http" and (path in OPEN_PATHS or path.startswith(OPEN_FOLDER))


def _too_large(limit_bytes: int) -> Refused:
    return Refused(413, f"at most {limit_bytes:,} bytes can be sent: cut the recording or compress it", _LAST)


_LAST = {"Connection": "close"}  # the rest of the body is not wanted


async def _refuse(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refused.detail[:120]})
    else:
        await refused.response(scope, receive, send)
