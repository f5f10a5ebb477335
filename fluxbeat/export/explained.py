"""Explanations as pictures for a report: what in the sound speaks for the genres that are present."""

from __future__ import annotations

from fluxbeat.analysis import Track, TrackAnalysis
from fluxbeat.explanation import explain_track
from fluxbeat.explanation.picture import draw_png
from fluxbeat.explanation.windows import strongest_start_s
from fluxbeat.export.html_report import Picture
from fluxbeat.zoo import ZooModel

MOST_GENRES = 4


def explanation_pictures(track: Track, model: ZooModel, analysis: TrackAnalysis) -> list[Picture]:
    """A caption and a PNG for each genre that is clearly present, where it is strongest; else for the first genre.

    Parameters
    ----------
    track : Track
        As the model's features need it.
    model : ZooModel
    analysis : TrackAnalysis
        By the same model, of the same track.
    """
    present = [genre.label for genre in analysis.genres if genre.active] or [analysis.genres[0].label]
    timeline, pictures = analysis.timeline, []
    for label in present[:MOST_GENRES]:
        probability = timeline.probability[:, timeline.labels.index(label)]
        start_s = strongest_start_s(track, model.network, timeline.start_s, probability)
        found = explain_track(track, model, label, start_s)
        trust = f"; this picture is {found.faithfulness.in_words()}" if found.faithfulness else ""
        where = "; ".join(region.words() for region in found.regions[:3]) or "no single place"
        pictures.append((f"What speaks for {label}: {where}{trust}.", draw_png(found)))
    return pictures
