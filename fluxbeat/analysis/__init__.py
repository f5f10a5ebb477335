"""Windows over a track, through a model, to a TrackAnalysis."""

from fluxbeat.analysis.beginning import analyze_beginning
from fluxbeat.analysis.correction import BPM_RANGE, as_found, corrected, wanted_bpm
from fluxbeat.analysis.disagreement import (
    DisputedPassage,
    Statement,
    comparable,
    disagreement,
    disputed_passages,
)
from fluxbeat.analysis.engine import (
    DEFAULT_HOP_S,
    analyze,
    analyze_each,
    analyze_track,
    compare,
)
from fluxbeat.analysis.live import LiveAnalysis, LivePrediction
from fluxbeat.analysis.onsets import OnsetStrength
from fluxbeat.analysis.presence import own_scale, presence
from fluxbeat.analysis.result import (
    Envelope,
    Genre,
    Segment,
    SegmentKind,
    Tempo,
    TempoCandidate,
    Timeline,
    TrackAnalysis,
    TrackKind,
)
from fluxbeat.analysis.track import Progress, Track, read_track, track_of
from fluxbeat.analysis.track_warnings import NOT_TAUGHT_TEMPO

__all__ = [
    "BPM_RANGE",
    "DEFAULT_HOP_S",
    "NOT_TAUGHT_TEMPO",
    "DisputedPassage",
    "Envelope",
    "Genre",
    "LiveAnalysis",
    "LivePrediction",
    "OnsetStrength",
    "Progress",
    "Segment",
    "SegmentKind",
    "Statement",
    "Tempo",
    "TempoCandidate",
    "Timeline",
    "Track",
    "TrackAnalysis",
    "TrackKind",
    "analyze",
    "analyze_beginning",
    "analyze_each",
    "analyze_track",
    "as_found",
    "comparable",
    "compare",
    "corrected",
    "disagreement",
    "disputed_passages",
    "own_scale",
    "presence",
    "read_track",
    "track_of",
    "wanted_bpm",
]
