"""The command line: `fluxbeat COMMAND`, the same as `python -m fluxbeat COMMAND`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fluxbeat.cli.options import parser
from fluxbeat.cli.output import FAILED, STOPPED, complain, discard_output, hold_any_character
from fluxbeat.errors import FluxBeatError

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
    program = parser()
    options = program.parse_args(arguments)
    if options.run is None:
        program.print_help(sys.stderr)
        return FAILED
    try:
        status: int = options.run(options)
        return status
    except FluxBeatError as error:
        complain(error)
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module == "fluxbeat":
            raise
        cure = f"'fluxbeat[{EXTRAS[module]}]'" if module in EXTRAS else module
        complain(f"{module} is not installed; install it with: pip install {cure}")
    except KeyboardInterrupt:
        complain("stopped")
        return STOPPED
    return FAILED
