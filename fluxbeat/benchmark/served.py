"""The app as a server on this machine: how long until its first page and first answer, and eight people at once."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from fluxbeat.errors import FluxBeatError

PEOPLE, SONGS_EACH = 8, 3
START_LIMIT_S, ANSWER_LIMIT_S = 300.0, 600.0


def app_report(song: bytes, model: str, duration_s: float) -> dict[str, Any]:
    """Start `fluxbeat serve`, ask for the page, then for one analysis, then for many at once.

    Parameters
    ----------
    song : bytes
        Of an audio file, which everybody uploads.
    model : str
    duration_s : float
        How long the song is, for the throughput.

    Raises
    ------
    FluxBeatError
        If the server does not start or does not answer.
    """
    url = f"http://127.0.0.1:{_free_port()}"
    command = [sys.executable, "-m", "fluxbeat", "serve", "--port", url.rsplit(":", 1)[1]]
    variables = {**os.environ, "FLUXBEAT_API_KEY": ""}
    began = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=variables)
    try:
        page_s = _first_page(url, server, began)
        first_s = _answer(url, song, model)
        again_s = _answer(url, song, model)
        with ThreadPoolExecutor(PEOPLE) as people:
            began = time.perf_counter()
            asked = [people.submit(_answer, url, song, model) for _ in range(PEOPLE * SONGS_EACH)]
            answers_s = [one.result() for one in asked]
            all_s = time.perf_counter() - began
    except httpx2.HTTPError as error:
        raise FluxBeatError(f"the app did not answer: {error or type(error).__name__}") from error
    finally:
        server.terminate()
        server.wait()
    return {
        "model": model,
        "first_page_s": round(page_s, 2),
        "first_answer_s": round(first_s, 2),
        "next_answer_s": round(again_s, 2),
        "people": PEOPLE,
        "answers": len(answers_s),
        "answers_per_minute": round(60 * len(answers_s) / all_s, 1),
        "times_real_time": round(duration_s * len(answers_s) / all_s, 1),
        "median_answer_s": round(statistics.median(answers_s), 2),
        "slowest_answer_s": round(max(answers_s), 2),
    }


def _first_page(url: str, server: subprocess.Popen[bytes], began: float) -> float:
    while time.perf_counter() - began < START_LIMIT_S:
        if server.poll() is not None:
            raise FluxBeatError(f"the app ended at once, with status {server.returncode}")
        try:
            if httpx2.get(url, timeout=5.0).status_code == 200:
                return time.perf_counter() - began
        except httpx2.TransportError:
            time.sleep(0.05)
    raise FluxBeatError(f"the app had no page after {START_LIMIT_S:.0f} s")


def _answer(url: str, song: bytes, model: str) -> float:
    """Seconds from the upload's begin to the whole answer."""
    began = time.perf_counter()
    files = {"file": ("song.mp3", song)}
    answered = httpx2.post(f"{url}/api/v1/analyze", params={"model": model}, files=files, timeout=ANSWER_LIMIT_S)
    answered.raise_for_status()
    return time.perf_counter() - began


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
