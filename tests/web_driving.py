"""The real web app in its own process, and Chromium driving it."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "fluxbeat" / "web" / "ui" / "examples"
TECHNO = EXAMPLES / "techno_george_ellinas_pulse.mp3"
CHANGE = EXAMPLES / "change_obsidian_shell_megtort_alom.mp3"
READY = "FluxBeat is at "
START_S = 300
OWN_CODE = (f"{ROOT / 'fluxbeat'}{os.sep}", str(ROOT / "app.py"))
ANSWER_MS = 60_000


def chromium() -> str:
    """Path of a Chromium; without one the test is skipped, but never in continuous integration."""
    found = os.environ.get("FLUXBEAT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    found = found or shutil.which("google-chrome")
    if not found:
        reason = "no Chromium found: install one, or name it in FLUXBEAT_CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Server:
    """A running app."""

    url: str
    process: subprocess.Popen[str]


def serving(*arguments: str, program: Sequence[str] = ("app.py",)) -> Iterator[Server]:
    """`python app.py`, or another program that says the same when it is ready, until the caller is done."""
    command = [sys.executable, *program, *arguments]
    # a filter from outside names whole modules, not all of a package: all are shown, and ours are looked for
    shown = os.environ | {"PYTHONWARNINGS": "default::DeprecationWarning"}
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=shown
    )
    lines: queue.Queue[str] = queue.Queue()
    deprecated: list[str] = []

    def listen() -> None:
        assert process.stdout
        for line in process.stdout:
            lines.put(line)
            if "DeprecationWarning: " in line and line.startswith(OWN_CODE):
                deprecated.append(line)

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    try:
        yield Server(_ready_url(process, lines), process)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listening.join(15)
    assert not deprecated, "".join(deprecated)


def _ready_url(process: subprocess.Popen[str], lines: queue.Queue[str]) -> str:
    output: list[str] = []
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            output.append(lines.get(timeout=0.5))
        except queue.Empty:
            if process.poll() is not None:
                break
            continue
        if output[-1].startswith(READY):
            return output[-1].removeprefix(READY).split()[0]
    raise AssertionError(f"the app did not start: {''.join(output)}")


FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
