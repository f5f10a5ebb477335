"""Explanations as images for a report: what in the sound speaks for the genres that are present."""

from __future__ import annotations

from fluxbeat.analysis.result import TrackAnalysis
from fluxbeat.analysis.track import Progress, Track, part_of
from fluxbeat.audio.decoding import AudioSource
from fluxbeat.explanation.drawing import draw_png
from fluxbeat.explanation.explain import explain_track
from fluxbeat.explanation.windows import strongest_start_s
from fluxbeat.export.formats import CaptionedImage
from fluxbeat.models.registry import LoadedModel


def explanation_images(
    track: Track,
    model: LoadedModel,
    analysis: TrackAnalysis,
    sound: AudioSource,
    progress: Progress | None = None,
) -> list[CaptionedImage]:
    """An image for each of `explained_genres`.

    Parameters
    ----------
    track : Track
        As the model's features need it.
    model : LoadedModel
    analysis : TrackAnalysis
        By the same model, of the same track.
    sound : path, bytes, or (array, sample rate)
        The recording that was read.
    progress : Progress, optional
    """
    genres = explained_genres(analysis)
    return [
        explanation_image(track, model, analysis, label, sound, part_of(progress, number, len(genres)))
        for number, label in enumerate(genres)
    ]


def explained_genres(analysis: TrackAnalysis) -> list[str]:
    """The genres that are clearly present, four at most; else the most probable one; none where all is silent."""
    there = [genre for genre in analysis.genres if genre.probability > 0]
    return [genre.label for genre in there if genre.active][:4] or [genre.label for genre in there[:1]]


def explanation_image(
    track: Track,
    model: LoadedModel,
    analysis: TrackAnalysis,
    label: str,
    sound: AudioSource,
    progress: Progress | None = None,
) -> CaptionedImage:
    """Caption and PNG of what speaks for a genre where it is strongest; the rest as in `explanation_images`."""
    timeline = analysis.timeline
    probability = timeline.probability[:, timeline.labels.index(label)]
    start_s = strongest_start_s(track, model.network, timeline.start_s, probability)
    found = explain_track(track, model, label, start_s, sound=sound, progress=progress)
    trust = f"; {found.faithfulness.in_words()}" if found.faithfulness else ""
    where = "; ".join(region.words() for region in found.regions[:3]) or "no single place"
    return f"What speaks for {label}: {where}{trust}.", draw_png(found)
