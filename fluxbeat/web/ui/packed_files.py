"""The page's own scripts and styles, and the page itself, packed for the way to the browser."""

from __future__ import annotations

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

import brotli
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_BYTES = 500
"""Smaller answers are sent as they are."""
BROTLI_QUALITY, GZIP_LEVEL = 9, 6
"""Of Plotly, 4.8 MB, brotli makes 1.23 MB in half a second; at quality 11 it would be 1.11 MB in 10 s."""
KEPT = 128
"""Packed files that are kept in memory, by their content and encoding."""
_TEXT = ("text/", "application/javascript", "application/json", "image/svg+xml")
_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "br": lambda content: bytes(brotli.compress(content, quality=BROTLI_QUALITY)),
    "gzip": lambda content: gzip.compress(content, GZIP_LEVEL, mtime=0),
}


class Packed:
    """ASGI layer that packs text that is answered at some paths, once for each content.

    Parameters
    ----------
    app : ASGIApp
    pages : sequence of str
        Paths whose answers are made anew each time: packed, not kept.
    folders : sequence of str
        Beginnings of paths whose answers stay as they are: packed once, and kept.
    """

    def __init__(self, app: ASGIApp, pages: Sequence[str], folders: Sequence[str]) -> None:
        self._app, self._pages, self._folders = app, frozenset(pages), tuple(folders)
        self._kept: OrderedDict[tuple[bytes, str], bytes] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        encoding = self._encoding(scope)
        if not encoding:
            await self._app(scope, receive, send)
            return
        start: Message = {}
        parts: list[bytes] = []
        packing = False

        async def pack(message: Message) -> None:
            nonlocal start, packing
            if message["type"] == "http.response.start":
                start, headers = message, MutableHeaders(scope=message)
                headers.add_vary_header("Accept-Encoding")
                packing = (
                    message["status"] == 200
                    and "content-encoding" not in headers
                    and headers.get("content-type", "").startswith(_TEXT)
                )
                if not packing:
                    await send(message)
            elif not packing or message["type"] != "http.response.body":
                await send(message)
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._send(start, b"".join(parts), encoding, scope, send)

        await self._app(scope, receive, pack)

    def _encoding(self, scope: Scope) -> str:
        """How this answer may be packed; empty where it may not."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return ""
        if scope["path"] not in self._pages and not scope["path"].startswith(self._folders):
            return ""
        headers = Headers(scope=scope)
        if "range" in headers:
            return ""
        accepted = {one.split(";")[0].strip() for one in headers.get("accept-encoding", "").lower().split(",")}
        return next((name for name in _PACKERS if name in accepted), "")

    async def _send(self, start: Message, content: bytes, encoding: str, scope: Scope, send: Send) -> None:
        if len(content) >= LEAST_BYTES:
            content = self._packed(content, encoding, keep=scope["path"] not in self._pages)
            headers = MutableHeaders(scope=start)
            headers["Content-Encoding"] = encoding
            headers["Content-Length"] = str(len(content))
        await send(start)
        await send({"type": "http.response.body", "body": content, "more_body": False})

    def _packed(self, content: bytes, encoding: str, keep: bool) -> bytes:
        if not keep:
            return _PACKERS[encoding](content)
        key = (hashlib.sha256(content).digest(), encoding)
        if key not in self._kept:
            self._kept[key] = _PACKERS[encoding](content)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]
