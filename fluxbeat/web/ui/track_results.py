"""One track analysed by several models, one after the other, each result given as soon as it is there."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from fluxbeat.analysis.correction import as_found, corrected
from fluxbeat.analysis.engine import analyze_each
from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.analysis.track import Progress, Track, read_track
from fluxbeat.audio.decoding import MAX_DURATION_S
from fluxbeat.charts.wording import model_title
from fluxbeat.errors import FluxBeatError
from fluxbeat.features.log_mel import FeatureConfig
from fluxbeat.models.registry import LoadedModel

_numbers = itertools.count(1)


@dataclass(frozen=True, eq=False)
class TrackResults:
    """What a page shows: one track, as models see it, and what each model that is ready says of it.

    Attributes
    ----------
    path : str
        The audio file on the server.
    name : str
        What to call it in front of a person.
    analyses : dict of str to TrackAnalysis
        By model.
    tracks : dict of FeatureConfig to Track
        The file as it was read; filled as it is needed.
    max_duration_s : float
        Longest recording accepted.
    key : str
        Tells this track from the one shown before.
    token : str
        By which the page that shows it, and nobody else, may ask for it again.
    """

    path: str
    name: str
    analyses: dict[str, TrackAnalysis] = field(default_factory=dict)
    tracks: dict[FeatureConfig, Track] = field(default_factory=dict)
    max_duration_s: float = MAX_DURATION_S
    key: str = field(default_factory=lambda: str(next(_numbers)))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def track(self, features: FeatureConfig) -> Track:
        """The track as models with these features need it; where it is not here yet, it is decoded.

        Raises
        ------
        AudioDecodeError
            If the file is not there any more, or is longer than `max_duration_s`.
        """
        if features not in self.tracks:
            self.tracks[features] = read_track(self.path, features, self.name, max_duration_s=self.max_duration_s)
        return self.tracks[features]

    def with_tempo(self, bpm: float | None) -> TrackResults:
        """The same where a person says what the tempo is; None: as it was found."""
        if bpm is None:
            return replace(self, analyses={name: as_found(one) for name, one in self.analyses.items()})
        return replace(self, analyses={name: corrected(one, bpm) for name, one in self.analyses.items()})

    def answering(self, model: str) -> str:
        """This model, or the first one as long as it has not answered."""
        return model if model in self.analyses else next(iter(self.analyses))

    @property
    def any(self) -> TrackAnalysis:
        """One of the analyses, for what all have in common."""
        return next(iter(self.analyses.values()))

    def answers(self, models: Sequence[LoadedModel], progress: Progress) -> Iterator[TrackResults]:
        """Analyse the track with each model in turn; every step holds all results so far.

        What is there already comes first, and those models are not asked again. The rest is as in
        `fluxbeat.analysis.engine.analyze_each`.
        """
        if self.analyses:
            yield self
        results = self
        missing = [model for model in models if model.info.name not in self.analyses]
        for _, analysis in analyze_each(
            self.path,
            missing,
            name=self.name,
            progress=progress,
            max_duration_s=self.max_duration_s,
            tracks=self.tracks,
        ):
            results = replace(results, analyses={**results.analyses, analysis.model.name: analysis})
            yield results


def kept(results: TrackResults | None) -> TrackResults:
    """What a page shows, unless the server has forgotten it.

    Raises
    ------
    FluxBeatError
        In words for the listener.
    """
    if results is None:
        raise FluxBeatError("The track is not kept any more: give it once more.")
    return results


def kept_analysis(results: TrackResults | None, model: str) -> tuple[TrackResults, TrackAnalysis]:
    """As `kept`, with what a model says, which may still be to come."""
    results = kept(results)
    if model not in results.analyses:
        raise FluxBeatError(f"{model_title(model)} is still listening: try again in a moment.")
    return results, results.analyses[model]
