"""The command line: `fluxbeat COMMAND`, the same as `python -m fluxbeat COMMAND`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fluxbeat import __version__
from fluxbeat.commands import analyze, benchmark, corpus, evaluate, explain, export, library, models, push, serve, train
from fluxbeat.commands.registering import FAILED
from fluxbeat.errors import FluxBeatError

GROUPS = (analyze, explain, library, export, models, push, benchmark, serve, evaluate, train, corpus)
"""In the order in which `fluxbeat --help` names them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 2 something failed and was named on standard error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help(sys.stderr)
        return FAILED
    try:
        status: int = options.run(options)
    except FluxBeatError as error:
        print(f"fluxbeat: {error}", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "fluxbeat":
            raise
        print(
            f"fluxbeat: {error.name} is not installed; install it with: pip install 'fluxbeat[train]'",
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        print("fluxbeat: stopped", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fluxbeat", description="See how genre and tempo flow through music.")
    parser.add_argument("--version", action="version", version=f"fluxbeat {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for group in GROUPS:
        group.add(commands)
    return parser
