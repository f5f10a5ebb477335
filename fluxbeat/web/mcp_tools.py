"""`analyze` and `compare` as MCP tools: beside the page over HTTP, or for the one client that started this program."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from inspect import getdoc
from typing import Any

from anyio import create_task_group
from fastapi import FastAPI
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.server.fastmcp.server import StreamableHTTPASGIApp
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import Route

from fluxbeat.errors import FluxBeatError
from fluxbeat.web.api.request_limits import RequestLimits
from fluxbeat.web.programs import Programs
from fluxbeat.web.service import Service, start_service
from fluxbeat.web.settings import read_settings
from fluxbeat.web.temporary_folder import leave_own_folder, use_own_folder

PATH = "/gradio_api/mcp"
MOST_BYTES = 64 << 20
"""Largest request: a recording that comes as text lies in memory, several times over."""


def tools(service: Service) -> FastMCP:
    """The tools of a service; their descriptions are what a language model reads."""
    programs = Programs(service)
    below = " or ".join(f"below {folder}" for folder in programs.folders) or "as an upload to this server is answered"
    takes = (
        f"file is the path of a recording, {below}, the address of an upload, or data:audio/mpeg;base64,... "
        f"Models are {', '.join(programs.names)}; where none is named {programs.default} answers."
    )
    server: FastMCP = FastMCP(
        "FluxBeat",
        log_level="WARNING",
        stateless_http=True,
        max_request_body_size=MOST_BYTES,
        # by which names the server may be called is asked of every request to it: `KnownHosts`
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )

    async def asked(context: Context, file: str, models: Sequence[str], tempo_bpm: float) -> list[dict[str, Any]]:
        async with create_task_group() as telling:

            def report(share: float, doing: str) -> None:
                telling.start_soon(context.report_progress, share, 1.0, doing)

            try:
                return await programs.analyses(programs.recording(file), None, models, tempo_bpm, report)
            except FluxBeatError as error:  # raised in here it would be one of a group
                refused = error
        raise ToolError(str(refused))

    async def analyze(file: str, context: Context, model: str = "", tempo_bpm: float = 0.0) -> str:
        """Genres with their probabilities, tempo in BPM, a timeline of both, and the segments of a piece of music.

        tempo_bpm is what the tempo is, if you know better than the model."""
        found = await asked(context, file, [model or programs.default], tempo_bpm)
        return json.dumps(found[0], ensure_ascii=False)

    async def compare(file: str, context: Context, models: list[str] | None = None) -> str:
        """What analyze gives, of several models, or of all, for the same piece of music."""
        return json.dumps(await asked(context, file, models or programs.names, 0.0), ensure_ascii=False)

    for tool in (analyze, compare):
        server.add_tool(tool, description=f"{getdoc(tool)}\n\n{takes}", structured_output=False)
    return server


def add_tools(site: FastAPI, service: Service) -> None:
    """Offer the tools at `PATH`, while the site is running."""
    server, before = tools(service), site.router.lifespan_context
    server.streamable_http_app()  # there is no session manager before
    answering = RequestLimits(StreamableHTTPASGIApp(server.session_manager), service)
    site.routes.extend(Route(path, answering) for path in (PATH, f"{PATH}/"))

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[Any]:
        async with server.session_manager.run(), before(app) as state:
            yield state

    site.router.lifespan_context = running


def serve_client(folders: Sequence[str]) -> None:
    """Answer the client that started this program, over standard input and output, until it closes them.

    Parameters
    ----------
    folders : sequence of str
        As `WebSettings.folders`; those of the environment where none is given.

    Raises
    ------
    FluxBeatError
        If a folder is none, or there is no working model.
    """
    settings = read_settings(**({"folders": folders} if folders else {}))
    use_own_folder()
    try:
        tools(start_service(settings)).run()
    finally:
        leave_own_folder()
