"""`fluxbeat serve`: the web app and the REST service."""

from __future__ import annotations

import argparse

from fluxbeat.commands.registering import Commands, command


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    serve = command(commands, "serve", _serve, "Serve the web app and, under /api/v1, the REST service.")
    serve.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    serve.add_argument("--port", type=int, default=None, help="default: 7860; 0 takes a free one")
    serve.add_argument("--api-only", action="store_true", help="the REST service without the page")


def _serve(options: argparse.Namespace) -> int:
    from fluxbeat.server import serve

    serve(options.host, options.port, options.api_only)
    return 0
