"""The Timeline tab: the river of genres, what sounds now, and what the whole track is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fluxbeat.analysis import TrackAnalysis
from fluxbeat.charts.colours import Paint
from fluxbeat.charts.plots import timeline_figure
from fluxbeat.charts.wording import as_sentence, model_title, percent, segment_name, tempo_choice


def timeline_view(key: str, analysis: TrackAnalysis, paints: Mapping[str, Paint]) -> dict[str, Any]:
    """What the Timeline tab shows of one model's analysis."""
    order = [genre.label for genre in analysis.genres]
    return {
        "key": key,
        "file": analysis.file,
        "duration_s": round(analysis.duration_s, 3),
        "model": model_title(analysis.model.name),
        "summary": analysis.summary,
        "tempo": tempo_choice(analysis.tempo),
        "figure": timeline_figure(analysis, paints, order),
        "genres": [
            {
                "label": genre.label,
                "share": round(genre.probability, 4),
                "percent": percent(genre.probability),
                "presence": genre.presence,
                "active": genre.active,
                "colour": paints[genre.label].fill,
            }
            for genre in analysis.genres
        ],
        "moments": moments(analysis),
        "notes": [as_sentence(warning.text) for warning in analysis.warnings],
    }


def moments(analysis: TrackAnalysis) -> dict[str, Any]:
    """The probabilities and tempo at every window and the words for every segment, for what follows the playhead."""
    timeline = analysis.timeline
    return {
        "labels": list(timeline.labels),
        "centre_s": [round(float(at), 2) for at in timeline.centre_s],
        "probability": [[round(float(value), 2) for value in row] for row in timeline.probability],
        "bpm": [None if np.isnan(value) else round(float(value), 1) for value in timeline.bpm],
        "sure": [
            {"until_s": round(segment.end_s, 2), "words": " and ".join(segment.labels) or segment_name(segment)}
            for segment in analysis.segments
        ],
    }
