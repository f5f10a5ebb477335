"""What an analysis finds: the one result that every view shows and every export writes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fluxbeat.zoo import ModelInfo

SCHEMA = 1


@dataclass(frozen=True)
class Genre:
    """How present a genre is in the whole track: mean probability over it, and whether that passes its threshold."""

    label: str
    probability: float
    active: bool


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
        None where there is no beat to find.
    confidence : float
        0..1, the probability of the first candidate.
    candidates : tuple of TempoCandidate
        Most probable first.
    grid_bpm, distribution : float array, shape (bins,)
        The whole distribution; sums to 1.
    """

    bpm: float | None
    confidence: float
    candidates: tuple[TempoCandidate, ...]
    grid_bpm: np.ndarray
    distribution: np.ndarray


@dataclass(frozen=True, eq=False)
class Timeline:
    """Genre and tempo along the track, one value per window.

    Attributes
    ----------
    window_s, hop_s : float
        Length and distance of windows; the last window ends with the track.
    start_s : float array, shape (windows,)
        Where each window begins.
    labels : tuple of str
    probability : float array, shape (windows, labels)
    bpm : float array, shape (windows,)
        NaN where there is no beat.
    """

    window_s: float
    hop_s: float
    start_s: np.ndarray
    labels: tuple[str, ...]
    probability: np.ndarray
    bpm: np.ndarray

    @property
    def centre_s(self) -> np.ndarray:
        """The moment each window stands for, shape (windows,)."""
        return self.start_s + self.window_s / 2


@dataclass(frozen=True)
class Segment:
    """A stretch of the track in which the same genres are present; no labels where none is sure."""

    start_s: float
    end_s: float
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Envelope:
    """Loudness for drawing: the largest absolute sample in each of many equal stretches of the track, 0..1."""

    peak: np.ndarray
    step_s: float


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
        Every label, most probable first.
    tempo : Tempo
    timeline : Timeline
    segments : tuple of Segment
        Without gaps, from 0 to `duration_s`.
    warnings : tuple of str
    envelope : Envelope
        Not part of `to_dict`.
    elapsed_s : float
        What the model took, without decoding; not part of `to_dict`.
    """

    file: str
    duration_s: float
    model: ModelInfo
    genres: tuple[Genre, ...]
    tempo: Tempo
    timeline: Timeline
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...]
    envelope: Envelope
    elapsed_s: float

    def to_dict(self) -> dict[str, Any]:
        """The one JSON of the program; numbers rounded to what they mean."""
        timeline = self.timeline
        return {
            "schema": SCHEMA,
            "file": self.file,
            "duration_s": round(self.duration_s, 3),
            "model": {"name": self.model.name, "source": self.model.source, "revision": self.model.revision},
            "genres": [
                {"label": genre.label, "probability": round(genre.probability, 4), "active": genre.active}
                for genre in self.genres
            ],
            "tempo": {
                "bpm": None if self.tempo.bpm is None else round(self.tempo.bpm, 1),
                "confidence": round(self.tempo.confidence, 4),
                "candidates": [
                    {"bpm": round(candidate.bpm, 1), "probability": round(candidate.probability, 4)}
                    for candidate in self.tempo.candidates
                ],
            },
            "timeline": {
                "window_s": round(timeline.window_s, 3),
                "hop_s": round(timeline.hop_s, 3),
                "start_s": [round(float(start), 3) for start in timeline.start_s],
                "labels": list(timeline.labels),
                "probability": [[round(float(value), 4) for value in row] for row in timeline.probability],
                "bpm": [None if math.isnan(bpm) else round(float(bpm), 1) for bpm in timeline.bpm],
            },
            "segments": [
                {
                    "start_s": round(part.start_s, 2),
                    "end_s": round(part.end_s, 2),
                    "labels": list(part.labels),
                }
                for part in self.segments
            ],
            "warnings": list(self.warnings),
        }
