"""Programs that are not part of FluxBeat: run to their end, or an error of one sentence."""

from __future__ import annotations

import subprocess
from pathlib import Path

from fluxbeat.errors import FluxBeatError


def run_program(command: list[str], limit_s: float, folder: str | Path | None = None) -> None:
    """Run a program in a folder, by default the current one.

    Raises
    ------
    FluxBeatError
        If it fails or takes longer than `limit_s`; holds the last line that it printed.
    """
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FluxBeatError(f"{command[0]} took longer than {limit_s:g} s") from error
    if done.returncode:
        printed = (done.stdout + done.stderr).strip().splitlines()
        raise FluxBeatError(f"{command[0]} failed: {printed[-1] if printed else f'status {done.returncode}'}")
