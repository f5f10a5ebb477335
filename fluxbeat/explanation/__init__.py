"""Why a model says what it says: maps over the spectrogram, how far they may be trusted, and how they sound."""

from fluxbeat.explanation.attribution import Cam as Cam
from fluxbeat.explanation.explain import explain as explain
from fluxbeat.explanation.explain import explain_tempo as explain_tempo
from fluxbeat.explanation.explain import explain_track as explain_track
from fluxbeat.explanation.explain import explain_track_tempo as explain_track_tempo
from fluxbeat.explanation.result import Explanation as Explanation
from fluxbeat.explanation.sound_parts import split_sound as split_sound
from fluxbeat.explanation.whole_track import SegmentEvidence as SegmentEvidence
from fluxbeat.explanation.whole_track import TrackEvidence as TrackEvidence
from fluxbeat.explanation.whole_track import explain_whole_track as explain_whole_track
from fluxbeat.explanation.whole_track import label_evidence as label_evidence
