"""FluxBeat's web app and REST service: `python app.py [--host HOST] [--port PORT]`, or `uvicorn app:app`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page; returns the exit status."""
    parser = argparse.ArgumentParser(prog="app.py", description="Serve FluxBeat's web page and REST service.")
    parser.add_argument("--host", help="address to listen on (default: this machine only, on a Space all)")
    parser.add_argument("--port", type=int, help="default: 7860; 0 takes a free one")
    options = parser.parse_args(arguments)

    from fluxbeat.errors import FluxBeatError

    try:
        from fluxbeat.web.server import serve

        serve(options.host, options.port)
    except FluxBeatError as error:
        print(f"fluxbeat: {error}", file=sys.stderr)
        return 1
    return 0


def __getattr__(name: str) -> Any:
    """Build `app` when a server asks for it, so that `python app.py --help` answers at once."""
    if name != "app":
        raise AttributeError(f"module 'app' has no attribute {name!r}")
    from fluxbeat.errors import FluxBeatError

    try:
        from fluxbeat.web.server import build_app

        globals()["app"] = build_app()
    except FluxBeatError as error:
        sys.exit(f"fluxbeat: {error}")
    return globals()["app"]


if __name__ == "__main__":
    sys.exit(main())
