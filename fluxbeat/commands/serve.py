"""`fluxbeat serve`: the web app."""

from __future__ import annotations

import argparse

from fluxbeat.commands.registering import Commands, command


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    serve = command(commands, "serve", _serve, "Serve the web app.")
    serve.add_argument("--host", default=None)
    serve.add_argument("--port", type=int, default=None)


def _serve(options: argparse.Namespace) -> int:
    from fluxbeat.ui.app_shell import serve

    serve(host=options.host, port=options.port)
    return 0
