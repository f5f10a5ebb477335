"""One address for everything: the REST service, and the web page above it unless the service is to be alone."""

from __future__ import annotations

import os
import socket

import uvicorn
from fastapi import FastAPI

from fluxbeat.errors import FluxBeatError
from fluxbeat.web.settings import port_of_environment, read_settings
from fluxbeat.web.temporary_folder import leave_own_folder, use_own_folder


def build_app(api_only: bool = False, host: str = "", address: str = "") -> FastAPI:
    """The web page with the REST service beside it, or the service alone; temporary files get a folder of their own.

    Parameters
    ----------
    api_only : bool
        Without the page; Gradio is then not even imported.
    host, address : str
        The address that the server was told to listen on, and the numeric one that it is; empty where they are not
        known. A program that only this machine can reach answers to no other machine's name, see `names_to_know`.

    Raises
    ------
    FluxBeatError
        If the settings make no sense, or there is no working model.
    """
    from fluxbeat.web.api import build_api_alone, build_site
    from fluxbeat.web.programs import mcp_wanted
    from fluxbeat.web.security import KeyNeeded, KnownHosts, names_to_know
    from fluxbeat.web.service import start_service

    use_own_folder()
    settings = read_settings()
    if api_only:
        app = build_api_alone(settings)
    else:
        from fluxbeat.web.ui.app_shell import add_page

        with_tools = mcp_wanted(settings.mcp)
        service = start_service(settings)
        site = build_site(service)
        if with_tools:
            from fluxbeat.web.mcp_tools import add_tools

            add_tools(site, service)
        app = add_page(site, service)
        if os.environ.get("SPACES_ZERO_GPU"):
            from spaces.zero import startup  # which only Gradio's own `launch` would call

            startup()
        if settings.api_key and not settings.open_page:
            app.add_middleware(KeyNeeded, key=settings.api_key, page=True)
    if names := names_to_know(settings, host, address):
        app.add_middleware(KnownHosts, names=names, cors_origins=settings.cors_origins)
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
        port = port_of_environment()
    with _listening(host, port) as listener:
        address, number = listener.getsockname()[:2]
        try:
            app = build_app(api_only, host, address)
            shown = "127.0.0.1" if address in ("0.0.0.0", "::") else f"[{address}]" if ":" in address else address
            print(f"FluxBeat is at http://{shown}:{number}/  (Ctrl+C ends it)", flush=True)
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            return
        finally:
            leave_own_folder()


def _listening(host: str, port: int) -> socket.socket:
    """A socket that holds the address, so that a port in use is known before the models are loaded."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError, UnicodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]
        cure = "choose another one with --port, or try --host 127.0.0.1"
        raise FluxBeatError(f"port {port} on {host} cannot be listened on ({why}): {cure}") from error
