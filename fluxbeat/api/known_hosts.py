"""For which names a server answers: a page elsewhere may call this machine by a name of its own, and then ask it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fluxbeat.api.gate import POLICY_VIOLATION
from fluxbeat.api.problems import Refused
from fluxbeat.api.program import is_below_prefix
from fluxbeat.api.settings import ANY_HOST, HOSTS_VARIABLE, ApiSettings

_CHANGES_NOTHING = ("GET", "HEAD", "OPTIONS")


class KnownHosts:
    """ASGI layer around a site that answers only where it is called by a name of this machine, or by one of its own.

    A host name that an attacker makes point to this machine is refused, and so is what a page of another host sends:
    every request but GET, HEAD and OPTIONS, and every WebSocket. Below `PREFIX` the pages that `cors_origins` names
    may send.

    Parameters
    ----------
    app : ASGI program
    names : sequence of str
        Host names without ports, beside those of this machine.
    cors_origins : sequence of str
        As in `ApiSettings`.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str], cors_origins: Sequence[str] = ()) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._cors_origins = frozenset(cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = "" if scope["type"] == "lifespan" else self._refusal(scope)
        if not why:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": why[:120]})
        else:
            await _answer(scope, why)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str:
        """Why this request is not answered; empty where it is."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_known(f"//{host}"):
            return f"this server is not called {host[:80]!r}: ask for 127.0.0.1, or name it in {HOSTS_VARIABLE}"
        sends = scope["type"] == "websocket" or scope["method"] not in _CHANGES_NOTHING
        if sends and origin is not None and not self._may_send(origin, scope):
            return f"a page of {origin[:80]!r} may not use this server, which is meant for its own page and programs"
        return ""

    def _may_send(self, origin: str, scope: Scope) -> bool:
        named = bool(self._cors_origins & {"*", origin})
        return self._is_known(origin) or (named and is_below_prefix(scope))

    def _is_known(self, address: str) -> bool:
        try:
            name = urlsplit(address).hostname or ""
        except ValueError:
            return False
        return name in self._names or _is_this_machine(name)


def names_to_know(settings: ApiSettings, told: str, bound: str) -> tuple[str, ...]:
    """The names that a server must be called by; empty where any will do.

    Parameters
    ----------
    settings : ApiSettings
    told : str
        What the server was told to listen on, maybe a name; empty where that is not known.
    bound : str
        The numeric address that this is; empty where that is not known.
    """
    if ANY_HOST in settings.hosts:
        return ()
    return (*settings.hosts, told) if is_loopback(bound) else settings.hosts


def is_loopback(address: str) -> bool:
    """Whether this is a numeric address that only this machine can reach."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_this_machine(name: str) -> bool:
    # whoever types the address that means "all of mine" reaches this machine
    return name in ("localhost", "0.0.0.0", "::") or name.endswith(".localhost") or is_loopback(name)


def _answer(scope: Scope, why: str) -> Response:
    return Refused(403, why).response if is_below_prefix(scope) else PlainTextResponse(why, 403)
