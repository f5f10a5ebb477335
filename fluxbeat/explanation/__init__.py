"""Why a model says what it says: maps over the spectrogram, how far they may be trusted, and how they sound."""

from fluxbeat.explanation.attribution import CHOSEN, Cam
from fluxbeat.explanation.explain import explain, explain_tempo, explain_track, explain_track_tempo
from fluxbeat.explanation.result import Explanation
from fluxbeat.explanation.sound_parts import split_sound
from fluxbeat.explanation.whole_track import SegmentEvidence, TrackEvidence, explain_whole_track, label_evidence

__all__ = [
    "CHOSEN",
    "Cam",
    "Explanation",
    "SegmentEvidence",
    "TrackEvidence",
    "explain",
    "explain_tempo",
    "explain_track",
    "explain_track_tempo",
    "explain_whole_track",
    "label_evidence",
    "split_sound",
]
