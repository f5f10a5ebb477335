"""What an analysis finds: the one result that every view shows and every export writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from fluxbeat.analysis.json_fields import json_fields
from fluxbeat.analysis.onsets import NO_ONSETS, OnsetStrength
from fluxbeat.analysis.presence import PRESENT, Presence, presence
from fluxbeat.analysis.summary import summary
from fluxbeat.errors import TrackWarning, WarningCode
from fluxbeat.models.registry import ModelInfo

SCHEMA = 2
CLOSE_SECOND = 0.4
"""A second tempo with this share of the first one's probability is worth naming beside it."""
TYPICAL_BPM = (60.0, 200.0)
"""Outside, a tempo is never shown without its rival."""

SegmentKind = Literal["music", "speech", "noise", "silence"]


@dataclass(frozen=True)
class Genre:
    """How present a genre is in the whole track: mean probability on the label's own scale, 0.5 at its threshold."""

    label: str
    probability: float

    @property
    def presence(self) -> Presence:
        """The probability in a word."""
        return presence(self.probability)

    @property
    def active(self) -> bool:
        """Whether it counts as present: clear or likely."""
        return round(self.probability, 4) >= PRESENT

    def to_dict(self) -> dict[str, Any]:
        """As in the program's JSON."""
        probability = round(self.probability, 4)
        return {"label": self.label, "probability": probability, "presence": self.presence, "active": self.active}


@dataclass(frozen=True)
class OtherLabel:
    """A label of a model with very many that is strong nowhere in the track, and is not followed along it.

    Attributes
    ----------
    label : str
    probability : float
        Over the whole track, on the label's own scale.
    most : float
        Where it is strongest.
    at_s : float
        The middle of that window.
    """

    label: str
    probability: float
    most: float
    at_s: float

    def to_dict(self) -> dict[str, Any]:
        """As in the program's JSON."""
        return {"label": self.label, **json_fields(self, probability=4, most=4, at_s=2)}


@dataclass(frozen=True)
class TrackKind:
    """What a sound is, each 0..1: all three are 0 where it is silent.

    Attributes
    ----------
    music, speech : float
        Probability that it is music, or speech; what is left is neither.
    unfamiliar : float
        How far it is from what the model learned.
    """

    music: float = 1.0
    speech: float = 0.0
    unfamiliar: float = 0.0

    def to_dict(self) -> dict[str, float]:
        """As in the program's JSON."""
        return json_fields(self, music=4, speech=4, unfamiliar=4)


@dataclass(frozen=True)
class TempoCandidate:
    """A tempo and the share of the tempo distribution that lies within 4 % of it."""

    bpm: float
    probability: float


@dataclass(frozen=True, eq=False)
class Tempo:
    """The track's tempo.

    Attributes
    ----------
    bpm : float or None
        None where there is no beat to find. Not rounded: whoever shows it rounds it, once.
    confidence : float
        0..1, the probability of the first candidate; 1 where a person corrected it.
    candidates : tuple of TempoCandidate
        Most probable first.
    grid_bpm, distribution : float array, shape (bins,)
        The whole distribution; sums to 1.
    stable : bool
        Whether one tempo holds from beginning to end.
    corrected : bool
        Whether a person said what the tempo is.
    beats_s : float array, shape (beats,)
        When the beats are, in seconds; empty where there is no beat.
    downbeats_s : float array, shape (bars,)
        Those of the beats that begin a bar; empty where that is not sure.
    """

    bpm: float | None
    confidence: float
    candidates: tuple[TempoCandidate, ...]
    grid_bpm: np.ndarray
    distribution: np.ndarray
    stable: bool = True
    corrected: bool = False
    beats_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    downbeats_s: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def rival_bpm(self) -> float | None:
        """A second tempo to be named beside the first: a close second, or the usual octave of an unusual tempo.

        None where a person decided, and where there is no beat.
        """
        if self.bpm is None or self.corrected:
            return None
        first, second = (self.candidates + (TempoCandidate(self.bpm, 0.0),) * 2)[:2]
        if second.probability and second.probability >= CLOSE_SECOND * first.probability:
            return second.bpm
        return typical_octave(self.bpm) if typical_octave(self.bpm) != self.bpm else None

    def to_dict(self) -> dict[str, Any]:
        """As in the program's JSON."""
        return {
            **json_fields(self, bpm=2, confidence=4),
            "stable": self.stable,
            "corrected": self.corrected,
            "candidates": [json_fields(candidate, bpm=2, probability=4) for candidate in self.candidates],
            **json_fields(self, beats_s=3, downbeats_s=3),
        }


def typical_octave(bpm: float) -> float:
    """The tempo itself, or its half or double where it is above 200 or below 60 BPM, which hardly anybody taps."""
    while bpm > TYPICAL_BPM[1]:
        bpm /= 2
    while bpm < TYPICAL_BPM[0]:
        bpm *= 2
    return bpm


@dataclass(frozen=True, eq=False)
class Timeline:
    """Genre and tempo along the track, one value per window.

    Attributes
    ----------
    window_s, hop_s : float
        Length and distance of windows as they were done: the window of a shorter track is the track.
    start_s : float array, shape (windows,)
        Where each window begins; the last one ends with the track.
    labels : tuple of str
    probability : float array, shape (windows, labels)
        On the label's own scale: 0.5 at its threshold; 0 in silence.
    bpm : float array, shape (windows,)
        NaN where there is no beat.
    kind : float array, shape (windows, 3)
        Probability of music, speech, and neither; all 0 in silence.
    unfamiliar : float array, shape (windows,)
        How far the sound is from what the model learned, 0..1.
    """

    window_s: float
    hop_s: float
    start_s: np.ndarray
    labels: tuple[str, ...]
    probability: np.ndarray
    bpm: np.ndarray
    kind: np.ndarray
    unfamiliar: np.ndarray

    @property
    def centre_s(self) -> np.ndarray:
        """The moment each window stands for, shape (windows,)."""
        return self.start_s + self.window_s / 2

    def to_dict(self) -> dict[str, Any]:
        """As in the program's JSON."""
        return {
            **json_fields(self, window_s=3, hop_s=3, start_s=3),
            "labels": list(self.labels),
            **json_fields(self, probability=4, kind=4, unfamiliar=4, bpm=2),
        }


@dataclass(frozen=True)
class Segment:
    """A part of the track in which the same genres are present.

    Attributes
    ----------
    start_s, end_s : float
    labels : tuple of str
        Most probable first; none where no genre is sure or there is no music.
    bpm : float or None
        None where it has no beat, or where its tempo moves too much for one number.
    kind : 'music', 'speech', 'noise' or 'silence'
    """

    start_s: float
    end_s: float
    labels: tuple[str, ...]
    bpm: float | None = None
    kind: SegmentKind = "music"

    def to_dict(self) -> dict[str, Any]:
        """As in the program's JSON."""
        return {
            **json_fields(self, start_s=2, end_s=2),
            "labels": list(self.labels),
            "kind": self.kind,
            **json_fields(self, bpm=2),
        }


@dataclass(frozen=True, eq=False)
class Envelope:
    """Loudness for drawing: the largest absolute sample in each of many equal parts of the track, 0..1."""

    peak: np.ndarray
    step_s: float

    @property
    def scaled(self) -> np.ndarray:
        """The same with the loudest moment as 1, but for what is near silence."""
        return (self.peak / max(float(self.peak.max(initial=0.0)), 1e-3)).clip(0.0, 1.0)


@dataclass(frozen=True, eq=False)
class TrackAnalysis:
    """All that one model says of one track.

    Attributes
    ----------
    file : str
        Name of the track as shown to a person.
    duration_s : float
    model : ModelInfo
    genres : tuple of Genre
        Every label, most probable first; of a model with very many those that are strongest in some window.
    tempo : Tempo
    timeline : Timeline
    segments : tuple of Segment
        Without gaps, from 0 to `duration_s`.
    warnings : tuple of TrackWarning
    envelope : Envelope
        Not part of `to_dict`.
    elapsed_s : float
        What the model took, without decoding; not part of `to_dict`.
    onsets : OnsetStrength
        What the beats rest on; not part of `to_dict`.
    found : TrackAnalysis or None
        Where a person corrected the tempo: the analysis as it was before; not part of `to_dict`.
    title, artist : str
        As the file's tags name them; empty where they do not.
    kind : TrackKind
        What the whole track is, over what sounds in it.
    others : tuple of OtherLabel
        The labels that are not among `genres`, most probable anywhere first; none for most models.
    """

    file: str
    duration_s: float
    model: ModelInfo
    genres: tuple[Genre, ...]
    tempo: Tempo
    timeline: Timeline
    segments: tuple[Segment, ...]
    warnings: tuple[TrackWarning, ...]
    envelope: Envelope
    elapsed_s: float
    onsets: OnsetStrength = NO_ONSETS
    found: TrackAnalysis | None = None
    title: str = ""
    artist: str = ""
    kind: TrackKind = TrackKind()
    others: tuple[OtherLabel, ...] = ()

    @property
    def summary(self) -> str:
        """The answer in one sentence: `Metal that turns classical at 0:15, steady 120 BPM.`"""
        return summary(self)

    def warned(self, code: WarningCode) -> bool:
        """Whether a warning of this code is among its warnings."""
        return any(warning.code == code for warning in self.warnings)

    def to_dict(self) -> dict[str, Any]:
        """The one JSON of the program; numbers rounded to what they mean."""
        return {
            "schema": SCHEMA,
            "file": self.file,
            "title": self.title or None,
            "artist": self.artist or None,
            "duration_s": round(self.duration_s, 3),
            "model": {"name": self.model.name, "source": self.model.source, "revision": self.model.revision},
            "summary": self.summary,
            "genres": [genre.to_dict() for genre in self.genres],
            **({"others": [other.to_dict() for other in self.others]} if self.others else {}),
            "kind": self.kind.to_dict(),
            "tempo": self.tempo.to_dict(),
            "timeline": self.timeline.to_dict(),
            "segments": [segment.to_dict() for segment in self.segments],
            "warnings": [{"code": warning.code, "text": warning.text} for warning in self.warnings],
        }
