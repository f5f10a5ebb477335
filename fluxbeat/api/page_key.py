"""The service's key in front of the page and all else on its port: a login that every browser has built in."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fluxbeat.api.gate import POLICY_VIOLATION, is_key, key_sent
from fluxbeat.api.program import is_below_prefix

COOKIE = "fluxbeat-page"
_CURE = "A key is needed: give it as password (any user name will do), or send it as X-API-Key."


class PageKey:
    """ASGI layer around a site; below `PREFIX` the service asks for the key itself.

    A browser that gave the key also gets a cookie, since not every one sends a login with WebSockets. The cookie proves
    that the key was known and does not tell it; another key makes it worthless.

    Parameters
    ----------
    app : ASGI program
    key : str
        As in `ApiSettings`.
    """

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key
        self._proof = hmac.new(key.encode(), b"may see the page", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or is_below_prefix(scope):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if is_key(key_sent(headers), self._key) or self._has_proof(headers):
            await self._app(scope, receive, send)
        elif is_key(_password(headers), self._key):
            await self._app(scope, receive, self._with_proof(scope, send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "a key is needed"})
        else:
            asking = {"WWW-Authenticate": 'Basic realm="FluxBeat", charset="UTF-8"', "Cache-Control": "no-store"}
            await PlainTextResponse(_CURE, 401, asking)(scope, receive, send)

    def _has_proof(self, headers: Headers) -> bool:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        return COOKIE in cookies and is_key(cookies[COOKIE].value, self._proof)

    def _with_proof(self, scope: Scope, send: Send) -> Send:
        secure = "; Secure" if scope["scheme"] == "https" else ""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{COOKIE}={self._proof}; Path=/; HttpOnly; SameSite=Strict{secure}"
                MutableHeaders(scope=message).append("Set-Cookie", cookie)
            await send(message)

        return sending


def _password(headers: Headers) -> str:
    """The password of a basic login (RFC 7617), as `is_key` takes it; empty where there is none."""
    kind, _, login = headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(login, validate=True).decode("latin-1").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
