"""`fluxbeat benchmark`: how fast this machine is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from fluxbeat.cli.models import models_of
from fluxbeat.cli.output import print_json
from fluxbeat.cli.terminal import show
from fluxbeat.models.base import GenreTempoModel
from fluxbeat.training.evaluation.timings import drawn_mp3, machine_facts, track_report, window_report


def benchmark_command(options: argparse.Namespace) -> int:
    """Print how fast analyses and explanations are on this machine."""
    models = models_of(options.models)
    networks = {model.info.name: model.network for model in models if isinstance(model.network, GenreTempoModel)}
    runs = max(1, options.runs)
    sources = [Path(options.file)] if options.file else (drawn_mp3(60 * minutes) for minutes in options.minutes)
    report: dict[str, Any] = {
        "machine": machine_facts(),
        "tracks": [track_report(source, models, runs) for source in sources],
        "windows": {name: window_report(network, max(5, runs)) for name, network in networks.items()},
    }
    if options.json:
        print_json(report)
    else:
        for table in (_windows(report), *map(_track, report["tracks"])):
            show(table)
    return 0


def _windows(report: dict[str, Any]) -> Table:
    machine = report["machine"]
    title = f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
    heads = ("one window", "one thread", f"{machine['torch_threads']} threads", "its explanation", "ratio")
    table = Table(*heads, title=title, title_justify="left")
    for name, found in report["windows"].items():
        times = (found["answer_one_thread"], found["answer"], found["explanation"])
        table.add_row(name, *map(_milliseconds, times), f"{found['explanation_per_answer']:.1f}")
    return table


def _track(track: dict[str, Any]) -> Table:
    decoding_s = track["decode"]["median_s"]
    title = f"A track of {track['duration_s']:.0f} s: decoding alone takes {decoding_s:.2f} s"
    heads = ("step", "seconds", "least to most", "/ decoding", "times real time")
    table = Table(*heads, title=title, title_justify="left")

    def row(name: str, taken: dict[str, Any] | float, speed: str = "", style: str = "") -> None:
        seconds: float = taken["median_s"] if isinstance(taken, dict) else taken
        spread = f"{taken['least_s']:.2f} to {taken['most_s']:.2f}" if isinstance(taken, dict) else ""
        table.add_row(name, f"{seconds:.2f}", spread, f"{seconds / decoding_s:.2f}", speed, style=style)

    row("decode", track["decode"])
    row("resample", track["resample_s"])
    row("log-mel spectrogram", track["log_mel"])
    row("these three at once", track["read"])
    for name, found in track["models"].items():
        row(f"{name}: windows, tempo, segments", found["model"])
        row(f"{name}: the rest", found["rest_s"])
        row(f"{name}: file to JSON", found["whole"], f"{found['times_real_time']:.0f}", "bold")
    return table


def _milliseconds(entry: dict[str, Any]) -> str:
    least, most = 1000 * entry["least_s"], 1000 * entry["most_s"]
    return f"{1000 * entry['median_s']:.1f} ms ({least:.1f} to {most:.1f})"
