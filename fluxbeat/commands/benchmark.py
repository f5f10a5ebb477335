"""`fluxbeat benchmark`: how fast this machine is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fluxbeat.commands.registering import Commands, command, print_json


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    benchmark = command(commands, "benchmark", _benchmark, "How fast analyses and explanations are on this machine.")
    benchmark.add_argument("file", nargs="?", metavar="FILE", help="default: a drawn stereo MP3")
    benchmark.add_argument(
        "--minutes", nargs="+", type=float, default=[4.0], metavar="N", help="length of what is drawn (default 4)"
    )
    benchmark.add_argument("--models", nargs="+", metavar="MODEL", help="default: all")
    benchmark.add_argument("--runs", type=int, default=3, metavar="N", help="how often each step is timed (default 3)")
    benchmark.add_argument("--musicnn", metavar="FOLDER", help="with MusiCNN's weights, to be timed in the same run")
    benchmark.add_argument("--memory", action="store_true", help="peak memory of ten minutes and of three hours too")
    benchmark.add_argument("--app", action="store_true", help="imports, start of the app, and 8 people at once too")
    benchmark.add_argument("--json", action="store_true")


def _benchmark(options: argparse.Namespace) -> int:
    from rich.console import Console

    from fluxbeat.benchmark import (
        app_report,
        drawn_mp3,
        import_report,
        machine_facts,
        memory_report,
        peak_gflops,
        source_of,
        track_report,
        window_report,
    )
    from fluxbeat.commands.benchmark_tables import draw_benchmark
    from fluxbeat.zoo import bundled_names, load, load_all

    models = [load(name) for name in options.models] if options.models else load_all()
    names = options.models or [model.info.name for model in models]
    runs = max(1, options.runs)
    given = source_of(options.file) if options.file else None
    peers = {"MusiCNN": _musicnn(options.musicnn)} if options.musicnn else {}
    report: dict[str, Any] = {
        "machine": {**machine_facts(), "peak_gflops": round(peak_gflops(), 1)},
        "windows": {model.info.name: window_report(model.network, max(5, runs)) for model in models},
        "tracks": [],
    }
    for minutes in [0.0] if given else options.minutes:
        source = given or drawn_mp3(60 * minutes)
        report["tracks"].append(track_report(source, models, runs, peers))
    if options.memory:
        report["memory"] = [memory_report(name) for name in names]
    if options.app:
        song = Path(given).read_bytes() if isinstance(given, Path) else drawn_mp3(60 * options.minutes[0])
        report["imports"] = import_report(runs)
        report["app"] = app_report(song, bundled_names()[0], report["tracks"][0]["duration_s"])
    if options.json:
        print_json(report)
    else:
        Console().print(draw_benchmark(report))
    return 0


def _musicnn(folder: str) -> Callable[[Any], object]:
    """MusiCNN as its authors run it: every three seconds of the file once, one of its two networks."""
    from fluxbeat.audio import load_audio
    from fluxbeat.training.corpus.teacher import RATE_HZ, Teacher, load_teacher

    networks = load_teacher(folder).networks
    name = next(iter(networks))
    teacher = Teacher({name: networks[name]})

    def ask(source: Any) -> object:
        return teacher.listen(load_audio(source, sample_rate_hz=RATE_HZ).samples, RATE_HZ)

    return ask
