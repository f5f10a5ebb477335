"""The web app as one ASGI program: its own files first, then the Gradio page at the root."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from fluxbeat.charts import FIGURES_CSS, PAINTED_JS
from fluxbeat.errors import FluxBeatError, ModelLoadError
from fluxbeat.ui.examples_shelf import FOLDER as EXAMPLES
from fluxbeat.ui.page import build_page
from fluxbeat.ui.theme import page_theme
from fluxbeat.zoo import checkpoints_folder, load, load_all

DEFAULT_PORT = 7860
UPLOAD_LIMIT = "500mb"
STATIC_ROUTE = "/static/fluxbeat"  # below Gradio's own /static, which must stay reachable
_STATIC = Path(__file__).resolve().parent / "static"
_HEAD = """
<link rel="icon" type="image/svg+xml" href="static/fluxbeat/favicon.svg">
<meta name="color-scheme" content="light dark">
<script type="module" src="static/fluxbeat/fluxbeat.js"></script>
"""


class _FreshFiles(StaticFiles):
    """Files that browsers ask for again after an update."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def build_app(models: Sequence[str] | None = None, onto: FastAPI | None = None) -> FastAPI:
    """The web app.

    Parameters
    ----------
    models : sequence of str, optional
        Models to offer, as `fluxbeat.load` takes them; all bundled ones where not given.
    onto : FastAPI, optional
        Program to add the page to; its routes keep their precedence.

    Raises
    ------
    ModelLoadError
        If there is no model, or one cannot be loaded.
    """
    offered = [load(name) for name in models] if models is not None else load_all()
    if not offered:
        raise ModelLoadError(f"no models found in {checkpoints_folder().name}/: install FluxBeat with its checkpoints")
    page = build_page(offered)
    app = onto or FastAPI(title="FluxBeat", docs_url=None, redoc_url=None, openapi_url=None)
    plotly = Path(str(files("plotly"))) / "package_data" / "plotly.min.js"

    @app.get(f"{STATIC_ROUTE}/plotly.min.js", include_in_schema=False)
    def plotly_script() -> FileResponse:
        return FileResponse(plotly, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})

    @app.get(f"{STATIC_ROUTE}/{PAINTED_JS.name}", include_in_schema=False)
    def painted_script() -> FileResponse:
        return FileResponse(PAINTED_JS, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    app.mount(STATIC_ROUTE, _FreshFiles(directory=_STATIC), name="fluxbeat-static")
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=page_theme(),
        css_paths=[FIGURES_CSS, _STATIC / "fluxbeat.css"],
        head=_HEAD,
        favicon_path=str(_STATIC / "favicon.svg"),
        allowed_paths=[str(EXAMPLES)],
        max_file_size=UPLOAD_LIMIT,
        footer_links=["settings"],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        show_error=True,
    )


def serve(host: str | None = None, port: int | None = None, onto: FastAPI | None = None) -> None:
    """Serve the web app until it is interrupted.

    Parameters
    ----------
    host : str, optional
        Address to listen on; else $GRADIO_SERVER_NAME; else every address on a Hugging Face Space, and this
        machine only anywhere else.
    port : int, optional
        Else $GRADIO_SERVER_PORT, else 7860; 0 takes a free one.
    onto : FastAPI, optional
        As in `build_app`.

    Raises
    ------
    FluxBeatError
        If the address cannot be used, or there is no working model.
    """
    host = host or os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")
    if port is None:
        port = int(os.environ.get("GRADIO_SERVER_PORT") or DEFAULT_PORT)
    listener = _bound(host, port)
    with listener:
        app = build_app(onto=onto)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)
        try:
            _AnnouncingServer(config).run(sockets=[listener])
        except KeyboardInterrupt:
            return


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
