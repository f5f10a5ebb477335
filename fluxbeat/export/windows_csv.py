"""The timeline as a table: one row per window, one column per genre."""

from __future__ import annotations

import csv
import io

from fluxbeat.analysis import TrackAnalysis


def to_windows_csv(analysis: TrackAnalysis) -> bytes:
    """CSV (RFC 4180, UTF-8) with the columns start_s, end_s, one per label, bpm.

    Numbers are those of `TrackAnalysis.to_dict`: seconds, probabilities 0..1, beats per minute; bpm is empty where
    there is no beat. A window that was padded ends with the track.
    """
    found = analysis.to_dict()
    timeline, duration_s = found["timeline"], found["duration_s"]
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["start_s", "end_s", *timeline["labels"], "bpm"])
    rows = zip(timeline["start_s"], timeline["probability"], timeline["bpm"], strict=True)
    for start_s, probability, bpm in rows:
        end_s = round(min(start_s + timeline["window_s"], duration_s), 3)
        table.writerow([start_s, end_s, *probability, "" if bpm is None else bpm])
    return text.getvalue().encode()
