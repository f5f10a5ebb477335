"""The command line: `fluxbeat COMMAND`, the same as `python -m fluxbeat COMMAND`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fluxbeat import __version__
from fluxbeat.cli import analyze, benchmark, evaluate, explain, export, library, models, push, serve, train
from fluxbeat.cli.output import complain, discard_output, hold_any_character
from fluxbeat.cli.registering import FAILED, STOPPED
from fluxbeat.errors import FluxBeatError

GROUPS = (analyze, explain, library, export, models, push, benchmark, serve, evaluate, train)
"""In the order in which `fluxbeat --help` names them."""
PIPE_CLOSED = 141
"""Exit status where the reader of a pipe has gone, as the shell gives it to a program that SIGPIPE ends."""
EXTRAS = {
    **dict.fromkeys(("gradio", "fastapi", "starlette", "uvicorn", "anyio", "websockets"), "web"),
    **dict.fromkeys(("lightning", "tensorboard", "mir_eval"), "train"),
    "ray": "scale",
    "transformers": "transformers",
    "mcp": "mcp",
}
"""What a module that is missing is installed with."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    0 done, 2 something failed and was named on standard error, 130 a person stopped it, 141 the reader of its output
    has gone.
    """
    hold_any_character()
    try:
        try:
            return _run(arguments)
        finally:
            if not sys.stdout.closed:  # as it is once a client of `fluxbeat mcp` has been served
                sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        return PIPE_CLOSED
    except OSError as error:
        if error.filename is None:
            discard_output()
            complain(f"the output cannot be written ({error.strerror or error}): check the free space")
        else:
            complain(f"{error.filename}: {error.strerror}")
    return FAILED


def _run(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help(sys.stderr)
        return FAILED
    try:
        status: int = options.run(options)
    except FluxBeatError as error:
        complain(error)
        return FAILED
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module == "fluxbeat":
            raise
        cure = f"'fluxbeat[{EXTRAS[module]}]'" if module in EXTRAS else module
        complain(f"{module} is not installed; install it with: pip install {cure}")
        return FAILED
    except KeyboardInterrupt:
        complain("stopped")
        return STOPPED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fluxbeat", description="See how genre and tempo flow through music.")
    parser.add_argument("--version", action="version", version=f"fluxbeat {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for group in GROUPS:
        group.add(commands)
    return parser
