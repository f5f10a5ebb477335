"""Who may call this server, by which names, and for what: hosts, keys, and weights from the Hub.

A page elsewhere may call this machine by a name of its own, and then ask it: `KnownHosts` answers to no such name.
`KeyNeeded` asks programs for the key of the REST service, and browsers for the same key by the login that every one has
built in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fluxbeat.web.problems import Refused, is_api_request
from fluxbeat.web.settings import ANY_HOST, HOSTS_VARIABLE, WebSettings

POLICY_VIOLATION = 1008
COOKIE = "fluxbeat-page"
OPEN_PATHS = {"/health", "/docs", "/openapi.json"}
OPEN_FOLDER = "/static-offline-docs/"
"""Without a key: what says that the service lives, and how to use it."""
HUB_REFUSAL = (
    "Only on the machine that runs this server: weights are files that it would store and run for others. "
    "Whoever runs it can allow it to everyone with FLUXBEAT_ALLOW_HUB=1."
)
_CHANGES_NOTHING = ("GET", "HEAD", "OPTIONS")
_FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via", "cf-connecting-ip")
"""Headers by which a proxy says that it speaks for somebody else."""
_KEY_NEEDED = "A key is needed: give it as password (any user name will do), or send it as X-API-Key."


def is_loopback(address: str) -> bool:
    """Whether this is a numeric address that only this machine can reach."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def is_this_machine(name: str) -> bool:
    """Whether whoever calls a server by this name reaches the machine they sit at; `this_machine.js` says the same."""
    # whoever types the address that means "all of mine" reaches this machine
    return name in ("localhost", "0.0.0.0", "::") or name.endswith(".localhost") or is_loopback(name)


def host_of(address: str) -> str:
    """Name of the host in an origin, or in a Host header after `//`; empty where there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def may_fetch_weights(allowed: bool | None, headers: Mapping[str, str], client: str) -> bool:
    """Whether a visitor may make this server fetch weights from the Hub.

    Parameters
    ----------
    allowed : bool or None
        As `WebSettings.allow_hub`: everyone, nobody, or, where it is None, those who sit at this very machine: they
        come from its own address, to its own address, through no proxy that says so, and not on a Hugging Face Space.
    headers : mapping of str to str
        Of the visitor's request, with names in small letters.
    client : str
        The address that the request came from.
    """
    if allowed is not None:
        return allowed
    if os.environ.get("SPACE_ID") or any(name in headers for name in _FORWARDED):
        return False
    origin = headers.get("origin", "")
    names = [host_of(f"//{headers.get('host', '')}"), *([host_of(origin)] if origin else [])]
    return is_loopback(client) and all(map(is_this_machine, names))


def may_use_login(allowed: bool | None, headers: Mapping[str, str], client: str) -> bool:
    """Whether a visitor may publish on the Hub under the login of whoever runs this server.

    Those who sit at this very machine may, unless `WebSettings.allow_hub` says nobody; nobody else ever may, also where
    everyone may fetch. Parameters as in `may_fetch_weights`.
    """
    return allowed is not False and may_fetch_weights(None, headers, client)


def names_to_know(settings: WebSettings, host: str, address: str) -> tuple[str, ...]:
    """The names that a server must be called by; empty where any will do.

    `host` is what it was told to listen on, maybe a name, and `address` the numeric one that this is; each is empty
    where that is not known.
    """
    if ANY_HOST in settings.hosts:
        return ()
    return (*settings.hosts, host) if is_loopback(address) else settings.hosts


class KnownHosts:
    """ASGI layer around a site that answers only where it is called by a name of this machine, or by one of its own.

    A host name that an attacker makes point to this machine is refused, and so is what a page of another host sends:
    every request but GET, HEAD and OPTIONS, and every WebSocket. To the REST service the pages that `cors_origins`
    names may send. `names` are those beside this machine's own, without ports.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str], cors_origins: Sequence[str] = ()) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._cors_origins = frozenset(cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = "" if scope["type"] == "lifespan" else self._refusal(scope)
        if not why:
            await self._app(scope, receive, send)
        elif is_api_request(scope) or scope["type"] == "websocket":
            await refuse(Refused(403, why), scope, receive, send)
        else:
            await PlainTextResponse(why, 403)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str:
        """Why this request is not answered; empty where it is."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_known(host_of(f"//{host}")):
            return f"this server is not called {host[:80]!r}: ask for 127.0.0.1, or name it in {HOSTS_VARIABLE}"
        sends = scope["type"] == "websocket" or scope["method"] not in _CHANGES_NOTHING
        if sends and origin is not None and not self._may_send(origin, scope):
            return f"a page of {origin[:80]!r} may not use this server, which is meant for its own page and programs"
        return ""

    def _may_send(self, origin: str, scope: Scope) -> bool:
        named = bool(self._cors_origins & {"*", origin})
        return self._is_known(host_of(origin)) or (named and is_api_request(scope))

    def _is_known(self, name: str) -> bool:
        return name in self._names or is_this_machine(name)


class KeyNeeded:
    """ASGI layer that asks for the key, before a body is read or a WebSocket is opened.

    A browser that gave the key also gets a cookie, since not every one sends a login with WebSockets. The cookie proves
    that the key was known and does not tell it; another key makes it worthless.

    Parameters
    ----------
    app : ASGI program
    key : str
        As `WebSettings.api_key`.
    page : bool
        Around a site rather than the REST service: below `API_PREFIX` the service asks for itself, and elsewhere the
        key may come as the password of a login or be proved by the cookie.
    """

    def __init__(self, app: ASGIApp, key: str, page: bool = False) -> None:
        self._app, self._key, self._page = app, key, page
        self._proof = hmac.new(key.encode(), b"may see the page", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (is_api_request(scope) if self._page else _is_open(scope)):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = _key_sent(headers)
        if _is_key(given, self._key) or (self._page and self._has_proof(headers)):
            await self._app(scope, receive, send)
        elif self._page and _is_key(_password(headers), self._key):
            await self._app(scope, receive, self._with_proof(scope, send))
        elif self._page and scope["type"] == "http":
            asking = {"WWW-Authenticate": 'Basic realm="FluxBeat", charset="UTF-8"', "Cache-Control": "no-store"}
            await PlainTextResponse(_KEY_NEEDED, 401, asking)(scope, receive, send)
        else:
            found = "this one is not valid" if given else "none was sent"
            words = f"a key is needed and {found}: send it as X-API-Key or as Authorization: Bearer"
            await refuse(Refused(401, words, {"WWW-Authenticate": "Bearer"}), scope, receive, send)

    def _has_proof(self, headers: Headers) -> bool:
        return _is_key(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""), self._proof)

    def _with_proof(self, scope: Scope, send: Send) -> Send:
        secure = "; Secure" if scope["scheme"] == "https" else ""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{COOKIE}={self._proof}; Path=/; HttpOnly; SameSite=Strict{secure}"
                MutableHeaders(scope=message).append("Set-Cookie", cookie)
            await send(message)

        return sending


async def refuse(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with a problem document, or close a WebSocket with its sentence."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refused.detail[:120]})
    else:
        await refused.response(scope, receive, send)


def _is_open(scope: Scope) -> bool:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return scope["type"] == "http" and (path in OPEN_PATHS or path.startswith(OPEN_FOLDER))


def _key_sent(headers: Headers) -> str:
    """What a client gives as its key; empty where it gives none."""
    kind, token = get_authorization_scheme_param(headers.get("authorization"))
    return headers.get("x-api-key") or (token.strip() if kind.lower() == "bearer" else "")


def _is_key(given: str, key: str) -> bool:
    """Whether this is the key; takes the same time however much of it is right."""
    # Starlette reads headers as Latin-1: this gives back the bytes that were sent
    return secrets.compare_digest(given.encode("latin-1"), key.encode())


def _password(headers: Headers) -> str:
    """The password of a basic login (RFC 7617), as `_is_key` takes it; empty where there is none."""
    kind, login = get_authorization_scheme_param(headers.get("authorization"))
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(login, validate=True).decode("latin-1").partition(":")[2]
    except ValueError:
        return ""
