"""The page's own scripts and styles, the page itself, and what it is told, packed for the way to the browser."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import brotli
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_BYTES = 500
"""Smaller answers are sent as they are."""
BROTLI_QUALITY, GZIP_LEVEL = 9, 6
"""Of what we send of Plotly, 1.15 MB, brotli makes 352 kB in 0.2 s; at quality 11 it would be 323 kB in 2 s."""
KEPT = 128
"""Packed files that are kept in memory, by their content and encoding."""
STREAM_QUALITY, STREAM_WINDOW_BITS = 5, 18
"""Of what is packed while it is made: each stream holds 256 kB of what went before, in which it finds repeats."""
_GZIP_WBITS = 31  # zlib's word for 32 kB of memory in the format of gzip
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
                packing = _may_be_packed(message, headers)
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
        return "" if "range" in headers else _accepted(headers)

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


class PackedStreams:
    """ASGI layer that packs text at some paths piece by piece: each piece is with the browser as soon as it is sent.

    Parameters
    ----------
    app : ASGIApp
    paths : sequence of str
        Whose answers, streams of events among them, are packed while they are made.
    """

    def __init__(self, app: ASGIApp, paths: Sequence[str]) -> None:
        self._app, self._paths = app, frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        packs = scope["type"] == "http" and scope["path"] in self._paths
        encoding = _accepted(Headers(scope=scope)) if packs else ""
        if not encoding:
            await self._app(scope, receive, send)
            return
        stream: _Stream | None = None

        async def pack(message: Message) -> None:
            nonlocal stream
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Accept-Encoding")
                if _may_be_packed(message, headers):
                    stream = _STREAMS[encoding]()
                    headers["Content-Encoding"] = encoding
                    del headers["Content-Length"]
            elif stream and message["type"] == "http.response.body":
                piece = stream.pack(message.get("body", b""))
                message = {**message, "body": piece if message.get("more_body", False) else piece + stream.end()}
            await send(message)

        await self._app(scope, receive, pack)


class _Stream(Protocol):
    def pack(self, piece: bytes) -> bytes:
        """The piece packed, so that it can be unpacked before the next one comes."""

    def end(self) -> bytes:
        """What must follow the last piece."""


class _Brotli:
    def __init__(self) -> None:
        self._packer = brotli.Compressor(quality=STREAM_QUALITY, lgwin=STREAM_WINDOW_BITS)

    def pack(self, piece: bytes) -> bytes:
        return bytes(self._packer.process(piece) + self._packer.flush())

    def end(self) -> bytes:
        return bytes(self._packer.finish())


class _Gzip:
    def __init__(self) -> None:
        self._packer = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP_WBITS)

    def pack(self, piece: bytes) -> bytes:
        return self._packer.compress(piece) + self._packer.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._packer.flush()


_STREAMS: dict[str, Callable[[], _Stream]] = {"br": _Brotli, "gzip": _Gzip}


def _accepted(headers: Headers) -> str:
    """The best of our encodings that a browser takes; empty where it takes none, or says that it will not."""
    accepted = set()
    for one in headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = one.replace(" ", "").partition(";q=")
        if not weight or weight.strip("0.") != "":
            accepted.add(name)
    return next((name for name in _PACKERS if name in accepted), "")


def _may_be_packed(start: Message, headers: MutableHeaders) -> bool:
    """Whether this answer is text that nobody packed yet."""
    text = headers.get("content-type", "").startswith(_TEXT)
    return start["status"] == 200 and text and "content-encoding" not in headers
