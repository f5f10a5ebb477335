"""`fluxbeat serve`, the web app and the REST service, and `fluxbeat mcp`, the same for a client that starts it."""

from __future__ import annotations

import argparse

from fluxbeat.cli.registering import Commands, command


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    serve = command(commands, "serve", _serve, "Serve the web app and, under /api/v1, the REST service.")
    serve.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    serve.add_argument("--port", type=int, default=None, help="default: 7860; 0 takes a free one")
    serve.add_argument("--api-only", action="store_true", help="the REST service without the page")
    mcp = command(commands, "mcp", _mcp, "Tools for a desktop client that starts this command and speaks MCP to it.")
    mcp.add_argument("folders", nargs="*", metavar="FOLDER", help="below these, and nowhere else, it may name a file")


def _serve(options: argparse.Namespace) -> int:
    from fluxbeat.web.server import serve

    serve(options.host, options.port, options.api_only)
    return 0


def _mcp(options: argparse.Namespace) -> int:
    from fluxbeat.web.mcp_tools import serve_client

    serve_client(options.folders)
    return 0
