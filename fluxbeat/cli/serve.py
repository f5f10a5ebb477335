"""`fluxbeat serve`, the web app and the REST service, and `fluxbeat mcp`, the same for a client that starts it."""

from __future__ import annotations

import argparse

from fluxbeat.web.server import serve


def serve_command(options: argparse.Namespace) -> int:
    """Serve the web app, or the REST service alone, until a person stops it."""
    serve(options.host, options.port, options.api_only)
    return 0


def mcp_command(options: argparse.Namespace) -> int:
    """Serve the MCP tools on standard input and output, until the client ends."""
    from fluxbeat.web.mcp_tools import serve_client

    serve_client(options.folders)
    return 0
