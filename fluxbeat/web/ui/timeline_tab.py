"""The Timeline tab: the answer as a sentence, the chapters, and all that the stage draws on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fluxbeat.analysis.result import Genre, TrackAnalysis
from fluxbeat.charts.chapters import chapters, unlike_what_was_learned
from fluxbeat.charts.colours import Paint
from fluxbeat.charts.plots import stage_figure
from fluxbeat.charts.wording import KIND_WORDS, as_sentence, clock, model_title, percent, segment_name, tempo_choice
from fluxbeat.errors import WarningCode
from fluxbeat.web.ui.model_facts import accuracy

IN_THE_SENTENCE: frozenset[WarningCode] = frozenset({"no_steady_beat", "tempo_changes", "unfamiliar"})
"""Warnings that the sentence, or the line below it, says already."""


def timeline_view(
    key: str, analysis: TrackAnalysis, paints: Mapping[str, Paint], metrics: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """What the Timeline tab shows of one model's analysis; `metrics` are those of the model's checkpoint."""
    order, tempo = [genre.label for genre in analysis.genres], analysis.tempo.to_dict()
    return {
        "key": key,
        "file": analysis.file,
        "title": analysis.title,
        "artist": analysis.artist,
        "duration_s": round(analysis.duration_s, 3),
        "model": model_title(analysis.model.name),
        "summary": analysis.summary,
        "right": accuracy(metrics),
        "unlike": unlike_what_was_learned(analysis),
        "tempo": tempo_choice(analysis.tempo),
        "figure": stage_figure(analysis, paints, order),
        "genres": [genre_view(genre, paints) for genre in analysis.genres],
        "others": [
            {"label": each.label, "percent": percent(each.most), "at_s": round(each.at_s, 2), "clock": clock(each.at_s)}
            for each in analysis.others
        ],
        "chapters": [
            {
                "start_s": round(chapter.start_s, 2),
                "end_s": round(chapter.end_s, 2),
                "clock": clock(chapter.start_s),
                "labels": list(chapter.labels),
                "words": "" if chapter.labels else KIND_WORDS[chapter.kind],
                "bpm": None if chapter.bpm is None else round(chapter.bpm, 1),
            }
            for chapter in chapters(analysis)
        ],
        "waveform": {
            "step_s": analysis.envelope.step_s,
            "peak": [round(float(peak), 3) for peak in analysis.envelope.scaled],
        },
        "beats_s": tempo["beats_s"],
        "downbeats_s": tempo["downbeats_s"],
        "moments": moments(analysis),
        "notes": [as_sentence(warning.text) for warning in analysis.warnings if warning.code not in IN_THE_SENTENCE],
    }


def beginning_view(
    key: str, analysis: TrackAnalysis, paints: Mapping[str, Paint], metrics: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """As `timeline_view`, of what `analyze_beginning` found: what is known, told as that."""
    known_s = analysis.segments[-1].end_s
    view = timeline_view(key, analysis, paints, metrics)
    words = f"{clock(known_s)} of {clock(analysis.duration_s)} so far."
    return {**view, "so_far": True, "summary": words, "right": None, "unlike": "", "notes": []}


def genre_view(genre: Genre, paints: Mapping[str, Paint]) -> dict[str, Any]:
    """How present a genre is, and its colour."""
    return {
        "label": genre.label,
        "share": round(genre.probability, 4),
        "percent": percent(genre.probability),
        "presence": genre.presence,
        "active": genre.active,
        "colour": paints[genre.label].fill,
        "ink": paints[genre.label].ink,
    }


def moments(analysis: TrackAnalysis) -> dict[str, Any]:
    """The probabilities and tempo at every window and the words for every segment, for what follows the playhead."""
    timeline = analysis.timeline
    return {
        "labels": list(timeline.labels),
        "centre_s": [round(float(at), 2) for at in timeline.centre_s],
        "hop_s": round(timeline.hop_s, 3),
        "probability": [[round(float(value), 3) for value in row] for row in timeline.probability],
        "bpm": [None if np.isnan(value) else round(float(value), 1) for value in timeline.bpm],
        "sure": [
            {"until_s": round(segment.end_s, 2), "words": " and ".join(segment.labels) or segment_name(segment)}
            for segment in analysis.segments
        ],
    }
