"""The web app as one ASGI program: its own files first, then the Gradio page at the root."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope
from starlette.websockets import WebSocket

from fluxbeat.charts import FIGURES_CSS, PAINTED_JS
from fluxbeat.errors import ModelLoadError
from fluxbeat.live_socket import SESSIONS
from fluxbeat.ui.client_functions import mcp_wanted
from fluxbeat.ui.examples_shelf import FOLDER as EXAMPLES
from fluxbeat.ui.limits import PageLimits
from fluxbeat.ui.live_tab import LIVE_ROUTE
from fluxbeat.ui.page import build_page
from fluxbeat.ui.theme import page_theme
from fluxbeat.zoo import checkpoints_folder, load, load_all

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


def build_app(
    models: Sequence[str] | None = None, onto: FastAPI | None = None, limits: PageLimits | None = None
) -> FastAPI:
    """The web app.

    Parameters
    ----------
    models : sequence of str, optional
        Models to offer, as `fluxbeat.load` takes them; all bundled ones where not given.
    onto : FastAPI, optional
        Program to add the page to; its routes keep their precedence.
    limits : PageLimits, optional
        Of the page and its functions for programs; not those of the routes of `onto`.

    Raises
    ------
    ModelLoadError
        If there is no model, or one cannot be loaded.
    """
    offered = [load(name) for name in models] if models is not None else load_all()
    if not offered:
        raise ModelLoadError(f"no models found in {checkpoints_folder().name}/: install FluxBeat with its checkpoints")
    limits = limits or PageLimits()
    page = build_page(offered, limits)
    # Gradio refuses paths that nobody uploaded only for pages it launched itself: a mounted one would read any file
    page.has_launched = True
    app = onto or FastAPI(title="FluxBeat", docs_url=None, redoc_url=None, openapi_url=None)
    by_name = {model.info.name: model for model in offered}
    plotly = Path(str(files("plotly"))) / "package_data" / "plotly.min.js"

    @app.get(f"{STATIC_ROUTE}/plotly.min.js", include_in_schema=False)
    def plotly_script() -> FileResponse:
        return FileResponse(plotly, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})

    @app.get(f"{STATIC_ROUTE}/{PAINTED_JS.name}", include_in_schema=False)
    def painted_script() -> FileResponse:
        return FileResponse(PAINTED_JS, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    @app.websocket(f"/{LIVE_ROUTE}")
    async def live(socket: WebSocket) -> None:
        await SESSIONS.serve(socket, by_name)

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
        max_file_size=limits.max_upload_bytes,
        footer_links=["settings"],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        show_error=True,
        mcp_server=mcp_wanted(),
    )
