"""The web app as one ASGI program: its own files first, then the Gradio page at the root."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.responses import Response
from starlette.types import Scope
from starlette.websockets import WebSocket

from fluxbeat.charts import FIGURES_CSS, PAINTED_JS, WORDING_JS
from fluxbeat.charts.plotly_script import plotly_script
from fluxbeat.web.service import Service
from fluxbeat.web.ui.example_tracks import FOLDER as EXAMPLES
from fluxbeat.web.ui.example_tracks import ExampleAnswers, read_examples
from fluxbeat.web.ui.gradio_internals import fetch_nothing, guard_paths
from fluxbeat.web.ui.live_tab import LIVE_ROUTE
from fluxbeat.web.ui.page import build_page
from fluxbeat.web.ui.theme import page_theme

STATIC_ROUTE = "/static/fluxbeat"  # below Gradio's own /static, which must stay reachable
SENT_AS_THEY_ARE = tuple(kind for kind in DEFAULT_EXCLUDED_CONTENT_TYPES if kind != "text/event-stream")
"""Kinds of answers that are not packed. Streams of events are, each piece at once: the page's figures come on them."""
_STATIC = Path(__file__).resolve().parent / "static"
_STYLES = ("fluxbeat", "stage", "gradio_page", "header", "player_bar", "compare", "explain", "library", "live", "teach")
_HEAD = """
<link rel="icon" type="image/svg+xml" href="static/fluxbeat/favicon.svg">
<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="static/fluxbeat/page_sizes.css">
<script type="module" src="static/fluxbeat/fluxbeat.js"></script>
"""


class _FreshFiles(StaticFiles):
    """Files that browsers ask for again after an update."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _serve_script(app: FastAPI, script: Path) -> None:
    """A script from elsewhere in the package, beside the page's own."""

    @app.get(f"{STATIC_ROUTE}/{script.name}", include_in_schema=False)
    def served() -> FileResponse:
        return FileResponse(script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


def _once_it_runs(app: FastAPI, answers: ExampleAnswers) -> None:
    """Have ready what every page opens with, its first example analysed: begun as soon as the program answers."""
    before = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[Any]:
        async with before(running) as state:
            threading.Thread(target=plotly_script, daemon=True, name="plotly script").start()
            answers.begin()
            yield state

    app.router.lifespan_context = lifespan


def add_page(app: FastAPI, service: Service) -> FastAPI:
    """The program with the page at its root; its own routes keep their precedence."""
    answers = ExampleAnswers(read_examples(), list(service.models.values()), service.queue)
    page = build_page(service, answers)
    _once_it_runs(app, answers)
    guard_paths(page)  # or a mounted page would read any file
    fetch_nothing()
    app.add_middleware(GZipMiddleware, exclude_content_types=SENT_AS_THEY_ARE)

    @app.get(f"{STATIC_ROUTE}/plotly.min.js", include_in_schema=False)
    def plotly() -> Response:
        return Response(plotly_script(), media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})

    for script in (PAINTED_JS, WORDING_JS):
        _serve_script(app, script)

    @app.websocket(f"/{LIVE_ROUTE}")
    async def live(socket: WebSocket) -> None:
        await service.live.serve(socket, service.models)

    app.mount(STATIC_ROUTE, _FreshFiles(directory=_STATIC), name="fluxbeat-static")
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=page_theme(),
        css_paths=[FIGURES_CSS, *(_STATIC / f"{name}.css" for name in _STYLES)],
        head=_HEAD,
        favicon_path=str(_STATIC / "favicon.svg"),
        allowed_paths=[str(EXAMPLES)],
        max_file_size=service.settings.max_body_bytes,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        show_error=True,
        mcp_server=False,
    )
