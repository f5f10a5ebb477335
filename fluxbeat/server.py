"""One address for everything: the REST service, and the web page above it unless the service is to be alone."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from fluxbeat.errors import FluxBeatError
from fluxbeat.temporary_folder import leave_own_folder, use_own_folder

DEFAULT_PORT = 7860


def build_app(api_only: bool = False, told: str = "", bound: str = "") -> FastAPI:
    """The web page with the REST service beside it, or the service alone; temporary files get a folder of their own.

    Parameters
    ----------
    api_only : bool
        Without the page; Gradio is then not even imported.
    told, bound : str
        The address that the server was told to listen on, and the numeric one that it is; empty where they are not
        known. A program that only this machine can reach answers to no other machine's name, see `names_to_know`.

    Raises
    ------
    FluxBeatError
        If the settings make no sense, or there is no working model.
    """
    from fluxbeat.api import KnownHosts, PageKey, build_api_alone, build_site, names_to_know, settings_from

    use_own_folder()
    settings = settings_from()
    if api_only:
        app = build_api_alone(settings)
    else:
        from fluxbeat.ui import app_shell
        from fluxbeat.ui.limits import PageLimits

        limits = PageLimits(
            settings.max_body_bytes, settings.max_duration_s, settings.analyses_at_once, settings.waiting_at_most
        )
        app = app_shell.build_app(onto=build_site(settings), limits=limits)
        if settings.key and not settings.open_page:
            app.add_middleware(PageKey, key=settings.key)
    if names := names_to_know(settings, told, bound):
        app.add_middleware(KnownHosts, names=names, cors_origins=settings.cors_origins)
    return _leaving_nothing(app)


def _leaving_nothing(app: FastAPI) -> FastAPI:
    """Have temporary files removed when the program is shut down: a signal ends the process without further ado."""
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[Any]:
        async with inner(running) as state:
            yield state
        leave_own_folder()

    app.router.lifespan_context = lifespan
    return app


def serve(host: str | None = None, port: int | None = None, api_only: bool = False) -> None:
    """Serve the web app and the REST service until interrupted.

    Parameters
    ----------
    host : str, optional
        Address to listen on; else $GRADIO_SERVER_NAME; else every address on a Hugging Face Space, and this
        machine only anywhere else.
    port : int, optional
        Else $GRADIO_SERVER_PORT, else 7860; 0 takes a free one.
    api_only : bool
        As in `build_app`.

    Raises
    ------
    FluxBeatError
        If the address cannot be used, or there is no working model.
    """
    host = host or os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")
    if port is None:
        port = _port_of_environment()
    listener = _bound(host, port)
    with listener:
        try:
            config = uvicorn.Config(
                build_app(api_only, host, listener.getsockname()[0]), log_level="warning", timeout_graceful_shutdown=3
            )
            _AnnouncingServer(config).run(sockets=[listener])
        except KeyboardInterrupt:
            return
        finally:
            leave_own_folder()


def _port_of_environment() -> int:
    text = os.environ.get("GRADIO_SERVER_PORT") or str(DEFAULT_PORT)
    if not text.isdecimal():
        raise FluxBeatError(f"GRADIO_SERVER_PORT must be a number, got {text!r}")
    return int(text)


class _AnnouncingServer(uvicorn.Server):
    """Says where the page is, once it is there."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
            print(f"FluxBeat is at http://{shown}:{port}/  (Ctrl+C ends it)", file=sys.stdout, flush=True)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that holds the address, so that a port in use is known before the models are loaded."""
    if not 0 <= port <= 65535:
        raise FluxBeatError(f"port must be 0 to 65535, got {port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise FluxBeatError(f"{host!r} is no address of this machine: try --host 127.0.0.1") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            why = "is in use: stop the other program, or choose another port with --port"
        elif error.errno == errno.EACCES:
            why = "may not be used by this account: choose a port above 1023 with --port"
        else:
            why = f"cannot be listened on ({error.strerror}): try --host 127.0.0.1"
        raise FluxBeatError(f"port {port} on {host} {why}") from error
    return listener
