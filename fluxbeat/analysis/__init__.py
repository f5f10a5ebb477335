"""Windows over a track, through a model, to a TrackAnalysis."""

from fluxbeat.analysis.engine import (
    DEFAULT_HOP_S,
    DEFAULT_MODEL,
    NOT_TAUGHT_TEMPO,
    Progress,
    Track,
    analyze,
    analyze_track,
    compare,
    disagreement,
    read_track,
)
from fluxbeat.analysis.live import LiveAnalysis, LivePrediction
from fluxbeat.analysis.result import (
    Envelope,
    Genre,
    Segment,
    Tempo,
    TempoCandidate,
    Timeline,
    TrackAnalysis,
)

__all__ = [
    "DEFAULT_HOP_S",
    "DEFAULT_MODEL",
    "NOT_TAUGHT_TEMPO",
    "Envelope",
    "Genre",
    "LiveAnalysis",
    "LivePrediction",
    "Progress",
    "Segment",
    "Tempo",
    "TempoCandidate",
    "Timeline",
    "Track",
    "TrackAnalysis",
    "analyze",
    "analyze_track",
    "compare",
    "disagreement",
    "read_track",
]
