"""How fast FluxBeat is on this machine: one window, its explanation, and whole tracks beside their decoding."""

from fluxbeat.benchmark.machine import machine_facts
from fluxbeat.benchmark.one_window import milliseconds_per_window, window_report
from fluxbeat.benchmark.whole_track import source_of, track_report

__all__ = ["machine_facts", "milliseconds_per_window", "source_of", "track_report", "window_report"]
