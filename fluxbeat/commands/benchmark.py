"""`fluxbeat benchmark`: how fast this machine is."""

from __future__ import annotations

import argparse
from typing import Any

from fluxbeat.commands.registering import Commands, command, print_json


def add(commands: Commands) -> None:
    """Register the commands of this file."""
    benchmark = command(commands, "benchmark", _benchmark, "How fast analyses and explanations are on this machine.")
    benchmark.add_argument("file", nargs="?", metavar="FILE", help="default: a drawn stereo MP3 of four minutes")
    benchmark.add_argument("--models", nargs="+", metavar="MODEL", help="default: all")
    benchmark.add_argument("--runs", type=int, default=3, metavar="N", help="how often each step is timed (default 3)")
    benchmark.add_argument("--json", action="store_true")


def _benchmark(options: argparse.Namespace) -> int:
    from rich.console import Console

    from fluxbeat.benchmark import machine_facts, source_of, track_report, window_report
    from fluxbeat.terminal import draw_benchmark
    from fluxbeat.zoo import load, load_all

    models = [load(name) for name in options.models] if options.models else load_all()
    source, runs = source_of(options.file), max(1, options.runs)
    report: dict[str, Any] = {
        "machine": machine_facts(),
        "windows": {model.info.name: window_report(model.network, max(5, runs)) for model in models},
        "track": track_report(source, models, runs),
    }
    if options.json:
        print_json(report)
    else:
        Console().print(draw_benchmark(report))
    return 0
