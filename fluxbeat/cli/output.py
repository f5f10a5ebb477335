"""What the command line writes to: encodings that lack a character, pipes that close, devices that are full."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Any

FAILED = 2
"""Exit status when something failed and was named on standard error."""
STOPPED = 130
"""Exit status when a person stopped it."""


def hold_any_character() -> None:
    """From now on a character that an output cannot hold is written as `?`, and ends nothing.

    Nor does an output that was closed before the program began: what is written there goes nowhere.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # as long as the program runs
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):
            output.reconfigure(errors="replace")


def can_hold(text: str) -> bool:
    """Whether standard output has all these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def print_json(value: Any) -> None:
    """Print a value as JSON that a person can read as well, with escapes where the output lacks a character."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print(text if can_hold(text) else json.dumps(value, indent=2))


def complain(problem: object) -> None:
    """Name a problem on standard error."""
    print(f"fluxbeat: {problem}", file=sys.stderr)


def discard_output() -> None:
    """Let what is still waiting go nowhere: at its end Python would try to write it again."""
    with suppress(OSError, ValueError):  # a test's output has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
