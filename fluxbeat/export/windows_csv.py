"""The timeline as a table: one row per window, one column per genre."""

from __future__ import annotations

import csv
import io

import numpy as np

from fluxbeat.analysis.result import TrackAnalysis

_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Some spreadsheets take the wide characters of East Asian keyboards for the narrow ones."""


def to_windows_csv(analysis: TrackAnalysis) -> bytes:
    """CSV (RFC 4180, UTF-8) with the columns start_s, end_s, one per label, bpm, beats_s.

    Numbers are those of `TrackAnalysis.to_dict`: seconds, probabilities 0..1, beats per minute; bpm is empty where
    there is no beat. `beats_s` has the times of the beats from this window's begin to that of the next, with spaces
    between. A window that was padded ends with the track.
    """
    found = analysis.to_dict()
    timeline, duration_s = found["timeline"], found["duration_s"]
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["start_s", "end_s", *map(harmless_cell, timeline["labels"]), "bpm", "beats_s"])
    rows = zip(timeline["start_s"], timeline["probability"], timeline["bpm"], strict=True)
    beats_s = found["tempo"]["beats_s"]
    edges = [*np.searchsorted(beats_s, timeline["start_s"]).tolist(), len(beats_s)]
    for number, (start_s, probability, bpm) in enumerate(rows):
        there = " ".join(f"{beat_s:.3f}" for beat_s in beats_s[edges[number] : edges[number + 1]])
        end_s = round(min(start_s + timeline["window_s"], duration_s), 3)
        table.writerow([start_s, end_s, *probability, "" if bpm is None else bpm, there])
    return text.getvalue().encode()


def harmless_cell(text: str) -> str:
    """The text of a cell of a CSV file; behind an apostrophe where a spreadsheet would take it for a formula.

    See OWASP, "CSV Injection": names of files and titles come from strangers.
    """
    return f"'{text}" if text.lstrip(" \u00a0\ufeff").startswith(_BEGINS_FORMULA) else text
