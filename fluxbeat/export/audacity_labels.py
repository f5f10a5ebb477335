"""The segments, or the beats, as a label track that Audacity imports."""

from __future__ import annotations

from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.charts.wording import segment_name
from fluxbeat.errors import ExportError


def to_audacity_labels(analysis: TrackAnalysis) -> bytes:
    """One line per segment: start, end (seconds, six decimals) and genres, or what it is else, with tabs; UTF-8.

    The format is that of "Importing and Exporting Labels" in Audacity's manual, without frequency ranges.
    """
    lines = [
        f"{segment.start_s:.6f}\t{segment.end_s:.6f}\t{' '.join(segment_name(segment).split())}\n"
        for segment in analysis.segments
    ]
    return "".join(lines).encode()


def to_audacity_beats(analysis: TrackAnalysis) -> bytes:
    """One point label per beat, in the same format: `beat`, or `bar` where one begins and that is sure.

    Raises
    ------
    ExportError
        If there is no beat.
    """
    tempo = analysis.tempo
    if not len(tempo.beats_s):
        raise ExportError(f"{analysis.file}: no steady beat was found, so there are no beats to write")
    bars = set(tempo.downbeats_s.tolist())
    names = ["bar" if beat_s in bars else "beat" for beat_s in tempo.beats_s.tolist()]
    lines = [f"{beat_s:.6f}\t{beat_s:.6f}\t{name}\n" for beat_s, name in zip(tempo.beats_s, names, strict=True)]
    return "".join(lines).encode()
