"""What an explanation holds, and its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fluxbeat.analysis.json_fields import json_fields
from fluxbeat.explanation.faithfulness import Curves
from fluxbeat.explanation.regions import Region
from fluxbeat.models.registry import ModelInfo

SCHEMA = 1
CLEARLY = 0.1
"""So much more than without a random fifth must an answer fall without the marked one for the marks to count."""
WEAK_ANSWER = 0.25
"""Probability below which there is no answer that could fall when what is marked goes."""


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How far a map may be trusted, measured on its own window.

    Attributes
    ----------
    map, random, energy : Curves
        Of the map, of a random one, and of the sound's energy.
    """

    map: Curves
    random: Curves
    energy: Curves

    @property
    def score(self) -> float:
        """Insertion minus deletion of the map, less the better of random and energy; above 0 it knows something."""
        return self.map.faithfulness - max(self.random.faithfulness, self.energy.faithfulness)

    @property
    def testable(self) -> bool:
        """Whether there is an answer that could fall."""
        return bool(self.map.deletion[0] >= WEAK_ANSWER)

    def in_words(self) -> str:
        """What was seen without the most marked fifth, and without a random one, in a few words."""
        if not self.testable:
            return "hard to test, for the answer is weak"
        more = self.random.without_marked - self.map.without_marked
        if more >= CLEARLY:
            return "what is marked counts"
        return f"what is marked counts {'no more' if more > -CLEARLY else 'less'} than any other fifth"

    def to_dict(self) -> dict[str, Any]:
        """Part of an explanation's JSON."""
        named = {"map": self.map, "random": self.random, "energy": self.energy}
        return {
            **json_fields(self, score=4),
            "words": self.in_words(),
            "insertion_minus_deletion": {name: round(one.faithfulness, 4) for name, one in named.items()},
            "without_marked_fifth": round(self.map.without_marked, 4),
            "marked_fifth_alone": round(self.map.marked_alone, 4),
            "without_random_fifth": round(self.random.without_marked, 4),
            **json_fields(self.map, deletion=4, insertion=4),
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """What in one window speaks for an answer, on an absolute scale.

    Attributes
    ----------
    file : str
        Name of the track as shown to a person.
    model : ModelInfo
    about : str
        The label, or for tempo `120.0 BPM`.
    kind : str
        'genre' or 'tempo'.
    layer : str
        Where the model was explained; one of `fluxbeat.explanation.layers.placed_layers`, 'onsets' for tempo, or
        'sound' of a classifier of transformers.
    method : str
        How; one of `fluxbeat.explanation.attribution.METHODS`, 'gradient' for tempo, or 'occlusion'.
    start_s, window_s : float
        The window in the track.
    logit, probability : float
        Of the answer in this window; for tempo the logarithm of its probability, and that; by occlusion the log odds.
    evidence : float32 array, shape (mels, frames)
        Positive where the sound speaks for the answer, negative where against; in units of the logit.
    log_mel : float32 array, shape (mels, frames)
        What the model was given.
    band_hz : float64 array, shape (mels,)
        Centre of each mel band.
    frame_rate_hz : float
    faithfulness : Faithfulness or None
        None where it was not measured.
    regions : tuple of Region
        The strongest places, strongest first.
    """

    file: str
    model: ModelInfo
    about: str
    kind: str
    layer: str
    method: str
    start_s: float
    window_s: float
    logit: float
    probability: float
    evidence: np.ndarray
    log_mel: np.ndarray
    band_hz: np.ndarray
    frame_rate_hz: float
    faithfulness: Faithfulness | None
    regions: tuple[Region, ...]

    @property
    def map(self) -> np.ndarray:
        """What speaks for the answer, shape (mels, frames), 0 or more; weak evidence stays weak."""
        return self.evidence.clip(min=0)

    @property
    def time_s(self) -> np.ndarray:
        """Moment of each frame in the track, shape (frames,)."""
        return self.start_s + np.arange(self.evidence.shape[1]) / self.frame_rate_hz

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON, without its arrays."""
        return {
            "schema": SCHEMA,
            "file": self.file,
            "model": asdict(self.model),
            "kind": self.kind,
            "about": self.about,
            "layer": self.layer,
            "method": self.method,
            **json_fields(self, start_s=3, window_s=3, logit=4, probability=4),
            "evidence": {
                "for": round(float(self.map.sum()), 4),
                "against": round(float(-self.evidence.clip(max=0).sum()), 4),
            },
            "faithfulness": self.faithfulness.to_dict() if self.faithfulness else None,
            "regions": [region.to_dict() for region in self.regions],
        }
