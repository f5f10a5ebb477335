"""What all commands share: how they are registered, how JSON is printed, and the options of a machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxbeat.training.machine import Machine

FAILED = 2
"""Exit status when something failed and was named on standard error."""

Commands = argparse._SubParsersAction


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """Add the command `name`, which calls `run` and exits with what that returns."""
    added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    added.set_defaults(run=run)
    return added


def print_json(value: Any) -> None:
    """Print a value as JSON that a person can read as well."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def add_machine(added: argparse.ArgumentParser) -> None:
    """Options that say what to compute on."""
    computing = added.add_argument_group("what to compute on (a GPU where there is one)")
    computing.add_argument("--devices", type=int, default=1, metavar="N", help="GPUs, or processes on the CPU")
    computing.add_argument("--nodes", type=int, default=1, metavar="N", help="machines that run this same command")
    computing.add_argument("--strategy", default="auto", help="of several processes, by Lightning's names")
    computing.add_argument("--precision", default="32-true", help="32-true, bf16-mixed or 16-mixed")
    computing.add_argument("--workers", type=int, default=0, metavar="N", help="processes that load, per kind of music")


def machine_of(options: argparse.Namespace) -> Machine:
    """The machine that those options describe."""
    from fluxbeat.training.machine import Machine

    return Machine(
        devices=options.devices,
        nodes=options.nodes,
        strategy=options.strategy,
        precision=options.precision,
        workers=options.workers,
    )
