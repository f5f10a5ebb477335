"""One track heard by several models, one after the other, each result handed on as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from fluxbeat.analysis import Progress, Track, TrackAnalysis, analyze_track, read_track
from fluxbeat.audio import MAX_DURATION_S
from fluxbeat.features import FeatureConfig
from fluxbeat.zoo import ZooModel

Report = Callable[[float, str, str], None]
"""Called with the finished share (0..1), the engine's words and the model's name."""


@dataclass(frozen=True, eq=False)
class Heard:
    """What a page shows: one track, as models see it, and what each model that is ready says of it."""

    key: str
    path: str
    analyses: dict[str, TrackAnalysis]
    tracks: dict[FeatureConfig, Track] = field(default_factory=dict)
    max_duration_s: float = MAX_DURATION_S

    def by(self, model: str) -> TrackAnalysis | None:
        """What this model says, or None while it is still listening."""
        return self.analyses.get(model)

    def track(self, features: FeatureConfig) -> Track:
        """The track as models with these features need it; an analysis that was kept comes without, and is decoded.

        Raises
        ------
        AudioDecodeError
            If the file is not there any more, or is longer than `max_duration_s`.
        """
        kept = self.tracks.get(features)
        return kept or read_track(self.path, features, self.any.file, max_duration_s=self.max_duration_s)

    @property
    def any(self) -> TrackAnalysis:
        """One of the analyses, for what all have in common."""
        return next(iter(self.analyses.values()))


def listen(
    path: str,
    name: str,
    key: str,
    models: list[ZooModel],
    report: Report,
    known: TrackAnalysis | None = None,
    max_duration_s: float = MAX_DURATION_S,
) -> Iterator[Heard]:
    """Analyse a track with each model in turn; every step holds all results so far.

    The track is decoded once for all models that share their features.

    Parameters
    ----------
    path : str
        The audio file.
    name : str
        What to call it.
    key : str
        Tells this track from the one shown before.
    models : list of ZooModel
        In the order in which they are to answer.
    report : Report
        What it raises ends the work.
    known : TrackAnalysis, optional
        What one of the models said of this track before; it comes first, and that model is not asked again.
    max_duration_s : float
        Longest recording accepted.

    Raises
    ------
    AudioDecodeError
        If there is nothing to analyse in the file, or it is too long.
    """
    needed = {model.network.config.features for model in models}
    steps, done = len(needed) + len(models), 0
    tracks: dict[FeatureConfig, Track] = {}
    heard = Heard(key, path, {}, max_duration_s=max_duration_s)
    answered = [model for model in models if known and model.info.revision == known.model.revision]
    if known and answered:
        done += 1
        heard = replace(heard, analyses={answered[0].info.name: replace(known, file=name)})
        yield heard
    for model in models:
        if model in answered[:1]:
            continue
        short, features = model.info.name, model.network.config.features
        if features not in tracks:
            tracks[features] = read_track(path, features, name, _step(report, done, steps, short), max_duration_s)
            done += 1
        analysis = analyze_track(tracks[features], model, progress=_step(report, done, steps, short))
        done += 1
        heard = replace(heard, analyses={**heard.analyses, short: analysis}, tracks=dict(tracks))
        yield heard


def _step(report: Report, done: int, steps: int, model: str) -> Progress:
    return lambda share, words: report((done + share) / steps, words, model)
