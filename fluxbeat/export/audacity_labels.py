"""The segments as a label track that Audacity imports."""

from __future__ import annotations

from fluxbeat.analysis import TrackAnalysis
from fluxbeat.charts.wording import genre_names


def to_audacity_labels(analysis: TrackAnalysis) -> bytes:
    """One line per segment: start, end (seconds, six decimals) and genres, separated by tabs; UTF-8.

    The format is that of "Importing and Exporting Labels" in Audacity's manual, without frequency ranges.
    """
    lines = [
        f"{segment.start_s:.6f}\t{segment.end_s:.6f}\t{' '.join(genre_names(segment.labels).split())}\n"
        for segment in analysis.segments
    ]
    return "".join(lines).encode()
