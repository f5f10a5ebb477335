"""How fast FluxBeat is on this machine: one window, its explanation, whole tracks beside their decoding, the app."""

from fluxbeat.benchmark.drawn_music import drawn_mp3
from fluxbeat.benchmark.machine import machine_facts, peak_gflops
from fluxbeat.benchmark.one_window import milliseconds_per_window, window_report
from fluxbeat.benchmark.own_processes import import_report, memory_report
from fluxbeat.benchmark.served import app_report
from fluxbeat.benchmark.whole_track import source_of, track_report

__all__ = [
    "app_report",
    "drawn_mp3",
    "import_report",
    "machine_facts",
    "memory_report",
    "milliseconds_per_window",
    "peak_gflops",
    "source_of",
    "track_report",
    "window_report",
]
