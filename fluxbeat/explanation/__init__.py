"""Why a model says what it says: maps over the spectrogram, how far they may be trusted, and how they sound."""

from fluxbeat.explanation.attribution import LAYERS
from fluxbeat.explanation.explain import (
    DEFAULT_LAYER,
    explain,
    explain_tempo,
    explain_track,
    explain_track_tempo,
)
from fluxbeat.explanation.listening import HeardParts, listen_to
from fluxbeat.explanation.regions import Region
from fluxbeat.explanation.result import Explanation, Faithfulness
from fluxbeat.explanation.whole_track import SegmentEvidence, TrackEvidence, explain_whole_track

__all__ = [
    "DEFAULT_LAYER",
    "LAYERS",
    "Explanation",
    "Faithfulness",
    "HeardParts",
    "Region",
    "SegmentEvidence",
    "TrackEvidence",
    "explain",
    "explain_tempo",
    "explain_track",
    "explain_track_tempo",
    "explain_whole_track",
    "listen_to",
]
