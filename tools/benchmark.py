"""What `fluxbeat benchmark` does not measure, as JSON: `python -m tools.benchmark [FILE] OPTIONS`.

`--musicnn WEIGHTS`: FILE beside MusiCNN, in one run. `--peak`: operations of one window's answer, and what share of
this machine's peak they reach. `--memory`: the most memory that ten minutes and three hours take. `--app`: imports,
start of the app, and eight people at once who upload FILE.
"""

from __future__ import annotations

import fluxbeat  # noqa: F401  # isort: skip  # before torch, whose threads it tells to sleep while they wait

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import soundfile
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fluxbeat.audio.decoding import load_audio
from fluxbeat.errors import FluxBeatError
from fluxbeat.models.base import GenreTempoModel
from fluxbeat.models.registry import bundled_names, load, load_all
from fluxbeat.models.speed import noise_window
from fluxbeat.training.evaluation.repeated_timing import answer_time, timed
from fluxbeat.training.evaluation.timings import drawn_mp3, machine_facts, threads, track_report
from tools.teachers.musicnn import Musicnn, patches

PEOPLE, SONGS_EACH = 8, 3
START_LIMIT_S, ANSWER_LIMIT_S = 300.0, 600.0
SHORT_S, LONG_S = 600.0, 3 * 3600.0
PEAK_SIZE = 1024
_PEAK = """
import resource, sys, fluxbeat
fluxbeat.analyze(sys.argv[1], sys.argv[2])
try:  # where there is this file: elsewhere a process begins with its parent's peak
    lines = open("/proc/self/status").read().splitlines()
    print(1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_gflops() -> float:
    """Billions of operations per second that this machine reaches in a product of matrices, with torch's threads."""
    left, right = torch.rand(PEAK_SIZE, PEAK_SIZE), torch.rand(PEAK_SIZE, PEAK_SIZE)
    return 2 * PEAK_SIZE**3 / timed(lambda: left @ right, 9, 3).least_s / 1e9


def operations(model: GenreTempoModel) -> int:
    """Multiplications and additions in the convolutions and products of one window's answer."""
    recurrent: list[int] = []

    def count(layer: nn.Module, inputs: Any, _: Any) -> None:
        assert isinstance(layer, nn.LSTM)
        steps, directions = inputs[0].shape[0] * inputs[0].shape[1], 2 if layer.bidirectional else 1
        for depth in range(layer.num_layers):
            width = layer.input_size if depth == 0 else layer.hidden_size * directions
            recurrent.append(2 * steps * directions * 4 * layer.hidden_size * (width + layer.hidden_size))

    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, nn.LSTM)]
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # what is fused is not counted
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(noise_window(model))
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for hook in hooks:
            hook.remove()
    return int(counter.get_total_flops()) + sum(recurrent)


def peak_report(model: GenreTempoModel) -> dict[str, Any]:
    """Operations of one window, and their share of the machine's peak with one thread and with all."""
    counted = operations(model)
    report: dict[str, Any] = {"operations": counted}
    for name, count in (("one_thread", 1), ("all_threads", torch.get_num_threads())):
        with threads(count):
            gflops, peak = counted / answer_time(model).median_s / 1e9, peak_gflops()
        report[name] = {"gflops": round(gflops, 1), "peak_gflops": round(peak, 1), "share": round(gflops / peak, 3)}
    return report


def peer_report(source: Any, ask: Callable[[Any], object], track: Mapping[str, Any]) -> dict[str, Any]:
    """How long another program takes for `source`, of which `track` is the `track_report` of the same run."""
    taken = timed(lambda: ask(source), 3)
    ours = {name: found["whole"]["median_s"] for name, found in track["models"].items()}
    return {
        "whole": taken.to_dict(),
        "times_real_time": round(track["duration_s"] / taken.median_s, 1),
        "times_as_long": {name: round(taken.median_s / seconds, 1) for name, seconds in ours.items()},
    }


def musicnn(weights: str) -> Callable[[Any], object]:
    """MusiCNN as its authors run it: every three seconds of the file once, one of its two networks."""
    teacher = Musicnn(weights)
    return lambda source: teacher(patches(load_audio(source, sample_rate_hz=Musicnn.sample_rate_hz).samples))


def import_report(runs: int) -> dict[str, Any]:
    """Seconds until a new Python has torch and torchaudio, and until it has everything that an analysis needs."""
    found = {
        name: timed(lambda script=script: _python(script), runs)  # type: ignore[misc]
        for name, script in (
            ("nothing", "pass"),
            ("torch", "import torch, torchaudio"),
            ("fluxbeat", "import fluxbeat; fluxbeat.analyze; fluxbeat.load"),
        )
    }
    report: dict[str, Any] = {name: timing.to_dict() for name, timing in found.items()}
    report["beyond_torch_s"] = round(found["fluxbeat"].median_s - found["torch"].median_s, 3)
    return report


def memory_report(model: str) -> dict[str, Any]:
    """Peak memory of a process that analyses ten minutes, and of one that analyses three hours, in bytes."""
    with tempfile.TemporaryDirectory(prefix="fluxbeat-benchmark-") as folder:
        peaks = []
        for duration_s in (SHORT_S, LONG_S):
            path = Path(folder, f"{duration_s:.0f}.flac")
            _write_noise(path, duration_s)
            peaks.append(int(_python(_PEAK, str(path), model)))
            path.unlink()
    return {
        "model": model,
        "ten_minutes_bytes": peaks[0],
        "three_hours_bytes": peaks[1],
        "ratio": round(peaks[1] / peaks[0], 2),
    }


def _write_noise(path: Path, duration_s: float) -> None:
    """Bursts of noise as a mono FLAC at 22.05 kHz, of any length in little memory."""
    time_s = np.arange(10 * 22_050) / 22_050
    block = 0.3 * np.random.default_rng(0).standard_normal(len(time_s)) * np.exp(-8 * (time_s * 2 % 1))
    with soundfile.SoundFile(path, "w", 22_050, 1, "PCM_16") as file:
        for _ in range(round(duration_s / 10.0)):
            file.write(block)


def _python(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def app_report(song: bytes, model: str) -> dict[str, Any]:
    """Start `fluxbeat serve`, ask for the page, then for one analysis, then for many at once.

    Parameters
    ----------
    song : bytes
        Of an audio file, which everybody uploads.
    model : str

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


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="default: a drawn MP3 of four minutes")
    parser.add_argument("--musicnn", metavar="WEIGHTS", help="folder of its weights")
    parser.add_argument("--peak", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--app", action="store_true")
    options = parser.parse_args(arguments)
    report: dict[str, Any] = {"machine": machine_facts()}
    song = options.file.read_bytes() if options.file else drawn_mp3(240.0)
    if options.musicnn:
        report["track"] = track_report(song, load_all())
        report["MusiCNN"] = peer_report(song, musicnn(options.musicnn), report["track"])
    if options.peak:
        networks = {model.info.name: model.network for model in load_all()}
        report["windows"] = {n: peak_report(one) for n, one in networks.items() if isinstance(one, GenreTempoModel)}
    if options.memory:
        report["memory"] = [memory_report(name) for name in bundled_names()]
    if options.app:
        report["imports"] = import_report(3)
        report["app"] = app_report(song, load("cnn").info.name)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
